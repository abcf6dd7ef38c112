/** Several vCPUs of era 2007c: who is interrupted, who waits, and what breaks when only one TLB is flushed. */
import { describe, expect, test } from 'vitest';
import { planOf, timelineOf } from '../../testing/scenarios.ts';
import type { SettingChoices } from '../../scenario/ast.ts';
import { counter } from '../../scenario/expectations.ts';
import type { Timeline } from '../../timeline/timeline.ts';
import { Recorder } from '../operations/recorder.ts';

const K = '0xffff880000013000';

const text = (vcpus: number, body: readonly string[]): string =>
  [
    'mmuscope 1',
    'title Several vCPUs',
    `machine kvm-2007 era=2007c cpu=svm vcpus=${String(vcpus)}`,
    'slot 0x0 64M',
    'map 0x400000 -> gfn 0x20 rw user accessed dirty',
    'map 0x600000 -> gfn 0x21 rw user accessed dirty',
    `map ${K} -> table-of 0x600000 rw kernel accessed dirty`,
    ...body,
  ].join('\n');

function run(body: readonly string[], settings: SettingChoices = {}, vcpus = 2): Timeline {
  const timeline = timelineOf(text(vcpus, body), settings);
  timeline.seek(timeline.length);
  return timeline;
}

const stepsOf = (timeline: Timeline): readonly { kind: string; vcpu: number }[] =>
  Array.from({ length: timeline.length - timeline.begin }, (_, at) => timeline.step(timeline.begin + at));
const kindsOf = (timeline: Timeline): readonly string[] =>
  stepsOf(timeline).map(({ kind, vcpu }) => `${String(vcpu)} ${kind}`);
const rulesOf = (timeline: Timeline): readonly string[] => [
  ...new Set([...timeline.world.tables.violation.values()].map(({ rule }) => rule)),
];
const harmsOf = (timeline: Timeline): readonly string[] =>
  [...timeline.world.tables.harm.values()].map(({ kind }) => kind);

/** vCPU 1 holds K writable in its TLB; then vCPU 0 makes the frame behind K a page table. */
const GIVEN = ['given', `  v0 kernel read ${K}`, `  v1 kernel write ${K}+0x8 = 0`, 'begin'];

describe('a flush of all TLBs', () => {
  test('B-5: one vCPU runs, one is halted, one in user space: one interrupt, three requests, each served at entry', () => {
    const timeline = run(
      ['begin', 'v1 halt', 'v2 user-space', 'host flush-all', 'v1 enter', 'v2 enter', 'v0 enter'],
      {},
      3,
    );
    expect(counter(timeline, 'ipis')).toBe(1);
    const kinds = kindsOf(timeline);
    expect(kinds.filter((kind) => kind.endsWith('request-set'))).toHaveLength(3);
    expect(kinds.filter((kind) => kind.endsWith('ipi-send'))).toHaveLength(1);
    expect(kinds.filter((kind) => kind.endsWith('request-serve'))).toEqual([
      '1 request-serve',
      '2 request-serve',
      '0 request-serve',
    ]);
    expect(timeline.world.tables.request.size).toBe(0);
  });
  test('a vCPU with a request already is not asked again', () => {
    const timeline = run(['begin', 'v1 halt', 'host flush-all', 'host flush-all']);
    // The second time only vCPU 0 could be asked, and it has its request, too.
    expect(kindsOf(timeline).filter((kind) => kind.endsWith('request-set'))).toHaveLength(2);
  });
});

describe('write protection while another vCPU may write', () => {
  test('reaches the other vCPU: it leaves the guest, and its next store is seen', () => {
    const timeline = run([
      ...GIVEN,
      'v0 user read 0x600000',
      `v1 kernel write ${K} = 0x22067`,
      'v0 user read 0x600000',
    ]);
    expect(counter(timeline, 'ipis')).toBeGreaterThan(0);
    expect(counter(timeline, 'emulated')).toBe(1);
    expect([rulesOf(timeline), harmsOf(timeline)]).toEqual([[], []]);
  });
  test('B-B2: with a local flush the other keeps its right, and edits the table unseen', () => {
    const timeline = run(
      [...GIVEN, 'v0 user read 0x600000', `v1 kernel write ${K} = 0x22067`, 'v0 user read 0x600000'],
      {
        'flush-reach': 'local',
      },
    );
    expect(counter(timeline, 'ipis')).toBe(0);
    expect(counter(timeline, 'emulated')).toBe(0);
    expect(counter(timeline, 'flushes_missing')).toBe(1);
    expect(rulesOf(timeline)).toEqual(['INV-6', 'INV-1']);
    expect(harmsOf(timeline)).toContain('stale-write');
    const [violation] = timeline.world.tables.violation.values();
    expect(violation).toMatchObject({ rule: 'INV-6', point: 'unlock', bug: 'B-B2' });
  });
  test('between the change and the flush the other may still use what it has: no rule is broken', () => {
    const timeline = run([
      ...GIVEN,
      'v0 user read 0x600000',
      `  at rmap_write_protect/before-flush: v1 kernel read ${K}+0x10`,
    ]);
    expect(kindsOf(timeline)).toContain('1 tlb-hit');
    expect([rulesOf(timeline), harmsOf(timeline)]).toEqual([[], []]);
  });
});

