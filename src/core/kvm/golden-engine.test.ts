/**
 * Annex 5.1 and figures of section C as whole runs give them, in every era that the reference gives them for: what the
 * unit tests of golden-values assert of single functions must come out of the engine, too.
 */
import { describe, expect, test } from 'vitest';
import { catalogueText, timelineOf } from '../../testing/scenarios.ts';
import { must } from '../assert.ts';
import { counter } from '../../scenario/expectations.ts';
import type { SettingChoices } from '../../scenario/ast.ts';
import type { StepKind } from '../machine/steps.ts';
import type { World } from '../machine/world.ts';
import { hostFrameOf } from '../machine/world.ts';
import { gfn, pfnOfEntry, spte, wordOf } from '../quantities.ts';
import { indexAt } from '../hardware/x86-entry.ts';
import { levelOfRole, roleOf } from './role-2007.ts';
import { isPresent, linkSpte } from './spte-2007.ts';
import type { Timeline } from '../../timeline/timeline.ts';

/** Eras whose entries remember the guest's rights in bits 10 and 11; the last has the same without those bits. */
const WITH_SOFTWARE_BITS = ['2006', '2007a', '2007b'] as const;
const ERAS = [...WITH_SOFTWARE_BITS, '2007c'] as const;
const SOFTWARE_BITS = 0xc00n;

const A = 0x7f3c5a823000n;
const B = 0x7f3c5a824000n;
const C = 0x7f3c5a825000n;
const K = 0xffff880000013000n;
const DEVICE = 0xffff880000014000n;
const hex = (address: bigint): string => `0x${address.toString(16)}`;

const text = (order: readonly string[]): string => `mmuscope 1
machine kvm-2007
slot 0x0 64M
map ${hex(A)} -> gfn 0x20 rw user accessed dirty
map ${hex(B)} -> gfn 0x20 rw user accessed
map ${hex(C)} -> gfn 0x20 ro user accessed dirty
map ${hex(K)} -> table-of ${hex(A)} rw kernel accessed dirty
map ${hex(DEVICE)} -> gfn 0xfee00 rw kernel accessed dirty
begin
${order.join('\n')}`;

/** The leaf that serves an address, found from the root down. */
function leafOf(world: World, gva: bigint): bigint {
  let table = must(world.get('sp', Number(world.get('reg', '0.root_serial') ?? 0n)), 'a root').pfn;
  for (let level = 4; level > 1; level -= 1)
    table = pfnOfEntry(spte(world.word(wordOf(table, indexAt(gva, level)))));
  return world.word(wordOf(table, indexAt(gva, 1)));
}

/** What the guest's own table holds for an address whose table lies in a frame. */
const guestEntry = (world: World, table: number, gva: bigint): bigint =>
  world.word(wordOf(hostFrameOf(gfn(table)), indexAt(gva, 1)));

const READS = [`v0 user read ${hex(A)}`, `v0 user read ${hex(B)}`, `v0 user read ${hex(C)}`];
const READ_K = `v0 kernel read ${hex(K)}`;
const READ_DEVICE = `v0 kernel read ${hex(DEVICE)} bytes=4`;

describe('annex 5.1: shadow entries of whole runs', () => {
  const ofEra = (era: string, value: bigint): bigint => (era === '2007c' ? value & ~SOFTWARE_BITS : value);

  test.each(ERAS)('era %s', (era) => {
    const { world } = timelineOf(text([READ_K, ...READS, READ_DEVICE]), { era });
    expect([A, B, C].map((gva) => guestEntry(world, 0x13, gva))).toEqual([0x20067n, 0x20027n, 0x20065n]);
    expect([K, DEVICE].map((gva) => guestEntry(world, 0x16, gva))).toEqual([0x13063n, 0xfee00063n]);
    expect([A, B, C, K, DEVICE].map((gva) => leafOf(world, gva))).toEqual(
      [0x10020c67n, 0x10020c25n, 0x10020865n, 0x10013461n, 0xfee00662n].map((value) => ofEra(era, value)),
    );
  });

  test.each(ERAS)('the window onto a table that nobody has shadowed yet is writable: era %s', (era) => {
    const { world } = timelineOf(text([READ_K]), { era });
    expect(leafOf(world, K)).toBe(ofEra(era, 0x10013463n));
  });

  test.each(ERAS)('built after its table was shadowed, it is not: era %s', (era) => {
    const { world } = timelineOf(text([...READS, READ_K]), { era });
    expect(leafOf(world, K)).toBe(ofEra(era, 0x10013461n));
  });

  test.each(ERAS)('a link allows everything, whatever the guest says: era %s', (era) => {
    const { world } = timelineOf(text([...READS, READ_K]), { era });
    const links = [...world.tables.sp.values()]
      .filter(({ role }) => levelOfRole(role) > 1)
      .flatMap((page) => world.wordsOfShadowFrame(page.pfn).map((word) => spte(world.word(word))));
    expect(links.length).toBeGreaterThan(5);
    for (const link of links.filter(isPresent)) expect(link).toBe(linkSpte(pfnOfEntry(link)));
    expect(links.every((link) => (link & 0xfffn) === 0x27n)).toBe(true);
  });
});

