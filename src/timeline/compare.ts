/**
 * Two runs of one guest program side by side, on one axis, and their differences on three levels: what the guest could
 * see, what an operation cost, and, where the same engine ran both, which steps it took.
 */
import { engineOf } from '../core/operations/engines.ts';
import type { OperationRecord } from '../core/operations/recorder.ts';
import { alignRuns, pairOperations, type Axis } from './align.ts';
import { costsOf, countersApart, NO_COUNTS, type CounterDifference, type Counts } from './costs.ts';
import { seenApart, seenOf, type Seen, type SeenPart } from './seen.ts';
import { summaryOf, type RunSummary } from './summary.ts';
import { operationLabel, type Timeline } from './timeline.ts';

/** Highest first. */
export const LEVELS = ['visible', 'cost', 'steps'] as const;
export type DifferenceLevel = (typeof LEVELS)[number];

interface Place {
  /** Label of the operation, as links name it: in the first run, or in the second where only that has it. */
  readonly operation: string;
  readonly text: string;
  /** Where on the axis the two runs show it, and the positions there. */
  readonly place: number;
  readonly a: number;
  readonly b: number;
}

export type Difference = Place &
  (
    | {
        readonly level: 'visible';
        readonly parts: readonly SeenPart[];
        /** Undefined where a run did not get so far. */
        readonly seen: { readonly a: Seen | undefined; readonly b: Seen | undefined };
        /** Operations after this one that the same run did not reach either. */
        readonly more: number;
      }
    | { readonly level: 'cost'; readonly counters: readonly CounterDifference[] }
    /** Steps that only one of the two takes; the place is the first of them. `leftOut`: the other has no such line. */
    | {
        readonly level: 'steps';
        readonly onlyA: number;
        readonly onlyB: number;
        readonly leftOut?: true;
      }
  );

export interface Comparison {
  readonly axis: Axis;
  /** The first of the highest level comes first; then by operation. */
  readonly differences: readonly Difference[];
  /** Where the differences lie on the axis, each once, ascending. */
  readonly places: Int32Array;
  /** What the two runs come to. */
  readonly ends: readonly [RunSummary, RunSummary];
  /** Counters there that differ. */
  readonly totals: readonly CounterDifference[];
  /** False where two engines ran: then no step of the one is a step of the other. */
  readonly sameEngine: boolean;
}

/** Compares two runs of the same text. Both timelines are where they were afterwards. */
export function compareRuns(a: Timeline, b: Timeline): Comparison {
  const axis = alignRuns(a, b);
  const sameEngine = engineOf(a.program.settings) === engineOf(b.program.settings);
  const ends = [summaryOf(a), summaryOf(b)] as const;
  const differences = new Finder({ a, b, axis, sameEngine }).all();
  return {
    axis,
    differences,
    places: Int32Array.from(new Set(differences.map(({ place }) => place))).sort(),
    ends,
    totals: countersApart(ends[0].counts, ends[1].counts),
    sameEngine,
  };
}

class Finder {
  private readonly of: { a: Timeline; b: Timeline; axis: Axis; sameEngine: boolean };
  private readonly costs: readonly [Map<OperationRecord, Counts>, Map<OperationRecord, Counts>];

  constructor(of: Finder['of']) {
    this.of = of;
    this.costs = [costsByOperation(of.a), costsByOperation(of.b)];
  }

  /** By level, and by operation inside it: the stable sort keeps the order of the runs. */
  all(): readonly Difference[] {
    const pairs = pairOperations(this.of.a, this.of.b).filter(({ a, b }) => (a ?? b)?.section === 'body');
    const found = pairs.flatMap((pair, at) => this.between(pair, pairs[at - 1], pairs.slice(at + 1)));
    return found.sort((x, y) => LEVELS.indexOf(x.level) - LEVELS.indexOf(y.level));
  }

