/**
 * What differs between the processors: how the guest is left and entered, and what a flush call does.
 *
 * `vmx-novpid`: every exit and entry empties the TLB, so a flush call has nothing left to do.
 * `svm`: entries carry an ASID; a flush call makes the vCPU's generation old, so that the next entry takes a new one.
 * No entry of an old ASID is removed; none matches any more.
 */
import type { Machine } from '../machine/machine.ts';
import type { ExitReason } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { countEntries, dropEntries } from '../hardware/tlb.ts';

/** ASIDs of the modelled processor: 1..63; 0 is the host's. */
const MAX_ASID = 63n;

const hasAsids = (m: Machine): boolean => m.settings.cpu === 'svm';
const everything = (): boolean => true;

/** The same, read off a world: 0 before the first entry and where the processor has no tags. */
export const currentAsidOf = (world: World, vcpu: number): number =>
  Number(world.get('reg', `${String(vcpu)}.asid`) ?? 0n);

/** The tag of the vCPU's entries now. */
export const currentAsid = (m: Machine): number => (hasAsids(m) ? Number(m.reg('asid')) : 0);

export interface ExitFacts {
  readonly reason: ExitReason;
  readonly gva?: bigint;
  readonly errorCode?: number;
}

/** Leaves the guest. Gives the serial of the exit. */
export function vmExit(m: Machine, { reason, gva = 0n, errorCode = 0 }: ExitFacts): number {
  const state = m.must('vcpu', m.vcpu);
  const exitSerial = state.exitSerial + 1;
  const dropped = hasAsids(m) ? 0 : countEntries(m, everything);
  m.step('vm-exit', { reason, gva, errorCode, dropped });
  m.set('vcpu', m.vcpu, Object.freeze({ mode: 'hypervisor', exit: reason, exitSerial }));
  m.count('exits');
  if (!hasAsids(m)) dropEntries(m, everything);
  return exitSerial;
}

/** Enters the guest, with the flush that the processor makes or that was asked for. */
export function vmEntry(m: Machine): void {
  const state = m.must('vcpu', m.vcpu);
  if (!hasAsids(m)) {
    m.step('vm-entry', { asid: 0, dropped: countEntries(m, everything), freshAsid: false });
    dropEntries(m, everything);
    payOwed(m);
  } else if (m.reg('asid_generation') !== 0n && m.reg('asid_generation') === cpuReg(m, 'asid_generation')) {
    m.step('vm-entry', { asid: currentAsid(m), dropped: 0, freshAsid: false });
  } else {
    takeNewAsid(m);
    payOwed(m);
  }
  m.set('vcpu', m.vcpu, Object.freeze({ mode: 'guest', exitSerial: state.exitSerial }));
}

function takeNewAsid(m: Machine): void {
  let generation = cpuReg(m, 'asid_generation');
  let next = cpuReg(m, 'next_asid');
  const exhausted = generation === 0n || next > MAX_ASID;
  if (exhausted) {
    generation += 1n;
    next = 1n;
  }
  m.step('vm-entry', {
    asid: Number(next),
    dropped: exhausted ? countEntries(m, everything) : 0,
    freshAsid: true,
  });
  if (exhausted) dropEntries(m, everything);
  m.set('reg', 'cpu.asid_generation', generation);
  m.set('reg', 'cpu.next_asid', next + 1n);
  m.setReg('asid', next);
  m.setReg('asid_generation', generation);
}

const cpuReg = (m: Machine, name: string): bigint => m.get('reg', `cpu.${name}`) ?? 0n;

export type FlushReason = 'write-protect' | 'cr3' | 'zap' | 'shadowed' | 'dirty-log';

/** `tlb_flush`: arranges for a flush before the next entry. */
export function flushTlb(m: Machine, why: FlushReason): void {
  const effect = hasAsids(m) ? 'new ASID at the next entry' : 'nothing: exit and entry empty the TLB';
  m.step('flush', { why, effect });
  if (why === 'write-protect') m.count('rmap_flush');
  if (why === 'cr3') m.count('tlb_flush');
  if (hasAsids(m)) m.setReg('asid_generation', 0n);
}

export interface Debt {
  readonly words: readonly number[];
  /** Id of the bug or broken policy by which the hypervisor will not flush. */
  readonly bug?: string;
}

/** Notes, inside the step marked last, a flush that this step obliges the hypervisor to make before the next entry. */
export function oweFlush(m: Machine, { words, bug }: Debt): void {
  const serial = m.serial('owed');
  const cause = m.steps - 1;
  const debt = { serial, vcpu: m.vcpu, words: Object.freeze([...words]), due: 'entry', cause } as const;
  m.set('owed', serial, Object.freeze(bug === undefined ? debt : { ...debt, bug }));
}

function payOwed(m: Machine): void {
  for (const owed of [...m.world.tables.owed.values()]) {
    if (owed.vcpu === m.vcpu) m.set('owed', owed.serial, undefined);
  }
}
