/** System Management Mode: other slots, other roots, other generation numbers; and what both address spaces share. */
import { describe, expect, test } from 'vitest';
import { planOf } from '../../testing/scenarios.ts';
import { checkScenario } from '../../scenario/plan.ts';
import { counter } from '../../scenario/expectations.ts';
import type { CounterName } from '../counters.ts';
import { record, type Timeline } from '../../timeline/timeline.ts';
import { isMmio, mmioEntryOf } from './spte.ts';
import { roleField } from './role.ts';

const ERAS = ['6.12', '6.1', '2011'] as const;
const GUESTS = ['4-level', '5-level', 'pae', '2-level', 'nonpaging'] as const;
const SLOTS = ['slot 0x0 4M', 'slot 0x0 640K smm', 'slot 0xa0000 128K smm hva=0x80000000'];

function run(lines: readonly string[], machine = '', slots = SLOTS): Timeline {
  const timeline = record(
    planOf(['mmuscope 1', `machine kvm-shadow vcpus=2 ${machine}`, ...slots, ...lines].join('\n')).program,
  );
  expect(timeline.stop).toBeUndefined();
  timeline.seek(timeline.operations.at(-1)?.endStep ?? 0);
  expect([...timeline.world.tables.violation.values()]).toEqual([]);
  expect([...timeline.world.tables.harm.values()]).toEqual([]);
  return timeline;
}
const counts = (timeline: Timeline, ...names: readonly CounterName[]): readonly number[] =>
  names.map((name) => counter(timeline, name));
const readsOf = (timeline: Timeline): readonly (bigint | undefined)[] =>
  timeline.operations.flatMap(({ result }) => (result?.value === undefined ? [] : [result.value]));
const roles = ({ world }: Timeline): readonly number[] =>
  [...world.tables.sp.values()].map(({ role }) => role);
const registers = ({ world }: Timeline): readonly (bigint | undefined)[] =>
  ['cr0', 'cr3', 'cr4', 'efer'].map((name) => world.get('reg', `0.${name}`));

describe('the way in and out', () => {
  test.each(GUESTS)('guest=%s: paging is off inside, and all is as before outside', (guest) => {
    const before = registers(run(['begin', 'v0 cpuid'], `guest=${guest}`));
    const inside = run(['begin', 'v0 smi'], `guest=${guest}`);
    const [cr0, cr3, cr4, efer] = registers(inside);
    expect([(cr0 ?? 0n) & 0x8000_0001n, cr4, efer]).toEqual([0n, 0n, 0n]);
    expect(cr3).toBe(before[1]);
    expect(registers(run(['begin', 'v0 smi', 'v0 rsm'], `guest=${guest}`))).toEqual(before);
  });
  test.each(ERAS)('era %s: cpu_role and root_role have smm, until RSM', (era) => {
    const smm = (timeline: Timeline): readonly (number | undefined)[] => {
      const mmu = timeline.world.get('mmu', 0);
      return [mmu?.cpuRole.base, mmu?.rootRole].map((role) =>
        role === undefined ? undefined : roleField(role, 'smm'),
      );
    };
    expect(smm(run(['begin', 'v0 smi'], `era=${era}`))).toEqual([1, 1]);
    expect(smm(run(['begin', 'v0 smi', 'v0 rsm'], `era=${era}`))).toEqual([0, 0]);
  });
  test('each vCPU goes in alone', () => {
    const { world } = run(['begin', 'v1 smi', 'v0 cpuid']);
    expect([0, 1].map((vcpu) => roleField(world.get('mmu', vcpu)?.rootRole ?? 0, 'smm'))).toEqual([0, 1]);
  });
});

describe('address spaces', () => {
  const mapped = ['let V = 0x400000', 'map V -> gfn 0xa0 rw user accessed dirty', 'begin'];
  test.each(ERAS.flatMap((era) => ['4-level', 'pae', '2-level'].map((guest) => [era, guest] as const)))(
    'era %s, guest=%s: one frame, two shadow pages, two memories; the first root is found again',
    (era, guest) => {
      const timeline = run(
        [
          ...mapped,
          'v0 kernel write V = 1',
          'v0 smi',
          'v0 kernel write 0xa0000 = 2',
          'v0 rsm',
          'v0 kernel read V',
          'v0 smi',
          'v0 kernel read 0xa0000',
        ],
        `era=${era} guest=${guest}`,
      );
      expect(readsOf(timeline)).toEqual([1n, 2n]);
      expect(new Set(roles(timeline).map((role) => roleField(role, 'smm')))).toEqual(new Set([0, 1]));
      expect(counts(timeline, 'mmu_shadow_zapped', 'root_loads')).toEqual([0, 3]);
      const both = [...timeline.world.tables.slotRmap.keys()].filter((key) => key.endsWith('.1.a0'));
      expect(both).toEqual(['0.1.a0', '2.1.a0']);
    },
  );
  test('slots that share memory share what is in it', () => {
    const timeline = run([
      'let V = 0x400000',
      'map V -> gfn 0x21 rw user accessed dirty',
      'begin',
      'v0 smi',
      'v0 kernel write 0x21000 = 7',
      'v1 user read V',
    ]);
    expect(readsOf(timeline)).toEqual([7n]);
  });
  test('the host takes a page from both', () => {
    const timeline = run([
      'let V = 0x400000',
      'map V -> gfn 0x21 rw user accessed dirty',
      'begin',
      'v1 user write V = 5',
      'v0 smi',
      'v0 kernel read 0x21000',
      'host unmap 0x21000',
      'v0 kernel read 0x21000',
      'v1 user read V',
    ]);
    expect(counts(timeline, 'notifier_zaps')).toEqual([2]);
    expect(readsOf(timeline)).toEqual([5n, 0n, 0n]);
  });
  test.each([
    ['the last table goes out of step', '', '0x12000 = 0x22067', 0xda7a_0022n, [0, 1]],
    ['the last table goes out of step, large', ' large', '0x12000 = 0x22067', 0xda7a_0022n, [0, 1]],
    ['a directory is written for the guest', '', '0x11010 = 0x12027', 0xda7a_0021n, [1, 0]],
    ['a directory is written for the guest, large', ' large', '0x11010 = 0x12027', 0xda7a_0021n, [1, 0]],
  ])(
    "a table of the kernel's is closed to System Management Mode as well: %s",
    (_what, large, store, value, figures) => {
      const lines = [
        'let V = 0x400000',
        'map V -> gfn 0x21 rw user accessed dirty',
        'begin',
        'v0 smi',
        'v0 kernel read 0x11000',
        'v0 kernel read 0x12000',
        'v1 user read V',
        `v0 kernel write ${store}`,
        'v1 kernel invlpg V',
        'v1 user read V',
      ];
      const timeline = run(lines, 'guest=pae', [`slot 0x0 4M${large}`, `slot 0x0 4M smm${large}`]);
      expect(timeline.operations.at(-1)?.result?.value).toBe(value);
      expect(counts(timeline, 'mmu_pte_write', 'mmu_unsync')).toEqual(figures);
    },
  );
});

