import { describe, expect, test } from 'vitest';
import { levelsOf } from '../core/hardware/x86-format.ts';
import type { Machine } from '../core/machine/machine.ts';
import { stage1Format, stage2Format } from '../core/hardware/arm-format.ts';
import { stage1Of, stage2Of } from '../core/hardware/arm-registers.ts';
import { replayVector, type ArmVector, type WalkVector } from '../core/hardware/vectors.ts';
import { readVectors } from '../cli/walk.ts';
import { must } from '../core/assert.ts';
import { catalogueText, planOf, timelineOf } from '../testing/scenarios.ts';
import { geometryOfRun, timelineFrom, walkRun, type WalkRun } from '../testing/walk-runs.ts';
import { record, type Timeline } from '../timeline/timeline.ts';
import { geometryOf } from './walk-geometry.ts';
import { nextWalk, sizeText, walkGridAt, type WalkCell, type WalkGrid } from './walk-grid.ts';
import type { WalkGeometry } from './walk-record.ts';

const LETTER: Readonly<Record<WalkCell['state'], string>> = {
  'to come': '.',
  read: 'r',
  register: 'R',
  spared: 's',
  'not needed': '-',
  'at fault': 'F',
  'never reached': 'x',
};

/** The grid as letters, a line a row; a capital N stands for the cell of this step. */
const drawn = (grid: WalkGrid): string[] =>
  grid.rows.map((row) => row.cells.map((cell) => LETTER[cell.state]).join(''));
const gridAt = (run: { timeline: Timeline; geometry: WalkGeometry }, position: number): WalkGrid => {
  run.timeline.seek(position);
  return must(walkGridAt(run.timeline, run.geometry), 'a walk');
};
const gridOf = (run: WalkRun): WalkGrid => {
  const made = walkRun(run);
  return gridAt(made, made.timeline.length);
};
const cellsOf = (grid: WalkGrid): WalkCell[] => grid.rows.flatMap((row) => row.cells);

describe('the references of a full walk are (g + 1)(h + 1) - 1', () => {
  test.each<[string, WalkRun, number]>([
    ['4 x 4, nested paging', { guest: '4-level', host: '4-level' }, 24],
    ['4 x 4, EPT', { guest: '4-level', host: 'ept' }, 24],
    ['5 x 5, nested paging', { guest: '5-level', host: '5-level' }, 35],
    ['5 x 5, EPT', { guest: '5-level', host: 'ept-5' }, 35],
    ['3 x 4: a PAE guest whose root is read from memory', { guest: 'pae', host: '4-level' }, 19],
    ['2 x 4', { guest: '2-level', host: '4-level' }, 14],
    ['4 x 3: a PAE host', { guest: '4-level', host: 'pae' }, 19],
    ['4 x 2', { guest: '4-level', host: '2-level' }, 14],
    ['0 x 4: a guest that does not page', { guest: 'nonpaging', host: '4-level' }, 4],
    ['one dimension, 4 levels', { guest: '4-level' }, 4],
    ['one dimension, 5 levels', { guest: '5-level' }, 5],
    ['one dimension, 2 levels', { guest: '2-level' }, 2],
  ])('%s', (_name, run, count) => {
    const grid = gridOf(run);
    expect(grid.fault).toBeUndefined();
    expect(grid.totals).toEqual({
      read: count,
      spared: 0,
      notNeeded: 0,
      full: count,
      met: count,
      metLevels: undefined,
    });
    expect(cellsOf(grid).map((cell) => cell.number)).toEqual(
      Array.from({ length: count }, (_, at) => at + 1),
    );
    expect(cellsOf(grid).every((cell) => cell.state === 'read' && cell.times === 1)).toBe(true);
  });

  test('each reference fills the next cell, and only that one is the present one', () => {
    const run = walkRun({ guest: '4-level', host: '4-level' });
    const { first, end } = run.timeline.call(1 + run.timeline.journal.spanOf(0));
    let read = 0;
    for (let position = first + 1; position <= end; position += 1) {
      const grid = gridAt(run, position);
      if (run.timeline.journal.kind(position - 1).endsWith('-entry-read')) read += 1;
      expect(grid.totals.read).toBe(read);
      expect(cellsOf(grid).map((cell) => cell.state === 'read')).toEqual(
        Array.from({ length: 24 }, (_, at) => at < read),
      );
      expect(grid.now?.number).toBe(read);
      expect(cellsOf(grid).filter((cell) => cell.isNow)).toHaveLength(1);
    }
    expect(read).toBe(24);
  });
});

