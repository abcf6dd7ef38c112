/**
 * Every way to invalidate cached translations, as data: which entries go.
 * Source: Intel SDM vol. 3 ("Caching translation information", INVVPID, INVEPT, INVPCID), AMD APM vol. 2 (INVLPGA,
 * TLB_CONTROL), Arm ARM (TLBI). Arm's broadcast forms reach every processor; all others only the one that runs them.
 */
import type { Machine } from '../machine/machine.ts';
import type { CacheTag, PscEntry, TlbEntry } from '../machine/tables.ts';
import {
  INVALIDATION_FORMS,
  type InvalidationForm,
  type InvalidationName,
  type InvalidationTarget,
} from './invalidation-forms.ts';

export interface Invalidation extends InvalidationForm {
  readonly meaning: string;
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

const RULES: Readonly<Record<InvalidationName, { readonly meaning: string; readonly reach: Reach }>> = {
  invlpg: {
    meaning: 'one address in the current address space, globals of any; all cached tables of the space',
    reach: ADDRESS_IN_SPACE,
  },
  'invpcid-address': {
    meaning: 'one address in the address space named, not its globals',
    reach: oneAddress(NAMED_SPACE),
  },
  'invpcid-single': {
    meaning: 'the address space named, without its globals',
    reach: NAMED_SPACE,
  },
  'invpcid-all': {
    meaning: 'every address space, globals too',
    reach: GUEST,
  },
  'invpcid-all-nonglobal': {
    meaning: 'every address space, without globals',
    reach: nonGlobal(GUEST),
  },
  'invvpid-address': {
    meaning: 'one linear address of the virtual processor named',
    reach: oneAddress(NAMED_GUEST),
  },
  'invvpid-single': {
    meaning: 'all linear addresses of the virtual processor named; what comes from EPT alone stays',
    reach: NAMED_GUEST,
  },
  'invvpid-all': {
    meaning: 'all linear addresses of all virtual processors',
    reach: {
      drops: (entry) => ofProgram(entry) && entry.asid !== 0,
      dropsTable: (entry) => guestTable(entry) && entry.asid !== 0,
    },
  },
  'invvpid-single-keep-globals': {
    meaning: 'all linear addresses of the virtual processor named, without globals',
    reach: nonGlobal(NAMED_GUEST),
  },
  'invept-single': {
    meaning: 'everything that the current EPT tables gave, combined translations too',
    reach: {
      drops: (entry, now) => entry.root === now.root && entry.kind !== 'linear',
      dropsTable: (entry, now) => entry.root === now.root && entry.root !== 0,
    },
  },
  'invept-all': {
    meaning: 'everything that any EPT tables gave',
    reach: { drops: (entry) => entry.kind !== 'linear', dropsTable: (entry) => entry.root !== 0 },
  },
  invlpga: {
    meaning: 'one address in the ASID named',
    reach: oneAddress(NAMED_GUEST),
  },
  'tlb-control-all': {
    meaning: 'at the next VMRUN: every ASID',
    reach: EVERYTHING,
  },
  'tlb-control-asid': {
    meaning: 'at the next VMRUN: this ASID, nested translations too',
    reach: OWN,
  },
  'tlb-control-asid-nonglobal': {
    meaning: 'at the next VMRUN: this ASID without globals',
    reach: nonGlobal(OWN),
  },
  'tlbi-vae1is': {
    meaning: 'one address of the current address space, on all processors',
    reach: ADDRESS_IN_SPACE,
  },
  'tlbi-vmalle1is': {
    meaning: 'all of stage 1 and all that is combined from it, of this virtual machine, on all processors',
    reach: GUEST,
  },
  'tlbi-vmalle1': {
    meaning: 'the same on this processor only',
    reach: GUEST,
  },
  'tlbi-ipas2e1is': {
    meaning: 'what stage 2 alone gave for one guest address; combined translations stay',
    reach: oneAddress({
      drops: (entry, now) => entry.kind === 'guest-physical' && own(entry, now),
      dropsTable: (entry, now) => entry.stage === 'host' && own(entry, now),
    }),
  },
  'tlbi-vmalls12e1is': {
    meaning: 'both stages of this virtual machine',
    reach: OWN,
  },
  'tlbi-alle1is': {
    meaning: 'everything of every virtual machine',
    reach: EVERYTHING,
  },
};

export const INVALIDATIONS: readonly Invalidation[] = INVALIDATION_FORMS.map((form) => {
  const { meaning, reach } = RULES[form.name];
  return { ...form, meaning, ...reach };
});

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
