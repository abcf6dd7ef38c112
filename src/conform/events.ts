/** The model's steps as the kernel's trace events, and their order compared with the recorded one. */
import { CR0_PG, CR0_WP } from '../core/hardware/registers.ts';
import type { Machine } from '../core/machine/machine.ts';
import type { Facts } from '../core/machine/journal.ts';
import { roleField } from '../core/kvm-shadow/role.ts';
import type { Difference } from './state.ts';
import type { TracedStep } from './trace-text.ts';

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

/** Events of one vCPU between two steps of the model. A fault is delivered at the entry. */
export function modelEvents(m: Machine, of: { vcpu: number; first: number; end: number }): readonly string[] {
  const { journal } = m;
  const events: string[] = [];
  let pending: string | undefined;
  for (let at = of.first; journal !== undefined && at < of.end; at += 1) {
    if (journal.vcpu(at) !== of.vcpu) continue;
    const kind = journal.kind(at);
    const facts = journal.factsOf(at);
    if (kind === 'inject') pending = `kvm_inj_exception ${hex(facts['errorCode'])}`;
    else if (kind === 'vm-entry' && pending !== undefined) {
      events.push(pending);
      pending = undefined;
    } else {
      const text = kind === 'vm-exit' ? exitText(facts, cr0At(m, of.vcpu, at)) : SAY[kind]?.(facts);
      if (text !== undefined) events.push(text);
    }
  }
  return events;
}

/** CR0 of a vCPU before a step: what the last change of it before that set. */
function cr0At(m: Machine, vcpu: number, step: number): bigint {
  const { journal } = m;
  const key = `${String(vcpu)}.cr0`;
  let change = journal?.lastChange('reg', key);
  while (change !== undefined && (journal?.stepOfChange(change) ?? 0) >= step)
    change = journal?.previousChange(change);
  const value = change === undefined ? 0n : journal?.valueAfter(change);
  return typeof value === 'bigint' ? value : 0n;
}

/** The first event in which they differ, for each vCPU. */
export function compareEvents(
  m: Machine,
  of: { traced: TracedStep; vcpus: number; first: number; end: number },
): readonly Difference[] {
  return Array.from({ length: of.vcpus }, (_, vcpu): Difference[] => {
    const expected = of.traced.events.filter((event) => event.vcpu === vcpu);
    const got = modelEvents(m, { vcpu, ...of });
    const length = Math.max(expected.length, got.length);
    for (let at = 0; at < length; at += 1) {
      const event = expected[at];
      if (event?.text === got[at]) continue;
      return [
        {
          what: `event ${String(at + 1)} of vcpu ${String(vcpu)}${event === undefined ? '' : ` (trace line ${String(event.line)})`}`,
          expected: event?.text ?? 'no more',
          got: got[at] ?? 'no more',
        },
      ];
    }
    return [];
  }).flat();
}
