/**
 * An entry or register looked into: every bit with its name and meaning, and the line of scenario text that would
 * change it. Who changes it is part of the line: the guest's kernel through its own window, or nobody in the machine.
 */
import { frameOfWord, gfn as toGfn, gfnOfEntry, gpte, wordOf, type Gfn } from '../core/quantities.ts';
import { STAGE1_BITS } from '../core/hardware/arm-bits.ts';
import { guestEntryBytes, guestLevels, guestMode, type EntryMode } from '../core/hardware/encode.ts';
import type { TableLevel } from '../core/hardware/format.ts';
import { REGISTER_BITS } from '../core/hardware/registers.ts';
import {
  PTE_P,
  PTE_U,
  PTE_W,
  TABLE_NAMES_BY_LEVEL,
  X86_BITS,
  type EntryBit,
} from '../core/hardware/x86-entry.ts';
import { levelsOf } from '../core/hardware/x86-format.ts';
import { SPTE_BITS } from '../core/kvm/spte-2007.ts';
import { gfnOfPfn } from '../core/kvm/memslots.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { levelOfRole } from '../core/kvm/role-2007.ts';
import type { GuestTable } from '../core/operations/operation.ts';
import { FIRST_SHADOW_PFN, hostFrameOf } from '../core/machine/world.ts';
import type { Timeline } from '../timeline/timeline.ts';

export interface InspectedBit {
  readonly bit: number;
  readonly set: boolean;
  /** Short name, where the bit has one. */
  readonly short?: string;
  readonly meaning: string;
  /** Text that flips the bit, by who would do it: at most one of each. */
  readonly flips: readonly { readonly by: Author; readonly text: string }[];
}

/** Who makes a change: the guest's kernel with a store or an instruction, or something outside guest and hypervisor. */
export type Author = 'kernel' | 'outside';

export interface Inspected {
  readonly title: string;
  /** What it is about: `0x7f3c5a823000 (V)`. */
  readonly about: string;
  readonly value: bigint;
  /** Highest first. */
  readonly bits: readonly InspectedBit[];
  /** Accesses and instructions that have to do with the address that an entry translates. */
  readonly actions: readonly { readonly label: string; readonly text: string }[];
  readonly authors: readonly Author[];
}

export const REGISTERS = ['cr0', 'cr3', 'cr4', 'efer'] as const;
export type RegisterName = (typeof REGISTERS)[number];

type Names = ReadonlyMap<string, bigint>;

/** What the row of a box stands for; undefined for rows that cannot be looked into. */
export function inspectRow(timeline: Timeline, row: string, names: Names): Inspected | undefined {
  const register = REGISTERS.find((name) => row === `reg:${name}`);
  if (register !== undefined) return inspectRegister(timeline, register);
  if (!row.startsWith('w:')) return undefined;
  const word = Number(row.slice(2));
  return frameOfWord(word) >= FIRST_SHADOW_PFN
    ? inspectShadow(timeline, word, names)
    : inspectGuest(timeline, word, names);
}

function inspectRegister(timeline: Timeline, register: RegisterName): Inspected {
  const value = timeline.world.get('reg', `0.${register}`) ?? 0n;
  const named = REGISTER_BITS.filter((bit) => bit.register === register);
  const bits = allBits((bit) => {
    const spec = named.find((candidate) => candidate.bit === bit);
    const flipped = value ^ (1n << BigInt(bit));
    const text =
      spec === undefined
        ? `v0 kernel set ${register} = ${hexText(flipped)}`
        : `v0 kernel set ${register}.${spec.name} = ${(flipped >> BigInt(bit)) & 1n ? '1' : '0'}`;
    return {
      bit,
      set: isSet(value, bit),
      meaning: spec === undefined ? `bit ${String(bit)}` : `${spec.name.toUpperCase()}: ${spec.meaning}`,
      ...(spec === undefined ? {} : { short: spec.name.toUpperCase() }),
      flips: [{ by: 'kernel', text }],
    };
  });
  const title = `The guest's ${register.toUpperCase()}`;
  return { title, about: 'vCPU 0', value, bits, actions: [], authors: ['kernel'] };
}

