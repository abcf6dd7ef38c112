/** INV-11, INV-12 and the point `free`: each holds where it should, and is found broken where something breaks it. */
import { describe, expect, test } from 'vitest';
import type { SettingChoices } from '../../scenario/ast.ts';
import { timelineOf } from '../../testing/scenarios.ts';
import type { Timeline } from '../../timeline/timeline.ts';
import { roleOf } from '../kvm/role-2007.ts';
import { isMmio, linkSpte } from '../kvm/spte-2007.ts';
import type { Violation } from '../machine/tables.ts';
import { World } from '../machine/world.ts';
import { gfn, spte, wordOf } from '../quantities.ts';
import { must } from '../assert.ts';
import { originOf } from './origin.ts';
import { scanFreed } from './freed.ts';
import { scan } from './scan.ts';

const ERAS = ['2006', '2007a', '2007b', '2007c'] as const;
const HEAD = `mmuscope 1
machine kvm-2007 cpu=svm
slot 0x0 16M
map 0x400000 -> gfn 0x40 rw user accessed dirty
map 0x401000 -> gfn 0x41 rw user accessed dirty
map 0x402000 -> gfn 0x42 rw user accessed dirty
`;
const TWO = 'mmuscope 1\nmachine kvm-2007 era=2007c cpu=svm vcpus=2\n' + HEAD.split('\n').slice(2).join('\n');

const violations = ({ world }: Timeline): readonly Violation[] => [...world.tables.violation.values()];
const found = (text: string, settings: SettingChoices = {}): readonly string[] =>
  violations(timelineOf(text, settings)).map(({ rule, bug }) => `${rule} ${bug ?? ''}`.trim());

describe('INV-11: shadow leaves lead into slots', () => {
  test.each(ERAS)('an entry that marks device memory is no leaf that maps anything: %s', (era) => {
    const timeline = timelineOf(
      `${HEAD}map 0x500000 -> gfn 0xfee00 rw kernel accessed dirty\nbegin\nv0 kernel read 0x500000`,
      { era },
    );
    const { world } = timeline;
    const marked = [...world.tables.sp.values()]
      .flatMap((page) => world.wordsOfShadowFrame(page.pfn))
      .filter((word) => isMmio(spte(world.word(word))));
    expect(marked).toHaveLength(1);
    expect(violations(timeline)).toEqual([]);
  });

  test.each([
    ['behind the last slot', 24],
    ["in the hypervisor's own memory", 29],
  ])('a leaf that comes to lead %s breaks it', (_where, bit) => {
    const text = `${HEAD}begin\nv0 user write 0x400000 = 1\nflip shadow 0x400000 level=1 bit=${String(bit)}`;
    expect(found(text)).toContain('INV-11 flip');
    expect(violations(timelineOf(text)).find(({ rule }) => rule === 'INV-11')).toMatchObject({ point: 'op' });
  });

  test('a leaf that comes to lead to another frame of the slot does not', () => {
    const text = `${HEAD}begin\nv0 user write 0x400000 = 1\nflip shadow 0x400000 level=1 bit=12`;
    expect(found(text)).not.toContain('INV-11 flip');
  });
});

/** vCPU 1 writes two pages while user space fetches the log: one that is in it already, and one that is not. */
const HARVEST = (page: string): string => `${TWO}given
  v1 user write 0x400000 = 1
  v1 user read 0x402000
begin
host log slot=0 on
v1 user write 0x400000 = 2
host fetch-log slot=0
  at kvm_vm_ioctl_get_dirty_log/before-clear: v1 user write ${page} = 3
v1 user write ${page} = 4
host fetch-log slot=0`;

const logs = (timeline: Timeline): readonly (readonly number[])[] =>
  timeline.operations.flatMap(({ dirty }) => (dirty === undefined ? [] : [dirty]));

