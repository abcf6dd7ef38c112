/**
 * What the host does to memory and slots, accesses to devices with and without their helps, and the mistakes that the
 * machine may be told to make: each with what it costs or breaks.
 */
import { describe, expect, test } from 'vitest';
import { planOf } from '../../testing/scenarios.ts';
import { checkScenario } from '../../scenario/plan.ts';
import { counter } from '../../scenario/expectations.ts';
import { pfn, wordOf } from '../quantities.ts';
import type { CounterName } from '../counters.ts';
import { record, type Timeline } from '../../timeline/timeline.ts';

const HEAD = ['mmuscope 1', 'machine kvm-shadow vcpus=2', 'slot 0x0 4M', 'slot 0x400000 2M absent'];
const USER = '0x7f3c5a822000';

function run(lines: readonly string[], choices: Record<string, string> = {}): Timeline {
  const timeline = record(planOf([...HEAD, ...lines].join('\n'), choices).program);
  expect(timeline.stop).toBeUndefined();
  timeline.seek(timeline.operations.at(-1)?.endStep ?? 0);
  return timeline;
}

const counts = (timeline: Timeline, ...names: readonly CounterName[]): readonly number[] =>
  names.map((name) => counter(timeline, name));

/** What the last operation read. */
const lastRead = (timeline: Timeline): bigint | undefined => timeline.operations.at(-1)?.result?.value;

describe('the host', () => {
  const mapped = [`let V = ${USER}`, 'map V -> gfn 0x21 rw user accessed dirty', 'begin'];
  test('swaps a page out, and what was in it comes back', () => {
    const timeline = run([...mapped, 'v0 user write V = 5', 'host swap-out 0x21000', 'v0 user read V']);
    expect(lastRead(timeline)).toBe(5n);
    expect(counts(timeline, 'swap_ins', 'notifier_zaps', 'ipis')).toEqual([1, 1, 2]);
  });
  test('takes a page away, and it comes back as zeros', () => {
    expect(lastRead(run([...mapped, 'v0 user write V = 5', 'host unmap 0x21000', 'v0 user read V']))).toBe(
      0n,
    );
  });
  test('write-protects a page: the write goes to user space until it may write again', () => {
    const timeline = run([...mapped, 'host write-protect 0x21000', 'v0 user write V = 5', 'v0 user read V']);
    expect([lastRead(timeline), ...counts(timeline, 'mmio_exits')]).toEqual([0xda7a0021n, 1]);
    const again = run([
      ...mapped,
      'host write-protect 0x21000',
      'host make-writable 0x21000',
      'v0 user write V = 5',
      'v0 user read V',
    ]);
    expect([lastRead(again), ...counts(again, 'mmio_exits')]).toEqual([5n, 0]);
  });
  test('is in the middle of a change: the fault comes back once, waits, and sees what is new', () => {
    const timeline = run([
      ...mapped,
      'host swap-out 0x21000',
      '  at mmu_notifier/started: v1 user write V = 6',
      'v0 user read V',
    ]);
    expect(lastRead(timeline)).toBe(6n);
    expect(counts(timeline, 'fault_retries')).toEqual([1]);
  });
  test('I-B2: a fault in the middle of a change maps the old page, and later writes are lost', () => {
    const timeline = run(
      [
        ...mapped,
        'host swap-out 0x21000',
        '  at mmu_notifier/started: v1 user write V = 6',
        'v0 user write V = 7',
        'v0 user read V',
      ],
      { break: 'I-B2' },
    );
    const page = timeline.world.get('hostPage', 0x7f021);
    // The vCPUs still reach the frame that the host has given away.
    expect([page?.pfn, lastRead(timeline)]).toEqual([undefined, 7n]);
    expect(timeline.world.word(wordOf(page?.swapped ?? pfn(0), 0))).toBe(6n);
  });
});