describe('large pages make columns and rows unnecessary, and no cache is credited for it', () => {
  test.each<[string, WalkRun, string[], WalkGrid['totals']['metLevels'], number]>([
    [
      '2 MiB in the host',
      { guest: '4-level', host: '4-level', hostPage: 21 },
      ['rrr-r', 'rrr-r', 'rrr-r', 'rrr-r', 'rrr-'],
      { guest: 4, host: 3 },
      19,
    ],
    [
      '1 GiB in the host',
      { guest: '4-level', host: '4-level', hostPage: 30 },
      ['rr--r', 'rr--r', 'rr--r', 'rr--r', 'rr--'],
      { guest: 4, host: 2 },
      14,
    ],
    [
      '2 MiB in the guest',
      { guest: '4-level', host: '4-level', guestPage: 21 },
      ['rrrrr', 'rrrrr', 'rrrrr', '-----', 'rrrr'],
      { guest: 3, host: 4 },
      19,
    ],
    [
      '2 MiB in both',
      { guest: '4-level', host: '4-level', guestPage: 21, hostPage: 21 },
      ['rrr-r', 'rrr-r', 'rrr-r', '-----', 'rrr-'],
      { guest: 3, host: 3 },
      15,
    ],
    [
      '2 MiB in one dimension',
      { guest: '4-level', guestPage: 21 },
      ['r', 'r', 'r', '-'],
      { guest: 3, host: 0 },
      3,
    ],
    [
      '1 GiB in one dimension',
      { guest: '4-level', guestPage: 30 },
      ['r', 'r', '-', '-'],
      { guest: 2, host: 0 },
      2,
    ],
    [
      'no guest paging, 2 MiB in the host',
      { guest: 'nonpaging', host: '4-level', hostPage: 21 },
      ['rrr-'],
      { guest: 0, host: 3 },
      3,
    ],
  ])('%s', (_name, run, lines, metLevels, met) => {
    const grid = gridOf(run);
    expect(drawn(grid)).toEqual(lines);
    expect(grid.totals).toMatchObject({ read: met, met, metLevels, notNeeded: grid.totals.full - met });
  });

  test('the cell says which size made it unnecessary, from the step that read the leaf on', () => {
    const run = walkRun({ guest: '4-level', host: '4-level', hostPage: 21 });
    const last = must(gridAt(run, run.timeline.length).rows[0]?.cells[3], 'the PT of the first row');
    expect(last.because).toEqual({ kind: 'large page', bits: 21 });
    const leaf = must(last.position, 'a position');
    expect(gridAt(run, leaf).rows[0]?.cells[3]?.state).toBe('not needed');
    expect(gridAt(run, leaf - 1).rows[0]?.cells[3]?.state).toBe('to come');
    expect(gridAt(run, leaf).now?.id).toBe('0.2');
  });

  test('root entries in registers cost no reference, nor does finding them', () => {
    const grid = gridOf({ guest: 'pae', host: '4-level', pdptrs: true });
    expect(drawn(grid)).toEqual(['----R', 'rrrrr', 'rrrrr', 'rrrr']);
    expect(grid.totals).toMatchObject({
      read: 14,
      full: 19,
      notNeeded: 5,
      met: 14,
      metLevels: { guest: 2, host: 4 },
    });
    expect(grid.rows[0]?.cells[0]?.because).toEqual({ kind: 'register' });
  });
});

