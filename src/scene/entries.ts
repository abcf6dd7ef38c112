/** An entry of a table as a row: what it names, its flags, and in full what each bit means. */
import type { EntryKind, TableLevel } from '../core/hardware/format.ts';
import { gfnOfAddress, pfnOfAddress } from '../core/quantities.ts';
import { hex, type Context, type Flag, type SceneRow } from './parts.ts';
import { MAX_ROWS } from './layout.ts';
import { sizeText, type Dialect, type Letter } from './dialect.ts';
import { entryIn, entryRowId, wordOfEntry, type Walked } from './places.ts';

/** What a table entry or leaf leads to, as a frame number; undefined where it leads nowhere. */
export function targetOf(dialect: Dialect, at: TableLevel, entry: bigint): number | undefined {
  const kind = dialect.kindOf(entry, at);
  if (kind === 'table') return pfnOfAddress(dialect.tableAddress(entry));
  return kind === 'leaf' ? gfnOfAddress(dialect.pageAddress(entry, at)) : undefined;
}

const WORDS: Readonly<Partial<Record<EntryKind, string>>> = {
  absent: 'absent',
  malformed: 'malformed',
  'address-size': 'too far',
};

export function targetText(dialect: Dialect, at: TableLevel, entry: bigint): string {
  if (entry === 0n) return 'empty';
  const kind = dialect.kindOf(entry, at);
  const frame = targetOf(dialect, at, entry);
  if (frame === undefined) return WORDS[kind] ?? '';
  return kind === 'leaf' && at.shift > 12 ? `${hex(frame)} ${sizeText(at.shift)}` : hex(frame);
}

/** Keeps the letters of rows in columns. */
const BLANK = '\u00a0';

const isLarge = (dialect: Dialect, at: TableLevel, entry: bigint): boolean =>
  at.shift > 12 && dialect.kindOf(entry, at) === 'leaf';

export function flagsOf(
  dialect: Dialect,
  at: TableLevel,
  { value, before }: { value: bigint; before: bigint },
): readonly Flag[] {
  const kind = dialect.kindOf(value, at);
  const named = dialect.bits(kind, at).reduce((mask, bit) => mask | (1n << BigInt(bit.bit)), 0n);
  const flags = dialect.letters.flatMap((letter): Flag[] => {
    const says = (letter.mask & named) !== 0n && (letter.only === undefined || saysIn(letter, kind));
    const set = says && isSet(letter, value, kind);
    const changed = says && ((value ^ before) & letter.mask) !== 0n;
    if (letter.rare === true && !set && !changed) return [];
    const text = says ? (set ? letter.text : '–') : BLANK;
    return [{ text: letter.rare === true ? text + BLANK : text, set, changed, meaning: letter.meaning }];
  });
  const [large, was] = [isLarge(dialect, at, value), isLarge(dialect, at, before)];
  return large || was
    ? [
        { text: (large ? 'L' : '–') + BLANK, set: large, changed: large !== was, meaning: 'large page' },
        ...flags,
      ]
    : flags;
}

const saysIn = ({ only }: Letter, kind: EntryKind): boolean => (only === 'table') === (kind === 'table');

const isSet = ({ mask, inverted }: Letter, value: bigint, kind: EntryKind): boolean =>
  inverted === true ? kind === 'leaf' && (value & mask) === 0n : (value & mask) !== 0n;

/** The entry as a number, what it is, and every bit that is set with its meaning. */
export function entryTitle(dialect: Dialect, at: TableLevel, entry: bigint): string {
  const kind = dialect.kindOf(entry, at);
  return [
    `0x${hex(entry)}`,
    ...(kind === 'leaf' && at.shift > 12 ? [`a page of ${sizeText(at.shift)}`] : []),
    ...dialect
      .bits(kind, at)
      .filter((bit) => ((entry >> BigInt(bit.bit)) & 1n) === 1n)
      .map((bit) => `${bit.short}  ${bit.name}: ${bit.meaning}`),
  ].join('\n');
}

/** The entry as it is now and as it was before the step. */
export function valuesOf(
  context: Context,
  table: Walked,
  index: number,
): { readonly value: bigint; readonly before: bigint } {
  const word = wordOfEntry(table, index);
  const value = entryIn(table, index, context.world.word(word));
  const before = context.changes.get(`word:${String(word)}`)?.before as bigint | undefined;
  return { value, before: before === undefined ? value : entryIn(table, index, before) };
}

export function stateOf(context: Context, table: Walked, index: number): SceneRow['state'] {
  const id = `word:${String(wordOfEntry(table, index))}`;
  if (context.changes.has(id)) {
    if (table.entryBytes === 8) return 'changed';
    const { value, before } = valuesOf(context, table, index);
    return value === before ? 'quiet' : 'changed';
  }
  if (!context.reads.has(id)) return 'quiet';
  // Of the two entries in one word, the step says which it read.
  const said = context.step?.facts['index'];
  return table.entryBytes === 8 || said === undefined || said === index ? 'read' : 'quiet';
}

/** All entries of the run when they fit; otherwise those of this step first, then from the lowest. */
export function chosenIn(
  context: Context,
  { indices, walked, rows = MAX_ROWS }: { indices: readonly number[]; walked: Walked; rows?: number },
): readonly number[] {
  if (indices.length <= rows) return indices;
  const now = indices.filter((index) => stateOf(context, walked, index) !== 'quiet');
  const rest = indices.filter((index) => !now.includes(index));
  return [...now, ...rest].slice(0, rows).sort((a, b) => a - b);
}

/** An entry of a table, with words of its own for what it names where the format has none. */
export interface RowOf {
  readonly walked: Walked;
  readonly dialect: Dialect;
  readonly index: number;
  readonly label?: string;
  readonly text?: (entry: bigint) => string;
  /** Stands after the number of the entry. */
  readonly about?: string;
}

interface EntryWords {
  readonly title: string;
  readonly flags: readonly Flag[];
}

const WORDS_OF = new WeakMap<Dialect, Map<string, EntryWords>>();
const MOST_KEPT = 2000;

/** What is said about an entry that does not change: most entries are the same from step to step. */
function wordsOf(dialect: Dialect, at: TableLevel, value: bigint): EntryWords {
  let kept = WORDS_OF.get(dialect);
  if (kept === undefined || kept.size > MOST_KEPT) {
    kept = new Map();
    WORDS_OF.set(dialect, kept);
  }
  const key = `${at.name} ${String(at.bits)} ${value.toString(36)}`;
  const known = kept.get(key) ?? {
    title: entryTitle(dialect, at, value),
    flags: flagsOf(dialect, at, { value, before: value }),
  };
  kept.set(key, known);
  return known;
}

export const indexText = (index: number): string => hex(index).padStart(3, '0');

export function entryRow(context: Context, of: RowOf): SceneRow {
  const { walked, dialect, index } = of;
  const { at } = walked;
  const text = of.text ?? ((entry) => targetText(dialect, at, entry));
  const values = valuesOf(context, walked, index);
  const state = stateOf(context, walked, index);
  const same = values.value === values.before;
  const said = wordsOf(dialect, at, values.value);
  const row = {
    id: entryRowId(walked, index),
    index: of.label ?? indexText(index),
    text: text(values.value),
    title: of.about === undefined ? said.title : `${said.title}\n${of.about}`,
    flags: same ? said.flags : flagsOf(dialect, at, values),
    state,
  } as const;
  if (state !== 'changed' || values.before === values.value) return row;
  const { before } = values;
  return {
    ...row,
    old: { text: text(before), flags: flagsOf(dialect, at, { value: before, before }) },
  };
}