function inspectGuest(timeline: Timeline, word: number, names: Names): Inspected | undefined {
  const { world } = timeline;
  const frame = gfnOfPfn(frameOfWord(word));
  const table = timeline.program.tables.find((candidate) => candidate.gfn === frame);
  if (frame === undefined || table === undefined) return undefined;
  const at = levelOf(timeline, table);
  if (at === undefined) return undefined;
  const { settings } = timeline.program;
  const entryBytes = guestEntryBytes(settings);
  const index = (word % 512) * (8 / entryBytes);
  const value = world.word(word);
  const gva = canonical(guestMode(settings), firstOf(table, at, index));
  const window = windowOnto(timeline, frame);
  const last = at.shift === PAGE_SHIFT;
  const offset = BigInt((word % 512) * 8);
  const gpa = (BigInt(frame) << 12n) + offset;
  const spec = guestMode(settings) === 'arm64' ? STAGE1_BITS : X86_BITS;
  const bits = allBits((bit) => {
    const store = value ^ (1n << BigInt(bit));
    const kernel =
      window === undefined
        ? []
        : [
            {
              by: 'kernel' as const,
              text: `v0 kernel write ${addressText(window + offset, names)} = ${hexText(store)}`,
            },
          ];
    return {
      ...describe(spec, { value, bit, entryBytes }),
      flips: [...kernel, { by: 'outside', text: `flip ${hexText(gpa)} bit=${String(bit)}` }],
    };
  });
  return {
    title: `Guest ${at.name} ${entryBytes === 4 ? 'entries' : 'entry'} ${indexText(index, entryBytes)}, guest frame ${frame.toString(16)}`,
    about: `${last ? 'translates' : 'from'} ${addressText(gva, names)}`,
    value,
    bits,
    actions: actionsFor(timeline, { gva, value, at, window, names }),
    authors: window === undefined ? ['outside'] : ['kernel', 'outside'],
  };
}

function inspectShadow(timeline: Timeline, word: number, names: Names): Inspected | undefined {
  const { world } = timeline;
  const page = shadowPageAt(world, frameOfWord(word));
  const table = timeline.program.tables.find((candidate) => candidate.gfn === page?.gfn);
  if (page === undefined || table === undefined) return undefined;
  const level = levelOfRole(page.role);
  const index = word % 512;
  const value = world.word(word);
  const at = levelsOf('4-level').find((candidate) => candidate.level === level);
  if (at === undefined) return undefined;
  const gva = canonical('4-level', firstOf(table, at, index));
  const where = `${addressText(gva, names)}${level === 1 ? '' : ` level=${String(level)}`}`;
  const bits = allBits((bit) => ({
    ...describe(SPTE_BITS, { value, bit, entryBytes: 8 }),
    flips: [{ by: 'outside', text: `flip shadow ${where} bit=${String(bit)}` }],
  }));
  return {
    title: `Shadow ${TABLE_NAMES_BY_LEVEL[level] ?? 'table'} entry ${index.toString(16).padStart(3, '0')}, sp ${String(page.serial)}`,
    about: `${level === 1 ? 'translates' : 'from'} ${addressText(gva, names)}`,
    value,
    bits,
    actions: actionsFor(timeline, { gva, value, at, window: undefined, names }),
    authors: ['outside'],
  };
}

/** Indices of the entries that a word holds. */
const indexText = (index: number, entryBytes: 4 | 8): string => {
  const text = (own: number): string => own.toString(16).padStart(3, '0');
  return entryBytes === 8 ? text(index) : `${text(index)} and ${text(index + 1)}`;
};

interface Subject {
  readonly gva: bigint;
  readonly value: bigint;
  readonly at: TableLevel;
  readonly window: bigint | undefined;
  readonly names: Names;
}

