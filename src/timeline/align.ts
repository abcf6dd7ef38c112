/**
 * Two runs on one axis: which operations of the two belong together, then which calls and steps inside them. A place on
 * the axis is a position in each run; from one place to the next either both runs take a step, because it is the same
 * one, or one of them takes a step that the other does not have. No place goes back in either run.
 *
 * What belongs together is the longest common sequence of what stands side by side, calls by name first and then what is
 * inside them. Sequences that are too long for that are walked together, looking a little ahead.
 */
import type { OperationRecord, Section } from '../core/operations/recorder.ts';
import type { Timeline } from './timeline.ts';

export interface Axis {
  /** The position of each run at each place; place 0 is the beginning of both. */
  readonly a: Int32Array;
  readonly b: Int32Array;
  /** The first place at which a run stands at a position. */
  readonly ofA: Int32Array;
  readonly ofB: Int32Array;
  /** Stretches that were too long to be aligned exactly. */
  readonly coarse: number;
}

/** Cells of the table that finds a longest common sequence: of one stretch, and of a whole comparison. */
const MOST_CELLS = 1_000_000;
const MOST_CELLS_IN_ALL = 20_000_000;
/** How far a stretch that is too long is looked ahead. */
const LOOK_AHEAD = 48;

/** Steps of one run, `first` .. `end`-1. */
interface Range {
  readonly timeline: Timeline;
  readonly first: number;
  readonly end: number;
  /** The call in which they lie. */
  readonly span: number | undefined;
}

/** A step, or a call with all that is in it. */
interface Item {
  readonly key: number;
  readonly first: number;
  readonly end: number;
  readonly span: number | undefined;
}

class Aligner {
  /** One byte a move: 1 the first run, 2 the second, 3 both. */
  readonly moves: number[] = [];
  coarse = 0;
  private cells = 0;
  private readonly keys = new Map<string, number>();

  align(a: Range, b: Range): void {
    const [mine, theirs] = [this.itemsOf(a), this.itemsOf(b)];
    let [i, j] = [0, 0];
    for (const [nextI, nextJ] of [...this.matches(mine, theirs), [mine.length, theirs.length] as const]) {
      for (; i < nextI; i += 1) this.alone(1, mine[i]);
      for (; j < nextJ; j += 1) this.alone(2, theirs[j]);
      const [own, other] = [mine[i], theirs[j]];
      if (own === undefined || other === undefined) return;
      if (own.span === undefined || other.span === undefined) this.moves.push(3);
      else this.align({ ...own, timeline: a.timeline }, { ...other, timeline: b.timeline });
      i += 1;
      j += 1;
    }
  }

  alone(side: 1 | 2, range: { readonly first: number; readonly end: number } | undefined): void {
    if (range === undefined) return;
    for (let step = range.first; step < range.end; step += 1) this.moves.push(side);
  }

  /** What stands side by side in a range: steps of its own call, and calls inside it. */
  private itemsOf({ timeline: { journal }, first, end, span }: Range): readonly Item[] {
    const items: Item[] = [];
    for (let step = first; step < end;) {
      const inner = this.childAround(journal, step, span);
      let after = step + 1;
      if (inner === undefined)
        items.push({ key: this.keyOf(journal.kind(step)), first: step, end: after, span: undefined });
      else {
        while (after < end && this.childAround(journal, after, span) === inner) after += 1;
        const reason = journal.spanFacts(inner)['reason'];
        const name = `${journal.callName(inner)}(${reason === undefined ? '' : String(reason)})`;
        items.push({ key: this.keyOf(name), first: step, end: after, span: inner });
      }
      step = after;
    }
    return items;
  }

  /** The call directly inside `span` around a step; undefined where the step is that call's own. */
  private childAround(
    journal: Timeline['journal'],
    step: number,
    span: number | undefined,
  ): number | undefined {
    let child: number | undefined;
    for (
      let around: number | undefined = journal.spanOf(step);
      around !== undefined && around !== span;
      around = journal.parentOf(around)
    )
      child = around;
    return child;
  }

  private keyOf(name: string): number {
    const known = this.keys.get(name);
    if (known !== undefined) return known;
    this.keys.set(name, this.keys.size);
    return this.keys.size - 1;
  }

  private matches(mine: readonly Item[], theirs: readonly Item[]): readonly (readonly [number, number])[] {
    const keysOf = (items: readonly Item[]): readonly number[] => items.map(({ key }) => key);
    const cells = mine.length * theirs.length;
    const exact = cells <= MOST_CELLS && this.cells + cells <= MOST_CELLS_IN_ALL;
    if (exact) this.cells += cells;
    else this.coarse += 1;
    return matchKeys(keysOf(mine), keysOf(theirs), exact ? 'exact' : 'coarse');
  }
}

/** Pairs of indices that belong together, both growing: ends that agree, and in between as many as can be. */
export function matchKeys(
  mine: readonly number[],
  theirs: readonly number[],
  how: 'exact' | 'coarse' = 'exact',
): readonly (readonly [number, number])[] {
  const shorter = Math.min(mine.length, theirs.length);
  let head = 0;
  while (head < shorter && mine[head] === theirs[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && mine[mine.length - 1 - tail] === theirs[theirs.length - 1 - tail])
    tail += 1;
  const middle = (how === 'exact' ? longestCommon : lookingAhead)(
    mine.slice(head, mine.length - tail),
    theirs.slice(head, theirs.length - tail),
  );
  return [
    ...Array.from({ length: head }, (_, at) => [at, at] as const),
    ...middle.map(([i, j]) => [head + i, head + j] as const),
    ...Array.from({ length: tail }, (_, at) => [mine.length - tail + at, theirs.length - tail + at] as const),
  ];
}

function longestCommon(a: readonly number[], b: readonly number[]): readonly (readonly [number, number])[] {
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1)
      lengths[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  }
  const pairs: (readonly [number, number])[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (at(i + 1, j) >= at(i, j + 1)) i += 1;
    else j += 1;
  }
  return pairs;
}

