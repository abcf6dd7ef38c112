import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { catalogueText, correctSettings, planOf, RUNS, scenario } from '../../testing/scenarios.ts';
import { record, type Timeline } from '../../timeline/timeline.ts';
import { gfn, gva, vcpuId, wordOf } from '../quantities.ts';
import { hostFrameOf, World } from '../machine/world.ts';
import {
  outsideRegisters,
  PDPTE_REGISTERS,
  widthOf,
  type OutsideRegister,
} from '../hardware/outside-registers.ts';
import { geometryOf } from '../../scene/walk-geometry.ts';
import { walkGridAt } from '../../scene/walk-grid.ts';
import type { SettingChoices } from '../../scenario/ast.ts';
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

describe('registers of arm64', () => {
  const text = [
    'mmuscope 1',
    'slot 0x0 16M',
    'map 0x400000 -> gfn 0x40 rw user accessed dirty',
    'map 0x401000 -> gfn 0x41 rw kernel',
    'begin',
    'v0 user read 0x400000',
  ].join('\n');
  const on = (settings: SettingChoices) => {
    const paged = settings.guest === 'nonpaging' ? text.replaceAll(/map.*\n/g, '') : text;
    const { program } = planOf(paged, { cpu: 'arm64', ...settings });
    const { world } = record(program);
    return {
      program,
      try_: (part: Partial<ProbeRequest>): Probe =>
        unchanged(world, program.settings, ask({ gva: 0x400010n, caches: 'empty', ...part })),
    };
  };
  const flipsOf = (register: OutsideRegister, ...bits: readonly number[]): readonly Flip[] =>
    bits.map((bit) => ({ kind: 'register', register, bit }));
  const translationFault = (stage: 1 | 2, level: number): object =>
    stage === 1
      ? { kind: 'page-fault', errorCode: 0x9200_0004 + level }
      : { kind: 'host-fault', fault: { kind: 'stage 2 abort', code: BigInt(0x9200_0084 + level) } };

  const NATIVE: SettingChoices = { machine: 'native' };
  const NESTED: SettingChoices = { machine: 'two-stage' };
  interface Case {
    readonly what: string;
    readonly settings: SettingChoices;
    readonly flips: readonly Flip[];
    readonly part?: Partial<ProbeRequest>;
    readonly outcome: object;
    readonly remark?: string;
  }
  test.each<Case>([
    {
      what: 'SCTLR_EL1.M clear: an address is a physical one',
      settings: NATIVE,
      flips: flipsOf('sctlr_el1', 0),
      outcome: { kind: 'reached', physical: 0x400010n },
    },
    {
      what: 'SCTLR_EL1.WXN: what is writable is not fetched from',
      settings: NATIVE,
      flips: flipsOf('sctlr_el1', 19),
      part: { access: 'execute' },
      outcome: { kind: 'page-fault', errorCode: 0x8200_000f },
    },
    {
      what: 'PSTATE.PAN: EL1 does not touch pages of EL0',
      settings: NATIVE,
      flips: flipsOf('pan', 0),
      part: { user: false },
      outcome: { kind: 'page-fault', errorCode: 0x9600_000f },
    },
    {
      what: 'TCR_EL1.HA clear: a clear access flag faults',
      settings: NATIVE,
      flips: flipsOf('tcr_el1', 39),
      part: { gva: 0x401000n, user: false },
      outcome: { kind: 'page-fault', errorCode: 0x9600_000b },
    },
    {
      what: 'TCR_EL1.T0SZ of 17: the address is small enough for one bit less',
      settings: NATIVE,
      flips: flipsOf('tcr_el1', 0),
      outcome: { kind: 'reached', physical: 0x40010n },
    },
    {
      what: 'TCR_EL1.T0SZ of 0: no such address size',
      settings: NATIVE,
      flips: flipsOf('tcr_el1', 4),
      outcome: translationFault(1, 0),
      remark:
        'TCR_EL1.T0SZ asks for 64-bit addresses, and this processor has 25 to 48: every walk of stage 1 ends before its first table.',
    },
    {
      what: 'TCR_EL1.T0SZ of 48: smaller than there is',
      settings: NATIVE,
      flips: flipsOf('tcr_el1', 5),
      outcome: translationFault(1, 0),
      remark:
        'TCR_EL1.T0SZ asks for 16-bit addresses, and this processor has 25 to 48: every walk of stage 1 ends before its first table.',
    },
    {
      what: 'TCR_EL1.TG0 reserved: taken as 4 KiB',
      settings: NATIVE,
      flips: flipsOf('tcr_el1', 14, 15),
      outcome: { kind: 'reached', physical: 0x40010n },
      remark: 'TCR_EL1.TG0 holds a reserved value: this processor takes it as 4 KiB.',
    },
    {
      what: 'TCR_EL1.IPS of 0: 32-bit addresses, which these are',
      settings: NATIVE,
      flips: flipsOf('tcr_el1', 32, 34),
      outcome: { kind: 'reached', physical: 0x40010n },
    },
    {
      what: 'TCR_EL1.IPS of 7: taken as 48 bits',
      settings: NATIVE,
      flips: flipsOf('tcr_el1', 33),
      outcome: { kind: 'reached' },
      remark: 'TCR_EL1.IPS asks for more bits than this processor has: it takes 48.',
    },
    {
      what: 'TCR_EL1.HD without HA has no effect',
      settings: NATIVE,
      flips: flipsOf('tcr_el1', 39, 40),
      outcome: { kind: 'reached' },
      remark: 'TCR_EL1.HD has no effect while HA is clear.',
    },
    {
      what: 'TTBR0_EL1 with another root: no table there',
      settings: NATIVE,
      flips: flipsOf('ttbr0_el1', 20),
      outcome: { kind: 'page-fault' },
    },
    {
      what: 'HCR_EL2.VM clear: a guest address is one of the host, where nothing is mapped',
      settings: NESTED,
      flips: flipsOf('hcr_el2', 0),
      outcome: translationFault(1, 0),
    },
    {
      what: 'VTCR_EL2.SL0 of 3: no such level',
      settings: NESTED,
      flips: flipsOf('vtcr_el2', 6),
      outcome: translationFault(2, 0),
      remark:
        'VTCR_EL2.SL0 = 3 starts at level -1, which does not fit 48-bit addresses and this granule: every walk of stage 2 ends before its first table.',
    },
    {
      what: 'VTCR_EL2.SL0 of 0: level 2 cannot serve 48 bits',
      settings: NESTED,
      flips: flipsOf('vtcr_el2', 7),
      outcome: translationFault(2, 0),
      remark:
        'VTCR_EL2.SL0 = 0 starts at level 2, which does not fit 48-bit addresses and this granule: every walk of stage 2 ends before its first table.',
    },
    {
      what: 'VTCR_EL2.T0SZ of 0: no such address size',
      settings: NESTED,
      flips: flipsOf('vtcr_el2', 4),
      outcome: translationFault(2, 0),
      remark:
        'VTCR_EL2.T0SZ asks for 64-bit addresses, and this processor has 25 to 48: every walk of stage 2 ends before its first table.',
    },
    {
      what: 'VTCR_EL2.PS of 1: 36-bit addresses, which these are',
      settings: NESTED,
      flips: flipsOf('vtcr_el2', 18),
      outcome: { kind: 'reached', physical: 0x1004_0010n },
    },
    {
      what: 'VTTBR_EL2 with a root beyond the address size',
      settings: NESTED,
      flips: flipsOf('vtcr_el2', 16, 18).concat(flipsOf('vttbr_el2', 40)),
      outcome: { kind: 'host-fault', fault: { code: 0x9200_0080n } },
    },
  ])('$what', ({ settings, flips, part, outcome, remark }) => {
    const { try_, program } = on(settings);
    const found = try_({ flips, ...part });
    expect(found.preparations.every(({ done }) => done)).toBe(true);
    expect(found.outcome).toMatchObject(outcome);
    expect(found.remarks).toEqual(remark === undefined ? [] : [remark]);
    agreesWithRun(program, ask({ gva: 0x400010n, flips, ...part }));
  });

  test('nothing is flushed for a flip: what the TLB keeps is used, and known to be stale', () => {
    for (const [settings, flips] of [
      [NATIVE, flipsOf('tcr_el1', 4)],
      [NESTED, flipsOf('vtcr_el2', 6)],
      [NESTED, flipsOf('hcr_el2', 0)],
    ] as const) {
      const found = on(settings).try_({ caches: 'as they are', flips });
      expect(found.outcome).toMatchObject({ kind: 'reached', fromCache: true, stale: true });
    }
  });
  test('another ASID or VMID finds nothing in the TLB', () => {
    const caches = 'as they are';
    const asid = on(NATIVE).try_({ caches, flips: flipsOf('ttbr0_el1', 50) });
    expect(asid.outcome).toMatchObject({ kind: 'reached', fromCache: false });
    const vmid = on(NESTED).try_({ caches, flips: flipsOf('vttbr_el2', 49) });
    expect(vmid.outcome).toMatchObject({ kind: 'reached', fromCache: false });
    expect(vmid.refs).toBe(24);
    const short = on(NATIVE).try_({ caches, flips: flipsOf('tcr_el1', 36) });
    expect(short.outcome).toMatchObject({ fromCache: true });
  });

  const registers = [...outsideRegisters({ ...DEFAULT_SETTINGS, machine: 'two-stage', cpu: 'arm64' })];
  test('whatever they hold, a trial has an outcome, is what the run does, and has a grid', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<SettingChoices>(
          { machine: 'native', guest: '3-level', psc: 'guest' },
          { machine: 'native', guest: 'nonpaging' },
          { machine: 'two-stage', psc: 'both', tlb: '4' },
          { machine: 'two-stage', guest: '3-level', host: '3-level', 'host-pages': '2M' },
        ),
        fc.array(fc.tuple(fc.constantFrom(...registers), fc.nat({ max: 63 })), { maxLength: 5 }),
        fc.constantFrom(0x400010n, 0x401000n, 0x40_0040_0000n, 0xffff_8000_0040_0000n),
        fc.constantFrom('read', 'write', 'execute'),
        fc.boolean(),
        (settings, picked, gva, access, user) => {
          const { program } = on(settings);
          const own = outsideRegisters(program.settings);
          const flips = picked.flatMap(([register, bit]) =>
            own.includes(register) ? flipsOf(register, bit % widthOf(register)) : [],
          );
          const request = ask({ gva, access, user, flips });
          const found = agreesWithRun(program, request);
          expect(found.outcome.kind).not.toBe('stopped');
          const added = [...found.preparations.map(({ operation }) => operation), probeAccess(request)];
          const run = record({ ...program, body: [...program.body, ...added.map(planned)] });
          for (let position = run.begin; position <= run.length; position += 1) {
            run.seek(position);
            walkGridAt(run, geometryOf(run));
          }
        },
      ),
      { numRuns: RUNS },
    );
  });
});

