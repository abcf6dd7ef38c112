import { describe, expect, test } from 'vitest';
import { counter } from '../../scenario/expectations.ts';
import { timelineOf } from '../../testing/scenarios.ts';
import type { Timeline } from '../../timeline/timeline.ts';

const run = (machine: string, lines: string): Timeline => {
  const timeline = timelineOf(`mmuscope 1\ntitle A test\nmachine ${machine}\nslot 0x0 8M\n${lines}\n`);
  timeline.seek(timeline.length);
  return timeline;
};

/** What each access got: `ok`, or the last fault's code. */
const results = (timeline: Timeline): readonly string[] =>
  timeline.operations.flatMap(({ section, result }) => {
    if (section !== 'body' || result === undefined) return [];
    if (result.hostFault !== undefined) return [result.hostFault.kind];
    const fault = result.faults.at(-1);
    return [result.completed ? 'ok' : fault === undefined ? 'no' : `0x${fault.errorCode.toString(16)}`];
  });

const count = (timeline: Timeline, name: Parameters<typeof counter>[1]): number => counter(timeline, name);

const V = '0x400000';
const K = '0xffff880000013000';
const WINDOW = `map ${K} -> table-of ${V} rw kernel accessed dirty`;

describe('the TLB of a system without hypervisor', () => {
  test('A-1: a read costs four references and, with all A clear, four marks; the write then one mark, D', () => {
    const cold = `entry 0x200000 = 0x201007\nentry 0x201000 = 0x202007\nentry 0x202000 = 0x203007\nentry 0x203000 = 0x204007
given
  v0 kernel load-cr3 gfn 0x200
begin`;
    const read = run('native', `${cold}\nv0 user read 0x0`);
    expect([count(read, 'refs'), count(read, 'adw')]).toEqual([4, 4]);
    const both = run('native', `${cold}\nv0 user read 0x0\nv0 user write 0x0 = 1`);
    expect([count(both, 'refs'), count(both, 'adw')]).toEqual([8, 5]);
  });

  test('B-1: a right raised without INVLPG costs one spurious fault that drops the entry', () => {
    const timeline = run(
      'native',
      `map ${V} -> gfn 0x21 ro user accessed dirty\n${WINDOW}
begin
v0 user read ${V}
v0 kernel set-pte ${V} -> gfn 0x21 rw user accessed dirty
v0 user write ${V} = 1
  on #PF
    retry`,
    );
    expect(results(timeline)).toEqual(['ok', 'ok', 'ok']);
    expect(count(timeline, 'page_faults')).toBe(1);
  });

  test('B-2: a right taken without INVLPG stays in use, and that is counted; after INVLPG it is refused', () => {
    const timeline = run(
      'native',
      `map ${V} -> gfn 0x21 rw user accessed dirty\n${WINDOW}
begin
v0 user write ${V} = 1
v0 kernel set-pte ${V} -> gfn 0x21 ro user accessed dirty
v0 user write ${V} = 2
v0 kernel invlpg ${V}
v0 user write ${V} = 3`,
    );
    expect(results(timeline)).toEqual(['ok', 'ok', 'ok', '0x7']);
    expect(count(timeline, 'stale_hits')).toBe(1);
  });

  test('a supervisor write to a user page after INVLPG: 0x3, as the reference has it for the kernel', () => {
    const timeline = run(
      'native',
      `map ${V} -> gfn 0x21 ro kernel accessed dirty\nbegin\nv0 kernel write ${V} = 1`,
    );
    expect(results(timeline)).toEqual(['0x3']);
  });

  test('A-5: with CR0.WP clear the kernel writes what it may only read, the user does not', () => {
    const timeline = run(
      'native',
      `map ${V} -> gfn 0x21 ro user accessed
given
  v0 kernel set cr0.wp = 0
begin
v0 kernel write ${V} = 1
v0 user write ${V} = 2`,
    );
    expect(results(timeline)).toEqual(['ok', '0x7']);
  });

  test('A-8: SMEP and SMAP keep the kernel off user pages', () => {
    const timeline = run(
      'native',
      `map ${V} -> gfn 0x21 rw user accessed dirty
given
  v0 kernel set cr4.smep = 1
  v0 kernel set cr4.smap = 1
begin
v0 kernel read ${V}
v0 kernel exec ${V}`,
    );
    expect(results(timeline)).toEqual(['0x1', '0x11']);
  });

  test('PAE: a root entry with a reserved bit makes MOV CR3 fail, and the registers stay', () => {
    const timeline = run(
      'native guest=pae',
      `map ${V} -> gfn 0x40 rw user accessed dirty
entry 0x300000 = 0x11003
begin
v0 kernel load-cr3 gfn 0x300
v0 user read ${V}`,
    );
    expect(timeline.journal.kind(timeline.begin)).toBe('guest-gp');
    expect([results(timeline), count(timeline, 'pdpte_loads')]).toEqual([['ok'], 0]);
  });

  test('a full TLB gives up what was used longest ago', () => {
    const pages = [0, 1, 2, 3, 4].map(
      (n) => `map 0x40${String(n)}000 -> gfn 0x2${String(n)} rw user accessed dirty`,
    );
    const reads = [0, 1, 2, 3, 0, 4, 0, 1].map((n) => `v0 user read 0x40${String(n)}000`);
    const timeline = run('native tlb=4', `${pages.join('\n')}\nbegin\n${reads.join('\n')}`);
    expect([count(timeline, 'tlb_hits'), count(timeline, 'tlb_evictions')]).toEqual([2, 2]);
  });
});

describe('the TLB over a second stage', () => {
  const TWO = `map ${V} -> gfn 0x21 rw user accessed dirty\nmap 0x401000 -> gfn 0x22 rw user accessed dirty`;
  test.each([
    ['vmx-novpid', 0],
    ['vmx-vpid', 1],
    ['svm', 1],
  ])(
    'an exit and an entry: %s keeps %i combined translation, and always the guest-physical ones',
    (cpu, kept) => {
      const timeline = run(`two-stage cpu=${cpu}`, `${TWO}\nbegin\nv0 user read ${V}\nv0 cpuid`);
      const kinds = [...timeline.world.tables.tlb.values()].map((entry) => entry.kind);
      expect(kinds.filter((kind) => kind === 'combined')).toHaveLength(kept);
      expect(kinds.filter((kind) => kind === 'guest-physical')).toHaveLength(5);
    },
  );

  test('a table of the guest that the second stage does not map is a fault for the hypervisor', () => {
    const timeline = run(
      'two-stage cpu=vmx-vpid',
      `${TWO}\ngiven\n  v0 kernel load-cr3 gfn 0x9000\nbegin\nv0 user read ${V}`,
    );
    expect(results(timeline)).toEqual(['EPT violation']);
    expect([count(timeline, 'host_faults'), count(timeline, 'exits')]).toEqual([1, 1]);
  });

  test('a changed guest entry: the paging-structure cache leads astray until INVLPG, and its use is counted', () => {
    const timeline = run(
      'native psc=guest',
      `map ${V} -> gfn 0x21 rw user accessed dirty\nmap 0x401000 -> gfn 0x22 rw user accessed dirty
map ${K} -> table-of ${V} level=2 rw kernel accessed dirty
begin
v0 user read ${V}
v0 kernel set-pte ${V} level=2 -> absent
v0 user read 0x401000
v0 kernel invlpg 0x401000
v0 user read 0x401000`,
    );
    expect(results(timeline)).toEqual(['ok', 'ok', 'ok', '0x4']);
    expect(count(timeline, 'stale_hits')).toBe(1);
  });
});
