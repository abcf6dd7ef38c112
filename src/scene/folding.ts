/** Which tables of a run with many are drawn small, and which not at all: those that its steps touch least. */
import { frameOfWord, type Pfn } from '../core/quantities.ts';
import { BOUNDS } from '../core/bounds.ts';
import type { Timeline } from '../timeline/timeline.ts';
import type { Walked } from './places.ts';

/** Up to so many tables all stand open; of more, the rest is folded. */
const OPEN = 24;

interface Foldable {
  readonly id: string;
  readonly level: number;
  readonly walked: Walked;
}

export function foldedAmong<T extends Foldable>(
  tables: readonly T[],
  timeline: Timeline,
): { readonly kept: readonly T[]; readonly folded: ReadonlySet<string> } {
  if (tables.length <= OPEN) return { kept: tables, folded: new Set() };
  const touches = touchesOf(tables, timeline);
  const often = [...tables].sort(
    (a, b) => (touches.get(b.id) ?? 0) - (touches.get(a.id) ?? 0) || b.level - a.level,
  );
  const kept = new Set(often.slice(0, BOUNDS.tablesDrawn).map(({ id }) => id));
  // A table that leads to others stays open as far as there is room: it is how one finds the way.
  const open = new Set(often.slice(0, OPEN).map(({ id }) => id));
  return {
    kept: tables.filter(({ id }) => kept.has(id)),
    folded: new Set(tables.filter(({ id }) => !open.has(id)).map(({ id }) => id)),
  };
}

/** In how many changes and reads of the body each table appears. */
function touchesOf(tables: readonly Foldable[], { journal, begin }: Timeline): ReadonlyMap<string, number> {
  const byFrame = new Map<Pfn, string[]>();
  for (const { id, walked } of tables) byFrame.set(walked.pfn, [...(byFrame.get(walked.pfn) ?? []), id]);
  const touches = new Map<string, number>();
  const note = (key: number | string): void => {
    for (const id of byFrame.get(frameOfWord(Number(key))) ?? []) touches.set(id, (touches.get(id) ?? 0) + 1);
  };
  for (let change = journal.changesBefore(begin); change < journal.changes; change += 1) {
    const { table, key } = journal.changedPlace(change);
    if (table === 'word') note(key);
  }
  for (let step = begin; step < journal.steps; step += 1) {
    for (const { table, key } of journal.readsOf(step)) if (table === 'word') note(key);
  }
  return touches;
}
