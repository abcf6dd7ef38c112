/**
 * Every way to invalidate cached translations, as data: which entries go. Who may use which stands in invalidations.ts.
 * Source: Intel SDM vol. 3 ("Caching translation information", INVVPID, INVEPT, INVPCID), AMD APM vol. 2 (INVLPGA,
 * TLB_CONTROL), Arm ARM (TLBI). Arm's broadcast forms reach every processor; all others only the one that runs them.
 */
import type { Machine } from '../machine/machine.ts';
import type { CacheTag, PscEntry, TlbEntry } from '../machine/tables.ts';
import {
  INSTRUCTIONS,
  type Instruction,
  type InvalidationName,
  type InvalidationTarget,
} from './invalidations.ts';

export interface Invalidation extends Instruction {
  /** Whether a translation goes, seen from the tags of the processor that runs it. */
  readonly drops: (entry: TlbEntry, now: CacheTag, target: InvalidationTarget) => boolean;
  /** The same for tables in a paging-structure cache. */
  readonly dropsTable: (entry: PscEntry, now: CacheTag, target: InvalidationTarget) => boolean;
}

const covers = (entry: TlbEntry, address: bigint): boolean =>
  BigInt(entry.vpn) << 12n === address - (address % (1n << BigInt(entry.pageBits)));
/** Translations of addresses that a program uses, in contrast to those of guest physical addresses. */
const ofProgram = (entry: TlbEntry): boolean => entry.kind !== 'guest-physical';
const own = (entry: CacheTag, now: CacheTag): boolean => entry.asid === now.asid;
const ownSpace = (entry: CacheTag, now: CacheTag): boolean => own(entry, now) && entry.pcid === now.pcid;
const never = (): boolean => false;
const guestTable = (entry: PscEntry): boolean => entry.stage === 'guest';

/** What goes, seen from the tags of the processor: translations, and tables in paging-structure caches. */
type Reach = Pick<Invalidation, 'drops' | 'dropsTable'>;

const EVERYTHING: Reach = { drops: () => true, dropsTable: () => true };
const NOTHING: Reach = { drops: never, dropsTable: never };
/** All that carries the processor's own number, of both stages. */
const OWN: Reach = { drops: own, dropsTable: own };
/** Everything of this processor's guest, globals too. */
const GUEST: Reach = {
  drops: (entry, now) => ofProgram(entry) && own(entry, now),
  dropsTable: (entry, now) => guestTable(entry) && own(entry, now),
};
const ADDRESS_IN_SPACE: Reach = {
  drops: (entry, now, { address }) =>
    ofProgram(entry) &&
    own(entry, now) &&
    (entry.global || entry.pcid === now.pcid) &&
    covers(entry, address),
  dropsTable: (entry, now) => guestTable(entry) && ownSpace(entry, now),
};
/** The address space of that PCID, without its globals. */
const NAMED_SPACE: Reach = {
  drops: (entry, now, { tag }) => ofProgram(entry) && own(entry, now) && !entry.global && entry.pcid === tag,
  dropsTable: (entry, now, { tag }) => guestTable(entry) && own(entry, now) && entry.pcid === tag,
};
/** The guest of that VPID or ASID. */
const NAMED_GUEST: Reach = {
  drops: (entry, _now, { tag }) => ofProgram(entry) && entry.asid === tag,
  dropsTable: (entry, _now, { tag }) => guestTable(entry) && entry.asid === tag,
};

/** Of the translations only those of one address; tables as before. */
const oneAddress = ({ drops, dropsTable }: Reach): Reach => ({
  drops: (entry, now, target) => drops(entry, now, target) && covers(entry, target.address),
  dropsTable,
});
/** The same without global translations. */
const nonGlobal = ({ drops, dropsTable }: Reach): Reach => ({
  drops: (entry, now, target) => drops(entry, now, target) && !entry.global,
  dropsTable,
});

