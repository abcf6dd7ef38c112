import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { guestProgram, onMachine } from '../../testing/guest-programs.ts';
import { correctSettings, planOf, RUNS, scenario, timelineOf } from '../../testing/scenarios.ts';
import { idText } from '../machine/tables.ts';
import { Recorder } from '../operations/recorder.ts';
import { SHIPPED_BUGS } from '../settings.ts';
import { complaints, kernelAudits, RULE_OF_KERNEL_AUDIT } from './kernel-audits.ts';
import { scan } from './scan.ts';

describe('the audit', () => {
  test('holds under every correct policy with the shipped bugs mended, and nothing is harmed', () => {
    fc.assert(
      fc.property(scenario, correctSettings, (text, choices) => {
        const { tables } = timelineOf(text, { ...choices, 'shipped-bugs': 'none' }).world;
        expect([...tables.violation.values()]).toEqual([]);
        expect([...tables.harm.values()]).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  test('holds for guests of every paging mode and in every era, with the shipped bugs mended', () => {
    const era = fc.constantFrom('2006', '2007a', '2007b', '2007c');
    fc.assert(
      fc.property(guestProgram, era, correctSettings, (program, own, choices) => {
        const text = onMachine(program, `machine kvm-2007 era=${own}`);
        const { tables } = timelineOf(text, { ...choices, 'shipped-bugs': 'none' }).world;
        expect([...tables.violation.values()]).toEqual([]);
        expect([...tables.harm.values()]).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  test('finds only the listed bugs with all of them left in', () => {
    fc.assert(
      fc.property(scenario, correctSettings, (text, choices) => {
        const found = [...timelineOf(text, choices).world.tables.violation.values()];
        const listed: readonly string[] = SHIPPED_BUGS;
        expect(
          found.filter((violation) => violation.bug === undefined || !listed.includes(violation.bug)),
        ).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  test('re-checking only what changed says what a full scan says', () => {
    fc.assert(
      fc.property(scenario, correctSettings, (text, choices) => {
        const recorder = new Recorder(planOf(text, choices).program);
        while (!recorder.done) {
          recorder.advance();
          const { world } = recorder.machine;
          const full = new Set(
            scan(world).map(
              ({ rule, subject }) =>
                `${rule} ${typeof subject === 'number' ? idText('word', subject) : subject}`,
            ),
          );
          const kept = [...world.tables.violation.values()].filter(
            (v) => v.mended !== true && v.rule !== 'INV-6' && v.rule !== 'INV-14',
          );
          expect(new Set(kept.map((violation) => `${violation.rule} ${violation.subject}`))).toEqual(full);
        }
      }),
      { numRuns: Math.ceil(RUNS / 2) },
    );
  });

  test("the kernel's own three checks pass after every operation, with the shipped bugs mended", () => {
    fc.assert(
      fc.property(scenario, correctSettings, (text, choices) => {
        const { program } = planOf(text, { ...choices, 'shipped-bugs': 'none' });
        const recorder = new Recorder(program);
        while (!recorder.done) {
          recorder.advance();
          expect(complaints(kernelAudits(recorder.machine.world, program.settings))).toEqual([]);
        }
      }),
      { numRuns: RUNS },
    );
  });

  test('what a check of the kernel complains of after an operation breaks one of our rules too', () => {
    fc.assert(
      fc.property(scenario, correctSettings, (text, choices) => {
        const { program } = planOf(text, choices);
        const recorder = new Recorder(program);
        while (!recorder.done) {
          recorder.advance();
          if (recorder.stop !== undefined) return;
          const { world } = recorder.machine;
          const broken = new Set(
            [...world.tables.violation.values()].filter((v) => v.mended !== true).map(({ rule }) => rule),
          );
          for (const name of complaints(kernelAudits(world, program.settings)))
            expect([...broken]).toContain(RULE_OF_KERNEL_AUDIT[name]);
        }
      }),
      { numRuns: RUNS },
    );
  });
});
