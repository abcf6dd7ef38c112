/** The tables that a KVM of today has beside those of 2007. Keys are said in tables.ts. */
import type { Pfn } from '../quantities.ts';

/** What `struct kvm_mmu_page` has got since 2007. */
export interface TodaysPage {
  /** The guest may write the table behind it; the page may be out of date as a TLB may be. */
  readonly unsync: boolean;
  /** Entries below which there is a page that is unsync. */
  readonly unsyncChildren: number;
  /** `mmu_valid_gen` of the VM when it was made. */
  readonly validGen: 0 | 1;
  /** `write_flooding_count`. */
  readonly floodCount: number;
  /** Made only because the processor's large-page bug forbids an executable large page. */
  readonly nxDisallowed: boolean;
  /** On the list of active pages; a root that was given up is not. */
  readonly listed: boolean;
}

/** A root that a vCPU uses or remembers; without `hpa` it is invalid. */
export interface CachedRoot {
  /** Frame of the root table, or of the four PAE entries. */
  readonly hpa?: Pfn;
  /** The guest's CR3 that it was built for. */
  readonly pgd?: bigint;
}

/** `struct kvm_mmu` of a vCPU: the guest's paging context, and the roots. */
export interface MmuContext {
  readonly cpuRole: { readonly base: number; readonly ext: number };
  readonly permissions: readonly number[];
  readonly rootRole: number;
  readonly root: CachedRoot;
  readonly prevRoots: readonly CachedRoot[];
}

/** The vCPU's memory of its last access to a device. */
export interface MmioInfo {
  /** Page address, or 0. */
  readonly gva: bigint;
  readonly gfn: number;
  readonly access: number;
  readonly generation: number;
}

/** A page of the process that runs the guest, as the host's own tables map it. */
export interface HostPage {
  /** Without one, nothing is mapped there now. */
  readonly pfn?: Pfn;
  /** Where what was in it lies while the page is swapped out: the frame that it will have again. */
  readonly swapped?: Pfn;
  /** The host's entry lets it be written. */
  readonly writable: boolean;
  /** The process may write there: an entry that is read-only is made writable when it does. */
  readonly mayWrite: boolean;
  /** Size of the host's mapping as a power of two. */
  readonly pageBits: 12 | 21;
}

/** What a VM has once. */
export interface VmState {
  /**
   * `memslots.generation`, without the bit that says that an update is under way. Absent where marks of devices carry
   * none.
   */
  readonly generation?: number;
  readonly updating: boolean;
  /** The same for the slots of System Management Mode, odd numbers. Absent where the VM has none, or nothing is counted. */
  readonly smmGeneration?: number;
  readonly smmUpdating?: boolean;
  /** `mmu_valid_gen`. */
  readonly validGen: 0 | 1;
  /** `n_used_mmu_pages` and `n_max_mmu_pages`. */
  readonly usedPages: number;
  readonly maxPages: number;
  /** `indirect_shadow_pages`. */
  readonly indirectPages: number;
  /** `mmu_invalidate_seq` and `mmu_invalidate_in_progress`. */
  readonly invalidateSeq: number;
  readonly invalidating: number;
  /** Fetching the dirty log does not clear it: user space says which frames it has dealt with. */
  readonly manualLog: boolean;
  /** With that: all frames count as written when logging begins. */
  readonly initiallySet: boolean;
  /** `tlbs_dirty`: entries dropped since the last flush of all TLBs, and not flushed yet. Absent where nothing is put off. */
  readonly tlbsDirty?: number;
}

/** What an entry of a guest's table was until a step changed it. */
export interface FormerEntry {
  readonly value: bigint;
  /** Steps before the change. */
  readonly until: number;
}
