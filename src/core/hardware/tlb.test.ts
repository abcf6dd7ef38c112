/**
 * Rules of the caches that a second model of them has found broken once, each in the smallest scenario that shows it. The
 * comparison itself, over sequences of operations, is in testing/naive.
 */
import { describe, expect, test } from 'vitest';
import { counter } from '../../scenario/expectations.ts';
import { timelineOf } from '../../testing/scenarios.ts';
import type { Timeline } from '../../timeline/timeline.ts';

const run = (machine: string, lines: string): Timeline => {
  const timeline = timelineOf(`mmuscope 1\ntitle A test\nmachine ${machine}\nslot 0x0 8M\n${lines}\n`);
  timeline.seek(timeline.length);
  return timeline;
};

/** What each access got: the address, or the fault's code. */
const ends = (timeline: Timeline): readonly string[] =>
  timeline.operations.flatMap(({ section, result }) => {
    if (section !== 'body' || result === undefined) return [];
    const { completed, physical, hostFault, faults } = result;
    if (completed) return [`0x${(physical ?? 0n).toString(16)}`];
    return [hostFault?.kind ?? `fault 0x${(faults.at(-1)?.errorCode ?? 0).toString(16)}`];
  });

const V = '0x400000';
const LEAF = 'rw user accessed dirty';
/** Bit 1 of the page directory's entry for `V`: tables take guest frames from 0x10 up, the root first. */
const FLIP_W_OF_PDE = 'flip 0x12010 bit=1';

const dirtyMarks = (timeline: Timeline): number =>
  Array.from({ length: timeline.length }, (_, step) => timeline.step(step)).filter(
    ({ kind, facts }) => kind === 'walk-set-bits' && facts['dirty'] === true,
  ).length;

describe('the TLB', () => {
  test.each([
    ['native', 'level=3'],
    ['native cpu=arm64', 'level=1'],
  ])(
    '%s: a page of 1 GiB out of the TLB is where the walk found it, whatever memory begins at',
    (machine, level) => {
      const timeline = run(
        machine,
        `map 0x40000000 ${level} -> gfn 0x0 ${LEAF}\nbegin\nv0 user read 0x40040010\nv0 user read 0x40041010`,
      );
      expect(ends(timeline)).toEqual(['0x40010', '0x41010']);
      expect(counter(timeline, 'tlb_hits')).toBe(1);
    },
  );

  test('a clean read-only page that the kernel writes with CR0.WP clear gets its dirty mark, TLB or not', () => {
    const timeline = run(
      'native',
      `map ${V} -> gfn 0x21 ro user accessed
given
  v0 kernel set cr0.wp = 0
begin
v0 kernel read ${V}
v0 kernel write ${V} = 1`,
    );
    expect(ends(timeline)).toEqual(['0x21000', '0x21000']);
    expect(dirtyMarks(timeline)).toBe(1);
  });

  test('a fault out of the TLB forgets the tables that led there too: it does not come twice', () => {
    const timeline = run(
      'native psc=guest',
      `map ${V} -> gfn 0x21 ${LEAF}
begin
${FLIP_W_OF_PDE}
v0 user read ${V}
${FLIP_W_OF_PDE}
v0 user write ${V} = 1
v0 user write ${V} = 1`,
    );
    expect(ends(timeline)).toEqual(['0x21000', 'fault 0x7', '0x21000']);
  });

  test('a full TLB gives nothing up for an entry that is replaced anyway', () => {
    const pages = [0, 1, 2, 3].map((n) => `map 0x40${String(n)}000 -> gfn 0x2${String(n)} rw user accessed`);
    const reads = [0, 1, 2, 3].map((n) => `v0 user read 0x40${String(n)}000`);
    const timeline = run(
      'native tlb=4',
      `${pages.join('\n')}\nbegin\n${reads.join('\n')}\nv0 user write 0x403000 = 1\nv0 user read 0x400000`,
    );
    expect([counter(timeline, 'tlb_evictions'), counter(timeline, 'tlb_hits')]).toEqual([0, 1]);
  });

  test('arm64: a refusal out of the TLB names the level of the block, as the walk does', () => {
    const timeline = run(
      'native cpu=arm64',
      `map 0x40000000 level=2 -> gfn 0x200 ro user accessed\nbegin
v0 user write 0x40000000 = 1
v0 user read 0x40000000
v0 user write 0x40000000 = 1`,
    );
    const [walked, , cached] = ends(timeline);
    expect(walked).toMatch(/^fault 0x.*e$/);
    expect(cached).toBe(walked);
  });

  // XN[1:0], bits 54:53 of the descriptor: 1 lets EL0 fetch, 3 EL1.
  test.each([
    ['EL0', 'flip host 0x21000 bit=53', ['0x10021000', '0x10021000', 'stage 2 abort']],
    [
      'EL1',
      'flip host 0x21000 bit=53\nflip host 0x21000 bit=54',
      ['0x10021000', 'stage 2 abort', '0x10021000'],
    ],
  ])(
    'arm64: where stage 2 lets %s fetch, the TLB keeps it for both, whoever filled it',
    (_name, flips, expected) => {
      const timeline = run(
        'two-stage cpu=arm64',
        `map ${V} -> gfn 0x21 ro user accessed
begin
${flips}
v0 kernel read ${V}
v0 user exec ${V}
v0 kernel exec ${V}`,
      );
      expect(ends(timeline)).toEqual(expected);
    },
  );

  test('an execute-only page of EPT stays so in the TLB: a read at another address of it is refused', () => {
    const timeline = run(
      'two-stage cpu=vmx-vpid',
      `map ${V} -> gfn 0x21 ${LEAF}
map 0x401000 -> gfn 0x21 ${LEAF}
begin
host set-entry 0x21000 -> frame 0x10021 exec
v0 user exec ${V}
v0 user read 0x401000`,
    );
    expect(ends(timeline)).toEqual(['0x10021000', 'EPT violation']);
  });
});

