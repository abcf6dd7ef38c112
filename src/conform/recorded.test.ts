/** Every recording that the app opens: its text, its run as a timeline, and the kernel's trace beside it. */
import { describe, expect, test } from 'vitest';
import { planScenario } from '../scenario/plan.ts';
import { recordedFile, RECORDINGS } from '../testing/recordings.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { KernelTrace, type TracePart } from './kernel-trace.ts';
import { openRecording, type OpenedRecording } from './opened.ts';
import { RecordedTimeline } from './recorded-timeline.ts';
import { isProblems } from './recording.ts';
import { readTrace } from './trace-text.ts';

function opened(id: string, change: (trace: string) => string = (trace) => trace): OpenedRecording {
  const recording = openRecording({
    scenario: recordedFile(id, 'scenario.json'),
    trace: change(recordedFile(id, 'trace.txt')),
  });
  if (isProblems(recording)) throw new Error(recording.problems.join(' '));
  return recording;
}

function timelineOf(recording: OpenedRecording, options: { readonly stepsPerRun?: number } = {}): Timeline {
  const planned = planScenario(recording.form.text);
  if (planned.kind === 'problems') throw new Error(planned.problems[0]?.message);
  const run = new RecordedTimeline(planned.plan.program, recording, options);
  while (!run.done) run.advance();
  return run.timeline();
}

const bodyOf = (timeline: Timeline) => timeline.operations.filter(({ section }) => section === 'body');

/** Steps of the lines that one vCPU's thread, or user space, gave. */
const stepsIn = ({ lines }: TracePart, task: string): readonly number[] =>
  lines.filter((line) => line.task === task).flatMap(({ step }) => (step === undefined ? [] : [step]));

describe.each(RECORDINGS)('%s', (id) => {
  const recording = opened(id);
  const timeline = timelineOf(recording);

  test('its text is a scenario, with one operation for each recorded step', () => {
    const planned = planScenario(recording.form.text);
    expect(planned.kind === 'problems' ? planned.problems : []).toEqual([]);
    const body = planned.kind === 'ok' ? planned.plan.program.body : [];
    expect(body.map(({ line, lastLine, text }) => ({ line, lastLine, text }))).toEqual(recording.form.steps);
    expect(bodyOf(timeline)).toMatchObject(recording.form.steps);
  });

  test('every compared line of the trace has one step of the model, in order', () => {
    const trace = new KernelTrace(timeline, recording);
    const traced = readTrace(recording.trace);
    for (const operation of bodyOf(timeline)) {
      const part = trace.partOf(operation);
      const expected = traced.get(recording.scenario.steps[operation.number - 1]?.step ?? -1);
      expect(part.differences).toEqual([]);
      const paired = part.lines.filter(({ step }) => step !== undefined).map(({ line }) => line);
      expect(paired).toEqual(expected?.events.map(({ line }) => line));
      expect(part.lines.filter(({ compared, step }) => compared && step === undefined)).toEqual([]);
      for (const task of new Set(part.lines.map((line) => line.task))) {
        const steps = stepsIn(part, task);
        expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
        expect(steps.every((step) => step >= operation.firstStep && step < operation.endStep)).toBe(true);
      }
    }
  });

  test('its timeline goes back and forth', () => {
    const counters = (): unknown => [...timeline.world.tables.counter].sort();
    timeline.seek(timeline.length);
    const [end, words] = [counters(), timeline.world.size()];
    timeline.seek(timeline.begin);
    expect([...timeline.world.tables.sp.keys()]).toEqual([]);
    timeline.seek(timeline.length);
    expect(counters()).toEqual(end);
    expect(timeline.world.size()).toBe(words);
  });
});

test('a line that the model does not give is shown as such, and nothing after it is paired', () => {
  const recording = opened('6.12/shadow64-cow', (trace) =>
    trace.replace('pte 102025 level 1', 'pte 102027 level 1'),
  );
  const timeline = timelineOf(recording);
  const trace = new KernelTrace(timeline, recording);
  const parts = bodyOf(timeline).map((operation) => trace.partOf(operation));
  const wrong = parts.filter(({ differences }) => differences.length > 0);
  expect(wrong).toHaveLength(1);
  expect(wrong[0]?.differences).toMatchObject([
    { expected: 'kvm_mmu_paging_element 102027 level 1', got: 'kvm_mmu_paging_element 102025 level 1' },
  ]);
  const compared = wrong[0]?.lines.filter((line) => line.compared) ?? [];
  const astray = compared.findIndex(({ text }) => text.includes('102027'));
  expect(compared.map(({ step }) => step !== undefined)).toEqual(compared.map((_, at) => at < astray));
});

test('a run that hits its bound ends there and says so', () => {
  const recording = opened('6.12/shadow64-cow');
  const whole = timelineOf(recording).length;
  const timeline = timelineOf(recording, { stepsPerRun: whole - 100 });
  expect(timeline.length).toBe(whole - 100);
  expect(timeline.stop).toMatchObject({ kind: 'bound', bound: 'stepsPerRun' });
});
