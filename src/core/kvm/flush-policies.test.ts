import { describe, expect, test } from 'vitest';
import type { SettingChoices } from '../../scenario/ast.ts';
import { counter } from '../../scenario/expectations.ts';
import { planOf, timelineOf } from '../../testing/scenarios.ts';
import type { Timeline } from '../../timeline/timeline.ts';
import { addressesThrough } from './shadow-links.ts';
import { Recorder } from '../operations/recorder.ts';

const rulesOf = (timeline: Timeline): readonly string[] => [
  ...new Set(
    [...timeline.world.tables.violation.values()].map(({ rule, bug }) => `${rule} ${bug ?? ''}`.trim()),
  ),
];
const harmsOf = (timeline: Timeline): readonly string[] =>
  [...timeline.world.tables.harm.values()].map(({ kind }) => kind);
const kindsOf = (timeline: Timeline): readonly string[] =>
  Array.from({ length: timeline.length - timeline.begin }, (_, at) => timeline.step(timeline.begin + at)).map(
    ({ kind, vcpu }) => `${String(vcpu)} ${kind}`,
  );
/** Counters of all vCPUs, or of one: `flushes@1`. */
const figures = (timeline: Timeline, ...names: readonly string[]): readonly number[] =>
  names.map((text) => {
    const [name = '', vcpu] = text.split('@');
    return counter(timeline, name, vcpu === undefined ? undefined : Number(vcpu));
  });

function run(text: string, settings: SettingChoices = {}): Timeline {
  const timeline = timelineOf(text, settings);
  timeline.seek(timeline.length);
  return timeline;
}

/** The page table of V becomes one only now; before, the kernel wrote its frame at K. Two other pages are in the TLB. */
const PROTECT = `mmuscope 1
machine kvm-2007 cpu=svm
policy shipped-bugs=none
slot 0x0 64M
map 0x400000 -> gfn 0x20 rw user accessed dirty
map 0x401000 -> gfn 0x21 rw user accessed dirty
map 0x600000 -> gfn 0x22 rw user accessed dirty
map 0xffff880000013000 -> table-of 0x600000 rw kernel accessed dirty
given
  v0 user read 0x400000
  v0 user read 0x401000
  v0 kernel write 0xffff880000013008 = 0
begin
v0 user read 0x600000
v0 user read 0x400000
v0 user read 0x401000
v0 kernel write 0xffff880000013000 = 0x23067
v0 kernel invlpg 0x600000
v0 user read 0x600000`;

describe('how much is flushed', () => {
  test.each(['svm', 'vmx-vpid'])(
    '%s: a context takes all with it, a page only what comes from the entry',
    (cpu) => {
      const context = run(PROTECT, { cpu });
      const page = run(PROTECT, { cpu, 'flush-size': 'page' });
      // Two entries change: that of K loses its write right, that of the page is cleared.
      expect(figures(page, 'flush_va', 'flush_ctx', 'tlb_hits')).toEqual([2, 0, 2]);
      expect(figures(context, 'flush_va', 'tlb_hits')).toEqual([0, 0]);
      for (const timeline of [context, page])
        expect([rulesOf(timeline), harmsOf(timeline), counter(timeline, 'emulated')]).toEqual([[], [], 1]);
    },
  );

  /** One frame is the page table of two regions: each of its entries serves two addresses. */
  const SHARED = `mmuscope 1
machine kvm-2007 cpu=svm
policy shipped-bugs=none
slot 0x0 64M
map 0x400000 -> gfn 0x30 rw user accessed dirty
map 0xffff880000013000 -> table-of 0x400000 rw kernel accessed dirty
entry 0x12018 = 0x13067
given
  v0 user write 0x400000 = 1
  v0 user write 0x600000 = 1
begin
v0 kernel write 0xffff880000013000 = 0x31067
v0 kernel invlpg 0x400000
v0 kernel invlpg 0x600000`;
  test('an entry below two links is reached by two addresses', () => {
    const page = run(SHARED, { 'flush-size': 'page' });
    expect([rulesOf(page), counter(page, 'flush_va')]).toEqual([[], 2]);
    const one = run(SHARED, { 'flush-size': 'one-page' });
    expect([rulesOf(one), counter(one, 'flush_va')]).toEqual([['INV-6 flush-size'], 1]);
  });

  test('an entry above a split large page is reached by the addresses of all leaves below', () => {
    const text = `mmuscope 1
machine kvm-2007 cpu=svm guest=pae
slot 0x0 64M
map 0x400000 level=2 -> gfn 0x400 rw user accessed dirty
begin
v0 user read 0x400000
v0 user write 0x401000 = 1
v0 user read 0x5ff000`;
    const recorder = new Recorder(planOf(text).program).finish();
    const { machine: m } = recorder;
    const [link] = [...m.world.tables.word.keys()].filter((word) => addressesThrough(m, word).length === 3);
    expect(link).toBeDefined();
    expect(addressesThrough(m, link ?? 0)).toEqual([0x400000n, 0x401000n, 0x5ff000n]);
  });

  /** The guest turns a large page of which two addresses are in the TLB, and invalidates one address, which is enough. */
  const SPLIT = `mmuscope 1
machine kvm-2007 cpu=svm
policy shipped-bugs=none
slot 0x0 64M
map 0x400000 level=2 -> gfn 0x400 rw user accessed dirty
map 0xffff880000012000 -> table-of 0x400000 level=2 rw kernel accessed dirty
given
  v0 user write 0x400000 = 1
  v0 user write 0x401000 = 1
begin
v0 kernel write 0xffff880000012010 = 0x6000e7
v0 kernel invlpg 0x400000
v0 user read 0x400000
v0 user read 0x401000`;
  test('a split large page hangs on one entry with all its leaves: one address is not enough', () => {
    expect(rulesOf(run(SPLIT))).toEqual([]);
    const page = run(SPLIT, { 'flush-size': 'page' });
    expect([rulesOf(page), harmsOf(page), counter(page, 'flush_va')]).toEqual([[], [], 2]);
    const one = run(SPLIT, { 'flush-size': 'one-page' });
    expect(rulesOf(one)).toEqual(['INV-6 flush-size']);
    expect(harmsOf(one)).toEqual(['stale-read']);
    expect(figures(one, 'flush_va', 'flushes_missing')).toEqual([1, 1]);
  });
});