describe('annex 5.1: role words of whole runs', () => {
  const rolesOf = (scenario: string, settings: SettingChoices = {}): readonly number[] =>
    [...timelineOf(scenario, settings).world.tables.sp.values()].map(({ role }) => role);

  test('a guest of four levels', () => {
    expect(new Set(rolesOf(text(READS)))).toEqual(new Set([0x44, 0x34, 0x24, 0x14]));
  });
  test('a guest of two: directory of quadrant 3, table of quadrant 1', () => {
    const roles = rolesOf(`mmuscope 1
machine kvm-2007 guest=2-level
slot 0x0 64M
map 0x200000 -> gfn 0x20 rw user accessed dirty
map 0xc0000000 -> gfn 0x21 rw user accessed dirty
begin
v0 user read 0x200000
v0 user read 0xc0000000`);
    expect(roles).toEqual(expect.arrayContaining([0x22, 0x122, 0x222, 0x322, 0x112, 0x12]));
  });
  test.each([
    ['2007b', 0x70014],
    ['2006', 0x10014],
  ])('a large page that the shadow splits, with its rights since mid-2007: era %s', (era, role) => {
    const large = `mmuscope 1
machine kvm-2007
slot 0x0 64M
map 0x40000000 level=2 -> gfn 0x400 rw user accessed dirty
begin
v0 user read 0x40000000`;
    expect(rolesOf(large, { era })).toContain(role);
  });
  test('no paging: four roots, the third of them 0x10220', () => {
    const off = 'mmuscope 1\nmachine kvm-2007 guest=nonpaging\nslot 0x0 64M\nbegin\nv0 kernel read 0x1000';
    expect(rolesOf(off)).toEqual(expect.arrayContaining([0x10020, 0x10120, 0x10220, 0x10320]));
  });
});

const kindsOf = (timeline: Timeline, number: number): readonly StepKind[] => {
  const operation = must(
    timeline.operations.find((o) => o.section === 'body' && o.number === number),
    `operation ${String(number)}`,
  );
  return Array.from(
    { length: operation.endStep - operation.firstStep },
    (_, at) => timeline.step(operation.firstStep + at).kind,
  );
};

describe('C.12: when building the entry at once saves an exit, and when it does not', () => {
  test.each([
    ['P, W, U, A and D', 'rw user accessed dirty', 'write = 1', 2],
    ['D=0: built read-only, and a write still costs the third exit', 'rw user accessed', 'write = 1', 3],
    ['D=0, and a read: the third exit is saved', 'rw user accessed', 'read', 2],
    ['A=0: not built at all', 'rw user', 'read', 3],
  ])('%s', (_name, flags, access, count) => {
    const [verb = '', ...value] = access.split(' ');
    const body = catalogueText('three-exits')
      .replace(/^(expect|note|try).*$/gm, '')
      .replace(/v0 user write V\+0x10.*/, `v0 user ${verb} V+0x10 ${value.join(' ')}`)
      .replace('set-pte V -> gfn 0x20 rw user accessed dirty', `set-pte V -> gfn 0x20 ${flags}`);
    expect(counter(timelineOf(body, { 'gpte-write': 'update' }), 'exits')).toBe(count);
  });
});

