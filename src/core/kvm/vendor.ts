/**
 * What differs between the processors: how the guest is left and entered, and what a flush call does.
 *
 * `vmx-novpid`: every exit and entry empties the TLB, so a flush call has nothing left to do.
 * `svm`: entries carry an ASID; a flush call makes the vCPU's generation old, so that the next entry takes a new one.
 * No entry of an old ASID is removed; none matches any more.
 *
 * Each vCPU has a processor of its own: entries and address space numbers of one are nobody else's business.
 */
import type { Machine } from '../machine/machine.ts';
import type { ExitReason, TlbEntry } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { countEntries, dropEntries } from '../hardware/tlb.ts';
import { traitsOf } from './era-2007.ts';

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
  serveRequests(m);
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

/** A request to flush, made by another vCPU, is carried out before the guest runs. */
function serveRequests(m: Machine): void {
  const pending = m.get('request', m.vcpu);
  if (pending === undefined) return;
  m.step('request-serve', { request: pending.join(' '), dropped: 0 });
  m.set('request', m.vcpu, undefined);
  renewAsid(m);
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
  m.set('reg', cpuName(m, 'asid_generation'), generation);
  m.set('reg', cpuName(m, 'next_asid'), next + 1n);
  m.setReg('asid', next);
  m.setReg('asid_generation', generation);
}

/** Registers of the physical processor under a vCPU; the first has the plain name. */
const cpuName = (m: Machine, name: string): string => `cpu${m.vcpu === 0 ? '' : String(m.vcpu)}.${name}`;
const cpuReg = (m: Machine, name: string): bigint => m.get('reg', cpuName(m, name)) ?? 0n;

export type FlushReason = 'write-protect' | 'cr3' | 'zap' | 'shadowed' | 'dirty-log';

/** `tlb_flush`: arranges for a flush of this vCPU's TLB before its next entry. */
export function flushTlb(m: Machine, why: FlushReason, words: readonly number[] = []): void {
  const effect = hasAsids(m) ? 'new ASID at the next entry' : 'nothing: exit and entry empty the TLB';
  m.step('flush', { why, effect });
  if (why === 'write-protect') m.count('rmap_flush');
  if (why === 'cr3') m.count('tlb_flush');
  countUse(m, words);
  renewAsid(m);
}

function renewAsid(m: Machine): void {
  if (hasAsids(m)) m.setReg('asid_generation', 0n);
}

/** A flush is needless where no entry of the TLB comes from what has changed. */
function countUse(m: Machine, words: readonly number[]): void {
  m.count('flushes');
  const owed = [...m.world.tables.owed.values()].filter((debt) => debt.vcpu === m.vcpu);
  const changed = [...words, ...owed.flatMap((debt) => [...debt.words])];
  if (changed.length > 0 && !usableEntries(m, m.vcpu).some((entry) => derivesFrom(entry, changed)))
    m.count('flushes_needless');
}

/** Entries that a processor can use now. */
export function usableEntries(m: Machine, vcpu: number): readonly TlbEntry[] {
  const tag = m.settings.cpu === 'svm' ? currentAsidOf(m.world, vcpu) : 0;
  return [...m.world.tables.tlb.values()].filter((entry) => entry.vcpu === vcpu && entry.asid === tag);
}

export const derivesFrom = (entry: TlbEntry, words: readonly number[]): boolean =>
  words.some((word) => entry.filledFrom.includes(word));

/**
 * The flush that write protection, zapping and the dirty log ask for: of this vCPU's TLB while there is only one, of
 * everybody's since there are several.
 */
export function flushEverybody(m: Machine, why: FlushReason, words: readonly number[] = []): void {
  flushTlb(m, why, words);
  if (!traitsOf(m.settings).remoteFlush) return;
  if (m.settings['flush-reach'] === 'local') {
    if (m.world.tables.vcpu.size > 1) m.step('flush-left-out', { why: 'local' });
    return;
  }
  flushOthers(m);
}

/** `kvm_flush_remote_tlbs` of 2.6.24: a request for each other vCPU, one interrupt to those that run, and the wait. */
function flushOthers(m: Machine): void {
  const others = vcpusOf(m).filter((vcpu) => vcpu !== m.vcpu);
  if (others.length > 0) requestAll(m, others);
}

/** The same from a thread of the host, for which every vCPU is one of the others. */
export const flushFromHost = (m: Machine): void => {
  requestAll(m, vcpusOf(m));
};

const vcpusOf = (m: Machine): readonly number[] => [...m.world.tables.vcpu.keys()].sort((a, b) => a - b);

function requestAll(m: Machine, vcpus: readonly number[]): void {
  m.call('kvm_flush_remote_tlbs', {}, () => {
    m.step('remote-flush', { broadcast: false });
    const asked = vcpus.filter((vcpu) => requestFlush(m, vcpu));
    m.preempt('kvm_flush_remote_tlbs/before-kick');
    const running = asked.filter((vcpu) => m.must('vcpu', vcpu).mode === 'guest');
    if (running.length === 0) return;
    m.step('ipi-send', { count: running.length });
    m.count('ipis', running.length);
    for (const vcpu of running) interrupt(m, vcpu);
    m.step('ipi-wait', { count: running.length });
  });
}

/** Gives whether the vCPU has a new request. */
function requestFlush(m: Machine, vcpu: number): boolean {
  if (m.get('request', vcpu) !== undefined) return false;
  m.step('request-set', { vcpu, request: 'TLB_FLUSH', kick: m.must('vcpu', vcpu).mode === 'guest' });
  m.set('request', vcpu, Object.freeze(['TLB_FLUSH']));
  return true;
}

function interrupt(m: Machine, vcpu: number): void {
  const sender = m.vcpu;
  m.vcpu = vcpu;
  vmExit(m, { reason: 'IPI' });
  m.vcpu = sender;
}

export interface Debt {
  readonly words: readonly number[];
  /** Id of the bug or broken policy by which the hypervisor will not flush. */
  readonly bug?: string;
}

/**
 * Notes, inside the step marked last, the flush that this step obliges the hypervisor to make: by this vCPU before it
 * enters the guest again, by every other before the lock is released, while it runs the guest.
 */
export function oweFlush(m: Machine, { words, bug }: Debt): void {
  const cause = m.steps - 1;
  for (const vcpu of vcpusOf(m)) {
    const serial = m.serial('owed');
    const own = bug ?? (vcpu !== m.vcpu && m.settings['flush-reach'] === 'local' ? 'B-B2' : undefined);
    const debt = { serial, vcpu, words: Object.freeze([...words]), due: 'entry', cause } as const;
    m.set('owed', serial, Object.freeze(own === undefined ? debt : { ...debt, bug: own }));
  }
}

function payOwed(m: Machine): void {
  for (const owed of [...m.world.tables.owed.values()]) {
    if (owed.vcpu === m.vcpu) m.set('owed', owed.serial, undefined);
  }
}
