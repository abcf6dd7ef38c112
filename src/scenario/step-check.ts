/**
 * The short check of a shared step that a link carries: should a later model end elsewhere, the link can say so. It
 * covers only what every model must agree on: the operation, the kind of the step, what the guest has seen so far, and
 * the counters of a frozen list; beside them the link's own settings, so that a link that lost one is found out.
 */
import type { CounterName } from '../core/counters.ts';
import type { Timeline } from '../timeline/timeline.ts';
import type { SettingChoices } from './ast.ts';
import { digest } from './digest.ts';
import { counter } from './expectations.ts';

/** Counters of link version 1, frozen. */
const COUNTERS_1: readonly CounterName[] = ['exits', 'injected', 'emulated', 'pf_fixed', 'stale_hits'];
const DIGITS = 4;
/** Steps looked at for one that fits. */
const MOST_CANDIDATES = 2000;

/** Moves the timeline to the position and leaves it there. */
export function stepCheck(timeline: Timeline, position: number, choices: SettingChoices): string {
  timeline.seek(position);
  const results = timeline.operations
    .filter((operation) => operation.endStep <= position && operation.result !== undefined)
    .map(({ result }) => [
      result?.value === undefined ? '' : result.value.toString(16),
      result?.completed === true ? 'ok' : 'not',
      ...(result?.faults ?? []).map((fault) => `${fault.gva.toString(16)}/${String(fault.errorCode)}`),
    ]);
  const covered = [
    timeline.nameOf(position).split('.')[0],
    position === 0 ? '' : timeline.journal.kind(position - 1),
    results.map((result) => result.join(',')).join(';'),
    COUNTERS_1.map((name) => String(counter(timeline, name))).join(','),
    settingsText(choices),
  ];
  return digest(covered.join('\n'), DIGITS);
}

export const settingsText = (choices: SettingChoices): string =>
  Object.entries(choices)
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join('&');

/** The position nearest to `position` whose check is `wanted`, should the steps have moved; bounded. */
export function findCheck(
  timeline: Timeline,
  of: { position: number; wanted: string; choices: SettingChoices },
): number | undefined {
  for (let distance = 0; distance <= MOST_CANDIDATES / 2; distance += 1) {
    for (const candidate of [of.position - distance, of.position + distance]) {
      if (candidate < timeline.begin || candidate > timeline.length) continue;
      if (stepCheck(timeline, candidate, of.choices) === of.wanted) return candidate;
    }
  }
  return undefined;
}
