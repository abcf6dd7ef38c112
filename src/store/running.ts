/** Turns plans into runs, giving the browser its turns, and finds the same place again in another run. */
import { loadEngine } from '../core/operations/engines.ts';
import { planScenario, type Plan, type PlanResult } from '../scenario/plan.ts';
import type { SettingChoices } from '../scenario/ast.ts';
import { judge } from '../scenario/expectations.ts';
import { lineInNewText } from '../scenario/same-line.ts';
import { castOf } from '../scene/cast.ts';
import { kvmShow } from '../scene/kvm-show.ts';
import { loadSentences } from '../scene/sentences.ts';
import { RecordingRun, type Timeline } from '../timeline/timeline.ts';
import type { Run } from './state.ts';

/** A plan that can be drawn: the stage does not know the machine kvm-shadow yet. */
export function planToDraw(text: string, overrides?: SettingChoices): PlanResult {
  const planned = planScenario(text, overrides);
  if (planned.kind === 'problems' || planned.plan.program.settings.machine !== 'kvm-shadow') return planned;
  const problem = {
    line: 0,
    column: 0,
    span: { from: 0, to: 0 },
    message: 'The machine kvm-shadow cannot be drawn yet',
    remedy: 'Choose machine kvm-2007, or run the text without a browser: npm run -s mmuscope -- run FILE.',
  };
  return { kind: 'problems', problems: [problem] };
}

/** A run gives way after so many milliseconds, so that the page lives while a long one is recorded. */
const TURN_MS = 12;

/** Records to the end; undefined when `isWanted` says that nobody waits for it any more. */
export async function recordPlan(plan: Plan, isWanted: () => boolean): Promise<Timeline | undefined> {
  await loadEngine(plan.program.settings);
  const recording = new RecordingRun(plan.program);
  let turn = performance.now();
  while (!recording.done) {
    recording.advance();
    if (performance.now() - turn < TURN_MS) continue;
    await nextTurn();
    if (!isWanted()) return undefined;
    turn = performance.now();
  }
  return recording.timeline();
}

/** A recorded run with what it takes to draw it. */
export async function runPlan(text: string, plan: Plan, isWanted: () => boolean): Promise<Run | undefined> {
  const timeline = await recordPlan(plan, isWanted);
  if (timeline === undefined) return undefined;
  const results = judge(timeline, plan.expectations);
  await loadSentences(timeline.kinds());
  if (!isWanted()) return undefined;
  if (timeline.program.settings.machine.startsWith('kvm-'))
    return { text, plan, timeline, cast: castOf(timeline), show: kvmShow, results };
  const { bareCast, bareShow } = await import('../scene/bare/show.ts');
  return isWanted() ? { text, plan, timeline, cast: bareCast(timeline), show: bareShow, results } : undefined;
}

/** After whatever the browser has to do now; a message comes back sooner than a timer, which browsers slow down. */
const nextTurn = (): Promise<void> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });

/** The position in `next` that is the same operation and the same place in it as `cursor` in `before`. */
export function samePlace(
  before: Run,
  cursor: number,
  by: { next: Run; alignedStep: typeof import('../timeline/align.ts').alignedStep },
): number {
  const { next } = by;
  const { timeline } = before;
  const operation = cursor <= timeline.begin ? undefined : timeline.operationAt(cursor - 1);
  if (operation === undefined) return next.timeline.begin;
  const line = lineInNewText(before.text, next.text, operation.line);
  const candidates = next.timeline.operations.filter((candidate) => candidate.section === operation.section);
  const place =
    candidates.find((candidate) => line >= candidate.line && line <= candidate.lastLine) ??
    candidates.findLast((candidate) => candidate.line <= line) ??
    candidates[0];
  if (place === undefined) return next.timeline.begin;
  return by.alignedStep({ a: timeline, own: operation, position: cursor, b: next.timeline, other: place });
}