describe('C-2: eight stores in a row', () => {
  test.each(ERAS)('the third gives the shadow up, the fourth makes the window writable: era %s', (era) => {
    const timeline = timelineOf(catalogueText('fork-detector'), { era });
    const zaps = [1, 2, 3, 4].map((number) => kindsOf(timeline, number).includes('shadow-free'));
    expect(zaps).toEqual([false, false, true, false]);
    expect([1, 2, 3, 4].map((number) => kindsOf(timeline, number).includes('emulate'))).toEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(kindsOf(timeline, 4)).toContain(era === '2007c' ? 'spte-set' : 'spte-raise');
    for (const number of [5, 6, 7, 8]) expect(kindsOf(timeline, number)).not.toContain('vm-exit');
  });
});

describe('C-6: a pool of 1024 of which four are free', () => {
  test.each(['2007b', '2007c'])('a fault gives pages up from the tail until 25 are free: era %s', (era) => {
    // The first space takes four pages, each load of CR3 one; then five are free, and one more table is made.
    const loads = Array.from(
      { length: 1024 - 4 - 5 },
      (_, at) => `  v0 kernel load-cr3 gfn 0x${(0x100 + at).toString(16)}`,
    );
    const lines = [
      'mmuscope 1\nmachine kvm-2007\nslot 0x0 64M',
      'map 0x400000 -> gfn 0x20 rw user accessed dirty\nmap 0x800000 -> gfn 0x21 rw user accessed dirty',
      'map 0xc00000 -> gfn 0x22 rw user accessed dirty',
      'given\n  v0 user read 0x400000',
      ...loads,
      '  v0 kernel load-cr3 main\n  v0 user read 0x800000\nbegin\nv0 user read 0xc00000',
    ];
    const timeline = timelineOf(lines.join('\n'), { era });
    const leftAt = (position: number): number => {
      timeline.seek(position);
      return timeline.world.get('frames', 'shadow')?.pagesLeft ?? 0;
    };
    const steps = Array.from({ length: timeline.length - timeline.begin }, (_, at) => timeline.begin + at);
    const freed = steps.filter((step) => timeline.step(step).kind === 'shadow-free');
    expect(leftAt(timeline.begin)).toBe(4);
    expect(freed).toHaveLength(21);
    expect(leftAt((freed.at(-1) ?? 0) + 1)).toBe(25);
    // The root in use was the oldest: it is emptied and kept, so the fault makes the three tables below it anew.
    expect(steps.filter((step) => timeline.step(step).kind === 'shadow-keep')).toHaveLength(1);
    expect(leftAt(timeline.length)).toBe(22);
  });
});

describe('C-9: paging is turned on', () => {
  test.each(ERAS)(
    'pages without paging stay hashed, in use by nobody, and are not found again: era %s',
    (era) => {
      const timeline = timelineOf(catalogueText('paging-begins'), { era });
      const operation = must(
        timeline.operations.find((o) => o.text === 'v0 user read V'),
        'the first access with paging',
      );
      timeline.seek(operation.endStep);
      const { world } = timeline;
      const before = [...world.tables.sp.values()].filter(({ role }) => roleOf(role).guestLevels === 0);
      expect(before.filter(({ role }) => levelOfRole(role) === 2)).toHaveLength(4);
      expect(before.filter(({ rootCount }) => rootCount > 0)).toEqual([]);
      const hashed = new Set([...world.tables.hash.values()].flat());
      expect(before.filter(({ serial }) => !hashed.has(serial))).toEqual([]);
      const found = Array.from({ length: operation.endStep - timeline.begin }, (_, at) =>
        timeline.step(timeline.begin + at),
      ).filter(({ kind, index }) => kind === 'hash-lookup' && index >= operation.firstStep - 200);
      const serials = new Set(before.map(({ serial }) => serial));
      const withPaging = found.filter(
        ({ facts }) => roleOf((facts as { role: number }).role).guestLevels === 2,
      );
      expect(withPaging.length).toBeGreaterThan(0);
      expect(withPaging.filter(({ facts }) => serials.has((facts as { found: number }).found))).toEqual([]);
    },
  );
});