const REACHES: Readonly<Record<InvalidationName, Reach>> = {
  invlpg: ADDRESS_IN_SPACE,
  'invpcid-address': oneAddress(NAMED_SPACE),
  'invpcid-single': NAMED_SPACE,
  'invpcid-all': GUEST,
  'invpcid-all-nonglobal': nonGlobal(GUEST),
  'invvpid-address': oneAddress(NAMED_GUEST),
  'invvpid-single': NAMED_GUEST,
  'invvpid-all': {
    drops: (entry) => ofProgram(entry) && entry.asid !== 0,
    dropsTable: (entry) => guestTable(entry) && entry.asid !== 0,
  },
  'invvpid-single-keep-globals': nonGlobal(NAMED_GUEST),
  'invept-single': {
    drops: (entry, now) => entry.root === now.root && entry.kind !== 'linear',
    dropsTable: (entry, now) => entry.root === now.root && entry.root !== 0,
  },
  'invept-all': { drops: (entry) => entry.kind !== 'linear', dropsTable: (entry) => entry.root !== 0 },
  invlpga: oneAddress(NAMED_GUEST),
  'tlb-control-all': EVERYTHING,
  'tlb-control-asid': OWN,
  'tlb-control-asid-nonglobal': nonGlobal(OWN),
  'tlbi-vae1is': ADDRESS_IN_SPACE,
  'tlbi-vmalle1is': GUEST,
  'tlbi-vmalle1': GUEST,
  'tlbi-ipas2e1is': oneAddress({
    drops: (entry, now) => entry.kind === 'guest-physical' && own(entry, now),
    dropsTable: (entry, now) => entry.stage === 'host' && own(entry, now),
  }),
  'tlbi-vmalls12e1is': OWN,
  'tlbi-alle1is': EVERYTHING,
};

export const INVALIDATIONS: readonly Invalidation[] = INSTRUCTIONS.map((instruction) => ({
  ...instruction,
  ...REACHES[instruction.name],
}));

export const invalidationOf = (name: string): Invalidation | undefined =>
  INVALIDATIONS.find((candidate) => candidate.name === name);

/** What a CR3 load, a control register or an entry of the processor empties beside the instructions above. */
export interface Sweep {
  readonly drops: (entry: TlbEntry) => boolean;
  readonly dropsTable: (entry: PscEntry) => boolean;
}

/** What an invalidation takes from the processor whose tags these are. */
export const sweepOf = (
  { drops, dropsTable }: Reach,
  now: CacheTag,
  target: InvalidationTarget = { address: 0n, tag: 0 },
): Sweep => ({
  drops: (entry) => drops(entry, now, target),
  dropsTable: (entry) => dropsTable(entry, now, target),
});

/** MOV CR3: the new address space's own entries, unless bit 63 of the value asks to keep them. */
export const sweepOfCr3 = (now: CacheTag, { pcid, keep }: { pcid: number; keep: boolean }): Sweep =>
  sweepOf(keep ? NOTHING : NAMED_SPACE, now, { address: 0n, tag: pcid });

/** CR0.PG cleared, CR4.PGE changed, CR4.PCIDE cleared: everything of this processor's guest, globals too. */
export const sweepOfGuest = (now: CacheTag): Sweep => sweepOf(GUEST, now);

/** CR4.PAE changed, CR4.SMEP set: the current address space. */
export const sweepOfSpace = (now: CacheTag): Sweep => ({
  drops: (entry) => ofProgram(entry) && ownSpace(entry, now),
  dropsTable: (entry) => guestTable(entry) && ownSpace(entry, now),
});

/** VM entry and exit without VPID: all linear and combined, globals too; what EPT alone gave stays. */
export const SWEEP_OF_WORLD_SWITCH: Sweep = { drops: ofProgram, dropsTable: guestTable };

/** Entries of the acting vCPU, or of all of them. */
export function countSwept(m: Machine, sweep: Sweep, everywhere = false): number {
  const here = (entry: { vcpu: number }): boolean => everywhere || entry.vcpu === m.vcpu;
  return [...m.world.tables.tlb.values()].filter((entry) => here(entry) && sweep.drops(entry)).length;
}

/** Removes what `sweep` picks, inside the step marked last. */
export function sweepCaches(m: Machine, sweep: Sweep, everywhere = false): void {
  const here = (entry: { vcpu: number }): boolean => everywhere || entry.vcpu === m.vcpu;
  const bySerial = (a: { serial: number }, b: { serial: number }): number => a.serial - b.serial;
  const doomed = [...m.world.tables.tlb.values()].filter((entry) => here(entry) && sweep.drops(entry));
  for (const { vcpu, serial } of doomed.sort(bySerial))
    m.set('tlb', `${String(vcpu)}:${String(serial)}`, undefined);
  const tables = [...m.world.tables.psc.values()].filter((entry) => here(entry) && sweep.dropsTable(entry));
  for (const { vcpu, serial } of tables.sort(bySerial))
    m.set('psc', `${String(vcpu)}:${String(serial)}`, undefined);
}
