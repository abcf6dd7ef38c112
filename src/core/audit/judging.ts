/**
 * What the audit has to know of a machine whose hypervisor keeps tables of its own: which rules it is held to and what finds
 * them false, what its guest's memory is, and what its processors can use. One for the machine of 2007, one for today's;
 * recording, causes, debts and harm are the same for both.
 */
import type { PagingRegisters } from '../hardware/registers.ts';
import type { Machine, Witness } from '../machine/machine.ts';
import type { TableName, TlbEntry } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import type { Gfn, Pfn } from '../quantities.ts';
import type { Settings } from '../settings.ts';
import type { Falsity } from './falsity.ts';

/** What an access is judged by: `user`, and what it does. */
export interface JudgedAccess {
  readonly gva: bigint;
  readonly access: 'read' | 'write' | 'execute';
  readonly user: boolean;
}

export interface Judging {
  /** What is false now. */
  readonly scan: (world: World) => readonly Falsity[];
  /** The same about a frame that is about to be given back. */
  readonly scanFreed: (world: World, frame: Pfn) => readonly Falsity[];
  /** Tables and registers that the scan reads: while none of them changes, nothing that it says changes. */
  readonly scannedTables: readonly TableName[];
  readonly scannedRegisters: readonly string[];
  /** Whether the scan reads words of any of these frames. */
  readonly scansFrames: (world: World, frames: ReadonlySet<Pfn>) => boolean;
  /** Whether a vCPU is in the middle of its work under the lock while another acts: tables are half changed then. */
  readonly isHalfDone: (m: Machine) => boolean;
  /** Whom a broken rule is put down to. */
  readonly suspectOf: (m: Machine, rule: string) => string | undefined;
  /** Entries of its TLB that a processor can use now. */
  readonly usableEntries: (m: Machine, vcpu: number) => readonly TlbEntry[];
  /** How the processor of the vCPU that acts walks the hypervisor's tables. */
  readonly hardwareRegisters: (m: Machine) => PagingRegisters;
  /** Is told every word that is written. */
  readonly witness: Witness;
  /** Host frame behind a guest frame for the vCPU that acts, where there is memory. */
  readonly pfnOfGfn: (m: Machine, gfn: Gfn) => Pfn | undefined;
  /** Where what is in a guest frame lies for the vCPU that acts, be it swapped out. */
  readonly contentsOfGfn: (m: Machine, gfn: Gfn) => Pfn | undefined;
  /** The guest's registers as its own tables have to be walked. */
  readonly guestRegisters: (m: Machine, decoded: PagingRegisters) => PagingRegisters;
  /** Whether what the kernel could write while CR0.WP was 0 it may write for ever. */
  readonly kernelWritesStay: boolean;
  /** The frames that a correct TLB may still give for an access, beside those that were seen in use. */
  readonly formerFrames: (m: Machine, of: JudgedAccess, walkNow: () => Pfn | undefined) => readonly Pfn[];
  /** The guest invalidates a page, or everything; inside the step marked last. */
  readonly invalidated: (m: Machine, gva?: bigint) => void;
}

const known = new Map<string, Judging>();

/** Called where the machine's engine is fetched. */
export const addJudging = (machine: string, judging: Judging): void => {
  known.set(machine, judging);
};

/** Undefined for a machine of which nothing is judged. */
export const judgingOf = ({ machine }: Pick<Settings, 'machine'>): Judging | undefined => known.get(machine);
