/** The entries that a step changes, bit by bit. */
import { frameOfWord } from '../core/quantities.ts';
import { X86_BITS, type EntryBit } from '../core/hardware/x86-entry.ts';
import { SPTE_BITS } from '../core/kvm/spte-2007.ts';
import { gfnOfPfn } from '../core/kvm/memslots.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { FIRST_SHADOW_PFN, type World } from '../core/machine/world.ts';
import type { StepView } from '../timeline/timeline.ts';

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
export function entryDiffs(world: World, step: StepView | undefined): readonly EntryDiff[] {
  if (step === undefined) return [];
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
    const named = nameOfEntry(world, word);
    return named === undefined
      ? []
      : [{ id: String(word), name: named.name, before, after, bits: bitStates(named.bits, before, after) }];
  });
}

function nameOfEntry(world: World, word: number): { name: string; bits: readonly EntryBit[] } | undefined {
  const pfn = frameOfWord(word);
  const index = (word % 512).toString(16).padStart(3, '0');
  if (pfn >= FIRST_SHADOW_PFN) {
    const page = shadowPageAt(world, pfn);
    return {
      name: `shadow entry, ${page === undefined ? 'freed page' : `sp ${String(page.serial)}`} [${index}]`,
      bits: SPTE_BITS,
    };
  }
  const gfn = gfnOfPfn(pfn);
  if (gfn === undefined || !world.tables.blank.has(pfn)) return undefined;
  return { name: `guest entry, gfn ${gfn.toString(16)} [${index}]`, bits: X86_BITS };
}

const bitStates = (bits: readonly EntryBit[], before: bigint, after: bigint): readonly BitState[] =>
  bits.map(({ name, short, bit, meaning }) => ({
    name,
    short,
    meaning,
    before: ((before >> BigInt(bit)) & 1n) === 1n,
    after: ((after >> BigInt(bit)) & 1n) === 1n,
  }));
