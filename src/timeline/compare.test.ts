import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { catalogueText, correctSettings, RUNS, scenario, timelineOf } from '../testing/scenarios.ts';
import { alignRuns, matchKeys } from './align.ts';
import { compareRuns, LEVELS } from './compare.ts';
import { nextPlace } from './navigate.ts';
import { seenApart } from './seen.ts';

const settings = { numRuns: Math.ceil(RUNS / 8) };

/** One guest that a shadow MMU, the bare processor and nested paging can all run. */
const ANYWHERE = `mmuscope 1
machine kvm-2007 cpu=vmx-novpid
slot 0x0 64M
map 0x400000 -> gfn 0x20 rw user accessed dirty
map 0x401000 -> gfn 0x21 ro user accessed dirty
begin
v0 user read 0x400000
v0 user write 0x401000 = 1
v0 user read 0x400000`;

describe('two runs of one text', () => {
  test('zap and update differ in what the fault costs, and the guest sees the same', () => {
    const [a, b] = [
      timelineOf(catalogueText('three-exits'), { 'gpte-write': 'zap' }),
      timelineOf(catalogueText('three-exits'), { 'gpte-write': 'update' }),
    ];
    const { differences, totals, axis } = compareRuns(a, b);
    expect(differences.map((difference) => difference.level)).toEqual(['cost', 'steps']);
    const cost = differences[0]?.level === 'cost' ? differences[0].counters : [];
    expect(cost).toContainEqual({ counter: 'exits', a: 3, b: 2 });
    expect(totals).toContainEqual({ counter: 'pf_fixed', a: 2, b: 1 });
    const parting = differences[1]?.place ?? 0;
    const moved = (side: Int32Array, place: number): boolean => side[place] !== side[place - 1];
    expect([moved(axis.a, parting - 1), moved(axis.b, parting - 1)]).toEqual([true, true]);
    expect(moved(axis.a, parting)).not.toBe(moved(axis.b, parting));
  });
  test('a forgotten flush is seen by the guest: that comes first', () => {
    const text = catalogueText('stale-tlb');
    const { differences } = compareRuns(timelineOf(text), timelineOf(text, { flush: 'never' }));
    expect(differences[0]).toMatchObject({
      level: 'visible',
      operation: '6',
      parts: ['value'],
      seen: { a: { result: { value: 0xda7a0021n } }, b: { result: { value: 0xda7a0020n } } },
    });
  });
  test.each([
    ['kvm-2007', 'native', false],
    ['kvm-2007', 'two-stage', false],
    ['native', 'two-stage', true],
  ])('%s against %s: the guest sees the same, the costs differ', (mine, theirs, sameEngine) => {
    const compared = compareRuns(
      timelineOf(ANYWHERE, { machine: mine }),
      timelineOf(ANYWHERE, { machine: theirs }),
    );
    const levels = new Set(compared.differences.map(({ level }) => level));
    expect(compared.sameEngine).toBe(sameEngine);
    expect([levels.has('visible'), levels.has('cost'), levels.has('steps')]).toEqual([
      false,
      true,
      sameEngine,
    ]);
  });
  test('a run that ends early is said once, with the number of operations that it lacks', () => {
    const text = `${ANYWHERE}\nflip shadow 0x400000 level=1 bit=52\nv0 kernel load-cr3 main\nv0 cpuid\nv0 cpuid`;
    const whole = timelineOf(text);
    const cut = timelineOf(text);
    const shorter = Object.create(cut, {
      operations: { value: cut.operations.slice(0, -3) },
      stop: { value: { kind: 'host-stopped', message: 'cut' } },
    }) as typeof cut;
    const { differences } = compareRuns(whole, shorter);
    expect(differences).toMatchObject([
      { level: 'visible', operation: '4', more: 0 },
      { level: 'visible', parts: ['reached'], operation: '5', more: 2 },
    ]);
  });
  test('a run compared with itself does not differ, and the axis is its own positions', () => {
    fc.assert(
      fc.property(scenario, (text) => {
        const [a, b] = [timelineOf(text), timelineOf(text)];
        const { differences, totals, axis, places } = compareRuns(a, b);
        expect([differences, totals, places.length, axis.coarse]).toEqual([[], [], 0, 0]);
        const all = Array.from({ length: a.length + 1 }, (_, at) => at);
        for (const side of [axis.a, axis.b, axis.ofA, axis.ofB]) expect([...side]).toEqual(all);
      }),
      settings,
    );
  });
  test('no place of the axis goes back, each takes one step of a run or of both, and both runs stay where they were', () => {
    fc.assert(
      fc.property(scenario, correctSettings, fc.nat(), (text, choices, at) => {
        const [a, b] = [timelineOf(text), timelineOf(text, choices)];
        a.seek(at % a.length);
        const { axis } = compareRuns(a, b);
        expect([a.position, b.position]).toEqual([at % a.length, b.length]);
        for (let place = 1; place < axis.a.length; place += 1) {
          const moved = [axis.a, axis.b].map((side) => (side[place] ?? 0) - (side[place - 1] ?? 0));
          expect(['1,0', '0,1', '1,1']).toContain(moved.join(','));
          const both = moved[0] === 1 && moved[1] === 1;
          if (both)
            expect(a.journal.kind((axis.a[place] ?? 0) - 1)).toBe(b.journal.kind((axis.b[place] ?? 0) - 1));
        }
        expect([axis.a.at(-1), axis.b.at(-1)]).toEqual([a.length, b.length]);
        for (let position = 1; position <= a.length; position += 1) {
          const place = axis.ofA[position] ?? 0;
          expect([axis.a[place], axis.a[place - 1]]).toEqual([position, position - 1]);
        }
      }),
      settings,
    );
  });
  test('swapping the sides negates every difference of counters, and keeps what the guest saw', () => {
    fc.assert(
      fc.property(scenario, correctSettings, (text, choices) => {
        const [a, b] = [timelineOf(text), timelineOf(text, choices)];
        const [forth, back] = [compareRuns(a, b), compareRuns(b, a)];
        expect(back.totals.map(({ counter, a: x, b: y }) => [counter, y - x])).toEqual(
          forth.totals.map(({ counter, a: x, b: y }) => [counter, x - y]),
        );
        const costs = (of: typeof forth) =>
          of.differences.flatMap((found) => (found.level === 'cost' ? found.counters : []));
        expect(costs(back)).toEqual(costs(forth).map((one) => ({ ...one, a: one.b, b: one.a })));
        const seen = (of: typeof forth) => of.differences.filter((found) => found.level === 'visible');
        expect(seen(back).map(({ operation }) => operation)).toEqual(
          seen(forth).map(({ operation }) => operation),
        );
      }),
      settings,
    );
  });
  test('differences are ordered by level, and each lies on the axis where it says', () => {
    fc.assert(
      fc.property(scenario, correctSettings, (text, choices) => {
        const { differences, axis, places } = compareRuns(timelineOf(text), timelineOf(text, choices));
        const ranks = differences.map(({ level }) => LEVELS.indexOf(level));
        expect(ranks).toEqual([...ranks].sort());
        for (const { place, a, b } of differences) {
          expect([axis.a[place], axis.b[place]]).toEqual([a, b]);
          expect(places).toContain(place);
        }
      }),
      settings,
    );
  });
});

