/** Generated guests under today's KVM: no rule breaks and nothing is harmed, whether the guest obeys or is careless. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Manners } from '../../../testing/guest-deeds.ts';
import { guestProgram, onMachine } from '../../../testing/guest-programs.ts';
import { planOf, RUNS } from '../../../testing/scenarios.ts';
import { programText, vcpuProgram } from '../../../testing/vcpu-programs.ts';
import { watch, wrongs } from '../../../testing/watched-run.ts';
import { Recorder } from '../../operations/recorder.ts';
import { idText } from '../../machine/tables.ts';
import { scan } from './scan.ts';

const ERAS = ['6.12', '6.1'] as const;
const choices = fc.record({
  cpu: fc.constantFrom('svm', 'vmx-vpid'),
  'nx-huge-pages': fc.constantFrom('off', 'on'),
});

describe('a guest that obeys the architecture', () => {
  test.each(ERAS)('breaks no rule, whatever it does: %s', (era) => {
    fc.assert(
      fc.property(guestProgram, choices, (program, settings) => {
        const text = onMachine(program, `machine kvm-shadow era=${era}`);
        const recorder = new Recorder(planOf(text, settings).program, { record: false });
        while (!recorder.done) recorder.advance();
        const { tables } = recorder.machine.world;
        expect({ text, violations: [...tables.violation.values()] }).toEqual({ text, violations: [] });
        expect({ text, harm: [...tables.harm.values()] }).toEqual({ text, harm: [] });
        expect(scan(recorder.machine.world)).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });
});

const MANNERS: readonly Manners[] = ['obeys', 'careless'];
describe('guests on several vCPUs', () => {
  test.each(ERAS.flatMap((era) => MANNERS.map((manners) => [era, manners] as const)))(
    'break no rule, and see what some correct TLBs could give: %s, %s',
    (era, manners) => {
      fc.assert(
        fc.property(vcpuProgram({ manners, vcpus: [1, 2, 3] }), choices, (program, settings) => {
          const text = programText(program, `machine kvm-shadow era=${era}`);
          const seen = watch(planOf(text, settings).program);
          expect({ text, settings, wrong: wrongs(seen) }).toEqual({ text, settings, wrong: [] });
        }),
        { numRuns: RUNS },
      );
    },
  );
});

test('re-checking only what changed says what a full scan says', () => {
  fc.assert(
    fc.property(guestProgram, choices, (program, settings) => {
      const text = `${onMachine(program, 'machine kvm-shadow')}\nflip 0x10000 bit=1`;
      const recorder = new Recorder(planOf(text, settings).program);
      while (!recorder.done) {
        recorder.advance();
        const { world } = recorder.machine;
        const full = scan(world).map(
          ({ rule, subject }) => `${rule} ${typeof subject === 'number' ? idText('word', subject) : subject}`,
        );
        const kept = [...world.tables.violation.values()].filter(
          ({ mended, rule }) => mended !== true && rule !== 'INV-6' && rule !== 'INV-14',
        );
        expect(new Set(kept.map(({ rule, subject }) => `${rule} ${subject}`))).toEqual(new Set(full));
      }
    }),
    { numRuns: Math.ceil(RUNS / 2) },
  );
});
