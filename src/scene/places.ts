/** Which entries lie in which words of memory: a word holds one entry of 8 bytes, or two of 4. */
import type { TableLevel } from '../core/hardware/format.ts';
import { wordOf, type Pfn } from '../core/quantities.ts';

/** A table as a walk finds it: where it lies, and how its entries are numbered. */
export interface Walked {
  /** The first of its frames: a root may be several tables side by side. */
  readonly pfn: Pfn;
  readonly at: TableLevel;
  readonly entryBytes: 4 | 8;
}

export interface PlacedEntry {
  readonly index: number;
  readonly value: bigint;
}

export const entriesOf = ({ at }: Walked): number => 2 ** at.bits;

/** Index of the entry in a word; of the first of two. Undefined where the word lies in another table. */
export function entryOfWord({ pfn, at, entryBytes }: Walked, word: number): number | undefined {
  const index = (word - wordOf(pfn, 0)) * (8 / entryBytes);
  return index >= 0 && index < 2 ** at.bits ? index : undefined;
}

export const wordOfEntry = ({ pfn, entryBytes }: Walked, index: number): number =>
  wordOf(pfn, 0) + Math.floor((index * entryBytes) / 8);

/** Where the entry begins in its word: 0, or 32 for the upper of two. */
export const shiftOfEntry = ({ entryBytes }: Walked, index: number): 0 | 32 =>
  entryBytes === 4 && index % 2 === 1 ? 32 : 0;

/** The entry in a word's value. */
export const entryIn = (table: Walked, index: number, word: bigint): bigint =>
  table.entryBytes === 8 ? word : BigInt.asUintN(32, word >> BigInt(shiftOfEntry(table, index)));

/** The entries that a change of a word writes: of two, those that differ. */
export function entriesIn(
  table: Walked,
  { word, value, before }: { word: number; value: bigint; before: bigint },
): readonly PlacedEntry[] {
  const first = entryOfWord(table, word);
  if (first === undefined) return [];
  if (table.entryBytes === 8) return [{ index: first, value }];
  return [first, first + 1]
    .map((index) => ({ index, value: entryIn(table, index, value), was: entryIn(table, index, before) }))
    .filter((entry) => entry.value !== entry.was);
}

/** `w:8388625`; `w:8388625.1` for the upper of two entries, `.0` for the lower. */
export const entryRowId = (table: Walked, index: number): string =>
  table.entryBytes === 8
    ? `w:${String(wordOfEntry(table, index))}`
    : `w:${String(wordOfEntry(table, index))}.${String(index % 2)}`;
