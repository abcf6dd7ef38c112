/**
 * Generated guests on several vCPUs, with what one does in the middle of what another does. There is no machine without
 * a hypervisor that has several, so the reference is the naive model of correct TLBs: one memory, in the order in which
 * it really changed, and for each vCPU a TLB that may hold what the tables once gave until that vCPU invalidates it. Of a
 * guest that invalidates everywhere before it relies on a change, that leaves one outcome for each access, but for those
 * that fall between a change and its invalidation.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planOf, RUNS } from '../../testing/scenarios.ts';
import type { Manners } from '../../testing/guest-deeds.ts';
import { programText, vcpuProgram } from '../../testing/vcpu-programs.ts';
import { watch, wrongs, type Watched } from '../../testing/watched-run.ts';
import { correctPolicies } from '../../testing/wrong-policies.ts';

const MANNERS: readonly (readonly [string, Manners])[] = [
  ['that obeys the architecture sees what it would see on processors of its own', 'obeys'],
  ['that forgets invalidations sees what some correct TLBs could give', 'careless'],
];

describe('a guest on several vCPUs', () => {
  test.each(MANNERS)('%s; nothing breaks and nothing is harmed', (_name, manners) => {
    fc.assert(
      fc.property(vcpuProgram({ manners, vcpus: [2, 3] }), correctPolicies('2007c'), (program, choices) => {
        const text = programText(program, 'machine kvm-2007 era=2007c');
        const seen = watch(planOf(text, choices).program);
        expect({ text, choices, wrong: wrongs(seen) }).toEqual({ text, choices, wrong: [] });
      }),
      { numRuns: RUNS },
    );
  });
});

/**
 * Reference C.7, our reading: what `walk_addr` has read is used after the table is write-protected, and nobody asks whether
 * it is still so. It names no such bug; today's kernel asks (D.4).
 */
describe('walk-race: a store of another vCPU between walk and write protection', () => {
  const stored = (point: string, settings: string): Watched => {
    const text = [
      'mmuscope 1',
      'title A race',
      'machine kvm-2007 era=2007c cpu=svm vcpus=2',
      `policy ${settings}`,
      'slot 0x0 64M',
      'map 0x400000 -> gfn 0x200 rw user accessed dirty',
      'map 0x80000000 -> table-of 0x400000 rw kernel accessed dirty',
      'begin',
      'v1 kernel write 0x80000008 = 0',
      'v0 user read 0x400000',
      `  at ${point}: v1 kernel set-pte 0x400000 -> gfn 0x201 rw user accessed dirty`,
      'v0 kernel invlpg 0x400000',
      'v1 kernel invlpg 0x400000',
      'v0 user read 0x400000',
    ].join('\n');
    return watch(planOf(text).program);
  };
  const points = ['walk_addr/done', 'rmap_write_protect/before-flush', 'kvm_flush_remote_tlbs/before-kick'];
  test.each(points)('is lost to the shadow as the era shipped it: %s', (point) => {
    const seen = stored(point, 'shipped-bugs=all');
    expect(seen.complaints).toEqual(['v0 user r 0x400000: reached 0x200000, not one of: 0x201000 wu d']);
    expect(seen.violations).toEqual(['INV-1']);
    expect(seen.harms).toEqual(['stale-read']);
  });
  test.each(points)('is seen where the entry is read again: %s', (point) => {
    const seen = stored(point, 'shipped-bugs=none');
    expect(wrongs(seen)).toEqual([]);
    expect(seen.operations.at(-1)?.result?.value).toBe(0xda7a0201n);
  });
});

/** What generated programs have found, made small. */
describe('found by generated programs, and mended', () => {
  const HEAD = 'mmuscope 1\ntitle Found\nmachine kvm-2007 era=2007c';
  const GROUND = [
    'slot 0x0 64M',
    'map 0x400000 -> gfn 0x200 rw user accessed dirty',
    'map 0x80000000 -> table-of 0x400000 rw kernel accessed dirty',
    'map 0x80004000 -> table-of 0x400000 level=2 rw kernel accessed dirty',
    'begin',
  ];
  const wrong = (settings: string, lines: readonly string[]): readonly string[] => {
    const text = [`${HEAD} ${settings}`, ...GROUND, ...lines].join('\n');
    return wrongs(watch(planOf(text, { 'shipped-bugs': 'none' }).program));
  };
  test('without paging, a store into a root of another vCPU is emulated', () => {
    const lines = [
      'v0 kernel set cr0.pg = 0',
      'v0 kernel write 0x11000 = 0x200067 bytes=4',
      'v0 kernel read 0x11000',
      'v0 kernel set cr0.pg = 1',
      'v1 user read 0x400000',
    ];
    expect(wrong('guest=pae vcpus=2', lines)).toEqual([]);
  });
  test('a vCPU that enters while another holds the lock is not judged by tables that are half changed', () => {
    const lines = ['v0 user read 0x400000', '  at rmap_write_protect/after-flush: v1 kernel read 0x80000000'];
    const first = 'v1 kernel write 0x80000008 = 0';
    expect(wrong('cpu=vmx-novpid vcpus=2', [first, ...lines])).toEqual([]);
  });
  test('what a vCPU has walked already may be used, whatever another changes meanwhile', () => {
    const change = 'v1 kernel set-pte 0x400000 level=2 -> table ro kernel';
    const lines = ['v0 user read 0x400000', `  at page-walk/level-1: ${change}`];
    expect(wrong('cpu=vmx-novpid vcpus=2', lines)).toEqual([]);
  });
  test('a use with fewer rights does not end what is cached with more', () => {
    const lines = [
      'v1 user read 0x400008',
      'v0 kernel set-pte 0x400000 level=2 -> table ro kernel',
      'v1 kernel read 0x400008',
      '  at page-walk/level-1: v0 cpuid',
      'v1 user read 0x400008',
    ];
    expect(wrong('cpu=svm vcpus=2', lines)).toEqual([]);
  });
  test('a vCPU holds addresses over links that another has cut: it drops all, since nobody can name them', () => {
    const lines = [
      'v0 user read 0x400000',
      'v1 kernel set-pte 0x400000 level=2 -> table ro kernel',
      'host log slot=0 on',
      'v0 user read 0x400000',
    ];
    expect(wrong('cpu=svm vcpus=2\npolicy flush-size=page', lines)).toEqual([]);
  });
  test('a CR3 load spares no flush of other vCPUs', () => {
    const lines = ['v1 user read 0x400000', 'v0 kernel load-cr3 gfn 0x200', 'v0 kernel load-cr3 main'];
    expect(wrong('cpu=vmx-novpid vcpus=2\npolicy flush=on-fault', lines)).toEqual([]);
  });
});
