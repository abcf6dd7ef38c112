/**
 * Two runs of one guest program side by side: aligned by operation, then step by step inside it, and their differences
 * on three levels: what the guest could see, what an operation cost, which steps it took.
 */
import { COUNTERS, type CounterName } from '../core/counters.ts';
import type { OperationRecord } from '../core/operations/recorder.ts';
import { alignKinds, kindsOf } from './align.ts';
import type { Timeline } from './timeline.ts';

/** Highest first. */
export type DifferenceLevel = 'visible' | 'cost' | 'steps';

type Seen = NonNullable<OperationRecord['result']>;

export interface CounterDifference {
  readonly counter: CounterName;
  readonly a: number;
  readonly b: number;
}

export interface OperationDifference {
  readonly level: DifferenceLevel;
  /** Label of the operation, as links name it. */
  readonly operation: string;
  readonly text: string;
  /** Positions in the two runs that show it. */
  readonly a: number;
  readonly b: number;
  /** What the guest saw, where that is the difference; undefined where a run did not get so far. */
  readonly seen?: { readonly a: Seen | undefined; readonly b: Seen | undefined };
  /** Counters of this operation that differ. */
  readonly counters?: readonly CounterDifference[];
}

export interface Comparison {
  /** The first of the highest level comes first; then by operation. */
  readonly differences: readonly OperationDifference[];
  /** Counters at the ends of the runs that differ. */
  readonly totals: readonly CounterDifference[];
  /** For every position of the first run the position of the second that belongs to it. */
  readonly partner: Int32Array;
}

const LEVELS: readonly DifferenceLevel[] = ['visible', 'cost', 'steps'];

/** Compares two runs of the same text. Both timelines are where they were afterwards. */
export function compareRuns(a: Timeline, b: Timeline): Comparison {
  const places = [a.position, b.position] as const;
  const [costA, costB] = [countersByOperation(a), countersByOperation(b)];
  const partner = new Int32Array(a.length + 1);
  const found: OperationDifference[] = [];
  a.operations.forEach((own, index) => {
    const other = b.operations[index];
    const firstStep = alignOperation({ a, b, own, other, partner });
    found.push(...differencesOf({ a, own, other, index, costA, costB, firstStep }));
  });
  const ends = [costA.at(-1), costB.at(-1)] as const;
  a.seek(places[0]);
  b.seek(places[1]);
  return {
    differences: inOrder(found),
    totals:
      ends[0] === undefined || ends[1] === undefined ? [] : counterDifferences(ends[0].total, ends[1].total),
    partner,
  };
}

/** By level, and by operation inside it: the stable sort keeps the order of the run. */
const inOrder = (differences: readonly OperationDifference[]): readonly OperationDifference[] =>
  [...differences].sort((x, y) => LEVELS.indexOf(x.level) - LEVELS.indexOf(y.level));

type Counts = Readonly<Record<string, number>>;

interface Cost {
  /** Since `begin`. */
  readonly total: Counts;
  /** In this operation. */
  readonly own: Counts;
}

function countersByOperation(timeline: Timeline): readonly Cost[] {
  let before: Counts = {};
  return timeline.operations.map((operation) => {
    timeline.seek(operation.endStep);
    const total = Object.fromEntries(COUNTERS.map(({ name }) => [name, sumOver(timeline, name)]));
    const start = operation.firstStep === timeline.begin ? {} : before;
    before = total;
    const own = Object.fromEntries(
      COUNTERS.map(({ name }) => [name, (total[name] ?? 0) - (start[name] ?? 0)]),
    );
    return { total, own };
  });
}

function sumOver(timeline: Timeline, name: string): number {
  let sum = 0;
  for (const [key, value] of timeline.world.tables.counter) if (key.startsWith(`${name}@`)) sum += value;
  return sum;
}

const counterDifferences = (a: Counts, b: Counts): readonly CounterDifference[] =>
  COUNTERS.flatMap(({ name }) => {
    const [mine, theirs] = [a[name] ?? 0, b[name] ?? 0];
    return mine === theirs ? [] : [{ counter: name, a: mine, b: theirs }];
  });

function differencesOf(of: {
  a: Timeline;
  own: OperationRecord;
  other: OperationRecord | undefined;
  index: number;
  costA: readonly Cost[];
  costB: readonly Cost[];
  firstStep: { a: number; b: number } | undefined;
}): readonly OperationDifference[] {
  const { own, other, index } = of;
  if (own.section !== 'body') return [];
  const place = {
    operation: String(own.number),
    text: own.text,
    a: own.endStep,
    b: other?.endStep ?? 0,
  };
  if (other === undefined) return [{ ...place, level: 'visible', seen: { a: own.result, b: undefined } }];
  const counters = counterDifferences(of.costA[index]?.own ?? {}, of.costB[index]?.own ?? {});
  return [
    ...(sameSeen(own.result, other.result)
      ? []
      : [{ ...place, level: 'visible' as const, seen: { a: own.result, b: other.result } }]),
    ...(counters.length === 0 ? [] : [{ ...place, level: 'cost' as const, counters }]),
    ...(of.firstStep === undefined ? [] : [{ ...place, level: 'steps' as const, ...of.firstStep }]),
  ];
}

function sameSeen(a: Seen | undefined, b: Seen | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.value === b.value &&
    a.completed === b.completed &&
    a.faults.length === b.faults.length &&
    a.faults.every(
      (fault, at) => fault.gva === b.faults[at]?.gva && fault.errorCode === b.faults[at].errorCode,
    )
  );
}

/** Fills the partners of an operation's positions; gives the first place where its steps part. */
function alignOperation(of: {
  a: Timeline;
  b: Timeline;
  own: OperationRecord;
  other: OperationRecord | undefined;
  partner: Int32Array;
}): { a: number; b: number } | undefined {
  const { a, b, own, other, partner } = of;
  if (other === undefined) {
    partner.fill(b.length, own.firstStep, own.endStep + 1);
    return undefined;
  }
  const [mine, theirs] = [kindsOf(a, own), kindsOf(b, other)];
  const steps = alignKinds(mine, theirs);
  let reached = other.firstStep;
  partner[own.firstStep] ||= reached;
  steps.forEach((match, at) => {
    if (match !== undefined) reached = other.firstStep + match + 1;
    partner[own.firstStep + at + 1] = reached;
  });
  partner[own.endStep] = other.endStep;
  let head = 0;
  while (head < mine.length && mine[head] === theirs[head]) head += 1;
  if (head === mine.length && head === theirs.length) return undefined;
  return {
    a: Math.min(own.firstStep + head + 1, own.endStep),
    b: Math.min(other.firstStep + head + 1, other.endStep),
  };
}
