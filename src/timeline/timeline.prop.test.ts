import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { World } from '../core/machine/world.ts';
import { Recorder } from '../core/operations/recorder.ts';
import { correctSettings, planOf, RUNS, scenario, timelineOf } from '../testing/scenarios.ts';
import {
  nextOperation,
  previousOperation,
  stepBack,
  stepForward,
  stepInto,
  stepOut,
  stepOver,
  stepOverBack,
} from './navigate.ts';
import { RecordingRun, type Timeline } from './timeline.ts';

const settings = { numRuns: Math.ceil(RUNS / 2) };
const trace = (timeline: Timeline, from: number): string =>
  JSON.stringify(
    Array.from({ length: timeline.length - from }, (_, index) => {
      const { kind, facts, reads, changes } = timeline.step(from + index);
      return { kind, facts, reads, changes };
    }),
    (_key, value: unknown) => (typeof value === 'bigint' ? value.toString(16) : value),
  );

describe('a timeline', () => {
  test("the view's world equals the recorder's at the end", () => {
    fc.assert(
      fc.property(scenario, correctSettings, (text, choices) => {
        const run = new RecordingRun(planOf(text, choices).program);
        while (!run.done) run.advance();
        expect(run.timeline().world.firstDifference(run.recordedWorld)).toBeUndefined();
      }),
      settings,
    );
  });

  test('seek equals a fold from the first step, wherever it comes from', () => {
    fc.assert(
      fc.property(scenario, fc.array(fc.nat(), { minLength: 1, maxLength: 6 }), (text, places) => {
        const wandering = timelineOf(text);
        for (const place of places) {
          const position = place % (wandering.length + 1);
          wandering.seek(position);
          const fresh = timelineOf(text);
          fresh.seek(0);
          for (let at = 1; at <= position; at += 1) fresh.seek(at);
          expect(wandering.world.firstDifference(fresh.world)).toBeUndefined();
        }
      }),
      { numRuns: Math.ceil(RUNS / 8) },
    );
  });

  test('undo of redo is identity', () => {
    fc.assert(
      fc.property(scenario, fc.nat(), (text, place) => {
        const timeline = timelineOf(text);
        const position = place % timeline.length;
        timeline.seek(position);
        const before = new World(timeline.world);
        timeline.seek(position + 1);
        timeline.seek(position);
        expect(timeline.world.firstDifference(before)).toBeUndefined();
      }),
      settings,
    );
  });

  test('the same text gives the same journal', () => {
    fc.assert(
      fc.property(scenario, correctSettings, (text, choices) => {
        expect(trace(timelineOf(text, choices), 0)).toBe(trace(timelineOf(text, choices), 0));
      }),
      { numRuns: Math.ceil(RUNS / 8) },
    );
  });

  test('from the world before any operation, the rest of the run gives the same steps', () => {
    fc.assert(
      fc.property(scenario, fc.nat(), (text, place) => {
        const { program } = planOf(text);
        const whole = new Recorder(program);
        const cut = 1 + (place % program.body.length);
        while (whole.position < cut) whole.advance();
        const resumed = new Recorder(program, {}, { world: new World(whole.machine.world), operation: cut });
        const first = whole.machine.steps;
        whole.finish();
        resumed.finish();
        expect(resumed.machine.world.firstDifference(whole.machine.world) ?? 'none').toMatch(
          /^(none|owed:|violation:)/,
        );
        expect(resumed.machine.steps).toBe(whole.machine.steps - first);
        const told = (recorder: Recorder, from: number): string =>
          JSON.stringify(
            Array.from({ length: recorder.machine.steps - from }, (_, index) => [
              recorder.machine.journal?.kind(from + index),
              recorder.machine.journal?.factsOf(from + index),
              recorder.machine.journal?.readsOf(from + index),
            ]),
            (_key, value: unknown) => (typeof value === 'bigint' ? value.toString(16) : value),
          );
        expect(told(resumed, 0)).toBe(told(whole, first));
      }),
      settings,
    );
  });

  test('every position has a name that leads back to it', () => {
    fc.assert(
      fc.property(scenario, fc.nat(), (text, place) => {
        const timeline = timelineOf(text);
        const position = timeline.begin + (place % (timeline.length - timeline.begin + 1));
        const [operation = '', step = ''] = timeline.nameOf(position).split('.');
        expect(timeline.positionNamed(operation, Number(step))).toBe(position);
      }),
      settings,
    );
  });
});

describe('stepping', () => {
  test('moves the right way, stays on the timeline, and over is at least as far as a step', () => {
    fc.assert(
      fc.property(scenario, fc.nat(), (text, place) => {
        const timeline = timelineOf(text);
        const at = place % (timeline.length + 1);
        for (const forward of [stepForward, stepOver, stepOut, stepInto, nextOperation]) {
          expect(forward(timeline, at)).toBeGreaterThanOrEqual(
            Math.min(at + (at < timeline.length ? 1 : 0), timeline.length),
          );
          expect(forward(timeline, at)).toBeLessThanOrEqual(timeline.length);
        }
        for (const backward of [stepBack, stepOverBack]) {
          expect(backward(timeline, at)).toBeLessThanOrEqual(Math.max(0, at - 1));
          expect(backward(timeline, at)).toBeGreaterThanOrEqual(0);
        }
        expect(previousOperation(timeline, at)).toBeGreaterThanOrEqual(timeline.begin);
      }),
      settings,
    );
  });
});
