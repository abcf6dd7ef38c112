/**
 * The app's state: scenario text and settings, runs, cursor, playback, selection. Flat and replaced, never mutated;
 * worlds live in the runs' timelines. What can be computed from it is computed, not stored.
 */
import { createStore } from 'zustand/vanilla';
import type { SettingName } from '../core/settings.ts';
import type { Problem, SettingChoices } from '../scenario/ast.ts';
import { judge, type ExpectationResult } from '../scenario/expectations.ts';
import { planScenario, type Plan } from '../scenario/plan.ts';
import { castOf, type Cast } from '../scene/cast.ts';
import {
  nextOperation,
  previousOperation,
  stepBack,
  stepForward,
  stepInto,
  stepOut,
  stepOver,
  stepOverBack,
} from '../timeline/navigate.ts';
import { RecordingRun, type Timeline } from '../timeline/timeline.ts';

/** One scenario under one choice of settings, run to its end. */
export interface Run {
  readonly plan: Plan;
  readonly timeline: Timeline;
  readonly cast: Cast;
  readonly results: readonly ExpectationResult[];
}

export type Theme = 'system' | 'light' | 'dark';
export type Move =
  | 'forward'
  | 'back'
  | 'over'
  | 'over-back'
  | 'out'
  | 'into'
  | 'next-operation'
  | 'previous-operation'
  | 'home'
  | 'end';

export interface AppState {
  readonly id: string;
  readonly text: string;
  /** Settings chosen over those of the text. */
  readonly settings: SettingChoices;
  /** One run, or two when comparing. */
  readonly runs: readonly Run[];
  readonly cursor: number;
  /** Where the cursor came from: tells motions their direction. */
  readonly previous: number;
  readonly problems: readonly Problem[];
  /** Sentences about the link that was opened. */
  readonly linkTrouble: readonly string[];
  readonly playing: boolean;
  /** Steps a second. */
  readonly speed: number;
  /** The box or row that hover or focus singles out. */
  readonly selected: string | undefined;
  readonly theme: Theme;
  readonly stageView: 'picture' | 'text';
  readonly leftOpen: boolean;
  readonly rightOpen: boolean;
  readonly helpOpen: boolean;
  /** Reasons for which the app is not idle. */
  readonly busy: number;
}

const START: AppState = {
  id: '',
  text: '',
  settings: {},
  runs: [],
  cursor: 0,
  previous: 0,
  problems: [],
  linkTrouble: [],
  playing: false,
  speed: 2,
  selected: undefined,
  theme: 'system',
  stageView: 'picture',
  leftOpen: true,
  rightOpen: true,
  helpOpen: false,
  busy: 0,
};

export const store = createStore<AppState>(() => START);

const { getState, setState } = store;

/** Marks the app busy until the returned function is called. */
export function beginBusy(): () => void {
  setState({ busy: getState().busy + 1 });
  let ended = false;
  return () => {
    if (ended) return;
    ended = true;
    setState({ busy: getState().busy - 1 });
  };
}

/** Gives the browser a turn, so that the page lives while a long run is recorded. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => {
    queueMicrotask(resolve);
  });

async function runPlan(plan: Plan): Promise<Run> {
  const recording = new RecordingRun(plan.program);
  let operations = 0;
  while (!recording.done) {
    recording.advance();
    operations += 1;
    if (operations % 64 === 0) await breathe();
  }
  const timeline = recording.timeline();
  return { plan, timeline, cast: castOf(timeline), results: judge(timeline, plan.expectations) };
}

export interface Opening {
  readonly id: string;
  readonly text: string;
  readonly settings: SettingChoices;
  readonly at?: { readonly operation: string; readonly step: number };
  readonly linkTrouble?: readonly string[];
}

/** Opens a scenario at a place, or at its first step. A text with problems leaves the last good run on the stage. */
export async function openScenario(opening: Opening): Promise<void> {
  const done = beginBusy();
  try {
    const { id, text, settings } = opening;
    const result = planScenario(text, settings);
    if (result.kind === 'problems') {
      setState({ id, text, settings, problems: result.problems, linkTrouble: opening.linkTrouble ?? [] });
      return;
    }
    const run = await runPlan(result.plan);
    const { timeline } = run;
    const named =
      opening.at === undefined ? undefined : timeline.positionNamed(opening.at.operation, opening.at.step);
    const missing =
      opening.at !== undefined && named === undefined
        ? [
            `The link names step ${opening.at.operation}.${String(opening.at.step)}, which this scenario does not have. Its first step is shown.`,
          ]
        : [];
    const cursor = named ?? Math.min(timeline.begin + 1, timeline.length);
    timeline.seek(cursor);
    setState({
      id,
      text,
      settings,
      runs: [run],
      cursor,
      previous: cursor,
      problems: [],
      playing: false,
      selected: undefined,
      linkTrouble: [...(opening.linkTrouble ?? []), ...missing],
    });
  } finally {
    done();
  }
}

/** Runs the same text under other settings and keeps the cursor at the same operation and place in it. */
export async function choose(choices: SettingChoices): Promise<void> {
  const { id, text, settings, runs, cursor } = getState();
  const run = runs[0];
  const merged = { ...settings, ...choices };
  if (run === undefined) return openScenario({ id, text, settings: merged });
  const [operation = '0', step = '0'] = run.timeline.nameOf(cursor).split('.');
  const own = Object.fromEntries(
    Object.entries(merged).filter(([name, value]) => run.plan.ownSettings[name as SettingName] !== value),
  );
  await openScenario({ id, text, settings: own });
  const next = getState().runs[0]?.timeline;
  if (next === undefined) return;
  const place = next.operations.find(
    (candidate) => next.nameOf(candidate.firstStep + 1).split('.')[0] === operation,
  );
  if (place === undefined) go(next.begin);
  else go(Math.min(place.firstStep + Number(step), place.endStep));
}

/** Moves the cursor to a position, between `begin` and the end. */
export function go(position: number): void {
  const timeline = getState().runs[0]?.timeline;
  if (timeline === undefined) return;
  const cursor = Math.max(timeline.begin, Math.min(timeline.length, position));
  if (cursor === getState().cursor) return;
  timeline.seek(cursor);
  setState({ previous: getState().cursor, cursor });
}

const MOVES: Readonly<Record<Move, (timeline: Timeline, position: number) => number>> = {
  forward: stepForward,
  back: stepBack,
  over: stepOver,
  'over-back': stepOverBack,
  out: stepOut,
  into: stepInto,
  'next-operation': nextOperation,
  'previous-operation': previousOperation,
  home: (timeline) => timeline.begin,
  end: (timeline) => timeline.length,
};

export function move(how: Move): void {
  const { runs, cursor } = getState();
  const timeline = runs[0]?.timeline;
  if (timeline !== undefined) go(MOVES[how](timeline, cursor));
}

export function setPlaying(playing: boolean): void {
  const { runs, cursor } = getState();
  const timeline = runs[0]?.timeline;
  if (playing && timeline !== undefined && cursor >= timeline.length) go(timeline.begin);
  setState({ playing });
}

export const select = (selected: string | undefined): void => {
  if (getState().selected !== selected) setState({ selected });
};
export const set = (
  part: Partial<
    Pick<AppState, 'theme' | 'stageView' | 'leftOpen' | 'rightOpen' | 'helpOpen' | 'speed' | 'linkTrouble'>
  >,
): void => {
  setState(part);
};
