/**
 * Stepping like a debugger, forwards and backwards: each function takes a position and gives another. All stay between
 * `from` (usually `begin`) and the end.
 */
import type { CallName } from '../core/machine/steps.ts';
import type { Timeline } from './timeline.ts';

const clamp = (timeline: Timeline, position: number): number =>
  Math.max(0, Math.min(timeline.length, position));

export const stepForward = (timeline: Timeline, position: number): number => clamp(timeline, position + 1);
export const stepBack = (timeline: Timeline, position: number): number => clamp(timeline, position - 1);

/** Over: the call that the next step would enter runs to its end. */
export function stepOver(timeline: Timeline, position: number): number {
  if (position >= timeline.length) return position;
  const entered = enteredCall(timeline, { from: position - 1, to: position });
  return entered === undefined ? position + 1 : timeline.journal.extent(entered).end;
}

/** Backwards over: the call that the step before would enter from behind is undone as one. */
export function stepOverBack(timeline: Timeline, position: number): number {
  if (position <= 1) return clamp(timeline, position - 1);
  const entered = enteredCall(timeline, { from: position - 1, to: position - 2 });
  return entered === undefined ? position - 1 : timeline.journal.extent(entered).first;
}

/** The outermost call around step `to` that is not around step `from`, where `to` lies deeper than a sibling. */
function enteredCall(timeline: Timeline, { from, to }: { from: number; to: number }): number | undefined {
  const around = new Set(from < 0 ? [] : timeline.calls(from).map((call) => call.span));
  return timeline.calls(to).find((call) => !around.has(call.span))?.span;
}

/** Out: to the end of the call around the current step. */
export function stepOut(timeline: Timeline, position: number): number {
  if (position === 0) return clamp(timeline, 1);
  const enclosing = timeline.calls(position - 1).findLast((call) => call.end > position);
  return enclosing === undefined ? clamp(timeline, position + 1) : enclosing.end;
}

/** Into: to the first step of the next call inside the current operation; without one, the next step. */
export function stepInto(timeline: Timeline, position: number): number {
  const depth = position === 0 ? 0 : timeline.calls(position - 1).length;
  const end = timeline.operationAt(position - 1)?.endStep ?? timeline.length;
  for (let index = position; index < end; index += 1) {
    if (timeline.calls(index).length > depth) return index + 1;
  }
  return clamp(timeline, position + 1);
}

/** To the first step of the next operation. */
export function nextOperation(timeline: Timeline, position: number): number {
  const next = timeline.operations.find(
    (operation) => operation.firstStep >= position && operation.firstStep >= timeline.begin,
  );
  return next === undefined ? timeline.length : next.firstStep + 1;
}

/** To the first step of this operation, or of the one before when there already. */
export function previousOperation(timeline: Timeline, position: number): number {
  const previous = timeline.operations.findLast(
    (operation) => operation.firstStep + 1 < position && operation.firstStep >= timeline.begin,
  );
  return previous === undefined ? timeline.begin : previous.firstStep + 1;
}

/** Whether a run has a call of that name. */
export function hasCall({ journal }: Timeline, name: CallName): boolean {
  for (let span = 0; span < journal.spanCount; span += 1) if (journal.callName(span) === name) return true;
  return false;
}

/** The nearest difference after a place of the axis, or before it; undefined where there is none. */
export function nextPlace(places: Int32Array, from: number, direction: 1 | -1): number | undefined {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((places[middle] ?? 0) < from + (direction === 1 ? 1 : 0)) low = middle + 1;
    else high = middle;
  }
  return direction === 1 ? places[low] : places[low - 1];
}
