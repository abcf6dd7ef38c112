/** The model's steps as the kernel's trace events, and their order compared with the recorded one. */
import { CR0_PG, CR0_WP } from '../core/hardware/registers.ts';
import type { Facts, Journal } from '../core/machine/journal.ts';
import { roleField } from '../core/kvm-shadow/role.ts';
import type { Difference } from './state.ts';
import type { TraceEvent, TracedStep } from './trace-text.ts';

const hex = (value: unknown): string => BigInt(value as number | bigint).toString(16);
const FRAME_BITS = 0x000f_ffff_ffff_f000n;
const ACCESS = ['---', '--x', 'w--', 'w-x', '-u-', '-ux', 'wu-', 'wux'] as const;

/** A page as `KVM_MMU_PAGE_PRINTK` prints it. */
function pageText({ gfn, role, gen, roots, unsync }: Facts): string {
  const word = Number(role);
  const bytes = roleField(word, 'has_4_byte_gpte') === 1 ? 4 : 8;
  return [
    `sp gen ${String(gen)} gfn ${hex(gfn)} l${String(roleField(word, 'level'))} ${String(bytes)}-byte`,
    `q${String(roleField(word, 'quadrant'))}${roleField(word, 'direct') === 1 ? ' direct' : ''}`,
    `${ACCESS[roleField(word, 'access')] ?? ''}${roleField(word, 'invalid') === 1 ? ' invalid' : ''}`,
    `${roleField(word, 'efer_nx') === 1 ? '' : '!'}nxe ${roleField(word, 'ad_disabled') === 1 ? '!' : ''}ad`,
    `root ${String(roots)} ${unsync === true ? 'unsync' : 'sync'}`,
  ].join(' ');
}

const SAY: Readonly<Record<string, (facts: Facts) => string | undefined>> = {
  'fault-report': ({ gva, errorCode }) => `kvm_page_fault ${hex(gva)} ${hex(errorCode)}`,
  'gwalk-begin': ({ gva, errorCode }) => `kvm_mmu_pagetable_walk ${hex(gva)} ${hex(errorCode)}`,
  'gwalk-element': ({ entry, level }) => `kvm_mmu_paging_element ${hex(entry)} level ${String(level)}`,
  'gwalk-accessed': ({ gpa }) => `kvm_mmu_set_accessed_bit ${hex(gpa)}`,
  'gwalk-dirty': ({ gpa }) => `kvm_mmu_set_dirty_bit ${hex(gpa)}`,
  'gwalk-error': ({ errorCode }) => `kvm_mmu_walker_error ${hex(errorCode)}`,
  'sp-get': (facts) =>
    `kvm_mmu_get_page ${pageText(facts)} ${facts['created'] === true ? 'new' : 'existing'}`,
  'sync-page': (facts) => `kvm_mmu_sync_page ${pageText(facts)}`,
  'unsync-page': (facts) => `kvm_mmu_unsync_page ${pageText(facts)}`,
  'sp-zap': (facts) => `kvm_mmu_prepare_zap_page ${pageText(facts)}`,
  'zap-all': ({ validGen, pages }) => `kvm_mmu_zap_all_fast ${String(1 - Number(validGen))} ${hex(pages)}`,
  'leaf-set': ({ gfn, entry, level }) =>
    `kvm_mmu_set_spte ${hex(gfn)} ${hex((entry as bigint) & ~FRAME_BITS)} level ${String(level)}`,
  'map-requested': ({ gfn, level }) => `kvm_mmu_spte_requested ${hex(gfn)} level ${String(level)}`,
  // The event prints the low three bits of the entry: P, W and U.
  'mmio-set': ({ gfn, access, generation }) =>
    `mark_mmio_spte ${hex(gfn)} ${hex((Number(access) & 6) | 1)} gen ${hex(generation)}`,
  'mmio-check': ({ entry, now, generation, valid }) =>
    `check_mmio_spte ${hex(entry)} ${hex(now)} ${hex(generation)} ${valid === true ? '1' : '0'}`,
  'mmio-found': ({ gva, gfn, access }) => `handle_mmio_page_fault ${hex(gva)} ${hex(gfn)} ${hex(access)}`,
};