function lookingAhead(a: readonly number[], b: readonly number[]): readonly (readonly [number, number])[] {
  const pairs: (readonly [number, number])[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    let ahead = 0;
    while (ahead <= LOOK_AHEAD && a[i + ahead] !== b[j] && a[i] !== b[j + ahead]) ahead += 1;
    if (ahead > LOOK_AHEAD) [i, j] = [i + 1, j + 1];
    else {
      [i, j] = a[i + ahead] === b[j] ? [i + ahead, j] : [i, j + ahead];
      // Past an end both are undefined, and equal.
      if (i < a.length && j < b.length) pairs.push([i, j]);
      [i, j] = [i + 1, j + 1];
    }
  }
  return pairs;
}

const SECTIONS: readonly (Section | 'begin')[] = ['setup', 'given', 'begin', 'body'];

/** What a run is made of: operations, and `begin` between two sections. Ordered as the text orders them. */
interface Part {
  readonly section: number;
  readonly line: number;
  readonly first: number;
  readonly end: number;
  readonly operation?: OperationRecord;
}

function partsOf(timeline: Timeline): readonly Part[] {
  const parts: Part[] = [];
  let reached = 0;
  const upTo = (end: number): void => {
    if (end > reached) parts.push({ section: SECTIONS.indexOf('begin'), line: 0, first: reached, end });
    reached = end;
  };
  for (const operation of timeline.operations) {
    const { section, line, firstStep, endStep } = operation;
    upTo(firstStep);
    parts.push({ section: SECTIONS.indexOf(section), line, first: firstStep, end: endStep, operation });
    reached = endStep;
  }
  upTo(timeline.length);
  return parts;
}

const orderOf = (a: Part, b: Part): number => a.section - b.section || a.line - b.line;

/** Operations of two runs of one text, paired by their lines; a run that ends early, or leaves a line out, lacks some. */
export function pairOperations(
  a: Timeline,
  b: Timeline,
): readonly { readonly a?: OperationRecord; readonly b?: OperationRecord }[] {
  return pairs(a, b).flatMap(([own, other]) =>
    own?.operation === undefined && other?.operation === undefined
      ? []
      : [
          {
            ...(own?.operation === undefined ? {} : { a: own.operation }),
            ...(other?.operation === undefined ? {} : { b: other.operation }),
          },
        ],
  );
}

function pairs(a: Timeline, b: Timeline): readonly (readonly [Part | undefined, Part | undefined])[] {
  const [mine, theirs] = [partsOf(a), partsOf(b)];
  const found: (readonly [Part | undefined, Part | undefined])[] = [];
  for (let i = 0, j = 0; i < mine.length || j < theirs.length;) {
    const [own, other] = [mine[i], theirs[j]];
    const order = own === undefined ? 1 : other === undefined ? -1 : orderOf(own, other);
    found.push([order <= 0 ? own : undefined, order >= 0 ? other : undefined]);
    if (order <= 0) i += 1;
    if (order >= 0) j += 1;
  }
  return found;
}

/** The one axis of two runs of one text. */
export function alignRuns(a: Timeline, b: Timeline): Axis {
  const aligner = new Aligner();
  for (const [own, other] of pairs(a, b)) {
    if (own !== undefined && other !== undefined)
      aligner.align({ ...own, timeline: a, span: undefined }, { ...other, timeline: b, span: undefined });
    else aligner.alone(own === undefined ? 2 : 1, own ?? other);
  }
  return axisOf(aligner, a.length, b.length);
}

function axisOf({ moves, coarse }: Aligner, lengthA: number, lengthB: number): Axis {
  const [a, b] = [new Int32Array(moves.length + 1), new Int32Array(moves.length + 1)];
  const [ofA, ofB] = [new Int32Array(lengthA + 1), new Int32Array(lengthB + 1)];
  let [i, j] = [0, 0];
  moves.forEach((move, at) => {
    const place = at + 1;
    if ((move & 1) !== 0) ofA[(i += 1)] = place;
    if ((move & 2) !== 0) ofB[(j += 1)] = place;
    a[place] = i;
    b[place] = j;
  });
  return { a, b, ofA, ofB, coarse };
}

/** The position in an operation of one run that belongs to a position in the same operation of another. */
export function alignedStep(of: {
  a: Timeline;
  own: OperationRecord;
  position: number;
  b: Timeline;
  other: OperationRecord;
}): number {
  const { a, own, position, b, other } = of;
  if (position >= own.endStep) return other.endStep;
  const aligner = new Aligner();
  aligner.align(
    { timeline: a, first: own.firstStep, end: own.endStep, span: undefined },
    { timeline: b, first: other.firstStep, end: other.endStep, span: undefined },
  );
  let [reached, match, steps] = [own.firstStep, 0, 0];
  for (const move of aligner.moves) {
    if (reached === position) break;
    if ((move & 2) !== 0) steps += 1;
    if (move === 3) match = steps;
    if ((move & 1) !== 0) reached += 1;
  }
  return other.firstStep + Math.max(1, match) > other.endStep
    ? other.endStep
    : other.firstStep + Math.max(1, match);
}