describe('faults end the walk', () => {
  test('an absent entry of the host: the cell is at fault, the rest is never reached', () => {
    const run = walkRun({
      guest: '4-level',
      host: '4-level',
      damage: ({ host }) => {
        host?.put(host.entry(0x10_1000n, 1), 0n);
      },
    });
    const grid = gridAt(run, run.timeline.length);
    expect(drawn(grid)).toEqual(['rrrrr', 'rrrFx', 'xxxxx', 'xxxxx', 'xxxx']);
    expect(grid.now?.id).toBe('1.3');
    expect(grid.fault).toContain('nested page fault');
    expect(grid.rows[1]?.cells[3]?.reading?.isEmpty).toBe(true);
    const before = gridAt(run, run.timeline.length - 1);
    expect(drawn(before)).toEqual(['rrrrr', 'rrrr.', '.....', '.....', '....']);
    expect(before.fault).toBeUndefined();
  });
  test('an absent entry of the guest: its own page fault', () => {
    const grid = gridOf({
      guest: '4-level',
      host: '4-level',
      hostPage: 21,
      damage: ({ guest }) => {
        guest.put(guest.entry(0x7f3c_5a82_3010n, 2), 0n);
      },
    });
    expect(drawn(grid)).toEqual(['rrr-r', 'rrr-r', 'rrr-F', 'xxxxx', 'xxxx']);
    expect(grid.fault).toContain('Page fault');
    expect(grid.totals).toMatchObject({ read: 12, metLevels: undefined });
  });
  test('the mark that the guest needs may not be written: the fault is at the entry of the host that says so', () => {
    const grid = gridOf({
      guest: '4-level',
      host: 'ept',
      damage: ({ host }) => {
        host?.put(host.entry(0x10_0000n, 1), 0x5_8010_0000n | 0x35n);
      },
    });
    expect(drawn(grid)).toEqual(['rrrFr', 'xxxxx', 'xxxxx', 'xxxxx', 'xxxx']);
    expect(grid.fault).toContain('EPT violation');
  });
  test('an address that is not canonical: nothing is read', () => {
    const grid = gridOf({ guest: '4-level', gva: 0x8000_0000_0000n });
    expect(drawn(grid)).toEqual(['x', 'x', 'x', 'x']);
    expect(grid.totals.read).toBe(0);
    expect(grid.fault).toContain('not canonical');
  });
});

const LEVELS = levelsOf('4-level');
const SQUARE: WalkGeometry = { guest: LEVELS, host: LEVELS };
const HOST = [4, 3, 2, 1] as const;

/** Steps of a walk as they would be recorded, by hand. */
const hand = (walk: (m: Machine) => void): { timeline: Timeline; geometry: WalkGeometry } => ({
  timeline: timelineFrom([
    (m) => {
      m.step('setup-memory', { gfn: 0 });
    },
    (m) => {
      m.call('page walk', { gva: 0x1000n, access: 'read' }, () => {
        walk(m);
      });
      m.step('tlb-fill', { serial: 1, pfn: 1, writable: true });
    },
  ]),
  geometry: SQUARE,
});
const hostRead = (m: Machine, row: number, levels: readonly number[] = HOST): void => {
  for (const level of levels)
    m.step('host-entry-read', { row, level, index: 0, entry: 1n, gpa: BigInt(row) << 12n }, [
      row * 8 + level,
    ]);
};
const guestRead = (m: Machine, level: number): void => {
  m.step('guest-entry-read', { level, index: 0, entry: 1n, address: BigInt(4 - level) << 12n }, [
    900 + level,
  ]);
};
const spare = (
  m: Machine,
  facts: { dimension: 'guest' | 'host'; row: number; level: number; count: number; refs: number },
): void => {
  m.step('walk-spared', {
    ...facts,
    stale: false,
    by: facts.dimension === 'guest' ? 'a paging-structure cache' : 'the nested TLB',
  });
};

describe('what a cache spares', () => {
  test('rows of the guest, and the way to the table at which the walk goes on', () => {
    const run = hand((m) => {
      spare(m, { dimension: 'guest', row: 3, level: 1, count: 3, refs: 19 });
      guestRead(m, 1);
      hostRead(m, 4);
    });
    const grid = gridAt(run, run.timeline.length - 1);
    expect(drawn(grid)).toEqual(['sssss', 'sssss', 'sssss', 'ssssr', 'rrrr']);
    expect(grid.totals).toMatchObject({ read: 5, spared: 19, full: 24 });
    expect(grid.rows[0]?.cells[0]?.by).toBe('a paging-structure cache');
    expect(grid.rows.map((row) => row.read)).toEqual([0, 0, 0, 1, 4]);
  });
  test('columns of the host, from the left, in one row', () => {
    const run = hand((m) => {
      hostRead(m, 0);
      guestRead(m, 4);
      spare(m, { dimension: 'host', row: 1, level: 1, count: 3, refs: 3 });
      hostRead(m, 1, [1]);
      guestRead(m, 3);
      spare(m, { dimension: 'host', row: 2, level: 0, count: 4, refs: 4 });
      guestRead(m, 2);
      hostRead(m, 3);
      guestRead(m, 1);
      hostRead(m, 4);
    });
    const grid = gridAt(run, run.timeline.length);
    expect(drawn(grid)).toEqual(['rrrrr', 'sssrr', 'ssssr', 'rrrrr', 'rrrr']);
    expect(grid.totals).toMatchObject({ read: 17, spared: 7, notNeeded: 0, met: 24 });
    expect(grid.isOver).toBe(true);
    expect(grid.now).toBeUndefined();
  });
  test('a spared column before a large leaf: one is spared, the other not needed', () => {
    const run = hand((m) => {
      spare(m, { dimension: 'host', row: 0, level: 2, count: 2, refs: 2 });
      hostRead(m, 0, [2]);
      guestRead(m, 4);
    });
    expect(drawn(gridAt(run, run.timeline.length - 1))[0]).toBe('ssr-r');
  });
  test('an entry that is read again counts as a reference of its cell', () => {
    const run = hand((m) => {
      hostRead(m, 0);
      guestRead(m, 4);
      hostRead(m, 0);
      m.step('guest-entry-set-bits', { level: 4, dirty: false });
      hostRead(m, 1);
    });
    const grid = gridAt(run, run.timeline.length - 1);
    expect(grid.totals.read).toBe(13);
    expect(grid.rows[0]?.cells[0]?.times).toBe(2);
    expect(grid.rows[0]?.cells[4]).toMatchObject({ marked: 'accessed', times: 1 });
  });
});

