/**
 * A translation that was tried out, as it is drawn: its steps as sentences, where it ends and with which fault code,
 * and every bit of the entries and registers on the way with its name, its meaning and the flip that changes it.
 */
import {
  STAGE_1_LEAF_BITS,
  STAGE_1_TABLE_BITS,
  STAGE_2_LEAF_BITS,
  STAGE_2_TABLE_BITS,
} from '../core/hardware/arm-bits.ts';
import { DESC_TABLE, LAST_LEVEL } from '../core/hardware/arm-format.ts';
import { EPT_BITS } from '../core/hardware/ept-format.ts';
import { REGISTER_BITS } from '../core/hardware/registers.ts';
import { PTE_P, X86_BITS, type EntryBit } from '../core/hardware/x86-entry.ts';
import { traitsOf } from '../core/kvm/era-2007.ts';
import { spteBits } from '../core/kvm/spte-2007.ts';
import { FIRST_GUEST_PFN, FIRST_SHADOW_PFN, type World } from '../core/machine/world.ts';
import type { Flip, Probe, ProbeEntry, ProbeRegister, ProbeStep } from '../core/operations/probe.ts';
import { frameOfWord, hex } from '../core/quantities.ts';
import type { Settings } from '../core/settings.ts';
import { sentenceOf } from './sentences.ts';
import type { Sentence } from './telling.ts';

export interface ProbeRow extends Sentence {
  /** What the hypervisor does after the first translation has failed. */
  readonly reaction: boolean;
  /** The entry that the step reads. */
  readonly entry: string | undefined;
}

export interface BitView {
  readonly id: string;
  /** For a button: `W`, or the bit's number. */
  readonly short: string;
  /** `bit 1, W: writable, set`. */
  readonly label: string;
  readonly set: boolean;
  readonly flipped: boolean;
  readonly flip: Flip;
}

/** An entry or a register. */
export interface Card {
  readonly id: string;
  readonly title: string;
  /** Where it lies, and what it is for. */
  readonly about: string;
  readonly dimension: ProbeEntry['dimension'] | 'register';
  readonly before: bigint;
  readonly after: bigint;
  /** Bits that have a name, lowest first. */
  readonly named: readonly BitView[];
  /** All others, highest first. */
  readonly rest: readonly BitView[];
}

const isKvm = ({ machine }: Settings): boolean => machine.startsWith('kvm-');
const isArm = ({ cpu }: Settings): boolean => cpu === 'arm64';

export function probeRows(probe: Probe, settings: Settings): readonly ProbeRow[] {
  const read = new Map(probe.entries.map((entry) => [entry.step, entryId(entry)]));
  return probe.steps.map((step, at) => ({
    ...sentenceOf(step, settings),
    reaction: at >= probe.translated,
    entry: read.get(at),
  }));
}

/** The first step at which two walks part, as its number in both; undefined where they do not. */
export function partAt(before: Probe, after: Probe): number | undefined {
  const longest = Math.max(before.steps.length, after.steps.length);
  for (let at = 0; at < longest; at += 1) {
    if (!sameStep(before.steps[at], after.steps[at])) return at;
  }
  return undefined;
}

function sameStep(a: ProbeStep | undefined, b: ProbeStep | undefined): boolean {
  if (a === undefined || b === undefined || a.kind !== b.kind) return false;
  return Object.entries(a.facts).every(([name, value]) => b.facts[name] === value);
}

const entryId = ({ word, firstBit, dimension, level, index }: ProbeEntry): string =>
  word === undefined
    ? `register ${dimension} ${String(level)} ${String(index)}`
    : `${String(word)}.${String(firstBit)}`;

const sameFlip = (a: Flip, b: Flip): boolean =>
  a.bit === b.bit &&
  (a.kind === 'entry'
    ? b.kind === 'entry' && a.word === b.word
    : b.kind === 'register' && a.register === b.register);

/** The flips with one more, or with one less where it was among them. */
export const toggled = (flips: readonly Flip[], flip: Flip): readonly Flip[] =>
  flips.some((other) => sameFlip(other, flip))
    ? flips.filter((other) => !sameFlip(other, flip))
    : [...flips, flip];

/** Each entry on the way of these walks once, in the order of the first walk that reads it. */
export function entryCards(probes: readonly Probe[], settings: Settings): readonly Card[] {
  const flips = probes.flatMap(({ request }) => request.flips);
  const found = new Map<string, { entry: ProbeEntry; uses: Set<string> }>();
  for (const probe of probes) {
    for (const entry of probe.entries) {
      const known = found.get(entryId(entry));
      const use = useOf(entry, { probe, settings });
      if (known === undefined) found.set(entryId(entry), { entry, uses: new Set([use]) });
      else known.uses.add(use);
    }
  }
  return [...found].map(([id, { entry, uses }]) => entryCard(id, { entry, uses, flips, settings }));
}