function actionsFor(
  { program: { settings } }: Timeline,
  { gva, value, at, window, names }: Subject,
): Inspected['actions'] {
  const address = addressText(gva, names);
  const arm = guestMode(settings) === 'arm64';
  const [present, user] = arm ? [STAGE1_VALID, STAGE1_EL0] : [PTE_P, PTE_U];
  const who = gva >= 1n << 63n || ((value & present) !== 0n && (value & user) === 0n) ? 'kernel' : 'user';
  const level = at.shift === PAGE_SHIFT ? '' : ` level=${String(at.level)}`;
  return [
    { label: 'Read', text: `v0 ${who} read ${address}` },
    { label: 'Write', text: `v0 ${who} write ${address} = 1` },
    { label: 'Execute', text: `v0 ${who} exec ${address}` },
    arm
      ? { label: 'TLBI', text: `v0 kernel tlbi vae1is ${address}` }
      : { label: 'INVLPG', text: `v0 kernel invlpg ${address}` },
    ...(window === undefined || value === 0n
      ? []
      : [{ label: 'Clear it', text: `v0 kernel set-pte ${address}${level} -> absent` }]),
  ];
}

const PAGE_SHIFT = 12;
const STAGE1_VALID = 1n;
const STAGE1_EL0 = 1n << 6n;
const STAGE1_READ_ONLY = 1n << 7n;

const levelOf = (timeline: Timeline, table: Pick<GuestTable, 'level'>): TableLevel | undefined =>
  guestLevels(timeline.program.settings).find((at) => at.level === table.level);

/** An address with its sign, in the modes whose addresses have one. */
function canonical(mode: EntryMode, address: bigint): bigint {
  if (mode !== '4-level' && mode !== '5-level') return address;
  return BigInt.asUintN(64, BigInt.asIntN(mode === '4-level' ? 48 : 57, address));
}

/** First address that an entry translates. */
const firstOf = (table: Pick<GuestTable, 'firstGva'>, at: TableLevel, index: number): bigint =>
  table.firstGva + (BigInt(index) << BigInt(at.shift));

/** Where the guest's kernel sees a frame and may write it: an entry of its own tables that names the frame. */
function windowOnto(timeline: Timeline, frame: Gfn): bigint | undefined {
  const { settings, tables } = timeline.program;
  const mode = guestMode(settings);
  // Two entries share a word there, which cannot be looked into one by one yet.
  if (mode === '2-level') return undefined;
  const signed = mode === '4-level' || mode === '5-level';
  for (const table of tables) {
    const at = levelOf(timeline, table);
    if (at?.shift !== PAGE_SHIFT || (signed && table.firstGva < 1n << 47n)) continue;
    const host = hostFrameOf(toGfn(table.gfn));
    for (let index = 0; index < 512; index += 1) {
      const entry = timeline.world.word(wordOf(host, index));
      const writable =
        mode === 'arm64'
          ? (entry & (STAGE1_VALID | STAGE1_READ_ONLY)) === STAGE1_VALID
          : (entry & (PTE_P | PTE_W)) === (PTE_P | PTE_W);
      if (writable && gfnOfEntry(gpte(entry)) === frame) return canonical(mode, firstOf(table, at, index));
    }
  }
  return undefined;
}

const hexText = (value: bigint): string => `0x${BigInt.asUintN(64, value).toString(16)}`;
const isSet = (value: bigint, bit: number): boolean => ((value >> BigInt(bit)) & 1n) === 1n;

/** An address by the name that the scenario gives to its page, or as a number. */
export function addressText(gva: bigint, names: Names): string {
  for (const [name, value] of names) {
    if (value === gva) return name;
    if (value >> 12n === gva >> 12n && gva > value) return `${name}+${hexText(gva - value)}`;
  }
  return hexText(gva);
}

function allBits(of: (bit: number) => InspectedBit): readonly InspectedBit[] {
  return Array.from({ length: 64 }, (_, at) => of(63 - at));
}

/** A bit by its name; in a word of two entries, by its place in its own. */
function describe(
  bits: readonly EntryBit[],
  { value, bit, entryBytes }: { value: bigint; bit: number; entryBytes: 4 | 8 },
): Omit<InspectedBit, 'flips'> {
  const own = bit % (entryBytes * 8);
  const spec = bits.find((candidate) => candidate.bit === own);
  const set = isSet(value, bit);
  if (spec !== undefined) return { bit, set, short: spec.short, meaning: `${spec.name}: ${spec.meaning}` };
  const inFrame = own >= 12 && own < 52;
  return {
    bit,
    set,
    meaning: inFrame ? `bit ${String(bit)}, part of the frame number` : `bit ${String(bit)}`,
  };
}
