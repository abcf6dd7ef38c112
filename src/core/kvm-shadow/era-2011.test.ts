/** What the kernel of 2011 did otherwise: marks of devices that carry no number, and flushes that are put off. */
import { describe, expect, test } from 'vitest';
import { planOf } from '../../testing/scenarios.ts';
import { checkScenario } from '../../scenario/plan.ts';
import { counter } from '../../scenario/expectations.ts';
import type { CounterName } from '../counters.ts';
import { record, type Timeline } from '../../timeline/timeline.ts';
import { isMmio } from './spte.ts';

function run(lines: readonly string[], era: string, guest = '4-level'): Timeline {
  const head = [
    'mmuscope 1',
    `machine kvm-shadow era=${era} guest=${guest} vcpus=2`,
    'slot 0x0 4M',
    'slot 0x400000 2M absent',
  ];
  const timeline = record(planOf([...head, ...lines].join('\n')).program);
  expect(timeline.stop).toBeUndefined();
  timeline.seek(timeline.operations.at(-1)?.endStep ?? 0);
  expect([...timeline.world.tables.violation.values()]).toEqual([]);
  return timeline;
}

const counts = (timeline: Timeline, ...names: readonly CounterName[]): readonly number[] =>
  names.map((name) => counter(timeline, name));
const lastRead = (timeline: Timeline): bigint | undefined => timeline.operations.at(-1)?.result?.value;
const kindsOf = (timeline: Timeline): readonly string[] =>
  Array.from({ length: timeline.length }, (_, step) => timeline.step(step).kind);

const DEVICES = [
  'let D = 0xffff8800fee00000',
  'let E = 0xffff8800fee01000',
  'map D -> gfn 0x400 rw kernel accessed dirty',
  'map E -> gfn 0xfe01 rw kernel accessed dirty',
];
const reads = (address: string, times: number): readonly string[] =>
  Array.from({ length: times }, () => `v0 kernel read ${address}`);

describe('marks of devices', () => {
  test.each([
    ['6.12', 0x8_0000_0fe0_1013n],
    ['6.1', 0x8_0000_0fe0_1013n],
    ['2011', 0x8_0000_0fe0_1003n],
  ])('era %s: reserved bit, P, W and frame; the generation only today', (era, mark) => {
    const { world } = run([...DEVICES, 'begin', ...reads('E', 1)], era);
    expect([...world.tables.word.values()].filter((word) => isMmio(word))).toEqual([mark]);
    expect(world.get('vm', 'kvm')?.generation).toBe(era === '2011' ? undefined : 2);
  });

  const FIGURES = ['mmio_quick_hits', 'mmio_entry_hits', 'mmio_stale', 'pf_taken', 'refs'] as const;
  test.each([
    ['the same device again', [...reads('E', 4)], [3, 0, 0, 1, 17]],
    ['two in turn', ['v0 kernel read D', 'v0 kernel read E', ...reads('D', 1)], [0, 1, 0, 2, 17]],
    ['after a load of CR3', [...reads('E', 1), 'v0 kernel load-cr3 main', ...reads('E', 1)], [0, 1, 0, 1, 9]],
  ])('save as much as today while no slot changes: %s', (_what, lines, figures) => {
    for (const era of ['2011', '6.1'])
      expect([era, ...counts(run([...DEVICES, 'begin', ...lines], era), ...FIGURES)]).toEqual([
        era,
        ...figures,
      ]);
  });

  test.each([
    ['6.1', 'D', [1, 0], 0xda7a_0400n],
    ['2011', 'D', [0, 4], 0xda7a_0400n],
    ['6.1', 'E', [1, 0], 0xffff_ffff_ffff_ffffn],
    ['2011', 'E', [0, 4], 0xffff_ffff_ffff_ffffn],
  ])(
    'era %s, %s: a new slot makes marks stale, or gives up every shadow page',
    (era, device, figures, value) => {
      const lines = [...DEVICES, 'begin', ...reads('D', 1), ...reads('E', 1), 'host add-slot slot=1'];
      const timeline = run([...lines, ...reads(device, 1)], era);
      expect(counts(timeline, 'mmio_stale', 'mmu_shadow_zapped')).toEqual(figures);
      expect(lastRead(timeline)).toBe(value);
    },
  );

  test('have no number that could wrap', () => {
    const lines = ['generation 0x7fffe', ...DEVICES, 'begin', ...reads('E', 1), 'host add-slot slot=1'];
    const zaps = kindsOf(run(lines, '2011')).filter((kind) => kind === 'zap-all');
    expect(zaps.length).toBe(1);
  });

  test.each([
    ['2011', 'nonpaging', true],
    ['6.1', 'nonpaging', false],
    ['2011', '4-level', false],
  ])(
    'era %s, guest %s: a direct entry that is neither mark nor empty is taken for a bug',
    (era, guest, said) => {
      const lines = [
        'let V = 0x21000',
        ...(guest === 'nonpaging' ? [] : ['map V -> gfn 0x21 rw kernel accessed dirty']),
      ];
      const timeline = record(
        planOf(
          [
            'mmuscope 1',
            `machine kvm-shadow era=${era} guest=${guest}`,
            'slot 0x0 4M',
            ...lines,
            'begin',
            'v0 kernel read V',
            'flip shadow V level=1 bit=51',
            'v0 kernel load-cr3 gfn 0x10',
            'v0 kernel read V',
          ].join('\n'),
        ).program,
      );
      expect(kindsOf(timeline).includes('mmio-bug')).toBe(said);
    },
  );
});

describe('tlbs_dirty', () => {
  const V = '0x7f3c5a822000';
  const shared = [
    `let V = ${V}`,
    'let K = 0xffff880000013000',
    'map V -> gfn 0x21 rw user accessed dirty',
    'map K -> table-of V rw kernel accessed dirty',
    'given',
    'v0 kernel read K',
    'v0 user read V',
    'v1 user read V',
    'v0 kernel write K+0x110 = 0',
    'begin',
    'v0 kernel load-cr3 main',
  ];
  const held = ({ world }: Timeline): readonly number[] =>
    [...world.tables.tlb.values()]
      .filter(({ vpn }) => BigInt(vpn) === BigInt(V) >> 12n)
      .map(({ vcpu }) => vcpu);

  test.each([
    ['6.1', undefined, [2]],
    ['2011', 1, [1]],
  ])('era %s: what a sync drops is flushed at once, or later', (era, dirty, requests) => {
    const timeline = run(shared, era);
    expect(timeline.world.get('vm', 'kvm')?.tlbsDirty).toBe(dirty);
    expect(counts(timeline, 'remote_tlb_flush_requests')).toEqual(requests);
  });

  test('the host flushes before it takes a page away, though nothing maps it any more', () => {
    const lines = [...shared, 'host unmap 0x21000', 'v1 cpuid'];
    const timeline = run(lines, '2011');
    expect(counts(timeline, 'notifier_zaps')).toEqual([0]);
    expect(held(timeline)).toEqual([]);
    expect(timeline.world.get('vm', 'kvm')?.tlbsDirty).toBe(0);
  });
});

test('what 2011 did not have cannot be left out or done wrong', () => {
  const said = (line: string): readonly string[] =>
    checkScenario(
      ['mmuscope 1', 'machine kvm-shadow era=2011', line, 'slot 0x0 4M', 'begin', 'v0 cpuid'].join('\n'),
    ).map(({ message }) => message);
  expect(said('policy mmio-without=generation').length).toBe(1);
  expect(said('policy break=F-B2').length).toBe(1);
  expect(said('policy mmio-without=memory')).toEqual([]);
});
