/**
 * What differs between the processors: how the guest is left and entered, and what a flush does to the TLB.
 *
 * `vmx-novpid`: every exit and entry empties the TLB, so a flush has nothing left to do.
 * `svm`: entries carry an ASID; a flush makes the vCPU's generation old, so that the next entry takes a new one. No entry of
 * an old ASID is removed; none matches any more. When the numbers run out, the whole TLB is emptied and they begin again.
 * `vmx-vpid`: entries carry the number of the vCPU; a flush is an INVVPID, at once. KVM of 2007 did not use it.
 *
 * Each vCPU has a processor of its own: entries and address space numbers of one are nobody else's business.
 */
import type { Machine } from '../machine/machine.ts';
import type { ExitReason, TlbEntry } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { countEntries, dropEntries, translates } from '../hardware/tlb.ts';

const hasAsids = (m: Machine): boolean => m.settings.cpu === 'svm';
const hasVpids = (m: Machine): boolean => m.settings.cpu === 'vmx-vpid';
const everything = (): boolean => true;

/** The ASID, or VPID, of a vCPU's entries now: 0 before the first entry and where the processor has no tags. */
export const currentAsidOf = (world: World, vcpu: number): number =>
  Number(world.get('reg', `${String(vcpu)}.asid`) ?? 0n);

export const currentAsid = (m: Machine): number => currentAsidOf(m.world, m.vcpu);

/** Gives the vCPU its VPID, where the processor has such numbers; 0 is the host's. Inside a step of the caller's own. */
export function startTag(m: Machine): void {
  if (hasVpids(m)) m.setReg('asid', BigInt(m.vcpu + 1));
}

/** Whether the TLB survives exits and entries. */
const keepsEntries = (m: Machine): boolean => hasAsids(m) || hasVpids(m);

/** An interrupt that was sent to the vCPU and that nobody waits for; it leaves the guest before its next instruction. */
export const IPI_IN_FLIGHT = 'ipi_in_flight';
/**
 * Another vCPU has cut links to tables since this one's entries were last flushed as a whole: it may hold addresses that no
 * link leads to any more, so single ones cannot be named.
 */
export const CUT_LINKS = 'cut_links';

export interface ExitFacts {
  readonly reason: ExitReason;
  readonly gva?: bigint;
  readonly errorCode?: number;
}

/** Leaves the guest. Gives the serial of the exit. */
export function vmExit(m: Machine, { reason, gva = 0n, errorCode = 0 }: ExitFacts): number {
  const state = m.must('vcpu', m.vcpu);
  const exitSerial = state.exitSerial + 1;
  const dropped = keepsEntries(m) ? 0 : countEntries(m, everything);
  m.step('vm-exit', { reason, gva, errorCode, dropped });
  m.set('vcpu', m.vcpu, Object.freeze({ mode: 'hypervisor', exit: reason, exitSerial }));
  m.count('exits');
  if (!keepsEntries(m)) dropEntries(m, everything);
  if (m.reg(IPI_IN_FLIGHT) !== 0n) m.setReg(IPI_IN_FLIGHT, 0n);
  return exitSerial;
}

/** Enters the guest, with the flush that the processor makes or that was asked for. */
export function vmEntry(m: Machine): void {
  serveRequests(m);
  const state = m.must('vcpu', m.vcpu);
  if (hasVpids(m)) m.step('vm-entry', { asid: currentAsid(m), dropped: 0, freshAsid: false });
  else if (!hasAsids(m)) {
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

/** How many entries a flush of all that the vCPU has drops at once. */
export const droppedByFlush = (m: Machine): number => (hasVpids(m) ? countEntries(m, ofVcpu(m)) : 0);

/** Has all entries of the vCPU dropped: now, or at its next entry. Inside the step marked last. */
export function flushContext(m: Machine): void {
  if (m.reg(CUT_LINKS) !== 0n) m.setReg(CUT_LINKS, 0n);
  if (hasAsids(m)) m.setReg('asid_generation', 0n);
  if (!hasVpids(m)) return;
  m.count('flush_ctx');
  dropEntries(m, ofVcpu(m));
  payOwed(m);
}

const ofVcpu = (m: Machine): ((entry: TlbEntry) => boolean) => {
  const tag = currentAsid(m);
  return (entry) => entry.asid === tag;
};

/** The instruction that drops one address of the vCPU's, by name, where the processor has one. */
export function pageFlushName(m: Machine): 'INVLPGA' | 'INVVPID' | undefined {
  if (hasAsids(m)) return 'INVLPGA';
  return hasVpids(m) ? 'INVVPID' : undefined;
}

/** Drops what translates one address of the vCPU's, at once. */
export function flushPage(m: Machine, gva: bigint): void {
  const which = translates(gva, currentAsid(m));
  m.step('flush-page', { name: pageFlushName(m) ?? '', gva, dropped: countEntries(m, which) });
  m.count('flush_va');
  dropEntries(m, which);
}

/** A request to flush, made by another vCPU, is carried out before the guest runs. */
function serveRequests(m: Machine): void {
  const pending = m.get('request', m.vcpu);
  if (pending === undefined) return;
  const by = hasVpids(m) ? 'INVVPID' : hasAsids(m) ? 'a new ASID' : 'the entry itself';
  m.step('request-serve', { request: pending.join(' '), by, dropped: droppedByFlush(m) });
  m.set('request', m.vcpu, undefined);
  flushContext(m);
}

function takeNewAsid(m: Machine): void {
  let generation = cpuReg(m, 'asid_generation');
  let next = cpuReg(m, 'next_asid');
  const exhausted = generation === 0n || next > BigInt(m.settings.asids);
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
  m.count(exhausted ? 'flush_all' : 'flush_ctx');
  m.set('reg', cpuName(m, 'asid_generation'), generation);
  m.set('reg', cpuName(m, 'next_asid'), next + 1n);
  m.setReg('asid', next);
  m.setReg('asid_generation', generation);
}

/** Registers of the physical processor under a vCPU; the first has the plain name. */
const cpuName = (m: Machine, name: string): string => `cpu${m.vcpu === 0 ? '' : String(m.vcpu)}.${name}`;
const cpuReg = (m: Machine, name: string): bigint => m.get('reg', cpuName(m, name)) ?? 0n;

/** The vCPU has nothing old any more: its debts are paid. */
function payOwed(m: Machine): void {
  for (const owed of [...m.world.tables.owed.values()]) {
    if (owed.vcpu === m.vcpu) m.set('owed', owed.serial, undefined);
  }
}

/** Entries that a processor can use now. */
export function usableEntries(m: Machine, vcpu: number): readonly TlbEntry[] {
  const tag = currentAsidOf(m.world, vcpu);
  return [...m.world.tables.tlb.values()].filter((entry) => entry.vcpu === vcpu && entry.asid === tag);
}

export const derivesFrom = (entry: TlbEntry, words: readonly number[]): boolean =>
  words.some((word) => entry.filledFrom.includes(word));
