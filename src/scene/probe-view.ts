/**
 * A translation that was tried out, as it is drawn: its steps as sentences, the first at which two trials part, and the
 * entries on the way as cards.
 */
import {
  STAGE_1_LEAF_BITS,
  STAGE_1_TABLE_BITS,
  STAGE_2_LEAF_BITS,
  STAGE_2_TABLE_BITS,
} from '../core/hardware/arm-bits.ts';
import { DESC_TABLE, LAST_LEVEL } from '../core/hardware/arm-levels.ts';
import { EPT_BITS } from '../core/hardware/ept-format.ts';
import {
  PDPTE_BITS,
  PROTECTION_KEY_BITS,
  PTE_P,
  X86_BITS,
  type EntryBit,
} from '../core/hardware/x86-entry.ts';
import { traitsOf } from '../core/kvm/era-2007.ts';
import { spteBits } from '../core/kvm/spte-2007.ts';
import { FIRST_GUEST_PFN, FIRST_SHADOW_PFN } from '../core/machine/world.ts';
import type { Flip } from '../core/operations/probe-flips.ts';
import type { Probe, ProbeEntry, ProbeStep } from '../core/operations/probe-result.ts';
import { frameOfWord, hex } from '../core/quantities.ts';
import type { Settings } from '../core/settings.ts';
import { bitViews, split, type Card } from './probe-bits.ts';
import { sentenceOf } from './sentences.ts';
import type { Sentence } from './telling.ts';
import { levelAt, namesOf } from './today/dialect.ts';

export interface ProbeRow extends Sentence {
  /** What the hypervisor does after the first translation has failed. */
  readonly reaction: boolean;
  /** The entry that the step reads. */
  readonly entry: string | undefined;
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

/** Each entry on the way of these walks once, in the order of the first walk that reads it. */
export function entryCards(probes: readonly Probe[], settings: Settings): readonly Card[] {
  const flips = probes.flatMap(({ request }) => request.flips);
  const found = new Map<string, { entry: ProbeEntry; uses: Set<string> }>();
  for (const probe of probes) {
    for (const entry of probe.entries) {
      const known = found.get(entryId(entry));
      // The last walk that reads it says what it is: flips of registers may change that.
      found.set(entryId(entry), { entry, uses: (known?.uses ?? new Set()).add(useOf(entry, probe)) });
    }
  }
  return [...found].map(([id, { entry, uses }]) => entryCard(id, { entry, uses, flips, settings }));
}

/** For what the second stage's entry is needed: a table of the guest, or the page itself. */
function useOf({ row }: ProbeEntry, { entries, guestLevels }: Probe): string {
  if (row === undefined) return '';
  if (row >= guestLevels) return 'the page';
  const guests = entries.filter(({ dimension }) => dimension === 'guest');
  return `guest ${guests[row]?.levelName ?? `table ${String(row + 1)}`}`;
}

function entryCard(
  id: string,
  of: { entry: ProbeEntry; uses: ReadonlySet<string>; flips: readonly Flip[]; settings: Settings },
): Card {
  const { entry, settings, flips } = of;
  const mask = flips.reduce((bits, flip) => bits ^ maskOf(entry, flip), 0n);
  const after = entry.before ^ mask;
  const names = bitsOf(entry, after, settings);
  const flipOf = flipIn(entry);
  const views =
    flipOf === undefined
      ? []
      : bitViews(
          { names, size: entry.bytes * 8, value: after, id },
          { flips, flipOf, meaningOf: (bit) => unnamedBit(bit, entry, settings) },
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

/** The flip of a bit of an entry; undefined for one that lies nowhere. */
function flipIn({ word, register, firstBit }: ProbeEntry): ((bit: number) => Flip) | undefined {
  if (word !== undefined) return (bit) => ({ kind: 'entry', word, bit: bit + firstBit });
  return register && ((bit) => ({ kind: 'register', register, bit }));
}

function maskOf(entry: ProbeEntry, flip: Flip): bigint {
  if (flip.kind === 'register') return flip.register === entry.register ? 1n << BigInt(flip.bit) : 0n;
  if (flip.word !== entry.word) return 0n;
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
  if (word === undefined)
    return entry.register === undefined ? 'where no memory is' : 'kept in a register since CR3 was loaded';
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
  if (isPdpte(entry, settings)) return PDPTE_BITS;
  if (entry.key === 'counts') return [...X86_BITS, ...PROTECTION_KEY_BITS];
  const shadow = dimension === 'single' && isKvm(settings);
  if (shadow && settings.machine === 'kvm-shadow') return namesOf(value, levelAt(level));
  const { softwareBits } = shadow ? traitsOf(settings) : { softwareBits: false };
  const present = (value & PTE_P) !== 0n;
  const names = shadow ? spteBits(level, { present, softwareBits }) : X86_BITS;
  return names.filter(({ bit }) => bit < entry.bytes * 8);
}

/** A root entry of PAE paging, in a register or in memory. */
const isPdpte = ({ dimension, level }: ProbeEntry, { guest }: Settings): boolean =>
  guest === 'pae' && dimension !== 'host' && level === PDPT_LEVEL;
const PDPT_LEVEL = 3;

function unnamedBit(bit: number, entry: ProbeEntry, settings: Settings): string {
  const top = entry.bytes === 4 ? 31 : isArm(settings) ? 47 : 51;
  if (bit >= 12 && bit <= top) return 'part of the address';
  const key = PROTECTION_KEY_BITS.find((candidate) => candidate.bit === bit);
  return key !== undefined && entry.key === 'ignored'
    ? 'part of a protection key, ignored while CR4.PKE and CR4.PKS are clear'
    : 'no name';
}
