/** The four files of a recorded scenario, as they are (see the recordings' own README). Numbers of 64 bits are text. */

export interface RecordedStep {
  readonly step: number;
  readonly vcpu: number;
  readonly op: string;
  readonly gva?: string;
  readonly gpa?: string;
  readonly value?: string;
  readonly size?: number;
  readonly user?: boolean;
  readonly slot?: number;
  readonly flags?: number;
  readonly len?: string;
  readonly async?: boolean;
  readonly note?: string;
  readonly on_fault?: { readonly ops: readonly RecordedStep[]; readonly then: string };
}

export interface RecordedScenario {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly kernel: string;
  readonly mode: 'long64' | 'pae32' | 'legacy32' | 'nonpaging32';
  readonly pte_bytes: 4 | 8;
  readonly module_params: Readonly<Record<string, string>>;
  readonly vcpus: readonly {
    readonly id: number;
    readonly cr0: string;
    readonly cr3: string;
    readonly cr4: string;
    readonly efer: string;
    readonly rip: string;
    readonly kernel_stack_top: string;
  }[];
  readonly memslots: readonly {
    readonly slot: number;
    readonly gpa: string;
    readonly size: string;
    readonly flags: number;
    readonly hva: string;
    readonly backing: string;
    readonly present_at_start: boolean;
  }[];
  readonly tables: readonly { readonly gpa: string; readonly level: number }[];
  readonly page_tables: Readonly<Record<string, string>>;
  readonly memory: readonly { readonly gpa: string; readonly what: string; readonly hex: string }[];
  readonly steps: readonly RecordedStep[];
}

export interface ObservedStep {
  readonly step: number;
  readonly value?: string;
  readonly guest_faults?: readonly {
    readonly cr2: string;
    readonly error_code: string;
    readonly rip: string;
  }[];
  readonly mmio?: readonly {
    readonly gpa: string;
    readonly len: number;
    readonly value: string;
    readonly write: boolean;
  }[];
  readonly dirty_gfns?: readonly string[];
  readonly guest_pt_changes: readonly { readonly gpa: string; readonly old: string; readonly new: string }[];
  readonly vm_stats: Readonly<Record<string, number>>;
  readonly vcpu_stats: readonly Readonly<Record<string, number>>[];
}

export interface RecordedPage {
  readonly sp: string;
  readonly gfn: string;
  readonly role: { readonly word: string };
  readonly spt: string;
  readonly hpa: string;
  readonly unsync: number;
  readonly root_count: number;
  readonly unsync_children: number;
  readonly write_flooding_count: number;
  readonly valid_gen: number;
  readonly parent_ptes: readonly string[];
  readonly entries: Readonly<Record<string, string | readonly [string, string]>>;
}

export interface RecordedState {
  readonly vcpus: readonly {
    readonly root: { readonly hpa: string; readonly pgd: string };
    readonly prev_roots: readonly { readonly hpa: string; readonly pgd: string }[];
    readonly cpu_role: string;
    readonly root_role: { readonly word: string };
    readonly pae_root: { readonly va: string; readonly entries: readonly string[] };
    readonly mmio_cache: { readonly gva: string; readonly gfn: string; readonly gen: string };
    readonly requests: string;
  }[];
  readonly mmu_valid_gen: number;
  readonly n_used_mmu_pages: number;
  readonly shadow_pages: readonly RecordedPage[];
  readonly memslots_generation: string;
  readonly slots: readonly {
    readonly id: number;
    readonly rmap:
      readonly { readonly level: number; readonly gfn: string; readonly sptes: readonly string[] }[] | null;
    readonly disallow_lpage: readonly {
      readonly level: number;
      readonly gfn: string;
      readonly count: number;
    }[];
    readonly write_track: readonly { readonly gfn: string; readonly count: number }[];
    readonly dirty_gfns: readonly string[] | null;
  }[];
}

export interface Recording {
  readonly scenario: RecordedScenario;
  readonly observed: { readonly steps: readonly ObservedStep[] };
  readonly state: { readonly steps: readonly { readonly step: number; readonly state: RecordedState }[] };
  readonly trace: string;
}