  private between(pair: Pair, before: Pair | undefined, after: readonly Pair[]): readonly Difference[] {
    const place = this.endOf(pair);
    const lacking = pair.a === undefined ? 'a' : pair.b === undefined ? 'b' : undefined;
    const goesOn = after.some((later) => lacking !== undefined && later[lacking] !== undefined);
    if (lacking !== undefined && (goesOn || this.of[lacking].stop === undefined)) return [this.leftOut(pair)];
    if (lacking !== undefined) {
      // Said once where a run ends, and not for all that comes after.
      if (before !== undefined && before[lacking] === undefined) return [];
      return [{ ...place, level: 'visible', ...this.seen(pair), more: after.length }];
    }
    const visible = this.seen(pair);
    const counters = countersApart(this.cost(0, pair.a), this.cost(1, pair.b));
    const steps = this.of.sameEngine ? this.stepsApart(pair) : undefined;
    return [
      ...(visible.parts.length === 0 ? [] : [{ ...place, level: 'visible' as const, ...visible, more: 0 }]),
      ...(counters.length === 0 ? [] : [{ ...place, level: 'cost' as const, counters }]),
      ...(steps === undefined ? [] : [{ ...place, level: 'steps' as const, ...steps }]),
    ];
  }

  /** A line that is for one of the two only: no difference that the hypervisor makes. */
  private leftOut({ a, b }: Pair): Difference {
    const { axis } = this.of;
    const length = (a ?? b)?.endStep ?? 0;
    const first = (a ?? b)?.firstStep ?? 0;
    const place = (a === undefined ? axis.ofB : axis.ofA)[first + 1] ?? 0;
    const only = a === undefined ? { onlyA: 0, onlyB: length - first } : { onlyA: length - first, onlyB: 0 };
    return {
      ...this.endOf({ ...(a && { a }), ...(b && { b }) }),
      ...this.at(place),
      level: 'steps',
      ...only,
      leftOut: true,
    };
  }

  private cost(side: 0 | 1, operation: OperationRecord | undefined): Counts {
    return (operation === undefined ? undefined : this.costs[side].get(operation)) ?? NO_COUNTS;
  }

  private seen({ a, b }: Pair): Pick<Extract<Difference, { level: 'visible' }>, 'seen' | 'parts'> {
    const seen = {
      a: a === undefined ? undefined : seenOf(this.of.a, a),
      b: b === undefined ? undefined : seenOf(this.of.b, b),
    };
    return { seen, parts: seenApart(seen.a, seen.b) };
  }

  /** Where both runs have the operation behind them. */
  private endOf({ a, b }: Pair): Place {
    const { axis } = this.of;
    const place = Math.max(
      a === undefined ? 0 : (axis.ofA[a.endStep] ?? 0),
      b === undefined ? 0 : (axis.ofB[b.endStep] ?? 0),
    );
    const named = a ?? b;
    return {
      operation: named === undefined ? '' : operationLabel(named),
      text: named?.text ?? '',
      ...this.at(place),
    };
  }

  private at(place: number): { place: number; a: number; b: number } {
    const { axis } = this.of;
    return { place, a: axis.a[place] ?? 0, b: axis.b[place] ?? 0 };
  }

  private stepsApart({
    a,
    b,
  }: Pair): ({ onlyA: number; onlyB: number } & ReturnType<Finder['at']>) | undefined {
    if (a === undefined || b === undefined) return undefined;
    const { axis } = this.of;
    const from = Math.min(axis.ofA[a.firstStep] ?? 0, axis.ofB[b.firstStep] ?? 0);
    const to = Math.max(axis.ofA[a.endStep] ?? 0, axis.ofB[b.endStep] ?? 0);
    let [onlyA, onlyB, first] = [0, 0, 0];
    for (let place = from + 1; place <= to; place += 1) {
      const moved = [axis.a[place] !== axis.a[place - 1], axis.b[place] !== axis.b[place - 1]];
      if (moved[0] === moved[1]) continue;
      if (onlyA + onlyB === 0) first = place;
      if (moved[0] === true) onlyA += 1;
      else onlyB += 1;
    }
    return onlyA + onlyB === 0 ? undefined : { onlyA, onlyB, ...this.at(first) };
  }
}

type Pair = ReturnType<typeof pairOperations>[number];

const costsByOperation = (timeline: Timeline): Map<OperationRecord, Counts> => {
  const costs = costsOf(timeline);
  return new Map(timeline.operations.map((operation, at) => [operation, costs[at] ?? NO_COUNTS]));
};