describe('what a cell says', () => {
  const run = walkRun({ guest: '4-level', host: '4-level', access: 'write' });
  const grid = gridAt(run, run.timeline.length);
  test('index, formula, place, what it names', () => {
    expect(grid.rows[0]?.cells[4]?.reading).toMatchObject({
      index: '0fe',
      formula: '0x100000 + 0x0fe × 8',
      gpa: '0x1007f0',
      names: '101',
      isEmpty: false,
    });
    expect(grid.rows[0]?.cells[0]?.reading).toMatchObject({
      index: '000',
      formula: '0x40000 + 0x000 × 8',
      address: '0x40000',
      names: '41',
    });
  });
  test('the rows know where their tables lie as soon as the entry before them has been read', () => {
    expect(grid.rows.map((row) => row.gpa)).toEqual([
      '0x100000',
      '0x101000',
      '0x102000',
      '0x103000',
      '0x40000010',
    ]);
    const first = must(grid.rows[0]?.cells[4]?.position, 'a position');
    expect(gridAt(run, first).rows.map((row) => row.gpa)).toEqual([
      '0x100000',
      '0x101000',
      undefined,
      undefined,
      undefined,
    ]);
    expect(gridAt(run, first - 1).rows[1]?.gpa).toBeUndefined();
  });
  test('marks that the walk set', () => {
    expect(grid.rows[0]?.cells[4]?.marked).toBe('accessed');
    expect(grid.rows[3]?.cells[4]?.marked).toBe('dirty');
    expect(grid.rows[4]?.cells[3]?.marked).toBe('dirty');
  });
  test('the row on the stage that shows the same entry is the one that is selected', () => {
    const cell = must(grid.rows[2]?.cells[1], 'a cell');
    run.timeline.seek(run.timeline.length);
    const marked = must(walkGridAt(run.timeline, run.geometry, cell.row), 'a grid');
    expect(cellsOf(marked).some((candidate) => candidate.id === cell.id && candidate.isSelected)).toBe(true);
  });
  test('4-byte entries', () => {
    const narrow = gridOf({ guest: '2-level', host: '4-level' });
    expect(narrow.rows[0]?.cells[4]?.reading?.formula).toBe('0x100000 + 0x16a × 4');
  });
});

