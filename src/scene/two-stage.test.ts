import { describe, expect, test } from 'vitest';
import { counter } from '../scenario/expectations.ts';
import { timelineOf } from '../testing/scenarios.ts';
import type { StepView, Timeline } from '../timeline/timeline.ts';

const PAGES = `map 0x7f3c5a822000 -> gfn 0x21 rw user
map 0x7f3c5a823000 -> gfn 0x22 rw user`;

const text = (machine: string, body: string, maps = PAGES): string => `mmuscope 1
title A test
machine ${machine}
slot 0x0 4M
${maps}
begin
${body}
`;

const stepsOf = (timeline: Timeline): readonly StepView[] =>
  Array.from({ length: timeline.length - timeline.begin }, (_, at) => timeline.step(timeline.begin + at));

const counts = (timeline: Timeline, ...names: Parameters<typeof counter>[1][]): readonly number[] => {
  timeline.seek(timeline.length);
  return names.map((name) => counter(timeline, name));
};

const LOAD = 'v0 user read 0x7f3c5a822000';

describe('annex 6.1: the 24 references of one load', () => {
  test.each(['vmx-vpid', 'vmx-novpid', 'svm'])('row for row, on %s', (cpu) => {
    const steps = stepsOf(timelineOf(text(`two-stage cpu=${cpu}`, LOAD)));
    const reads = steps
      .filter((step) => step.kind === 'host-entry-read' || step.kind === 'guest-entry-read')
      .map(({ kind, facts }) =>
        kind === 'host-entry-read'
          ? `e${String(facts['level'])} row ${String(facts['row'])}`
          : `G${String(facts['level'])}`,
      );
    const host = (row: number): string[] =>
      [4, 3, 2, 1].map((level) => `e${String(level)} row ${String(row)}`);
    expect(reads).toEqual([
      ...host(0),
      'G4',
      ...host(1),
      'G3',
      ...host(2),
      'G2',
      ...host(3),
      'G1',
      ...host(4),
    ]);
  });

  test('then the fills: a guest-physical entry for each of the five addresses, one combined; A in every entry used', () => {
    const timeline = timelineOf(text('two-stage cpu=vmx-vpid', LOAD));
    timeline.seek(timeline.length);
    const kinds = [...timeline.world.tables.tlb.values()].map((entry) => entry.kind);
    expect(kinds).toEqual([...Array<string>(5).fill('guest-physical'), 'combined']);
    const marks = stepsOf(timeline).filter((step) => step.op === 'cmpxchg');
    const dirty = marks.filter((step) => step.kind === 'host-entry-set-bits' && step.facts['dirty'] === true);
    // Three upper EPT entries once, five EPT leaves, the guest's leaf (map lines mark the entries above it already);
    // D on the leaves of the four guest tables, for reading a guest's table counts as writing it.
    expect(marks).toHaveLength(3 + 5 + 1);
    expect(dirty.map((step) => step.facts['row'])).toEqual([0, 1, 2, 3]);
  });
});

describe('E-1: what caches spare', () => {
  const body = `${LOAD}\n${LOAD}\nv0 user read 0x7f3c5a823000`;
  test.each([
    ['psc=guest', 24 + 0 + 5],
    ['psc=off', 24 + 0 + 4 + 4],
    // Within the cold walk already, the host's tables are known from the second row on.
    ['psc=both', 4 + 4 * 1 + 4 + (0 + 1 + 1)],
  ])('%s: %i references', (setting, refs) => {
    expect(counts(timelineOf(text(`two-stage cpu=vmx-vpid ${setting}`, body)), 'refs', 'tlb_hits')).toEqual([
      refs,
      1,
    ]);
  });
});

/** Tables and page each in a 2 MiB page of their own: frames 0x200, 0x400, 0x600, 0x800, and 0xa00. */
const SPREAD = `mmuscope 1
title Tables far apart
machine two-stage cpu=svm
slot 0x0 32M
entry 0x200000 = 0x400007
entry 0x400000 = 0x600007
entry 0x600000 = 0x800007
entry 0x800000 = 0xa00007
given
  v0 kernel load-cr3 gfn 0x200
begin
v0 user read 0x0
`;

describe('references of one cold load', () => {
  test.each([
    ['4-level', '4K', 24],
    ['5-level', '4K', 29],
    ['4-level', '2M', 19],
    ['5-level', '2M', 24],
  ])('host tables of %s, host pages of %s: %i', (host, pages, refs) => {
    const timeline = timelineOf(SPREAD, { host, 'host-pages': pages });
    expect(counts(timeline, 'refs')).toEqual([refs]);
  });
  test('tables and page in one 2 MiB page: one translation serves all five addresses', () => {
    const timeline = timelineOf(text('two-stage cpu=svm host-pages=2M', LOAD));
    expect(counts(timeline, 'refs', 'spared')).toEqual([3 + 4, 4 * 3]);
  });
});