const TWO = `mmuscope 1
machine kvm-2007 era=2007c cpu=svm vcpus=2
slot 0x0 64M
map 0x400000 -> gfn 0x20 rw user accessed dirty
map 0x600000 -> gfn 0x21 rw user accessed dirty
map 0xffff880000013000 -> table-of 0x600000 rw kernel accessed dirty
given
  v0 kernel read 0xffff880000013000
  v1 kernel write 0xffff880000013008 = 0
begin
v0 user read 0x600000
`;

describe('when it is flushed', () => {
  const RACE = `${TWO}  at rmap_write_protect/after-flush: v1 kernel write 0xffff880000013010 = 0
v1 kernel write 0xffff880000013000 = 0x22067
v0 user read 0x600000`;
  test('before the change, another vCPU fills its TLB from the old entry again', () => {
    const before = run(RACE, { 'flush-when': 'before' });
    expect(rulesOf(before)).toEqual(['INV-6 flush-when', 'INV-1 flush-when']);
    expect(harmsOf(before)).toContain('stale-write');
    expect(figures(before, 'flushes_missing', 'emulated')).toEqual([1, 0]);
  });
  test('after the change, it waits for the lock, and its stores are seen', () => {
    const after = run(RACE);
    expect([rulesOf(after), harmsOf(after)]).toEqual([[], []]);
    expect(kindsOf(after)).toContain('1 lock-wait');
  });
  test('before, without anybody in between, is luck: no rule is broken', () => {
    expect(rulesOf(run(RACE.replace(/ {2}at .*\n/, ''), { 'flush-when': 'before' }))).toEqual([]);
  });
});

describe('who had to, and who did', () => {
  test('each vCPU counts its own flushes, needless and missing ones', () => {
    const timeline = run(TWO);
    expect(figures(timeline, 'flushes@0', 'flushes@1')).toEqual([1, 1]);
    expect(figures(timeline, 'flushes_needless@0', 'flushes_needless@1')).toEqual([0, 0]);
    const idle = run(
      TWO.replace('  v1 kernel write 0xffff880000013008 = 0\n', '  v0 kernel write 0xffff880000013008 = 0\n'),
    );
    expect(figures(idle, 'flushes_needless@0', 'flushes_needless@1')).toEqual([0, 1]);
    const local = run(TWO, { 'flush-reach': 'local' });
    expect(figures(local, 'flushes@1', 'flushes_missing@0', 'flushes_missing@1')).toEqual([0, 0, 1]);
  });
  test('on a processor whose exits empty the TLB every flush of the own one is needless', () => {
    expect(figures(run(PROTECT, { cpu: 'vmx-novpid' }), 'flushes', 'flushes_needless')).toEqual([2, 2]);
  });
});

describe('the CR3 cache of 2007a', () => {
  const spaces = (guest: string, body: string): string =>
    `mmuscope 1
machine kvm-2007 era=2007a cpu=vmx-novpid guest=${guest}
policy cr3-cache=on
slot 0x0 64M
map 0x400000 -> gfn 0x20 rw user accessed dirty
${['B', 'C', 'D', 'E'].map((name, at) => `space ${name}\nmap 0x400000 -> gfn 0x3${String(at)} rw user accessed dirty`).join('\n')}
begin
v0 kernel load-cr3 main
${body}`;
  const loads = (...names: string[]): string =>
    names.map((name) => `v0 kernel load-cr3 ${name}\nv0 user read 0x400000`).join('\n');

  test.each(['4-level', 'pae', '2-level'])(
    '%s: four address spaces fit, the fifth takes the place of the oldest',
    (guest) => {
      const four = run(spaces(guest, loads('B', 'C', 'D', 'main', 'B', 'C', 'D')));
      expect(figures(four, 'cr3_cache_hits', 'tlb_flush')).toEqual([4, 4]);
      const five = run(spaces(guest, loads('B', 'C', 'D', 'E', 'main')));
      expect(figures(five, 'cr3_cache_hits', 'tlb_flush')).toEqual([0, 6]);
      for (const timeline of [four, five]) expect([rulesOf(timeline), harmsOf(timeline)]).toEqual([[], []]);
      // Four in the cache, one of which is in use.
      const roots = [...five.world.tables.sp.values()].filter(({ rootCount }) => rootCount > 0);
      expect(new Set(roots.map(({ rootCount }) => rootCount))).toEqual(new Set([1]));
      expect(roots.length).toBe({ '4-level': 4, pae: 4, '2-level': 16 }[guest]);
    },
  );

  test('a change of the paging context empties it', () => {
    const text = spaces('4-level', `${loads('B')}\nv0 kernel set cr4.pge = 0\n${loads('main')}`);
    expect(figures(run(text), 'cr3_cache_hits', 'cr3_cache_emptied')).toEqual([0, 1]);
  });

  test('a PAE guest whose root entries have changed exits', () => {
    const moved = spaces('pae', `${loads('B')}\nflip 0x10008 bit=9\n${loads('main')}`);
    expect(counter(run(moved), 'cr3_cache_hits')).toBe(0);
    expect(counter(run(moved.replace(/flip.*\n/, '')), 'cr3_cache_hits')).toBe(1);
  });
});
