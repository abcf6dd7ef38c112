/**
 * A run as rows of text: by operation, by function, or by step. At the depth of functions, steps that follow one
 * another in the same call form a row; a row keeps every change of its steps.
 */
import { idText } from '../core/machine/tables.ts';
import type { Change, StepView, Timeline } from '../timeline/timeline.ts';

export interface Row {
  readonly firstStep: number;
  readonly endStep: number;
  /** Name of the innermost call. */
  readonly call: string;
  /** Number of calls around it. */
  readonly depth: number;
  readonly steps: readonly StepView[];
  readonly changes: readonly Change[];
}

/** Tables whose changes are book-keeping of the model, not state that a golden trace speaks of. */
const BOOKKEEPING = new Set(['counter', 'serial', 'held', 'vcpu', 'owed', 'written']);

export const isStateChange = (change: Change): boolean => !BOOKKEEPING.has(change.place.table);

/** Steps `from` .. `to`-1, grouped by call. */
export function functionRows(timeline: Timeline, from: number, to: number): readonly Row[] {
  const rows: Row[] = [];
  let group: StepView[] = [];
  for (let index = from; index < to; index += 1) {
    const step = timeline.step(index);
    if (group[0] !== undefined && group[0].span !== step.span) {
      rows.push(rowOf(timeline, group));
      group = [];
    }
    group.push(step);
  }
  if (group.length > 0) rows.push(rowOf(timeline, group));
  return rows;
}

export const stepRows = (timeline: Timeline, from: number, to: number): readonly Row[] =>
  Array.from({ length: to - from }, (_, offset) => rowOf(timeline, [timeline.step(from + offset)]));

function rowOf(timeline: Timeline, steps: readonly StepView[]): Row {
  const [first] = steps;
  const firstStep = first?.index ?? 0;
  const calls = timeline.calls(firstStep);
  return {
    firstStep,
    endStep: firstStep + steps.length,
    call: calls.at(-1)?.name ?? '',
    depth: calls.length,
    steps,
    changes: steps.flatMap((step) => step.changes),
  };
}

/** A change as text: `word:20003.023 0x0 -> 0x10020c67`. */
export function changeText(change: Change): string {
  return `${idText(change.place.table, change.place.key)} ${valueText(change.before)} -> ${valueText(change.after)}`;
}

/** A value as text, numbers in hex. */
export function valueText(value: unknown): string {
  if (value === undefined) return 'none';
  if (typeof value === 'bigint') return `0x${value.toString(16)}`;
  if (typeof value === 'number') return String(value);
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'bigint' ? `0x${part.toString(16)}` : part,
  );
}