describe('paging-structure caches', () => {
  const TWO = `map ${V} -> gfn 0x21 ${LEAF}\nmap 0x401000 -> gfn 0x22 ${LEAF}`;

  test('a violation of the second stage forgets the tables of the second stage that led to it', () => {
    const timeline = run(
      'two-stage cpu=vmx-vpid psc=both',
      `${TWO}
begin
v0 user read ${V}
host set-entry 0x22000 -> absent
host set-entry 0x0 level=2 -> frame 0x10000 read write exec
v0 user read 0x401000
v0 user read 0x401000`,
    );
    expect(ends(timeline)).toEqual(['0x10021000', 'EPT violation', '0x10022000']);
  });

  test('where the second stage has not allowed to write into a remembered table, a mark asks it', () => {
    const timeline = run(
      'two-stage cpu=vmx-vpid ept-ad=off psc=guest',
      `map ${V} -> gfn 0x21 ${LEAF}\nmap 0x401000 -> gfn 0x22 rw user
begin
host set-entry 0x13000 -> frame 0x10013 read
v0 user read ${V}
v0 user read 0x401000`,
    );
    expect(ends(timeline)).toEqual(['0x10021000', 'EPT violation']);
  });

  test('PAE: what the root registers name is no part of the caches', () => {
    const timeline = run('native guest=pae psc=guest', `${TWO}\nbegin\nv0 user read ${V}`);
    expect([...timeline.world.tables.psc.values()].map(({ depth }) => depth)).toEqual([2]);
  });

  test('a translation filled from a table of another address space is stale, though nothing in memory has changed', () => {
    const timeline = run(
      'native cpu=arm64 psc=guest',
      `${TWO}\nspace B kernel=main\n  map 0x401000 -> gfn 0x32 ${LEAF}
begin
v0 user read ${V}
v0 kernel load-ttbr0 B
v0 user read 0x401000
v0 user read 0x401000`,
    );
    expect(ends(timeline).slice(1)).toEqual(['0x22000', '0x22000']);
    expect(counter(timeline, 'stale_hits')).toBe(2);
  });
});