describe('root entries of PAE paging', () => {
  const text = 'mmuscope 1\nslot 0x0 16M\nmap 0x400000 -> gfn 0x40 rw user accessed dirty\nbegin\nv0 cpuid';
  const on = (settings: SettingChoices) => {
    const { program } = planOf(text, { guest: 'pae', ...settings });
    const { world } = record(program);
    return (part: Partial<ProbeRequest>): Probe => {
      const request = ask({ gva: 0x400010n, caches: 'empty', ...part });
      agreesWithRun(program, { ...request, caches: 'as they are' });
      return unchanged(world, program.settings, request);
    };
  };
  const pdpte = (index: 0 | 1 | 2 | 3, bit: number): Flip => ({
    kind: 'register',
    register: PDPTE_REGISTERS[index],
    bit,
  });

  test.each<[string, SettingChoices]>([
    ['native', { machine: 'native', cpu: 'svm' }],
    ['two-stage on Intel', { machine: 'two-stage', cpu: 'vmx-vpid' }],
  ])('%s: the register is flipped, not the memory that it was loaded from', (_name, settings) => {
    const try_ = on(settings);
    expect(try_({}).entries[0]).toMatchObject({ word: undefined, register: 'pdpte0', levelName: 'PDPT' });
    const gone = try_({ flips: [pdpte(0, 0)] });
    expect(gone.outcome).toMatchObject({ kind: 'page-fault', errorCode: 4 });
    expect((gone.entries[0]?.before ?? 0n) ^ (gone.entries[0]?.after ?? 0n)).toBe(1n);
    expect(try_({ flips: [pdpte(1, 0)] }).outcome.kind).toBe('reached');
  });
  test('memory may change under it, until CR3 is loaded again', () => {
    const { program } = planOf(text, { machine: 'native', cpu: 'svm', guest: 'pae' });
    const { world } = record(program);
    const memory: Flip = { kind: 'entry', word: wordOf(hostFrameOf(gfn(Number(program.root))), 0), bit: 0 };
    const request = ask({ gva: 0x400010n, caches: 'empty', flips: [memory] });
    expect(unchanged(world, program.settings, request).outcome.kind).toBe('reached');
  });
  test('a reserved bit that no load would let through is said so', () => {
    const found = on({ machine: 'native', cpu: 'svm' })({ flips: [pdpte(0, 1)] });
    expect(found.outcome).toMatchObject({ kind: 'page-fault', errorCode: 0xd });
    expect(found.remarks).toEqual([
      'PDPTE0 is present and has a reserved bit: MOV CR3 loads no such entry, so no processor comes here by itself.',
    ]);
  });
  test("AMD's nested paging has no such registers: the entry is one of memory", () => {
    const found = on({ machine: 'two-stage', cpu: 'svm' })({});
    const root = found.entries.find(({ dimension }) => dimension === 'guest');
    expect(root?.word).toBeTypeOf('number');
    expect(outsideRegisters({ ...DEFAULT_SETTINGS, machine: 'two-stage', cpu: 'svm', guest: 'pae' })).toEqual(
      [],
    );
  });
});

