/**
 * The audit of today's KVM against recordings of real kernels: a kernel that worked kept its invariants, after every step
 * and at each entry, unlock and freed page in between. A rule that is found broken here is wrong, or has found something.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { audit } from '../core/audit/audit.ts';
import { addJudging } from '../core/audit/judging.ts';
import { judgingToday } from '../core/audit/today/judging.ts';
import { parseRecording, type Recording } from './recording.ts';
import { cannotRun, ConformRun } from './run.ts';

const TRACES = new URL('../testing/kvm-traces/', import.meta.url);
addJudging('kvm-shadow', judgingToday);

function recordingOf(folder: string): Recording {
  const text = (name: string): string =>
    gunzipSync(readFileSync(new URL(`${folder}/${name}.gz`, TRACES))).toString();
  const recording = parseRecording({
    scenario: text('scenario.json'),
    observed: text('observed.json'),
    state: text('state.json'),
    trace: text('trace.txt'),
  });
  if ('problems' in recording) throw new Error(recording.problems.join('\n'));
  return recording;
}

const FOLDERS = readdirSync(TRACES).flatMap((kernel) =>
  readdirSync(new URL(kernel, TRACES)).map((scenario) => `${kernel}/${scenario}`),
);

describe('no rule is broken at any point of a recording of a real kernel', () => {
  test.each(FOLDERS)('%s', (folder) => {
    const recording = recordingOf(folder);
    expect(cannotRun(recording.scenario)).toBeUndefined();
    let points = 0;
    const run = new ConformRun(recording, {
      audit: (m, point, frame) => {
        points += 1;
        audit(m, point, frame);
      },
      wrote: judgingToday.witness,
    });
    const { world } = run.m;
    const steps: number[] = [];
    run.replay(({ step }) => {
      run.m.point('op');
      steps.push(step);
      const found = [...world.tables.violation.values()].map((violation) => ({ step, ...violation }));
      expect(found).toEqual([]);
    });
    expect(steps).toHaveLength(recording.scenario.steps.length);
    // At entries, unlocks and freed pages too.
    expect(points).toBeGreaterThan(2 * steps.length);
  });
});