describe('which walk is shown', () => {
  const run = walkRun({ guest: '4-level', host: '4-level', walks: 2 });
  const { timeline } = run;
  test('none before the first, the latest of the operation after it, the next one in its own operation', () => {
    timeline.seek(1);
    expect(walkGridAt(timeline, run.geometry)).toBeUndefined();
    const first = must(nextWalk(timeline), 'a walk');
    const one = gridAt(run, first);
    expect(one.totals.read).toBe(1);
    const second = must(timeline.operations[2], 'the second walk').firstStep + 1;
    expect(gridAt(run, second - 1).id).toBe(one.id);
    expect(gridAt(run, second).id).not.toBe(one.id);
  });
  test.each([
    ['quadrants', {}],
    ['quadrants', { machine: 'kvm-shadow', era: '6.12', cpu: 'svm' }],
    ['paging-begins', {}],
    ['paging-begins', { guest: 'pae' }],
    ['paging-begins', { machine: 'kvm-shadow', era: '6.1', cpu: 'svm' }],
  ])('the shadow of a 32-bit guest is walked in three levels: %s %o', (id, settings) => {
    const run = record(planOf(catalogueText(id), settings).program);
    let walks = 0;
    for (let position = run.begin; position <= run.length; position += 1) {
      run.seek(position);
      const grid = walkGridAt(run, geometryOf(run));
      if (grid === undefined) continue;
      walks += 1;
      expect(grid.rows.map((row) => row.table)).toEqual(['shadow PDPT', 'shadow PD', 'shadow PT']);
    }
    expect(walks).toBeGreaterThan(0);
  });
  test('in a run of today, the walks over shadow tables: one dimension, four references or a fault', () => {
    const today = timelineOf(catalogueText('three-exits'));
    const geometry = geometryOf(today);
    let walks = 0;
    for (let position = today.begin; position <= today.length; position += 1) {
      today.seek(position);
      const grid = walkGridAt(today, geometry);
      if (grid === undefined) continue;
      walks += 1;
      expect(grid).toMatchObject({ dimensions: 'one', owner: 'host' });
      expect(grid.rows.map((row) => row.table)).toEqual([
        'shadow PML4',
        'shadow PDPT',
        'shadow PD',
        'shadow PT',
      ]);
      expect(grid.totals.full).toBe(4);
    }
    expect(walks).toBeGreaterThan(0);
  });
});

describe('every recorded walk of an independent MMU has its grid', () => {
  const x86 = (guest: WalkRun['guest']) => (): WalkGeometry => geometryOfRun({ guest, host: '4-level' });
  const arm = (vector: WalkVector): WalkGeometry => {
    const { tcr, ttbr0, sctlr, vtcr, vttbr } = vector as ArmVector;
    const stage1 = stage1Of({ tcr: BigInt(tcr), ttbr0: BigInt(ttbr0), sctlr: BigInt(sctlr) });
    const stage2 = stage2Of({ vtcr: BigInt(vtcr), vttbr: BigInt(vttbr) });
    return {
      guest: stage1 === undefined ? [] : stage1Format(stage1.format).levels,
      host: stage2Format(stage2.format).levels,
    };
  };
  test.each<[string, (vector: WalkVector) => WalkGeometry]>([
    ['npt-off', x86('nonpaging')],
    ['npt-2level', x86('2-level')],
    ['npt-pae', x86('pae')],
    ['npt-4level', x86('4-level')],
    ['npt-5level', x86('5-level')],
    ['arm-s2', arm],
    ['arm-s1s2', arm],
  ])('%s: as many references as steps that read, no place left open, a fault has its reason', (name, of) => {
    const vectors = readVectors(`src/testing/vectors/${name}.jsonl.gz`).filter((_, at) => at % 7 === 0);
    for (const vector of vectors) {
      const timeline = timelineFrom([
        (m) => {
          m.step('setup-memory', { gfn: 0 });
        },
        (m) => {
          replayVector(m, vector);
        },
      ]);
      const { journal } = timeline;
      const kinds = Array.from({ length: timeline.length }, (_, step) => journal.kind(step));
      const grid = gridAt({ timeline, geometry: of(vector) }, timeline.length);
      const cells = cellsOf(grid);
      const reads = kinds.filter((kind) => kind.endsWith('-entry-read')).length;
      expect(grid.totals.read).toBe(reads);
      expect(cells.reduce((sum, cell) => sum + cell.times, 0)).toBe(reads);
      expect(cells.filter((cell) => cell.state === 'to come')).toEqual([]);
      expect(grid.fault === undefined).toBe(vector.out.t === 'ok');
      expect(
        cells.filter((cell) => cell.state === 'never reached').length > 0 && grid.fault === undefined,
      ).toBe(false);
    }
  });
});

test('geometry without readers: the raw entries, and the same places', () => {
  const run = walkRun({ guest: '4-level', host: '4-level' });
  const { guest, host } = geometryOfRun({ guest: '4-level', host: '4-level' });
  const bare = gridAt({ ...run, geometry: { guest, host } }, run.timeline.length);
  expect(bare.totals.read).toBe(24);
  expect(bare.rows[0]?.cells[0]?.reading?.names).toBeUndefined();
});

test.each([
  [12, '4 KiB'],
  [16, '64 KiB'],
  [21, '2 MiB'],
  [22, '4 MiB'],
  [29, '512 MiB'],
  [30, '1 GiB'],
  [39, '512 GiB'],
])('2^%i bytes are %s', (bits, text) => {
  expect(sizeText(bits)).toBe(text);
});
