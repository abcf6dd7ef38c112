/** Turns plans into runs, giving the browser its turns. */
import type { OpenedRecording } from '../conform/opened.ts';
import { loadEngine } from '../core/operations/engines.ts';
import type { Plan } from '../scenario/plan.ts';
import { judge } from '../scenario/expectations.ts';
import { castOf } from '../scene/cast.ts';
import { kvmShow } from '../scene/kvm-show.ts';
import { loadSentences } from '../scene/sentences.ts';
import { RecordingRun, type Timeline } from '../timeline/timeline.ts';
import type { Run } from './state.ts';

/** A run gives way after so many milliseconds, so that the page lives while a long one is recorded. */
const TURN_MS = 12;

/** A run in progress. */
interface Advancing {
  readonly done: boolean;
  advance: () => void;
  timeline: () => Timeline;
}

/** Records to the end; undefined when `isWanted` says that nobody waits for it any more. */
export async function recordPlan(
  plan: Plan,
  isWanted: () => boolean,
  recording?: OpenedRecording,
): Promise<Timeline | undefined> {
  await loadEngine(plan.program.settings);
  const run: Advancing =
    recording === undefined
      ? new RecordingRun(plan.program)
      : new (await import('../conform/recorded-timeline.ts')).RecordedTimeline(plan.program, recording);
  let turn = performance.now();
  while (!run.done) {
    run.advance();
    if (performance.now() - turn < TURN_MS) continue;
    await nextTurn();
    if (!isWanted()) return undefined;
    turn = performance.now();
  }
  return run.timeline();
}

/** What of a version runs: with a recording the recorded program itself, not the text. */
export interface Wanted {
  readonly text: string;
  readonly plan: Plan;
  readonly recording?: OpenedRecording | undefined;
}

/** A recorded run with what it takes to draw it. */
export async function runPlan(wanted: Wanted, isWanted: () => boolean): Promise<Run | undefined> {
  const { text, plan, recording } = wanted;
  const timeline = await recordPlan(plan, isWanted, recording);
  if (timeline === undefined) return undefined;
  const results = judge(timeline, plan.expectations);
  await loadSentences(timeline.kinds());
  if (!isWanted()) return undefined;
  const { machine } = timeline.program.settings;
  if (machine === 'kvm-shadow') {
    const { todaysCast, todaysShow } = await import('../scene/today/show.ts');
    return isWanted()
      ? {
          text,
          plan,
          timeline,
          cast: todaysCast(timeline),
          show: todaysShow,
          results,
          ...(recording && { recording }),
        }
      : undefined;
  }
  if (machine === 'kvm-2007') return { text, plan, timeline, cast: castOf(timeline), show: kvmShow, results };
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
