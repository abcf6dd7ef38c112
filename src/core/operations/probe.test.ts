import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { catalogueText, correctSettings, planOf, RUNS, scenario } from '../../testing/scenarios.ts';
import { record, type Timeline } from '../../timeline/timeline.ts';
import { gfn, gva, vcpuId, wordOf } from '../quantities.ts';
import { hostFrameOf, World } from '../machine/world.ts';
import { DEFAULT_SETTINGS, type Settings } from '../settings.ts';
import type { MemoryWord, Operation, PlannedOperation, Program } from './operation.ts';
import { probe, probeAccess } from './probe.ts';
import type { Flip } from './probe-flips.ts';
import type { Probe, ProbeRequest } from './probe-result.ts';

const planned = (operation: Operation): PlannedOperation => ({ operation, text: '', line: 0, lastLine: 0 });

const ask = (part: Partial<ProbeRequest> & { gva: bigint }): ProbeRequest => ({
  vcpu: 0,
  access: 'read',
  user: true,
  flips: [],
  caches: 'as they are',
  ...part,
});

/** Steps of an operation of a run, as a probe has them. */
function stepsOf(timeline: Timeline, at: number): readonly unknown[] {
  const operation = timeline.operations.filter(({ section }) => section === 'body')[at];
  if (operation === undefined) throw new Error('the run stopped early');
  return Array.from({ length: operation.endStep - operation.firstStep }, (_, step) => {
    const { kind, facts, reads } = timeline.step(operation.firstStep + step);
    return { kind, facts, reads };
  });
}

const told = (found: Probe): readonly unknown[] =>
  found.steps.map(({ kind, facts, reads }) => ({ kind, facts, reads }));

const unchanged = (world: World, settings: Settings, request: ProbeRequest): Probe => {
  const before = new World(world);
  const found = probe(world, settings, request);
  expect(world.firstDifference(before)).toBeUndefined();
  return found;
};

/** Probes after `body` and compares with the run of the same flips and access. */
function agreesWithRun(program: Program, request: ProbeRequest): Probe {
  const before = record(program);
  const found = unchanged(before.world, program.settings, request);
  const added = [
    ...found.preparations.map(({ operation }) => operation),
    probeAccess({ ...request, flips: [] }),
  ];
  const after = record({ ...program, body: [...program.body, ...added.map(planned)] });
  expect(told(found)).toEqual(stepsOf(after, program.body.length + added.length - 1));
  return found;
}

const MACHINES = fc.oneof(
  correctSettings,
  fc.constant({ machine: 'native', cpu: 'svm', psc: 'guest' }),
  fc.constant({ machine: 'native', cpu: 'vmx-vpid', tlb: '4' }),
  fc.constant({ machine: 'two-stage', cpu: 'svm', psc: 'both' }),
  fc.constant({ machine: 'two-stage', cpu: 'vmx-vpid', 'host-pages': '2M' }),
  fc.constant({ machine: 'two-stage', cpu: 'vmx-novpid', 'ept-ad': 'off', tlb: '8' }),
);
const ADDRESSES = [0x400008n, 0x401000n, 0x600003n, 0x40000010n, 0x7000_0000n, 0xffff_8800_0001_0000n];
const REGISTER_FLIPS: readonly Flip[] = [
  { kind: 'register', register: 'cr0', bit: 16 },
  { kind: 'register', register: 'efer', bit: 11 },
  { kind: 'register', register: 'efer', bit: 10 },
  { kind: 'register', register: 'cr4', bit: 21 },
  { kind: 'register', register: 'cr3', bit: 12 },
];

