/**
 * Flushes that a change of a shadow entry obliges KVM to make: by this vCPU before it enters the guest again, by every
 * other before the lock is released, while it runs the guest. They are noted beside the work, for the audit: nothing here
 * decides anything. Source: the reference, B.7.
 */
import type { Machine } from '../machine/machine.ts';
import type { OwedFlush } from '../machine/tables.ts';
import { isDirtySpte, isMmuWritable, isPresent, isWritable } from './spte.ts';

/** Whether an entry may no longer be cached as it was: it is gone, leads elsewhere, may not be written, or is clean. */
export function owesFlush(old: bigint, entry: bigint): boolean {
  if (!isPresent(old)) return false;
  if (!isPresent(entry) || ((old ^ entry) & FRAME) !== 0n) return true;
  if (isWritable(old) && !isWritable(entry)) return true;
  // Another processor may still hold the write right that the dirty log took from the entry before.
  if (isMmuWritable(old) && !isMmuWritable(entry)) return true;
  return isDirtySpte(old) && !isDirtySpte(entry);
}
const FRAME = 0x000f_ffff_ffff_f000n;

/** Why a flush is owed, where it is not simply due before the next entry. */
export interface Owing {
  /** A guest that changes its own table owes the flush itself, so KVM may wait until the host wants the page back. */
  readonly due?: OwedFlush['due'];
  /** The dirty log took a right: due when user space, which asks, is told. */
  readonly forLog?: boolean;
}

/** Inside the step that changes the entry. What no TLB holds need not leave one. */
export function oweFlush(m: Machine, word: number, { due = 'entry', forLog = false }: Owing = {}): void {
  const holders = new Set<number>();
  for (const { vcpu, filledFrom } of m.world.tables.tlb.values())
    if (!holders.has(vcpu) && filledFrom.includes(word)) holders.add(vcpu);
  for (const vcpu of holders) {
    const serial = m.serial('owed');
    const words = Object.freeze([word]);
    const owed = { serial, vcpu, words, due, cause: m.steps - 1 };
    m.set('owed', serial, Object.freeze(forLog ? { ...owed, asker: m.vcpu } : owed));
  }
}

/** The host wants pages back, in the step marked last: what could wait is due now. */
export function callPutOff(m: Machine): void {
  for (const owed of [...m.world.tables.owed.values()])
    if (owed.due === 'unmap') m.set('owed', owed.serial, Object.freeze({ ...owed, due: 'entry' }));
}

/** The vCPU has emptied its TLB, in the step marked last. */
export function payOwed(m: Machine): void {
  for (const owed of [...m.world.tables.owed.values()])
    if (owed.vcpu === m.vcpu) m.set('owed', owed.serial, undefined);
}