describe('protection keys', () => {
  const text = 'mmuscope 1\nslot 0x0 16M\nmap 0x400000 -> gfn 0x40 rw user accessed dirty\nbegin\nv0 cpuid';
  test.each<[string, SettingChoices, readonly Flip[], readonly string[]]>([
    ['no bit of CR4 set', { guest: '4-level' }, [], ['none', 'none', 'none', 'ignored']],
    [
      'CR4.PKE set',
      { guest: '4-level' },
      [{ kind: 'register', register: 'cr4', bit: 22 }],
      ['none', 'none', 'none', 'counts'],
    ],
    [
      'CR4.PKS set, 5 levels',
      { guest: '5-level' },
      [{ kind: 'register', register: 'cr4', bit: 24 }],
      ['none', 'none', 'none', 'none', 'counts'],
    ],
    [
      'PAE has none',
      { guest: 'pae' },
      [{ kind: 'register', register: 'cr4', bit: 22 }],
      ['none', 'none', 'none'],
    ],
    ['arm64 has none here', { guest: '4-level', cpu: 'arm64' }, [], ['none', 'none', 'none', 'none']],
  ])('%s', (_name, settings, flips, keys) => {
    const { program } = planOf(text, { machine: 'native', cpu: 'svm', ...settings });
    const { world } = record(program);
    const found = unchanged(world, program.settings, ask({ gva: 0x400010n, caches: 'empty', flips }));
    expect(found.entries.map(({ key }) => key)).toEqual(keys);
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
