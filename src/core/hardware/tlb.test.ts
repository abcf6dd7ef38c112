/**
 * Rules of the TLB, each in the smallest scenario that shows it: those that a second model of the caches has found broken
 * once, and those that `npm run mutate` breaks. The comparison itself, over sequences of operations, is in testing/naive.
 */
import { describe, expect, test } from 'vitest';
import { counter } from '../../scenario/expectations.ts';
import { costsAmongOthers, counters, ends, LEAF, run, V } from '../../testing/cache-scenarios.ts';
import type { Timeline } from '../../timeline/timeline.ts';

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

  test('a write that a clean page refuses is refused out of the TLB, without a walk', () => {
    const timeline = run(
      'native',
      `map ${V} -> gfn 0x21 ro user accessed\nbegin\nv0 user read ${V}\nv0 user write ${V} = 1`,
    );
    expect(ends(timeline)).toEqual(['0x21000', 'fault 0x7']);
    expect(counter(timeline, 'tlb_misses')).toBe(1);
  });

  test('a translation takes the place of the one of the same page: a write after a read leaves one', () => {
    const timeline = run(
      'native',
      `map ${V} -> gfn 0x21 rw user accessed\nbegin\nv0 user read ${V}\nv0 user write ${V} = 1`,
    );
    expect([...timeline.world.tables.tlb.values()].map(({ dirty }) => dirty)).toEqual([true]);
  });
});

describe('whose translation it is', () => {
  const SPACES = 'v0 kernel set cr4.pcide = 1';

  test.each([
    ['a translation of another address space does not serve', '', '0x31000'],
    ['a global translation serves every address space', ' global', '0x21000'],
  ])('%s', (_name, global, expected) => {
    const timeline = run(
      'native',
      `map ${V} -> gfn 0x21 ${LEAF}${global}
space B kernel=main
  map ${V} -> gfn 0x31 ${LEAF}
given
  ${SPACES}
begin
v0 user read ${V}
v0 kernel load-cr3 B pcid=1 keep
v0 user read ${V}`,
    );
    expect(ends(timeline).filter((end) => end.startsWith('0x'))).toEqual(['0x21000', expected]);
  });

  test('a fault forgets no translation of another address space', () => {
    const timeline = run(
      'native',
      `map ${V} -> gfn 0x21 ${LEAF}
space B kernel=main
  map ${V} -> gfn 0x31 ro user accessed
given
  ${SPACES}
begin
v0 user read ${V}
v0 kernel load-cr3 B pcid=1 keep
v0 user write ${V} = 1
v0 kernel load-cr3 main pcid=0 keep
v0 user read ${V}`,
    );
    expect(ends(timeline)).toEqual(['0x21000', 'fault 0x7', '0x21000']);
    expect(counter(timeline, 'tlb_hits')).toBe(1);
  });

  test('what the second stage alone gave for a guest address translates no address of a program', () => {
    const timeline = run(
      'two-stage cpu=svm',
      `map ${V} -> gfn 0x21 ${LEAF}
map 0x21000 -> gfn 0x22 ${LEAF}
begin
v0 user read ${V}
v0 user read 0x21000`,
    );
    expect(ends(timeline)).toEqual(['0x10021000', '0x10022000']);
  });

  // Bit 48 of VTTBR_EL2 is the lowest of the VMID.
  test('arm64: translations and tables of another virtual machine do not serve', () => {
    const timeline = run(
      'two-stage cpu=arm64 psc=guest',
      `map ${V} -> gfn 0x21 ${LEAF}
begin
v0 user read ${V}
flip register vttbr_el2 bit=48
v0 user read ${V}`,
    );
    expect(counters(timeline, 'refs', 'spared', 'tlb_hits')).toEqual([2 * 24, 0, 0]);
  });

  const AGAIN = `map ${V} -> gfn 0x21 ${LEAF}\nbegin\nv0 user read ${V}\nv0 user read ${V}`;
  test.each([
    ['another virtual processor', 'two-stage cpu=svm', { asid: 2 }],
    ['other second-stage tables', 'two-stage cpu=svm', { root: 0x3_0000 }],
    ['another processor', 'two-stage cpu=svm', { vcpu: 1 }],
    ['another address space', 'native', { pcid: 2 }],
  ])('nothing that is remembered for %s serves: all is walked for anew', (_name, machine, whose) => {
    for (const psc of ['off', 'guest', machine === 'native' ? 'guest' : 'both']) {
      const [first, second] = costsAmongOthers(`${machine} psc=${psc}`, AGAIN, whose);
      expect(second).toEqual(first);
    }
  });
});

describe('what a guest physical translation serves', () => {
  test('a write by a guest physical address that was only read walks the second stage, for the dirty mark', () => {
    const timeline = run(
      'two-stage cpu=vmx-vpid',
      `map ${V} -> gfn 0x21 ${LEAF}
map 0x401000 -> gfn 0x21 ${LEAF}
begin
v0 user read ${V}
v0 user write 0x401000 = 1`,
    );
    const marked = Array.from({ length: timeline.length }, (_, step) => timeline.step(step)).filter(
      ({ kind, facts }) => kind === 'host-entry-set-bits' && facts['row'] === 4 && facts['dirty'] === true,
    );
    expect(marked).toHaveLength(1);
  });
});

describe('a TLB with room for four', () => {
  const page = (n: number): string => `0x40${String(n)}000`;
  const maps = [0, 1, 2, 3, 4].map((n) => `map ${page(n)} -> gfn 0x2${String(n)} ${LEAF}`).join('\n');
  const reads = (...pages: readonly number[]): Timeline =>
    run('native tlb=4', `${maps}\nbegin\n${pages.map((n) => `v0 user read ${page(n)}`).join('\n')}`);
  const held = (timeline: Timeline): readonly number[] =>
    [...timeline.world.tables.tlb.values()].map(({ vpn }) => vpn - 0x400).sort();

  test('holds four', () => {
    const timeline = reads(0, 1, 2, 3, 4);
    expect(held(timeline)).toHaveLength(4);
    expect(counter(timeline, 'tlb_evictions')).toBe(1);
  });

  test('gives up what was used longest ago', () => {
    expect(held(reads(0, 1, 2, 3, 4))).toEqual([1, 2, 3, 4]);
  });

  test('counts a hit as a use', () => {
    expect(held(reads(0, 1, 2, 3, 0, 4))).toEqual([0, 2, 3, 4]);
  });
});
