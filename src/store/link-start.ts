/** Where a run that a link opens begins, and what is to be said of the link now that its text has run. */
import { choicesNotOffered } from '../scenario/not-offered.ts';
import type { Plan } from '../scenario/plan.ts';
import { findCheck, stepCheck } from '../scenario/step-check.ts';
import type { Opening, Start } from './opening.ts';
import type { Run } from './state.ts';

export function findStart(run: Run, opening: Opening): Start {
  const { cursor, sentences } = findPlace(run, opening);
  return { cursor, sentences: [...notOffered(run.plan, opening), ...sentences] };
}

/** Choices that a link makes and the text does not offer: the text's own stand in their place. */
function notOffered({ choices }: Plan, { settings, versus, varied = [] }: Opening): readonly string[] {
  const all = [settings, versus ?? {}, ...varied.map(({ name, values }) => ({ [name]: values.join() }))];
  return [...new Set(all.flatMap((wanted) => choicesNotOffered(choices, wanted)))];
}

/** Where a link points, and what is to be said when the run is not what it was when the link was made. */
function findPlace(
  run: Run,
  { at, check, settings }: Opening,
): { cursor: number; sentences: readonly string[] } {
  const { timeline } = run;
  const first = Math.min(timeline.begin + 1, timeline.length);
  if (at === undefined) return { cursor: first, sentences: [] };
  const name = `${at.operation}.${String(at.step)}`;
  const named = timeline.positionNamed(at.operation, at.step);
  if (named !== undefined && (check === undefined || stepCheck(timeline, named, settings) === check))
    return { cursor: named, sentences: [] };
  const moved =
    check === undefined
      ? undefined
      : findCheck(timeline, { position: named ?? first, wanted: check, choices: settings });
  if (moved !== undefined) {
    const now = timeline.nameOf(moved);
    return {
      cursor: moved,
      sentences: [
        `This run differs from the one that was shared: what was step ${name} there is step ${now} here, which is shown.`,
      ],
    };
  }
  if (named === undefined) {
    return {
      cursor: first,
      sentences: [`The link names step ${name}, which this scenario does not have. Its first step is shown.`],
    };
  }
  return {
    cursor: named,
    sentences: [
      `This run ends elsewhere than the one that was shared: at step ${name} the guest has seen something else, or another number of exits. The link was made by another version of the model, or it is cut off.`,
    ],
  };
}
