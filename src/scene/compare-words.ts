/** Differences between runs in words: what a guest saw, what an operation cost, which steps were taken. */
import { COUNTERS, type CounterName } from '../core/counters.ts';
import { hex } from '../core/quantities.ts';
import type { Difference } from '../timeline/compare.ts';
import type { Seen } from '../timeline/seen.ts';

/** The whole of what a guest saw of an operation. */
export function seenText(seen: Seen | undefined): string {
  if (seen === undefined) return 'does not run this';
  const { result, protection, stopped } = seen;
  const faults = (result?.faults ?? []).map(
    ({ gva, errorCode }) => `page fault at ${hex(gva)}, error code ${hex(errorCode)}`,
  );
  const end =
    result === undefined
      ? []
      : [
          !result.completed
            ? 'not completed'
            : result.value === undefined
              ? 'completed'
              : `read ${hex(result.value)}`,
        ];
  const said = [
    ...faults,
    ...(protection ? ['general protection fault'] : []),
    ...(stopped === undefined ? end : [`the run stops: ${stopped}`]),
  ];
  return said.length === 0 ? 'done' : said.join(', ');
}

export const counterLabel = (name: CounterName): string =>
  COUNTERS.find((spec) => spec.name === name)?.label ?? name;

/** A difference with its sign: `+3`, `−1`, `0`. */
export const signed = (difference: number): string =>
  difference === 0 ? '0' : `${difference > 0 ? '+' : '−'}${String(Math.abs(difference))}`;

const times = (count: number, one: string): string => `${String(count)} ${one}${count === 1 ? '' : 's'}`;

/** What differs, run A first. */
export function differenceText(difference: Difference): string {
  switch (difference.level) {
    case 'visible': {
      const { seen, more } = difference;
      const rest = more === 0 ? '' : ` Nor ${times(more, 'operation')} after it.`;
      return `A: ${seenText(seen.a)}. B: ${seenText(seen.b)}.${rest}`;
    }
    case 'cost':
      return difference.counters
        .map(({ counter, a, b }) => `${counterLabel(counter)} ${String(a)} → ${String(b)} (${signed(b - a)})`)
        .join(', ');
    case 'steps': {
      const { onlyA, onlyB, leftOut } = difference;
      if (leftOut) return `Only run ${onlyB === 0 ? 'A' : 'B'} has this line.`;
      const sides = [
        ...(onlyA === 0 ? [] : [`${times(onlyA, 'step')} only in A`]),
        ...(onlyB === 0 ? [] : [`${times(onlyB, 'step')} only in B`]),
      ];
      return `${sides.join(', ')}.`;
    }
  }
}
