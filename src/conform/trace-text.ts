/** Reads the kernel's own trace of a recorded scenario: the events that are compared, in order, by step and vCPU. */

export interface TraceEvent {
  /** Of the file, from 1. */
  readonly line: number;
  readonly vcpu: number;
  /** As the model says the same event: what may be renamed is left out. */
  readonly text: string;
}

/** A line of the trace as it stands there, without the columns of clock and processor. */
export interface TraceLine {
  /** Of the file, from 1. */
  readonly line: number;
  /** The thread: `vcpu0`, or `oracle` for the recorder's own. */
  readonly task: string;
  readonly name: string;
  readonly text: string;
}

/** Events of one step. */
export interface TracedStep {
  /**
   * All lines, but for the recorder's own: the making of the VM, its marks, and the exits by which it makes the guest
   * stop between steps.
   */
  readonly lines: readonly TraceLine[];
  readonly events: readonly TraceEvent[];
  /** Interrupts of the host's own, by which a vCPU left the guest for a moment. */
  readonly interrupts: ReadonlyMap<number, number>;
}

const LINE = /^\s*(\S+)-\d+\s+\[\d+\]\s+\S+\s+[\d.]+: (\w+): (.*)$/;
const STEP_MARK = /^oracle: step=(\d+) vcpu=\d+/;
const START_MARK = /^oracle: vcpu_start vcpu=\d+ before_step=(\d+)/;

export function readTrace(trace: string): ReadonlyMap<number, TracedStep> {
  const steps = new Map<number, Reading>();
  let current = nothingRead();
  let begun = false;
  steps.set(0, current);
  for (const [index, line] of trace.split('\n').entries()) {
    const found = LINE.exec(line);
    if (found === null) continue;
    const [, task = '', name = '', text = ''] = found;
    if (text.startsWith('oracle: teardown')) break;
    if (name === 'tracing_mark_write') {
      const mark = STEP_MARK.exec(text) ?? START_MARK.exec(text);
      if (mark?.[1] === undefined) continue;
      const step = Number(mark[1]);
      begun = true;
      current = steps.get(step) ?? nothingRead();
      steps.set(step, current);
      continue;
    }
    if (begun && !isOfRecorder(name, text)) current.lines.push({ line: index + 1, task, name, text });
    const vcpu = task.startsWith('vcpu') ? Number(task.slice('vcpu'.length)) : 0;
    if (name === 'kvm_exit' && text.includes('reason interrupt'))
      current.interrupts.set(vcpu, (current.interrupts.get(vcpu) ?? 0) + 1);
    const event = READERS[name]?.(text);
    if (event !== undefined) current.events.push({ line: index + 1, vcpu, text: event });
  }
  return steps;
}

interface Reading {
  readonly lines: TraceLine[];
  readonly events: TraceEvent[];
  readonly interrupts: Map<number, number>;
}

const nothingRead = (): Reading => ({ lines: [], events: [], interrupts: new Map() });

/** The guest stops for the recorder by writing to a port; interrupts are those of the recorder's own host. */
const isOfRecorder = (name: string, text: string): boolean =>
  name === 'kvm_pio' ||
  (name === 'kvm_exit' && /reason (io|interrupt) /.test(text)) ||
  (name === 'kvm_userspace_exit' && text.includes('KVM_EXIT_IO'));

type Reader = (text: string) => string | undefined;

const by =
  (pattern: RegExp, say: (...parts: string[]) => string): Reader =>
  (text) => {
    const found = pattern.exec(text);
    return found === null ? `cannot be read: ${text}` : say(...found.slice(1));
  };

/** Hexadecimal without what one kernel prints and another does not. */
const plain = (number: string): string =>
  BigInt(number.startsWith('0x') ? number : `0x${number}`).toString(16);

const FRAME_BITS = 0x000f_ffff_ffff_f000n;
const bitsOf = (entry: string): string => (BigInt(`0x${entry}`) & ~FRAME_BITS).toString(16);

const READERS: Readonly<Record<string, Reader>> = {
  kvm_exit: (text) => {
    const [, reason = '', info1 = '0', info2 = '0'] =
      /reason (.*?) rip \S+ info1 (\S+) info2 (\S+)/.exec(text) ?? [];
    if (reason === 'io' || reason === 'interrupt') return undefined;
    return reason === 'PF excp' ? `exit #PF ${plain(info1)} ${plain(info2)}` : `exit ${reason}`;
  },
  kvm_page_fault: by(
    /address (\S+) error_code (\S+)/,
    (address = '', code = '') => `kvm_page_fault ${plain(address)} ${plain(code)}`,
  ),
  kvm_mmu_pagetable_walk: by(
    /addr (\S+) pferr (\S+)/,
    (address = '', code = '') => `kvm_mmu_pagetable_walk ${plain(address)} ${code}`,
  ),
  kvm_mmu_paging_element: by(
    /pte (\S+) level (\d+)/,
    (entry = '', level = '') => `kvm_mmu_paging_element ${plain(entry)} level ${level}`,
  ),
  kvm_mmu_set_accessed_bit: by(/gpa (\S+)/, (gpa = '') => `kvm_mmu_set_accessed_bit ${plain(gpa)}`),
  kvm_mmu_set_dirty_bit: by(/gpa (\S+)/, (gpa = '') => `kvm_mmu_set_dirty_bit ${plain(gpa)}`),
  kvm_mmu_walker_error: by(/pferr (\S+)/, (code = '') => `kvm_mmu_walker_error ${code}`),
  kvm_mmu_get_page: (text) => `kvm_mmu_get_page ${text}`,
  kvm_mmu_sync_page: (text) => `kvm_mmu_sync_page ${text}`,
  kvm_mmu_unsync_page: (text) => `kvm_mmu_unsync_page ${text}`,
  kvm_mmu_prepare_zap_page: (text) => `kvm_mmu_prepare_zap_page ${text}`,
  kvm_mmu_zap_all_fast: by(
    /gen (\d+) used_pages (\S+)/,
    (gen = '', pages = '') => `kvm_mmu_zap_all_fast ${gen} ${pages}`,
  ),
  kvm_mmu_set_spte: by(
    /gfn (\S+) spte (\S+) \(\S*\) level (\d+)/,
    (gfn = '', entry = '', level = '') => `kvm_mmu_set_spte ${gfn} ${bitsOf(entry)} level ${level}`,
  ),
  kvm_mmu_spte_requested: by(
    /gfn (\S+) pfn \S+ level (\d+)/,
    (gfn = '', level = '') => `kvm_mmu_spte_requested ${gfn} level ${level}`,
  ),
  mark_mmio_spte: by(
    /gfn (\S+) access (\S+) gen (\S+)/,
    (gfn = '', access = '', gen = '') => `mark_mmio_spte ${gfn} ${access} gen ${gen}`,
  ),
  check_mmio_spte: by(
    /spte (\S+) kvm_gen (\S+) spte-gen (\S+) valid (\d)/,
    (entry = '', now = '', gen = '', valid = '') => `check_mmio_spte ${plain(entry)} ${now} ${gen} ${valid}`,
  ),
  handle_mmio_page_fault: by(
    /addr:(\S+) gfn (\S+) access (\S+)/,
    (address = '', gfn = '', access = '') => `handle_mmio_page_fault ${plain(address)} ${gfn} ${access}`,
  ),
  kvm_inj_exception: by(/#PF \((\S+)\)/, (code = '') => `kvm_inj_exception ${plain(code)}`),
};
