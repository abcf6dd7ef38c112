/** Entries and registers of a trial as cards: each bit with its name, its meaning, and the flip that changes it. */
import type { EntryBit } from '../core/hardware/x86-entry.ts';
import type { Flip } from '../core/operations/probe-flips.ts';
import type { ProbeEntry } from '../core/operations/probe-result.ts';

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

/** A bit that has a name. */
export type NamedBit = Pick<EntryBit, 'bit' | 'short' | 'meaning'>;

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

/** Every bit of a value, lowest first. */
export function bitViews(
  of: {
    names: readonly NamedBit[];
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

/** Named bits apart from all others. */
export function split(
  views: readonly BitView[],
  names: readonly { readonly bit: number }[],
): Pick<Card, 'named' | 'rest'> {
  const named = new Set(names.map(({ bit }) => bit));
  return {
    named: views.filter((_, bit) => named.has(bit)),
    rest: views.filter((_, bit) => !named.has(bit)).reverse(),
  };
}