describe('the dirty log with two steps', () => {
  const logged = [
    `let V = ${USER}`,
    'map V -> gfn 0x21 rw user accessed dirty',
    'begin',
    'host log slot=0 on',
    'v0 user write V = 1',
    'host fetch-log slot=0',
  ];
  const dirty = (timeline: Timeline): readonly number[] | undefined => timeline.operations.at(-1)?.dirty;
  test('tells the same twice until user space has cleared it', () => {
    const choices = { 'log-clear': 'apart' };
    expect(dirty(run([...logged, 'host fetch-log slot=0'], choices))).toContain(0x21);
    expect(dirty(run([...logged, 'host clear-log slot=0', 'host fetch-log slot=0'], choices))).toEqual([]);
    const part = ['host clear-log slot=0 0x22000 pages=4', 'host fetch-log slot=0'];
    expect(dirty(run([...logged, ...part], choices))).toContain(0x21);
  });
  test('of a slot that is deleted is gone with it', () => {
    const timeline = run([
      `let V = ${USER}`,
      'map V -> gfn 0x400 rw user accessed dirty',
      'begin',
      'host add-slot slot=1',
      'host log slot=1 on',
      'v0 user write V = 1',
      'host delete-slot slot=1',
    ]);
    expect([...timeline.world.tables.dirty.keys()]).toEqual([]);
  });
  test('with all frames set at the start, beginning takes no right away', () => {
    const begin = logged.slice(0, 4);
    expect(dirty(run([...begin, 'host fetch-log slot=0'], { 'log-clear': 'apart-all-set' }))?.length).toBe(
      1024,
    );
  });
  test('fetching clears where the protocol is the usual one', () => {
    expect(dirty(run([...logged, 'host fetch-log slot=0']))).toEqual([]);
  });
});

test('a CR3 load that keeps translations finds those of its own address space, and no other', () => {
  const timeline = run([
    `let V = ${USER}`,
    'map V -> gfn 0x21 rw user accessed dirty',
    'space B',
    'map V -> gfn 0x22 rw user accessed dirty',
    'begin',
    'v0 kernel set cr4.pcide = 1',
    'v0 kernel load-cr3 main pcid=1',
    'v0 user read V',
    'v0 kernel load-cr3 B pcid=2',
    'v0 user read V',
    'v0 kernel load-cr3 main pcid=1 keep',
    'v0 user read V',
    'v0 kernel load-cr3 B pcid=2 keep',
    'v0 user read V',
  ]);
  const read = timeline.operations.flatMap(({ result }) => result?.value ?? []);
  expect(read).toEqual([0xda7a0021n, 0xda7a0022n, 0xda7a0021n, 0xda7a0022n]);
});

describe('devices', () => {
  const two = [
    'let D = 0xffff8800fee00000',
    'let E = 0xffff8800fee01000',
    'map D -> gfn 0x400 rw kernel accessed dirty',
    'map E -> gfn 0xfe01 rw kernel accessed dirty',
  ];
  const reads = (address: string, times: number): readonly string[] =>
    Array.from({ length: times }, () => `v0 kernel read ${address}`);
  const FIGURES = ['mmio_quick_hits', 'mmio_entry_hits', 'mmio_stale', 'pf_taken', 'refs'] as const;

  /*
   * References: the first fault's walk of the processor ends at the root (1), the guest's tables have 4. Then the
   * processor walks 4 to the mark; without one it ends at the root again. The emulator walks 4 unless the vCPU remembers.
   */
  test.each([
    ['none', [3, 0, 0, 1, 17]],
    ['memory', [0, 3, 0, 1, 33]],
    ['entries', [0, 0, 0, 4, 20]],
  ])('four reads of one device, without %s', (without, figures) => {
    const timeline = run([...two, 'begin', ...reads('E', 4)], { 'mmio-without': without });
    expect(counts(timeline, ...FIGURES)).toEqual(figures);
  });
  test('a slot over the device is seen, with the generation and without it', () => {
    for (const without of ['none', 'generation', 'memory', 'entries']) {
      const timeline = run([...two, 'begin', ...reads('D', 2), 'host add-slot slot=1', ...reads('D', 1)], {
        'mmio-without': without,
      });
      expect([without, lastRead(timeline)]).toEqual([without, 0xda7a0400n]);
    }
  });
  test('F-B2: what was looked up in the old slots counts as new, and hides the new slot', () => {
    const raced = [
      ...two,
      'begin',
      'v0 kernel read D',
      '  at kvm_faultin_pfn/no-slot: host add-slot slot=1',
      'v0 kernel read D',
    ];
    expect(lastRead(run(raced))).toBe(0xda7a0400n);
    expect(lastRead(run(raced, { break: 'F-B2' }))).toBe(0xffff_ffff_ffff_ffffn);
  });
  test('F-B4: a mark that keeps its old number is looked up anew for ever', () => {
    const lines = [
      ...two,
      'begin',
      ...reads('D', 1),
      ...reads('E', 1),
      'host add-slot slot=1',
      ...[1, 2, 3].flatMap(() => [...reads('E', 1), 'v0 kernel load-cr3 main']),
    ];
    expect(counts(run(lines), 'mmio_stale')).toEqual([1]);
    expect(counts(run(lines, { break: 'F-B4' }), 'mmio_stale')).toEqual([3]);
  });
  test("F-B5: the store of one process goes to another's device", () => {
    const lines = [
      'let V = 0x600000',
      'map V -> gfn 0xfe01 rw kernel accessed dirty',
      'space B',
      'map V -> table-of 0x800000 level=2 rw kernel accessed dirty',
      'map 0x800000 -> gfn 0x21 rw user accessed dirty',
      'map 0x700000000000 -> gfn 0x22 rw user accessed dirty',
      'given',
      'v0 kernel read V',
      'v0 kernel load-cr3 B',
      'begin',
      'v0 kernel write V = 0',
    ];
    expect(counts(run(lines), 'mmio_exits', 'mmu_pte_write')[0]).toBe(0);
    expect(counts(run(lines, { break: 'F-B5' }), 'mmio_exits')).toEqual([1]);
  });
});