describe('one lock', () => {
  const PARKED = [
    'begin',
    'v0 user read 0x600000',
    '  at walk_addr/done: v1 user read 0x400000',
    'v1 user read 0x400000',
  ];
  test('a vCPU that needs it while another holds it waits with what it did before, and goes on afterwards', () => {
    const kinds = kindsOf(run(PARKED));
    const at = (kind: string): number => kinds.indexOf(kind);
    expect(at('1 vm-exit')).toBeLessThan(at('1 lock-wait'));
    // vCPU 0 ends its section first: its walk is not repeated, its leaf is built, then vCPU 1 walks.
    expect(at('1 lock-wait')).toBeLessThan(at('0 spte-set'));
    expect(at('0 spte-set')).toBeLessThan(at('1 guest-walk-root'));
    expect(at('1 guest-walk-root')).toBeLessThan(at('0 vm-entry'));
  });
  test('each has its own calls: steps of one stand in no call of the other but the one it began in', () => {
    const timeline = run(PARKED);
    const waiting = kindsOf(timeline).indexOf('1 spte-set') + timeline.begin;
    const names = timeline.calls(waiting).map(({ name }) => name as string);
    expect(names).toContain('VM exit');
    expect(names.slice(-3)).toEqual(['page_fault', 'fetch', 'set_pte']);
  });
  test('a run can go on from before any operation, and gives the same', () => {
    const { program } = planOf(text(2, PARKED));
    const whole = new Recorder(program).finish().machine.world;
    const first = new Recorder(program);
    first.advance();
    first.advance();
    const rest = new Recorder(
      program,
      {},
      { world: first.machine.world, operation: first.position },
    ).finish();
    expect(rest.machine.world.firstDifference(whole)).toBeUndefined();
  });
});

test('an interrupt in the middle of a page walk: the walk counts for nothing, and begins anew', () => {
  const timeline = run([
    ...GIVEN,
    'v1 kernel read 0xffff880000013008',
    'v1 user read 0x400000',
    'v1 kernel invlpg 0x400000',
    'v1 user read 0x400000',
    '  at page-walk/level-1: v0 user read 0x600000',
  ]);
  const kinds = kindsOf(timeline);
  const at = kinds.indexOf('1 walk-abandoned');
  expect(at).toBeGreaterThan(0);
  expect(kinds.slice(at)).toContain('1 vm-entry');
  expect(timeline.operations.at(-1)?.result?.completed).toBe(true);
  expect([rulesOf(timeline), harmsOf(timeline)]).toEqual([[], []]);
});

test('a point that is never reached is said, and changes nothing', () => {
  const timeline = run(['begin', 'v0 cpuid', '  at walk_addr/done: v1 cpuid']);
  expect(kindsOf(timeline).at(-1)).toBe('0 point-missed');
});

test.each([
  ['a vCPU that the machine does not have', 'v2 cpuid', 'v2 does not exist: the machine has 2 vCPUs'],
  ['a point that does not exist', 'v0 cpuid\n  at rmap_write/before: v1 cpuid', 'is no point at which'],
  ['a point without a colon', 'v0 cpuid\n  at walk_addr/done v1 cpuid', 'does not say when'],
  [
    'the vCPU that is busy itself',
    'v0 cpuid\n  at walk_addr/done: v0 cpuid',
    'v0 is in the middle of something itself',
  ],
])('%s has a problem with its place', (_name, lines, message) => {
  expect(() => planOf(text(2, ['begin', lines]))).toThrow(message);
});
