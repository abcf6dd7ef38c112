/**
 * The audit of today's KVM against recordings of real kernels: a kernel that worked kept its invariants, after every step
 * and at each entry, unlock and freed page in between. A rule that is found broken here is wrong, or has found something.
 */
import { describe, expect, test } from 'vitest';
import { audit } from '../core/audit/audit.ts';
import { addJudging } from '../core/audit/judging.ts';
import { judgingToday } from '../core/audit/today/judging.ts';
import { recordedFile, RECORDINGS } from '../testing/recordings.ts';
import { cannotRun, RecordedRun } from './recorded-run.ts';
import { isProblems, parseScenario } from './recording.ts';

addJudging('kvm-shadow', judgingToday);

describe('no rule is broken at any point of a recording of a real kernel', () => {
  test.each(RECORDINGS)('%s', (recording) => {
    const scenario = parseScenario(recordedFile(recording, 'scenario.json'));
    if (isProblems(scenario)) throw new Error(scenario.problems.join('\n'));
    expect(cannotRun(scenario)).toBeUndefined();
    let points = 0;
    const run = new RecordedRun(scenario, {
      audit: (m, point, frame) => {
        points += 1;
        audit(m, point, frame);
      },
      wrote: judgingToday.witness,
    });
    const steps: number[] = [];
    while (!run.done) {
      const { step } = run.advance();
      steps.push(step.step);
      const found = [...run.m.world.tables.violation.values()].map((violation) => ({
        step: step.step,
        ...violation,
      }));
      expect(found).toEqual([]);
    }
    expect(steps).toHaveLength(scenario.steps.length);
    // At entries, unlocks and freed pages too.
    expect(points).toBeGreaterThan(2 * steps.length);
  });
});
