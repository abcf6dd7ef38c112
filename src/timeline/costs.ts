/** What a run cost, in counters: all over it, and for each of its operations. */
import { COUNTERS, type CounterName } from '../core/counters.ts';
import type { Timeline } from './timeline.ts';

export type Counts = Readonly<Record<CounterName, number>>;

export interface CounterDifference {
  readonly counter: CounterName;
  readonly a: number;
  readonly b: number;
}

/** All counters at the timeline's position, summed over vCPUs, zeros too. */
export function countsHere(timeline: Timeline): Counts {
  const counts = Object.fromEntries(COUNTERS.map(({ name }) => [name, 0])) as Record<CounterName, number>;
  for (const [key, value] of timeline.world.tables.counter) {
    const name = key.slice(0, key.indexOf('@')) as CounterName;
    counts[name] += value;
  }
  return counts;
}

export const minus = (a: Counts, b: Counts): Counts =>
  Object.fromEntries(COUNTERS.map(({ name }) => [name, a[name] - b[name]])) as Record<CounterName, number>;

/** The counters of each operation by itself. The timeline is where it was afterwards. */
export function costsOf(timeline: Timeline): readonly Counts[] {
  const place = timeline.position;
  const costs = timeline.operations.map(({ firstStep, endStep }) => {
    timeline.seek(firstStep);
    const before = countsHere(timeline);
    timeline.seek(endStep);
    return minus(countsHere(timeline), before);
  });
  timeline.seek(place);
  return costs;
}

/** Counters that differ; `b` minus `a` is the difference. */
export const countersApart = (a: Counts, b: Counts): readonly CounterDifference[] =>
  COUNTERS.flatMap(({ name }) => (a[name] === b[name] ? [] : [{ counter: name, a: a[name], b: b[name] }]));

export const NO_COUNTS: Counts = Object.fromEntries(COUNTERS.map(({ name }) => [name, 0])) as Record<
  CounterName,
  number
>;
