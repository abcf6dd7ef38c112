/**
 * What a guest sees of each access, whatever it forgets: what some correct TLB could give. The naive model of such TLBs
 * says what that is; it shares no code with core.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planOf, RUNS } from '../../testing/scenarios.ts';
import { programText, vcpuProgram } from '../../testing/vcpu-programs.ts';
import { watch, wrongs } from '../../testing/watched-run.ts';
import { correctPolicies } from '../../testing/wrong-policies.ts';
import type { SettingChoices } from '../../scenario/ast.ts';

const ERAS = ['2006', '2007a', '2007b', '2007c'] as const;

const holds = (text: string, choices: SettingChoices): void => {
  const seen = watch(planOf(text, choices).program);
  expect({ text, choices, wrong: wrongs(seen) }).toEqual({ text, choices, wrong: [] });
};

describe.each(['obeys', 'careless'] as const)('a guest on one vCPU that %s', (manners) => {
  const programs = vcpuProgram({ manners, vcpus: [1] });
  test.each(ERAS)('under the shadow MMU, era %s', (era) => {
    fc.assert(
      fc.property(programs, correctPolicies(era), (program, choices) => {
        holds(programText(program, `machine kvm-2007 era=${era}`), choices);
      }),
      { numRuns: RUNS },
    );
  });
  test('without a hypervisor', () => {
    fc.assert(
      fc.property(programs, (program) => {
        holds(programText(withoutHost(program), 'machine native cpu=vmx-novpid'), {});
      }),
      { numRuns: RUNS },
    );
  });
});

/** A machine without a hypervisor has nobody to flush or to log for it. */
const withoutHost = <P extends { readonly operations: readonly string[] }>(program: P): P => {
  const operations = program.operations.filter((operation) => !operation.startsWith('host '));
  return { ...program, operations: operations.length === 0 ? ['v0 cpuid'] : operations };
};

describe('these programs tell something', () => {
  const SEED = 7;
  const SAMPLES = 100;
  /** Of programs always the same: in how many an access was served by what the tables no longer say. */
  const staleAmong = (machine: string, vcpus: number): number =>
    fc
      .sample(vcpuProgram({ manners: 'careless', vcpus: [vcpus] }), { seed: SEED, numRuns: SAMPLES })
      .map((program) =>
        programText(machine.startsWith('native') ? withoutHost(program) : program, `machine ${machine}`),
      )
      .filter((text) => watch(planOf(text, {}).program).stale > 0).length;
  test.each([
    ['native cpu=vmx-novpid', 1, 15],
    ['kvm-2007 era=2007b cpu=svm', 1, 3],
    ['kvm-2007 era=2007c cpu=svm', 3, 3],
  ] as const)('stale translations do serve accesses: %s, %i vCPUs', (machine, vcpus, least) => {
    expect(staleAmong(machine, vcpus)).toBeGreaterThan(least);
  });
});

/** What generated programs have found, made small. */
describe('found by generated programs, and mended', () => {
  const text = (machine: string, lines: readonly string[]): string =>
    ['mmuscope 1', 'title Found', `machine ${machine}`, 'slot 0x0 64M', ...lines].join('\n');
  const DIRECTORY = 'map 0x80004000 -> table-of 0x400000 level=2 rw kernel accessed dirty';
  test.each(ERAS)(
    'one INVLPG drops all pieces of a large page, those too that another one made: %s',
    (era) => {
      const lines = [
        'map 0xc00000 level=2 -> gfn 0x800 rw user accessed dirty',
        'map 0x1000000 level=2 -> gfn 0x800 rw user accessed dirty',
        DIRECTORY,
        'begin',
        'v0 kernel read 0xc03000',
        'v0 user read 0x1003008',
        'v0 kernel set-pte 0x1000000 level=2 -> gfn 0x800 ro kernel',
        'v0 kernel invlpg 0x1000000',
        'v0 user read 0x1003008',
      ];
      holds(text(`kvm-2007 era=${era} cpu=svm`, lines), { 'shipped-bugs': 'none' });
    },
  );
  test.each(ERAS)('a program that writes the root in use does not get the right to: %s', (era) => {
    const lines = [
      'map 0x400000 -> gfn 0x200 rw user accessed dirty',
      'map 0x80011000 -> table-of 0x400000 level=2 rw user accessed dirty',
      'begin',
      'v0 user write 0x80011000 = 0 bytes=4',
      'v0 user read 0x400000',
    ];
    holds(text(`kvm-2007 era=${era} guest=2-level`, lines), { 'shipped-bugs': 'none' });
  });
  test.each(ERAS)('a TLB may serve a write by what a read has cached: %s', (era) => {
    const lines = [
      'map 0x800000 -> gfn 0x200 rw user accessed dirty',
      DIRECTORY,
      'begin',
      'v0 user read 0x800008',
      'v0 kernel set-pte 0x800000 level=2 -> table ro kernel',
      'v0 user write 0x800008 = 7',
    ];
    holds(text(`kvm-2007 era=${era} cpu=svm`, lines), { 'shipped-bugs': 'none' });
  });
  test('paging does not begin on root entries that are malformed', () => {
    const lines = [
      'map 0x400000 -> gfn 0x200 rw user accessed dirty',
      'begin',
      'v0 kernel set cr0.pg = 0',
      'v0 kernel write 0x10000 = 0x200067 bytes=4',
      'v0 kernel set cr0.pg = 1',
      'v0 kernel read 0x400008',
    ];
    for (const machine of ['native', 'kvm-2007']) {
      const seen = watch(planOf(text(`${machine} guest=pae`, lines), {}).program);
      expect([machine, wrongs(seen), seen.operations.at(-1)?.result?.value]).toEqual([
        machine,
        [],
        0xda7a0400n,
      ]);
    }
  });
});