describe('an access tried out', () => {
  test('is what the run then does, and leaves the world as it was', () => {
    fc.assert(
      fc.property(
        scenario,
        MACHINES,
        fc.constantFrom(...ADDRESSES),
        fc.constantFrom('read', 'write', 'execute'),
        fc.boolean(),
        (text, settings, gva, access, user) => {
          const { program } = planOf(text, settings);
          agreesWithRun(program, ask({ gva, access, user }));
        },
      ),
      { numRuns: RUNS },
    );
  });

  test('with bits flipped is what the run then does after the same flips', () => {
    fc.assert(
      fc.property(
        scenario,
        MACHINES,
        fc.constantFrom(...ADDRESSES),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 63 })), { maxLength: 3 }),
        fc.option(fc.constantFrom(...REGISTER_FLIPS), { nil: undefined }),
        (text, settings, gva, bits, register) => {
          const { program } = planOf(text, settings);
          const { world } = record(program);
          const onTheWay = unchanged(world, program.settings, ask({ gva, caches: 'empty' }));
          const words = onTheWay.entries.flatMap(({ word }) => word ?? []);
          const flips = bits.flatMap(([at, bit]): Flip[] => {
            const word = words[at % Math.max(words.length, 1)];
            return word === undefined ? [] : [{ kind: 'entry', word, bit }];
          });
          const all = register === undefined ? flips : [register, ...flips];
          try {
            agreesWithRun(program, ask({ gva, flips: all, access: 'write' }));
          } catch (error) {
            // A run that the host stopped has no such operation.
            if ((error as Error).message !== 'the run stopped early') throw error;
          }
        },
      ),
      { numRuns: RUNS },
    );
  });

  test('at any step changes nothing, also while the hypervisor is at work', () => {
    const { program } = planOf(catalogueText('three-exits'));
    const timeline = record(program);
    for (let position = timeline.begin; position <= timeline.length; position += 1) {
      timeline.seek(position);
      for (const caches of ['as they are', 'empty'] as const)
        unchanged(timeline.world, program.settings, ask({ gva: 0x7f3c5a823010n, caches, access: 'write' }));
    }
  });
});

describe('on a system without hypervisor', () => {
  const text = [
    'mmuscope 1',
    'slot 0x0 16M',
    'map 0x400000 -> gfn 0x40 rw user accessed dirty',
    'map 0x401000 -> gfn 0x41 ro kernel accessed',
    'begin',
    'v0 user read 0x400000',
  ].join('\n');
  const { program } = planOf(text, { machine: 'native', cpu: 'vmx-vpid' });
  const { world } = record(program);
  const try_ = (part: Partial<ProbeRequest>): Probe =>
    unchanged(world, program.settings, ask({ gva: 0x400010n, caches: 'empty', ...part }));
  const leaf = try_({}).entries.at(-1);
  const word = leaf?.word ?? 0;
  const flip = (bit: number): Flip => ({ kind: 'entry', word, bit });

  test('the way, its costs, the page and its rights are told', () => {
    const found = try_({});
    expect(found.entries.map(({ levelName }) => levelName)).toEqual(['PML4', 'PDPT', 'PD', 'PT']);
    expect(found.outcome).toMatchObject({ kind: 'reached', physical: 0x40010n, fromCache: false });
    expect(found.outcome).toMatchObject({ entry: { pageBits: 12, writable: true, user: true } });
    expect([found.refs, found.spared, found.adw]).toEqual([4, 0, 0]);
    expect(found.end).toBeUndefined();
  });
  test('the TLB answers where it is asked, also when the tables have changed', () => {
    expect(try_({ caches: 'as they are' })).toMatchObject({
      refs: 0,
      outcome: { kind: 'reached', fromCache: true, stale: false },
    });
    const stale = try_({ caches: 'as they are', flips: [flip(0)] });
    expect(stale.outcome).toMatchObject({ kind: 'reached', fromCache: true, stale: true });
  });
  test('clearing P gives the fault with the request in its code, clearing W refuses a write', () => {
    expect(try_({ flips: [flip(0)] }).outcome).toMatchObject({ kind: 'page-fault', errorCode: 4 });
    expect(try_({ flips: [flip(1)], access: 'write' }).outcome).toMatchObject({ errorCode: 7 });
    expect(try_({ flips: [flip(2)] }).outcome).toMatchObject({ errorCode: 5 });
    expect(try_({ flips: [flip(63)], access: 'execute' }).outcome).toMatchObject({ errorCode: 0x15 });
    expect(try_({ flips: [flip(51)] }).outcome).toMatchObject({ errorCode: 0xd });
  });
  test('an entry tells what it held before the flips and after', () => {
    const entry = try_({ flips: [flip(1)] }).entries.at(-1);
    expect((entry?.before ?? 0n) ^ (entry?.after ?? 0n)).toBe(2n);
  });
  test('SMAP refuses the kernel a user page, unless AC is set; the protection key refuses whom PKRU names', () => {
    const smap: Flip = { kind: 'register', register: 'cr4', bit: 21 };
    const kernel = { user: false } as const;
    expect(try_({ ...kernel, flips: [smap] }).outcome).toMatchObject({ kind: 'page-fault', errorCode: 1 });
    const ac: Flip = { kind: 'register', register: 'ac', bit: 0 };
    expect(try_({ ...kernel, flips: [smap, ac] }).outcome.kind).toBe('reached');
    const keys: Flip[] = [
      { kind: 'register', register: 'cr4', bit: 22 },
      { kind: 'register', register: 'pkru', bit: 0 },
    ];
    expect(try_({ flips: keys }).outcome).toMatchObject({ errorCode: 0x25 });
  });
  test('a change that the processor refuses is named, and changes nothing', () => {
    const found = try_({ flips: [{ kind: 'register', register: 'efer', bit: 10 }] });
    expect(found.preparations.map(({ done }) => done)).toEqual([false]);
    expect(found.outcome.kind).toBe('reached');
  });
  test('an address that is not canonical is never walked', () => {
    expect(try_({ gva: 0x8000_0000_0000n })).toMatchObject({ outcome: { kind: 'not-canonical' }, refs: 0 });
  });
});