/** What the processor calls an exit. CR0 is intercepted whole while the hardware's differs from the guest's. */
function exitText({ reason, gva, errorCode }: Facts, cr0: bigint): string | undefined {
  if (reason === '#PF') return `exit #PF ${hex(errorCode)} ${hex(gva)}`;
  if (reason === 'mov-cr0')
    return (cr0 & (CR0_PG | CR0_WP)) === (CR0_PG | CR0_WP) ? 'exit cr0_sel_write' : 'exit write_cr0';
  if (reason === 'mov-cr3') return 'exit write_cr3';
  if (reason === 'mov-cr4') return 'exit write_cr4';
  return reason === 'invlpg' ? 'exit invlpg' : undefined;
}

/** What holds the model's steps: a machine that records, or the timeline of its run. */
export interface Journalled {
  readonly journal: Journal | undefined;
}

/** A step of the model that the kernel's trace would have a line for. */
interface ModelEvent {
  readonly step: number;
  readonly text: string;
}

/** Events of one vCPU between two steps of the model. A fault is delivered at the entry. */
function modelEvents(
  { journal }: Journalled,
  of: { vcpu: number; first: number; end: number },
): readonly ModelEvent[] {
  const events: ModelEvent[] = [];
  let pending: string | undefined;
  for (let step = of.first; journal !== undefined && step < of.end; step += 1) {
    if (journal.vcpu(step) !== of.vcpu) continue;
    const kind = journal.kind(step);
    const facts = journal.factsOf(step);
    if (kind === 'inject') pending = `kvm_inj_exception ${hex(facts['errorCode'])}`;
    else if (kind === 'vm-entry' && pending !== undefined) {
      events.push({ step, text: pending });
      pending = undefined;
    } else {
      const text = kind === 'vm-exit' ? exitText(facts, cr0At(journal, of.vcpu, step)) : SAY[kind]?.(facts);
      if (text !== undefined) events.push({ step, text });
    }
  }
  return events;
}

/** CR0 of a vCPU before a step: what the last change of it before that set. */
function cr0At(journal: Journal, vcpu: number, step: number): bigint {
  const key = `${String(vcpu)}.cr0`;
  let change = journal.lastChange('reg', key);
  while (change !== undefined && journal.stepOfChange(change) >= step)
    change = journal.previousChange(change);
  const value = change === undefined ? 0n : journal.valueAfter(change);
  return typeof value === 'bigint' ? value : 0n;
}

/** What is compared of one recorded step: the kernel's events, and where the model's steps lie. */
export interface ComparedStep {
  readonly traced: TracedStep;
  readonly vcpus: number;
  readonly first: number;
  readonly end: number;
}

/** An event of the kernel's trace and the step of the model that gave the same one; or one of them alone, or two that differ. */
export interface EventPair {
  readonly vcpu: number;
  readonly event: TraceEvent | undefined;
  readonly model: ModelEvent | undefined;
}

export const agrees = ({ event, model }: EventPair): boolean =>
  event !== undefined && event.text === model?.text;

/** The events of each vCPU, the kernel's beside the model's, in their order: the first with the first, and so on. */
export const pairEvents = (m: Journalled, of: ComparedStep): readonly EventPair[] =>
  Array.from({ length: of.vcpus }, (_, vcpu): readonly EventPair[] => {
    const expected = of.traced.events.filter((event) => event.vcpu === vcpu);
    const got = modelEvents(m, { ...of, vcpu });
    return Array.from({ length: Math.max(expected.length, got.length) }, (_one, at) => ({
      vcpu,
      event: expected[at],
      model: got[at],
    }));
  }).flat();

/** The first event in which they differ, for each vCPU. */
export function compareEvents(m: Journalled, of: ComparedStep): readonly Difference[] {
  const pairs = pairEvents(m, of);
  return Array.from({ length: of.vcpus }, (_, vcpu): readonly Difference[] => {
    const own = pairs.filter((pair) => pair.vcpu === vcpu);
    const at = own.findIndex((pair) => !agrees(pair));
    return at < 0 ? [] : [differenceOf(own[at], at)];
  }).flat();
}

function differenceOf(pair: EventPair | undefined, at: number): Difference {
  const { event, model } = pair ?? {};
  return {
    what: `event ${String(at + 1)} of vcpu ${String(pair?.vcpu)}${event === undefined ? '' : ` (trace line ${String(event.line)})`}`,
    expected: event?.text ?? 'no more',
    got: model?.text ?? 'no more',
  };
}