/** For what the second stage's entry is needed: a table of the guest, or the page itself. */
function useOf({ row }: ProbeEntry, by: { probe: Probe; settings: Settings }): string {
  if (row === undefined) return '';
  if (row >= (GUEST_LEVELS[by.settings.guest] ?? 0)) return 'the page';
  const guests = by.probe.entries.filter(({ dimension }) => dimension === 'guest');
  return `guest ${guests[row]?.levelName ?? `table ${String(row + 1)}`}`;
}

const GUEST_LEVELS: Readonly<Record<string, number>> = {
  '5-level': 5,
  '4-level': 4,
  '3-level': 3,
  pae: 3,
  '2-level': 2,
};

function entryCard(
  id: string,
  of: { entry: ProbeEntry; uses: ReadonlySet<string>; flips: readonly Flip[]; settings: Settings },
): Card {
  const { entry, settings, flips } = of;
  const mask = flips.reduce((bits, flip) => bits ^ maskOf(entry, flip), 0n);
  const after = entry.before ^ mask;
  const { word } = entry;
  const names = word === undefined ? [] : bitsOf(entry, after, settings);
  const views =
    word === undefined
      ? []
      : bitViews(
          { names, size: entry.bytes * 8, value: after, id },
          {
            flips,
            flipOf: (bit) => ({ kind: 'entry', word, bit: bit + entry.firstBit }),
            meaningOf: (bit) => frameMeaning(bit, { bytes: entry.bytes, arm: isArm(settings) }),
          },
        );
  return {
    id,
    title: `${tableName(entry, settings)}[${entry.index.toString(16).padStart(3, '0')}]`,
    about: aboutEntry(entry, of.uses),
    dimension: entry.dimension,
    before: entry.before,
    after,
    ...split(views, names),
  };
}

function maskOf(entry: ProbeEntry, flip: Flip): bigint {
  if (flip.kind !== 'entry' || flip.word !== entry.word) return 0n;
  const bit = flip.bit - entry.firstBit;
  return bit < 0 || bit >= entry.bytes * 8 ? 0n : 1n << BigInt(bit);
}

function tableName({ dimension, levelName, reader }: ProbeEntry, settings: Settings): string {
  if (dimension === 'host') return isArm(settings) ? `Stage 2 ${levelName}` : `Host ${levelName}`;
  if (dimension === 'guest')
    return isArm(settings) && reader === 'processor' ? `Stage 1 ${levelName}` : `Guest ${levelName}`;
  if (isKvm(settings)) return `Shadow ${levelName}`;
  return isArm(settings) ? `Stage 1 ${levelName}` : levelName;
}

function aboutEntry(entry: ProbeEntry, uses: ReadonlySet<string>): string {
  const { word, reader, dimension } = entry;
  if (word === undefined) return 'kept in a register since CR3 was loaded';
  const frame = frameOfWord(word);
  const inGuest = frame >= FIRST_GUEST_PFN && frame < FIRST_SHADOW_PFN;
  const address = word * 8 + entry.firstBit / 8 - (inGuest ? FIRST_GUEST_PFN * 4096 : 0);
  const place = `${inGuest ? 'guest' : 'host'} ${hex(address)}`;
  if (dimension === 'host')
    return uses.size > 2
      ? `${place}, for ${String(uses.size)} places of the guest's walk`
      : `${place}, to find ${[...uses].join(' and ')}`;
  return reader === 'hypervisor' ? `${place}, read by the hypervisor` : place;
}

function bitsOf(entry: ProbeEntry, value: bigint, settings: Settings): readonly EntryBit[] {
  const { dimension, level } = entry;
  if (isArm(settings)) {
    const table = level !== LAST_LEVEL && (value & DESC_TABLE) !== 0n;
    if (dimension === 'host') return table ? STAGE_2_TABLE_BITS : STAGE_2_LEAF_BITS;
    return table ? STAGE_1_TABLE_BITS : STAGE_1_LEAF_BITS;
  }
  if (dimension === 'host') return settings.cpu === 'svm' ? X86_BITS : EPT_BITS;
  const shadow = dimension === 'single' && isKvm(settings);
  const { softwareBits } = shadow ? traitsOf(settings) : { softwareBits: false };
  const present = (value & PTE_P) !== 0n;
  const names = shadow ? spteBits(level, { present, softwareBits }) : X86_BITS;
  return names.filter(({ bit }) => bit < entry.bytes * 8);
}

