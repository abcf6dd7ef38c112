import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { catalogueText, correctSettings, RUNS, scenario, timelineOf } from '../testing/scenarios.ts';
import { alignKinds } from './align.ts';
import { compareRuns } from './compare.ts';

describe('two runs of one text', () => {
  test('zap and update differ in what the fault costs, and the guest sees the same', () => {
    const [a, b] = ['zap', 'update'].map((way) =>
      timelineOf(catalogueText('three-exits'), { 'gpte-write': way }),
    );
    if (a === undefined || b === undefined) return;
    const { differences, totals } = compareRuns(a, b);
    expect(differences.map((difference) => difference.level)).toEqual(['cost', 'steps']);
    expect(differences[0]?.counters).toContainEqual({ counter: 'exits', a: 3, b: 2 });
    expect(totals).toContainEqual({ counter: 'pf_fixed', a: 2, b: 1 });
    const parting = differences[1];
    expect(a.journal.kind((parting?.a ?? 1) - 1)).not.toBe(b.journal.kind((parting?.b ?? 1) - 1));
    expect(a.journal.kind((parting?.a ?? 2) - 2)).toBe(b.journal.kind((parting?.b ?? 2) - 2));
  });
  test('a forgotten flush is seen by the guest: that comes first', () => {
    const text = catalogueText('stale-tlb');
    const { differences } = compareRuns(timelineOf(text), timelineOf(text, { flush: 'never' }));
    expect(differences[0]).toMatchObject({ level: 'visible', operation: '6' });
    expect(differences[0]?.seen?.a?.value).toBe(0xda7a0021n);
    expect(differences[0]?.seen?.b?.value).toBe(0xda7a0020n);
  });
  test('a run compared with itself does not differ, and each position is its own partner', () => {
    fc.assert(
      fc.property(scenario, (text) => {
        const [a, b] = [timelineOf(text), timelineOf(text)];
        const { differences, totals, partner } = compareRuns(a, b);
        expect([differences, totals]).toEqual([[], []]);
        expect([...partner.slice(a.begin)]).toEqual(
          Array.from({ length: a.length + 1 - a.begin }, (_, at) => a.begin + at),
        );
      }),
      { numRuns: Math.ceil(RUNS / 8) },
    );
  });
  test('partners never go back, lie on the other run, and both runs stay where they were', () => {
    fc.assert(
      fc.property(scenario, correctSettings, fc.nat(), (text, choices, place) => {
        const [a, b] = [timelineOf(text), timelineOf(text, choices)];
        a.seek(place % a.length);
        const { partner } = compareRuns(a, b);
        expect(a.position).toBe(place % a.length);
        for (let at = 1; at <= a.length; at += 1) {
          expect(partner[at]).toBeGreaterThanOrEqual(partner[at - 1] ?? 0);
          expect(partner[at]).toBeLessThanOrEqual(b.length);
        }
      }),
      { numRuns: Math.ceil(RUNS / 8) },
    );
  });
});

describe('alignment', () => {
  test.each([
    ['alike', 'abc', 'abc', [0, 1, 2]],
    ['one more in the middle', 'abc', 'axbc', [0, 2, 3]],
    ['one fewer', 'axbc', 'abc', [0, undefined, 1, 2]],
    ['nothing in common', 'ab', 'xy', [undefined, undefined]],
    ['empty', '', 'ab', []],
  ])('%s', (_name, a, b, expected) => {
    expect(alignKinds(a.split(''), b.split(''))).toEqual(expected);
  });
});
