/**
 * Generated guests under today's KVM whose host acts beside them, and in the middle of what they do: pages are moved, taken
 * away and made read-only, slots come and go over devices, the dirty log is fetched. Each access gives what some correct
 * TLB could give, over memory, read-only memory and devices as they are then; the log is complete; no rule breaks, and
 * nothing is harmed.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Manners } from '../../../testing/guest-deeds.ts';
import { planOf, RUNS } from '../../../testing/scenarios.ts';
import { programText, vcpuProgram } from '../../../testing/vcpu-programs.ts';
import { watch, wrongs } from '../../../testing/watched-run.ts';

const choices = fc.record({
  cpu: fc.constantFrom('svm', 'vmx-vpid'),
  'nx-huge-pages': fc.constantFrom('off', 'on'),
});

const CASES: readonly (readonly [string, Manners])[] = [
  ['6.12', 'obeys'],
  ['6.12', 'careless'],
  ['6.1', 'obeys'],
  ['6.1', 'careless'],
];

describe('guests whose host acts', () => {
  test.each(CASES)('%s, a guest that is %s', (era, manners) => {
    fc.assert(
      fc.property(
        vcpuProgram({ manners, vcpus: [1, 2, 3], around: 'host' }),
        choices,
        (program, settings) => {
          const text = programText(program, `machine kvm-shadow era=${era}`);
          const seen = watch(planOf(text, settings).program);
          fc.pre(!seen.marksRenewed);
          expect({ text, settings, wrong: wrongs(seen) }).toEqual({ text, settings, wrong: [] });
        },
      ),
      { numRuns: Math.ceil(RUNS / 4) },
    );
  });
});

const HEAD = 'mmuscope 1\ntitle Small\nmachine kvm-shadow vcpus=2\nslot 0x0 16M\nslot 0x1000000 64K absent';
const seenOf = (lines: readonly string[]): ReturnType<typeof watch> =>
  watch(planOf([HEAD, ...lines].join('\n'), {}).program);

describe("where today's KVM is not what its own rules want", () => {
  test('a mark for a device is brought up to date with its table, though a slot lies there by now (D.7, F.6)', () => {
    const seen = seenOf([
      'map 0x2000000 -> gfn 0x1000 rw user accessed dirty',
      'map 0x80006000 -> table-of 0x2000000 rw kernel accessed dirty',
      'begin',
      'v0 kernel read 0x2000008',
      'v0 kernel set-pte 0x2001000 -> gfn 0x200 rw user accessed dirty',
      'host add-slot slot=1',
      'v0 kernel load-cr3 main',
      'v0 kernel read 0x2000008',
    ]);
    expect(seen.marksRenewed).toBe(true);
    expect(seen.violations).toEqual(['INV-11']);
    expect(seen.operations.at(-1)?.result?.value).toBe(0xffff_ffff_ffff_ffffn);
  });
  /** Reference D.3: only a fault with P=1 drops what there is for the address. A processor drops it with any fault. */
  test('a fault for want of an entry leaves what is out of step as it was', () => {
    const seen = seenOf([
      'map 0x400000 -> gfn 0x200 rw user accessed dirty',
      'map 0x401000 -> gfn 0x201 rw user accessed dirty',
      'map 0x80000000 -> table-of 0x400000 rw kernel accessed dirty',
      'begin',
      'v0 user read 0x400000',
      'v0 kernel set-pte 0x400000 -> absent',
      'v0 user read 0x400000',
    ]);
    expect([seen.complaints, seen.stale]).toEqual([[], 1]);
  });
});

/** What generated programs have found, made small. */
describe('found by generated programs, and mended', () => {
  const MAPPED = ['map 0x400000 -> gfn 0x200 rw user accessed dirty'];
  test.each([
    [
      'a table that is swapped out says what it said',
      ['host swap-out 0x10000 pages=8', 'v0 user read 0x400008'],
    ],
    [
      'what is swapped out is in the large page that takes its place',
      [
        'v0 user write 0x400008 = 7',
        'host swap-out 0x200000',
        'host collapse 0x200000 pages=512',
        'v0 user read 0x400008',
      ],
    ],
    [
      'what may not be written may not be when it is a part of a large page',
      ['host write-protect 0x200000', 'host collapse 0x200000 pages=512', 'v0 user write 0x400008 = 7'],
    ],
    [
      'who looked at a slot that is going may map it until nobody does',
      [
        'host add-slot slot=1',
        'v0 user read 0x401008',
        '  at kvm_faultin_pfn/after: host delete-slot slot=1',
        'v0 user read 0x401008',
      ],
    ],
    [
      'a mark for a device counts no more while a slot comes',
      ['v0 user read 0x401008', 'v1 user read 0x400008', '  at kvm_faultin_pfn/after: host add-slot slot=1'],
    ],
    [
      'a vCPU may write by what it has cached until the fetch of the log has flushed it',
      [
        'host log slot=0 on',
        'v0 user write 0x400008 = 1',
        'v1 user write 0x400008 = 2',
        'host fetch-log slot=0',
        '  at kvm_make_all_cpus_request/kicked: v1 user write 0x400008 = 3',
        'v0 user read 0x400008',
        '  at page-walk/level-1: v1 user read 0x400008',
      ],
    ],
    [
      'the log may still have others flush when one of them exits',
      [
        'v1 user write 0x400008 = 5',
        'host log slot=0 on',
        '  at kvm_make_all_cpus_request/kicked: v1 cpuid',
        'v0 user read 0x400008',
      ],
    ],
  ])('%s', (_name, lines) => {
    const memory = [...MAPPED, 'map 0x401000 -> gfn 0x1000 rw user accessed dirty', 'begin'];
    expect(wrongs(seenOf([...memory, ...lines]))).toEqual([]);
  });
});