const frameMeaning = (bit: number, { bytes, arm }: { bytes: 4 | 8; arm: boolean }): string => {
  const top = bytes === 4 ? 31 : arm ? 47 : 51;
  return bit >= 12 && bit <= top ? 'part of the address' : 'no name';
};

function bitViews(
  of: {
    names: readonly Pick<EntryBit, 'bit' | 'short' | 'meaning'>[];
    size: number;
    value: bigint;
    id: string;
  },
  by: { flips: readonly Flip[]; flipOf: (bit: number) => Flip; meaningOf: (bit: number) => string },
): readonly BitView[] {
  return Array.from({ length: of.size }, (_, bit): BitView => {
    const name = of.names.find((candidate) => candidate.bit === bit);
    const set = ((of.value >> BigInt(bit)) & 1n) === 1n;
    const flip = by.flipOf(bit);
    const flipped = by.flips.some((other) => sameFlip(other, flip));
    const meaning = name === undefined ? by.meaningOf(bit) : `${name.short}: ${name.meaning}`;
    return {
      id: `${of.id} ${String(bit)}`,
      short: name?.short ?? String(bit),
      label: `bit ${String(bit)}, ${meaning}, ${set ? 'set' : 'clear'}${flipped ? ', flipped' : ''}`,
      set,
      flipped,
      flip,
    };
  });
}

function split(
  views: readonly BitView[],
  names: readonly { readonly bit: number }[],
): Pick<Card, 'named' | 'rest'> {
  const named = new Set(names.map(({ bit }) => bit));
  return {
    named: views.filter((_, bit) => named.has(bit)),
    rest: views.filter((_, bit) => !named.has(bit)).reverse(),
  };
}

/** The registers on which a walk of this machine depends. */
export function registerCards(
  world: World,
  settings: Settings,
  { vcpu, flips }: { vcpu: number; flips: readonly Flip[] },
): readonly Card[] {
  if (isArm(settings)) return [];
  const names: readonly ProbeRegister[] = isKvm(settings)
    ? ['cr0', 'cr4', 'efer', 'cr3']
    : ['cr0', 'cr4', 'efer', 'ac', 'pkru', 'pkrs', 'cr3'];
  return names.map((register) => {
    const before = world.get('reg', `${String(vcpu)}.${register}`) ?? 0n;
    const after = flips.reduce(
      (value, flip) =>
        flip.kind === 'register' && flip.register === register ? value ^ (1n << BigInt(flip.bit)) : value,
      before,
    );
    const bits = registerBits(register);
    const size = register === 'cr3' ? 64 : Math.max(...bits.map(({ bit }) => bit)) + 1;
    const views = bitViews(
      { names: bits, size, value: after, id: register },
      { flips, flipOf: (bit) => ({ kind: 'register', register, bit }), meaningOf: cr3Meaning },
    );
    const parts = split(views, bits);
    return {
      id: register,
      title: register === 'ac' ? 'EFLAGS.AC' : register.toUpperCase(),
      about: ABOUT_REGISTER[register],
      dimension: 'register',
      before,
      after,
      named: parts.named,
      rest: register === 'cr3' ? parts.rest : [],
    };
  });
}

const ABOUT_REGISTER: Readonly<Record<ProbeRegister, string>> = {
  cr0: 'paging and write protection',
  cr3: 'where the root table lies',
  cr4: 'what paging can do',
  efer: 'long mode and no-execute',
  ac: 'lets the kernel touch user pages under SMAP',
  pkru: 'protection keys of user pages',
  pkrs: 'protection keys of kernel pages',
};

const cr3Meaning = (bit: number): string => (bit >= 12 && bit < 52 ? 'part of the address' : 'no name');

const KEYS = 16;

function registerBits(register: ProbeRegister): readonly Pick<EntryBit, 'bit' | 'short' | 'meaning'>[] {
  if (register === 'cr3') return [];
  if (register === 'ac')
    return [{ bit: 0, short: 'AC', meaning: 'the kernel may touch user pages, whatever SMAP says' }];
  if (register === 'pkru' || register === 'pkrs')
    return Array.from({ length: KEYS * 2 }, (_, bit) => {
      const key = String(Math.floor(bit / 2));
      return bit % 2 === 0
        ? { bit, short: `AD${key}`, meaning: `no access to pages of key ${key}` }
        : { bit, short: `WD${key}`, meaning: `no write to pages of key ${key}` };
    });
  return REGISTER_BITS.filter((bit) => bit.register === register).map(({ bit, name, meaning }) => ({
    bit,
    short: name.toUpperCase(),
    meaning,
  }));
}