describe('problems have a remedy', () => {
  const said = (...lines: readonly string[]): readonly string[] =>
    checkScenario(
      [...HEAD, ...lines, ...(lines.includes('begin') ? [] : ['begin', 'v0 cpuid'])].join('\n'),
    ).map(({ message, remedy }) => `${message} | ${remedy}`);
  test.each([
    [['slot 0x7fff000 8K'], 'Guest memory ends at 128M on this machine | Make the slot smaller.'],
    [
      ['slot 0x1000000 2M hva=0x1000'],
      'The memory of the process lies from 0x7f000000 to 0x87000000, in whole pages | Write for example: hva=0x80000000.',
    ],
    [
      ['generation 7'],
      'The generation of the usual address space is even: odd numbers are for SMM | Write generation 6.',
    ],
    [['begin', 'host unmap 0x10'], 'The host changes whole pages of 4096 bytes | Write 0x0.'],
    [
      ['begin', 'host unmap 0x3ff000 pages=2'],
      'No slot has memory for all of these 2 pages | Use guest addresses within one slot.',
    ],
    [
      ['begin', 'host add-slot slot=0'],
      'Slot 0 is there already | Write absent behind its slot line, or delete it first: host delete-slot slot=0.',
    ],
    [['begin', 'host delete-slot slot=1'], 'Slot 1 is not there | Add it first: host add-slot slot=1.'],
    [
      ['begin', 'host log slot=0 on', 'host clear-log slot=0'],
      'With log-clear=with-fetch the log is cleared when it is fetched | Remove the line, or write: machine kvm-shadow log-clear=apart.',
    ],
  ])('%s', (lines, expected) => {
    expect(said(...lines)).toEqual([expected]);
  });
  test.each([
    [
      'native',
      'host swap-out 0x1000',
      'On machine native guest memory is fixed: all of it is there from the start',
    ],
    [
      'kvm-2007',
      'host delete-slot slot=0',
      'On machine kvm-2007 guest memory is fixed: all of it is there from the start',
    ],
    ['kvm-2007', 'host clear-log slot=0', 'The log cannot be cleared apart on machine kvm-2007'],
  ])('machine %s: %s', (machine, line, expected) => {
    const text = ['mmuscope 1', `machine ${machine}`, 'slot 0x0 4M', 'begin', 'v0 cpuid', line].join('\n');
    expect(checkScenario(text).map(({ message }) => message)).toEqual([expected]);
  });
});
