/** Steps of one operation in two runs that belong together: by kind, in order. */
import type { OperationRecord } from '../core/operations/recorder.ts';
import type { Timeline } from './timeline.ts';

/** Middles of operations longer than this are not aligned step by step. */
const MOST_ALIGNED = 1500;
export const kindsOf = (timeline: Timeline, operation: OperationRecord): readonly string[] =>
  Array.from({ length: operation.endStep - operation.firstStep }, (_, at) =>
    timeline.journal.kind(operation.firstStep + at),
  );
/** For each of `mine` the index of its match in `theirs`: ends that agree, and in between the longest common sequence. */
export function alignKinds(
  mine: readonly string[],
  theirs: readonly string[],
): readonly (number | undefined)[] {
  const shorter = Math.min(mine.length, theirs.length);
  let head = 0;
  while (head < shorter && mine[head] === theirs[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && mine[mine.length - 1 - tail] === theirs[theirs.length - 1 - tail])
    tail += 1;
  const middle = longestCommon(
    mine.slice(head, mine.length - tail),
    theirs.slice(head, theirs.length - tail),
  );
  return mine.map((_, at) => {
    if (at < head) return at;
    if (at >= mine.length - tail) return at + theirs.length - mine.length;
    const match = middle[at - head];
    return match === undefined ? undefined : head + match;
  });
}

function longestCommon(a: readonly string[], b: readonly string[]): readonly (number | undefined)[] {
  const matches: (number | undefined)[] = a.map(() => undefined);
  if (a.length > MOST_ALIGNED || b.length > MOST_ALIGNED) return matches;
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  const at = (i: number, j: number): number => lengths[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) {
      matches[i] = j;
      i += 1;
      j += 1;
    } else if (at(i + 1, j) >= at(i, j + 1)) i += 1;
    else j += 1;
  }
  return matches;
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
  const matches = alignKinds(kindsOf(a, own), kindsOf(b, other));
  const match = matches.slice(0, position - own.firstStep).findLast((found) => found !== undefined);
  return match === undefined ? Math.min(other.firstStep + 1, other.endStep) : other.firstStep + match + 1;
}
