/** `make_spte`: a leaf out of the rights that the guest gives, what the host lets happen, and what KVM has to forbid. Source: the reference, D.6. */
import type { Machine } from '../machine/machine.ts';
import type { Pfn } from '../quantities.ts';
import { pageOfEntry } from './page.ts';
import { ACC_EXEC, ACC_USER, ACC_WRITE, levelOfRole } from './role.ts';
import {
  frameBits,
  HOST_WRITABLE,
  isWritable,
  MMU_PRESENT,
  MMU_WRITABLE,
  SPTE_A,
  SPTE_D,
  SPTE_NX,
  SPTE_P,
  SPTE_PS,
  SPTE_U,
  SPTE_W,
} from './spte.ts';
import { tryToUnsync } from './unsync.ts';
import { markDirty } from './vm.ts';

export interface SpteRequest {
  readonly word: number;
  readonly gfn: number;
  readonly access: number;
  readonly pfn: Pfn;
  /** What the entry holds now. */
  readonly old: bigint;
  readonly prefetch: boolean;
  readonly canUnsync: boolean;
  readonly hostWritable: boolean;
}

/** Gives the entry, and whether writing was asked for and had to be refused. */
export function makeSpte(m: Machine, of: SpteRequest): { entry: bigint; refusedWrite: boolean } {
  const level = levelOfRole(pageOfEntry(m.world, of.word).role);
  const noLargeExec = level > 1 && m.settings['nx-huge-pages'] === 'on';
  let entry = MMU_PRESENT | SPTE_P | frameBits(of.pfn);
  if (!of.prefetch) entry |= SPTE_A;
  if ((of.access & ACC_EXEC) === 0 || noLargeExec) entry |= SPTE_NX;
  if ((of.access & ACC_USER) !== 0) entry |= SPTE_U;
  if (level > 1) entry |= SPTE_PS;
  if (of.hostWritable) entry |= HOST_WRITABLE;
  if (!of.hostWritable || (of.access & ACC_WRITE) === 0) return { entry, refusedWrite: false };
  const writable = SPTE_W | MMU_WRITABLE;
  if (isWritable(of.old)) entry |= writable;
  else if (tryToUnsync(m, of.gfn, of)) entry |= writable | SPTE_D;
  else return { entry, refusedWrite: true };
  markDirty(m, of.gfn);
  return { entry, refusedWrite: false };
}