describe('alignment', () => {
  const keys = (text: string): number[] => text.split('').map((letter) => letter.charCodeAt(0));
  test.each([
    ['alike', 'abc', 'abc', '00 11 22'],
    ['one more in the middle', 'abc', 'axbc', '00 12 23'],
    ['one fewer', 'axbc', 'abc', '00 21 32'],
    ['nothing in common', 'ab', 'xy', ''],
    ['empty', '', 'ab', ''],
    ['moved', 'abcd', 'acbd', '00 21 33'],
  ])('%s, exact and looking ahead', (_name, a, b, expected) => {
    for (const how of ['exact', 'coarse'] as const)
      expect(
        matchKeys(keys(a), keys(b), how)
          .map(([i, j]) => `${String(i)}${String(j)}`)
          .join(' '),
      ).toBe(expected);
  });
  test('pairs grow on both sides and are alike; the exact way finds no fewer than looking ahead', () => {
    const letters = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 60 });
    fc.assert(
      fc.property(letters, letters, (a, b) => {
        const found = (['exact', 'coarse'] as const).map((how) => {
          const pairs = matchKeys(a, b, how);
          pairs.forEach(([i, j], at) => {
            expect(a[i]).toBe(b[j]);
            expect(i).toBeGreaterThan(pairs[at - 1]?.[0] ?? -1);
            expect(j).toBeGreaterThan(pairs[at - 1]?.[1] ?? -1);
          });
          return pairs.length;
        });
        expect(found[0]).toBeGreaterThanOrEqual(found[1] ?? 0);
      }),
    );
  });
  test('an exit that one run lacks is left out whole: what follows it belongs together again', () => {
    const text = catalogueText('three-exits');
    const [a, b] = [timelineOf(text, { 'gpte-write': 'zap' }), timelineOf(text, { 'gpte-write': 'update' })];
    const axis = alignRuns(a, b);
    const alone = Array.from({ length: axis.a.length - 1 }, (_, at) => at + 1).filter(
      (place) => axis.a[place] !== axis.a[place - 1] && axis.b[place] === axis.b[place - 1],
    );
    const exits = alone.filter((place) => a.journal.kind((axis.a[place] ?? 1) - 1) === 'vm-exit');
    expect(exits.length).toBe(1);
  });
});

describe('what a guest sees', () => {
  const fault = (gva: bigint, errorCode: number) => ({ gva, errorCode });
  test.each([
    [
      'the same value',
      { completed: true, value: 1n, faults: [] },
      { completed: true, value: 1n, faults: [] },
      '',
    ],
    [
      'a value',
      { completed: true, value: 1n, faults: [] },
      { completed: true, value: 2n, faults: [] },
      'value',
    ],
    ['a fault', { completed: true, faults: [fault(1n, 2)] }, { completed: true, faults: [] }, 'fault'],
    [
      'where',
      { completed: true, faults: [fault(1n, 2)] },
      { completed: true, faults: [fault(2n, 2)] },
      'fault',
    ],
    [
      'a code',
      { completed: true, faults: [fault(1n, 2)] },
      { completed: true, faults: [fault(1n, 6)] },
      'error code',
    ],
    ['the end', { completed: true, faults: [] }, { completed: false, faults: [] }, 'end'],
  ])('%s', (_name, a, b, parts) => {
    expect(seenApart({ protection: false, result: a }, { protection: false, result: b }).join()).toBe(parts);
  });
  test('an operation that a run does not reach, and a protection fault', () => {
    expect(seenApart({ protection: false }, undefined)).toEqual(['reached']);
    expect(seenApart({ protection: false }, { protection: true })).toEqual(['fault']);
    expect(seenApart(undefined, undefined)).toEqual([]);
  });
});

test.each([
  [0, 1, 3],
  [3, 1, 7],
  [9, 1, undefined],
  [9, -1, 7],
  [3, -1, undefined],
  [4, -1, 3],
] as const)('from %i in direction %i the nearest of 3, 7 is %s', (from, direction, expected) => {
  expect(nextPlace(Int32Array.of(3, 7), from, direction)).toBe(expected);
});