describe('devices', () => {
  const D = ['let D = 0x400000', 'map D -> gfn 0xfe00 rw kernel accessed dirty', 'begin'];
  const marks = ({ world }: Timeline): readonly number[] =>
    [...world.tables.word.values()]
      .filter((word) => isMmio(word))
      .map((word) => mmioEntryOf(word).generation);
  test('carry the number of their own address space: even and odd', () => {
    const timeline = run([...D, 'v0 kernel read D', 'v0 smi', 'v0 kernel read 0xfe00000'], 'guest=pae');
    expect([...marks(timeline)].sort((a, b) => a - b)).toEqual([2, 5]);
  });
  test.each([
    ['slot 0x600000 2M absent', [1, 0]],
    ['slot 0x600000 2M absent smm', [0, 1]],
  ])('%s: only the marks of that address space are out of date', (slot, stale) => {
    const outside = run([...D, 'v0 kernel read D', 'host add-slot slot=3', 'v0 kernel read D'], 'guest=pae', [
      ...SLOTS,
      slot,
    ]);
    const inside = run(
      ['begin', 'v0 smi', 'v0 kernel read 0xfe00000', 'host add-slot slot=3', 'v0 kernel read 0xfe00000'],
      'guest=pae',
      [...SLOTS, slot],
    );
    expect([...counts(outside, 'mmio_stale'), ...counts(inside, 'mmio_stale')]).toEqual(stale);
  });
  test.each(ERAS)('era %s: a new slot of System Management Mode is seen there', (era) => {
    const lines = [
      'begin',
      'v0 smi',
      'v0 kernel read 0x600000',
      'host add-slot slot=3',
      'v0 kernel read 0x600000',
    ];
    const timeline = run(lines, `era=${era}`, [...SLOTS, 'slot 0x600000 2M absent smm']);
    expect(readsOf(timeline)).toEqual([0xffff_ffff_ffff_ffffn, 0xda7a_0600n]);
  });
  test('what the vCPU remembers of one address space does not count in the other', () => {
    const lines = ['begin', 'v0 kernel read 0xb0000', 'v0 smi', 'v0 kernel read 0xb0000'];
    const timeline = run(lines, 'guest=nonpaging', ['slot 0x0 640K', 'slot 0x0 4M smm']);
    expect(readsOf(timeline)).toEqual([0xffff_ffff_ffff_ffffn, 0xda7a_00b0n]);
  });
});

test.each([
  ['rsm', ['v0 rsm']],
  ['smi', ['v0 smi', 'v0 smi']],
])('%s where it means nothing changes nothing, and says so', (_verb, lines) => {
  const timeline = run(['begin', ...lines]);
  const kinds = Array.from({ length: timeline.length }, (_, step) => timeline.step(step).kind);
  expect(kinds.filter((kind) => kind === 'smm-refuse').length).toBe(1);
  expect(kinds.filter((kind) => kind === 'role-set').length).toBe(lines.length + 1);
});

describe('problems have a remedy', () => {
  const said = (machine: string, ...lines: readonly string[]): readonly string[] =>
    checkScenario(['mmuscope 1', `machine ${machine}`, 'slot 0x0 4M', ...lines].join('\n')).map(
      ({ message, remedy }) => `${message} | ${remedy}`,
    );
  test.each([
    [
      'kvm-2007',
      'v0 smi',
      'Machine kvm-2007 has no System Management Mode | Use machine kvm-shadow, or remove the line.',
    ],
    [
      'native',
      'v0 rsm',
      'Machine native has no System Management Mode | Use machine kvm-shadow, or remove the line.',
    ],
    ['kvm-shadow', 'v0 user smi', 'smi is for the kernel only | Write: v0 kernel smi ...'],
  ])('machine %s, %s', (machine, line, expected) => {
    expect(said(machine, 'begin', line)).toEqual([expected]);
  });
  test('a slot for System Management Mode on another machine', () => {
    expect(said('native', 'slot 0x0 4M smm', 'begin', 'v0 cpuid')[0]).toContain(
      'native has no System Management Mode',
    );
  });
});