describe('under a second stage', () => {
  const text = 'mmuscope 1\nslot 0x0 16M\nmap 0x400000 -> gfn 0x40 rw user accessed dirty\nbegin\nv0 cpuid';
  const on = (settings: Partial<Settings>) => {
    const { program } = planOf(text, { machine: 'two-stage', ...settings });
    const { world } = record(program);
    return (part: Partial<ProbeRequest>): Probe =>
      unchanged(world, program.settings, ask({ gva: 0x400010n, caches: 'empty', ...part }));
  };
  const hostLeaf = (found: Probe): number =>
    found.entries.findLast(({ dimension }) => dimension === 'host')?.word ?? 0;

  test('both dimensions are told, 24 references without caches', () => {
    const found = on({ cpu: 'svm' })({});
    expect(found.refs + found.spared).toBe(24);
    expect(found.entries.filter(({ dimension }) => dimension === 'guest')).toHaveLength(4);
  });
  test('a host entry that refuses faults to the hypervisor', () => {
    const ept = on({ cpu: 'vmx-vpid' });
    const word = hostLeaf(ept({}));
    expect(ept({ access: 'write', flips: [{ kind: 'entry', word, bit: 1 }] }).outcome).toMatchObject({
      kind: 'host-fault',
      fault: { kind: 'EPT violation', code: 0x1aan },
    });
    const npt = on({ cpu: 'svm' });
    expect(npt({ flips: [{ kind: 'entry', word: hostLeaf(npt({})), bit: 0 }] }).outcome).toMatchObject({
      kind: 'host-fault',
      fault: { kind: 'nested page fault', code: 0x1_0000_0004n },
    });
  });
});

describe('on arm64', () => {
  const words: readonly MemoryWord[] = [
    { gfn: gfn(0x10), index: 0, value: 0x11003n },
    { gfn: gfn(0x11), index: 0, value: 0x12003n },
    { gfn: gfn(0x12), index: 2, value: 0x13003n },
    { gfn: gfn(0x13), index: 0, value: 0x20000000040743n | 0x40000n },
  ];
  const program = (machine: string): Program => ({
    settings: { ...DEFAULT_SETTINGS, machine, cpu: 'arm64', 'shipped-bugs': 'none' },
    slots: [{ firstGfn: gfn(0), frames: 4096 }],
    memory: words,
    tables: [0x10, 0x11, 0x12, 0x13].map((table, level) => ({
      gfn: gfn(table),
      level,
      firstGva: gva(0n),
      space: 'main',
    })),
    root: gfn(0x10),
    given: [],
    body: [planned({ kind: 'cpuid', vcpu: vcpuId(0) })],
  });
  const leaf = wordOf(hostFrameOf(gfn(0x13)), 0);

  test.each(['native', 'two-stage'])('%s: the run agrees, and an abort has its syndrome', (machine) => {
    const found = agreesWithRun(program(machine), ask({ gva: 0x400010n }));
    expect(found.outcome).toMatchObject({ kind: 'reached' });
    expect(found.entries.at(0)?.levelName).toBe('level 0');
    const aborted = agreesWithRun(
      program(machine),
      ask({ gva: 0x400010n, flips: [{ kind: 'entry', word: leaf, bit: 0 }] }),
    );
    expect(aborted.outcome).toMatchObject({ kind: 'page-fault', errorCode: 0x92000007 });
  });
});

describe('on shadow tables', () => {
  const { program } = planOf(catalogueText('three-exits'));
  test('the hypervisor’s reaction belongs to the access, and the guest’s entries are told', () => {
    const timeline = record(program);
    timeline.seek(timeline.begin);
    const found = unchanged(timeline.world, program.settings, ask({ gva: 0x7f3c5a823010n, access: 'write' }));
    expect(found.outcome.kind).toBe('page-fault');
    expect(found.end?.exits).toBeGreaterThan(0);
    expect(
      found.entries.some(({ reader, dimension }) => reader === 'hypervisor' && dimension === 'guest'),
    ).toBe(true);
  });
});
