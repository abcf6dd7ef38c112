import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SettingChoices } from '../../scenario/ast.ts';
import { bareScenario } from '../../testing/bare-scenarios.ts';
import { planOf, RUNS, timelineOf } from '../../testing/scenarios.ts';
import { record, type Timeline } from '../../timeline/timeline.ts';

const kindsOf = (timeline: Timeline): ReadonlySet<string> =>
  new Set(Array.from({ length: timeline.length }, (_, step) => timeline.journal.kind(step)));

/** What the guest saw: values, faults, addresses. */
const seen = (timeline: Timeline): readonly unknown[] =>
  timeline.operations.map(({ result }) => [
    result?.completed,
    result?.value,
    result?.physical,
    result?.faults.map(({ errorCode }) => errorCode),
    result?.hostFault?.kind,
  ]);

const staleHits = (timeline: Timeline): number => {
  timeline.seek(timeline.length);
  const hits = Array.from({ length: timeline.length }, (_, step) => timeline.step(step));
  return hits.filter((step) => step.facts['stale'] === true).length;
};

/** A cached right that has been raised meanwhile refuses once: that is allowed, and seen. */
const isUndisturbed = (timeline: Timeline): boolean =>
  staleHits(timeline) === 0 && !kindsOf(timeline).has('tlb-refuse');

test('every scenario of a bare machine runs to its end, and its view ends where the recorder did', () => {
  fc.assert(
    fc.property(bareScenario, (text) => {
      const timeline = timelineOf(text);
      expect(timeline.stop).toBeUndefined();
      timeline.seek(timeline.length);
      expect(timeline.operations.length).toBeGreaterThan(1);
    }),
    { numRuns: RUNS },
  );
});

test('caches that are never stale cannot be noticed: size of the TLB and table caches change no result', () => {
  const other: SettingChoices = { tlb: '4', psc: 'guest' };
  let compared = 0;
  fc.assert(
    fc.property(bareScenario, (text) => {
      const plain = record(planOf(text, { tlb: 'unlimited', psc: 'off' }).program);
      const small = record(planOf(text, other).program);
      if (!isUndisturbed(plain) || !isUndisturbed(small)) return;
      compared += 1;
      expect(seen(small)).toEqual(seen(plain));
    }),
    { numRuns: RUNS },
  );
  expect(compared).toBeGreaterThan(RUNS / 4);
});

test('the same text gives the same journal', () => {
  fc.assert(
    fc.property(bareScenario, (text) => {
      const [a, b] = [timelineOf(text), timelineOf(text)];
      expect(b.length).toBe(a.length);
      a.seek(a.length);
      b.seek(b.length);
      expect(a.world.firstDifference(b.world)).toBeUndefined();
    }),
    { numRuns: Math.ceil(RUNS / 4) },
  );
});
