/** The entries that a step changes, bit by bit. */
import type { EntryBit } from '../core/hardware/x86-entry.ts';
import type { StepView, Timeline } from '../timeline/timeline.ts';
import type { Show } from './parts.ts';

export interface BitState {
  readonly name: string;
  readonly short: string;
  readonly meaning: string;
  readonly before: boolean;
  readonly after: boolean;
}

export interface EntryDiff {
  readonly id: string;
  readonly name: string;
  readonly before: bigint;
  readonly after: bigint;
  readonly bits: readonly BitState[];
}

/** Changed or read words that lie in tables; changed ones first. */
export function entryDiffs(
  timeline: Timeline,
  step: StepView | undefined,
  entryIn: Show['entryIn'],
): readonly EntryDiff[] {
  if (step === undefined) return [];
  const { world } = timeline;
  const changed = step.changes.flatMap((change) =>
    change.place.table === 'word'
      ? [{ word: Number(change.place.key), before: change.before as bigint, after: change.after as bigint }]
      : [],
  );
  const read = step.reads.flatMap((place) => {
    const word = Number(place.key);
    if (place.table !== 'word' || changed.some((change) => change.word === word)) return [];
    return [{ word, before: world.word(word), after: world.word(word) }];
  });
  return [...changed, ...read].slice(0, 4).flatMap(({ word, before, after }) => {
    const named = entryIn(timeline, word, step);
    if (named === undefined) return [];
    const { name, bits, half } = named;
    const part = (value: bigint): bigint =>
      half === undefined ? value : BigInt.asUintN(32, value >> BigInt(half));
    const values = { before: part(before), after: part(after) };
    return [{ id: String(word), name, ...values, bits: bitStates(bits, values.before, values.after) }];
  });
}

const bitStates = (bits: readonly EntryBit[], before: bigint, after: bigint): readonly BitState[] =>
  bits.map(({ name, short, bit, meaning }) => ({
    name,
    short,
    meaning,
    before: ((before >> BigInt(bit)) & 1n) === 1n,
    after: ((after >> BigInt(bit)) & 1n) === 1n,
  }));