describe('INV-12: the dirty log tells the truth', () => {
  test.each(['0x400000', '0x402000'])(
    'a writer during the fetch waits for the lock, and its write is in the next log: %s',
    (page) => {
      const timeline = timelineOf(HARVEST(page));
      expect(violations(timeline)).toEqual([]);
      expect(logs(timeline)[1]).toContain(page === '0x400000' ? 0x40 : 0x42);
    },
  );

  test('E-B4: with the log cleared after the lock is free, the write is lost', () => {
    const timeline = timelineOf(HARVEST('0x402000'), { break: 'E-B4' });
    const [first] = violations(timeline);
    expect(first).toMatchObject({ rule: 'INV-12', bug: 'E-B4' });
    expect(timeline.step(must(first, 'a violation').cause).kind).toBe('log-clear');
    // Nobody ever hears of either write: the frame was in no log, and its leaf is writable.
    expect(logs(timeline).flat()).not.toContain(0x42);
    expect(new Set(violations(timeline).map(({ rule }) => rule))).toEqual(new Set(['INV-12']));
    expect(originOf('E-B4', timeline.program.settings)).toMatchObject({ kind: 'break', id: 'E-B4' });
  });

  test('E-B4: a page of the log that is written again before the bits are cleared is writable without a bit', () => {
    const timeline = timelineOf(HARVEST('0x400000'), { break: 'E-B4' });
    const subjects = violations(timeline).map(({ subject }) => subject.split(':')[0]);
    expect(subjects).toContain('word');
    expect(logs(timeline)).toEqual([[0x40], []]);
  });

  test('E-B4 alone does no harm: without another vCPU nobody writes in between', () => {
    const text = HARVEST('0x402000')
      .replace(' vcpus=2', '')
      .split('\n')
      .filter((line) => !line.includes('before-clear'))
      .join('\n')
      .replaceAll('v1', 'v0');
    expect(found(text, { break: 'E-B4' })).toEqual([]);
  });

  test('with a local flush another vCPU writes on through its TLB, and the log does not hear of it', () => {
    const text = `${TWO}begin
host log slot=0 on
v1 user write 0x401000 = 1
host fetch-log slot=0
v1 user write 0x401000 = 2
host fetch-log slot=0`;
    expect(found(text)).toEqual([]);
    const broken = timelineOf(text, { 'flush-reach': 'local' });
    expect(found(text, { 'flush-reach': 'local' })).toContain('INV-12 B-B2');
    expect(violations(broken).find(({ rule }) => rule === 'INV-12')).toMatchObject({ subject: 'written:65' });
    expect(logs(broken)[1]).not.toContain(0x41);
  });

  test('a frame that is changed from outside is not in the log', () => {
    const text = `${HEAD}begin\nhost log slot=0 on\nflip 0x41000 bit=0`;
    expect(found(text)).toEqual(['INV-12 flip']);
  });

  test('a fetch of the log, or its end, mends what can be mended', () => {
    const text = `${HEAD}begin\nhost log slot=0 on\nflip 0x41000 bit=0\nhost log slot=0 off`;
    expect(violations(timelineOf(text))).toMatchObject([{ rule: 'INV-12', mended: true }]);
  });

  test.each(ERAS)(
    'what was written before a log began, or after it ended, is nobody’s business: %s',
    (era) => {
      const text = `${HEAD}begin
v0 user write 0x400000 = 1
host log slot=0 on
host log slot=0 off
v0 user write 0x400000 = 2
host log slot=0 on`;
      const timeline = timelineOf(text, { era });
      expect(timeline.world.tables.written.size).toBe(0);
      expect(violations(timeline)).toEqual([]);
    },
  );
});

describe('before a frame goes back to the pool', () => {
  /** vCPU 1 may write the page through a table that vCPU 0 makes an ordinary page. */
  const FREED = `${TWO.replace('map 0x402000', 'map 0x600000')}map 0x800000 -> table-of 0x600000 rw user accessed dirty
given
  v1 user write 0x600000 = 1
begin
v0 user write 0x800008 = 0`;

  test('every processor has dropped what it took from there', () => {
    expect(found(FREED)).toEqual([]);
  });

  test('with a local flush another still uses an entry made of it', () => {
    const [first] = violations(timelineOf(FREED, { 'flush-reach': 'local' }));
    expect(first).toMatchObject({ rule: 'INV-6', point: 'free', bug: 'B-B2' });
  });

  test('with a flush that nobody waits for, too', () => {
    const timeline = timelineOf(FREED, { break: 'B-B1' });
    expect(violations(timeline)).toMatchObject([{ rule: 'INV-6', point: 'free', bug: 'B-B1' }]);
    expect(originOf('B-B1', timeline.program.settings)).toMatchObject({ kind: 'break', id: 'B-B1' });
  });

  const { world } = timelineOf(`${HEAD}begin\nv0 user write 0x400000 = 1`);
  const [leaves] = [...world.tables.sp.values()].filter(({ gfn: frame, role }) => {
    const { level, metaphysical } = roleOf(role);
    return level === 1 && !metaphysical && frame === gfn(0x13);
  });
  const table = must(leaves, 'a shadow page of level 1');
  const root = must(world.get('sp', Number(world.get('reg', '0.root_serial') ?? 0n)), 'a root');

  test('no entry links to it any more, and no reverse map lists an entry in it', () => {
    const rules = scanFreed(world, table.pfn).map(({ rule }) => rule);
    expect(rules.sort()).toEqual(['INV-2', 'INV-4']);
    const copy = new World(world);
    for (const word of world.wordsOfShadowFrame(table.pfn)) copy.put('word', word, 0n);
    for (const page of world.tables.sp.values())
      for (const word of world.wordsOfShadowFrame(page.pfn))
        if (world.word(word) === linkSpte(table.pfn)) copy.put('word', word, 0n);
    copy.tables.rmap.clear();
    expect(scanFreed(copy, table.pfn)).toEqual([]);
  });

  test('no vCPU uses it as a root', () => {
    expect(scanFreed(world, root.pfn)).toMatchObject([
      { rule: 'INV-5', subject: `sp:${String(root.serial)}` },
    ]);
    const gone = new World(world);
    gone.put('sp', root.serial, undefined);
    expect(scan(gone).map(({ rule }) => rule)).toContain('INV-5');
  });

  test('INV-4, both ways: a link that the page does not know, and a parent that does not link', () => {
    const links = (change: (copy: World) => void): readonly string[] => {
      const copy = new World(world);
      change(copy);
      return scan(copy).map(({ rule }) => rule);
    };
    const parent = must(
      [...world.tables.sp.values()].find(({ role }) => roleOf(role).level === 2),
      'a parent',
    );
    expect(links((copy) => copy.put('word', wordOf(parent.pfn, 7), linkSpte(table.pfn)))).toContain('INV-4');
    expect(links((copy) => copy.put('sp', table.serial, { ...table, parents: { kind: 'none' } }))).toContain(
      'INV-4',
    );
  });
});
