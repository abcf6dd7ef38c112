/**
 * Two stages of tables and whatever caches a processor has: where guest and hypervisor flush as they must, each access
 * ends as a naive walk of both stages that knows no cache, on every processor.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { planOf, RUNS, SOAKING } from '../../testing/scenarios.ts';
import { twoStageText } from '../../testing/two-stage-programs.ts';
import { wrongs } from '../../testing/watched-run.ts';
import { watchTwoStage } from '../../testing/watched-two-stage.ts';

/** Of each processor. */
const PROGRAMS = SOAKING ? RUNS : 60;

test.each(['svm', 'vmx-vpid', 'vmx-novpid', 'arm64'])(
  'caches that are flushed as they must be cannot be noticed: %s',
  (cpu) => {
    let hits = 0;
    fc.assert(
      fc.property(twoStageText({ cpu }), (text) => {
        const seen = watchTwoStage(planOf(text).program);
        expect({ text, wrong: wrongs(seen) }).toEqual({ text, wrong: [] });
        hits += seen.served;
      }),
      { numRuns: PROGRAMS },
    );
    // Else nothing would be at stake.
    expect(hits).toBeGreaterThan(PROGRAMS);
  },
);
