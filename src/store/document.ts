/**
 * What is open: a text, its settings, the other settings while comparing. Every change goes through here, is
 * remembered in one history, and runs anew; a text with problems leaves the last good run on the stage.
 */
import type { OpenedRecording } from '../conform/opened.ts';
import { choicesOf, misfit, settingOf, type SettingName, type Settings } from '../core/settings.ts';
import type { Problem, SettingChoices } from '../scenario/ast.ts';
import { isOwnName } from '../scenario/own-choices.ts';
import { planScenario, type Plan } from '../scenario/plan.ts';
import { mostBeyond, positionOf } from './cursor.ts';
import { NO_HISTORY, redone, remember, undone, type Version } from './history.ts';
import type { Opening } from './opening.ts';
import { runPlan } from './running.ts';
import { beginBusy } from './busy.ts';
import { store, type AppState, type Run } from './state.ts';

const { getState, setState } = store;

/** Counts openings and changes: a run that is not of the latest is given up. */
let latest = 0;

interface Ran {
  readonly runs: readonly Run[];
  readonly comparison: AppState['comparison'];
  /** Why there is no second run where one was wanted. */
  readonly problems: readonly Problem[];
}

/** What is opened or changed last is wanted; whatever still runs of the versions before is not. To be asked at once. */
function newest(): () => boolean {
  const token = (latest += 1);
  return () => token === latest;
}

/** A version, and the scenario of the catalogue that it was before anybody changed it. */
interface Planned extends Version, Pick<AppState, 'original'> {
  readonly plan: Plan;
}

/** As it was opened a recorded program runs itself; with any change it is a text like others. */
const recordingOf = ({ text, settings, versus, original }: Planned): OpenedRecording | undefined =>
  original?.text === text && versus === undefined && Object.keys(settings).length === 0
    ? original.recording
    : undefined;

/** Runs a version: one run, or two; or says what is wrong with its text. Undefined where it is not wanted any more. */
async function runVersion(version: Planned, isWanted: () => boolean): Promise<Ran | undefined> {
  const { text, plan } = version;
  const first = await runPlan({ text, plan, recording: recordingOf(version) }, isWanted);
  if (first === undefined) return undefined;
  if (version.versus === undefined) return { runs: [first], comparison: undefined, problems: [] };
  const other = planScenario(version.text, version.versus);
  if (other.kind === 'problems') {
    const problems = other.problems.map((problem) => ({ ...problem, message: `Run B: ${problem.message}` }));
    return { runs: [first], comparison: undefined, problems };
  }
  const second = await runPlan({ text, plan: other.plan }, isWanted);
  if (second === undefined) return undefined;
  const { compareRuns } = await import('../timeline/compare.ts');
  if (!isWanted()) return undefined;
  const comparison = compareRuns(first.timeline, second.timeline);
  return { runs: [first, second], comparison, problems: [] };
}

/** The state of fresh runs whose cursor stands at a position; the other run `wanted` steps further on, if it can. */
function standing(
  ran: Ran,
  cursor: number,
  wanted = 0,
): Ran & Pick<AppState, 'cursor' | 'beyond' | 'settled' | 'previous'> {
  const beyond = mostBeyond(ran.comparison, cursor, wanted);
  ran.runs.forEach((run, side) => {
    run.timeline.seek(positionOf({ ...ran, cursor, beyond }, { side, cursor }));
  });
  return { ...ran, cursor, beyond, settled: cursor, previous: cursor };
}

/** Opens a scenario at a place, or at its first step. */
export async function openScenario(opening: Opening): Promise<void> {
  const done = beginBusy();
  try {
    const { text, settings, versus, original } = opening;
    const version = { text, settings, versus };
    const said = opening.linkTrouble ?? [];
    const start = {
      ...version,
      original,
      history: opening.history ?? NO_HISTORY,
      playing: false,
      varied: opening.varied,
      selected: undefined,
      inspected: undefined,
      linkText: undefined,
      dialog: undefined,
    };
    const isWanted = newest();
    const planned = planScenario(text, settings);
    if (planned.kind === 'problems') {
      setState({ ...start, problems: planned.problems, linkTrouble: said });
      return;
    }
    const ran = await runVersion({ ...version, original, plan: planned.plan }, isWanted);
    const run = ran?.runs[0];
    if (ran === undefined || run === undefined) return;
    const { timeline } = run;
    const { cursor, sentences } = opening.start?.(run, opening) ?? {
      cursor: Math.min(timeline.begin + 1, timeline.length),
      sentences: [],
    };
    setState({
      ...start,
      ...standing(ran, cursor, opening.beyond),
      linkTrouble: [...said, ...sentences],
    });
  } finally {
    done();
  }
}

const versionOf = ({ text, settings, versus }: AppState): Version => ({ text, settings, versus });

/** Runs what is open now, and keeps the cursor at the same operation and place, or puts it at the line `goTo`. */
async function runAnew(goTo?: number): Promise<void> {
  const done = beginBusy();
  try {
    const isWanted = newest();
    const version = versionOf(getState());
    const planned = planScenario(version.text, version.settings);
    if (planned.kind === 'problems') {
      setState({ problems: planned.problems });
      return;
    }
    // What finds the same place again is fetched with the first change.
    const { samePlace } = await import('./same-place.ts');
    const ran = await runVersion({ ...version, original: getState().original, plan: planned.plan }, isWanted);
    const run = ran?.runs[0];
    if (ran === undefined || run === undefined) return;
    const { runs, cursor } = getState();
    const before = runs[0];
    const wanted = run.timeline.operations.find((operation) => operation.line === goTo);
    const place =
      wanted === undefined
        ? before === undefined
          ? run.timeline.begin + 1
          : samePlace(before, cursor, run)
        : wanted.firstStep + 1;
    setState(standing(ran, place));
  } finally {
    done();
  }
}

/** Keys typed within this time are undone together. */
const TYPED_TOGETHER_MS = 700;
let lastTyped = -Infinity;

/** Another version is open now; the one before can be undone. */
function change(
  version: Partial<Version>,
  how: { typing?: boolean; goTo?: number | undefined } = {},
): Promise<void> {
  const state = getState();
  const now = performance.now();
  const typing = how.typing === true;
  const merged = typing && now - lastTyped < TYPED_TOGETHER_MS;
  lastTyped = typing ? now : -Infinity;
  setState({ ...version, history: remember(state.history, versionOf(state), { merged }) });
  return runAnew(how.goTo);
}

/** The text becomes another one. */
export function edit(text: string, how: { typing?: boolean; goTo?: number } = {}): Promise<void> {
  return text === getState().text ? Promise.resolve() : change({ text }, how);
}

/** Runs the same text under other settings. Settings that equal the text's own are not kept. */
export function choose(choices: SettingChoices, side: 0 | 1 = 0): Promise<void> {
  const { settings, versus } = getState();
  return side === 0
    ? change({ settings: differing(fitting({ ...settings, ...choices })) })
    : change({ versus: differing(fitting({ ...versus, ...choices })) });
}

/** The same choices, and for every setting that does not fit them the first value that does. */
function fitting(choices: SettingChoices): SettingChoices {
  const own = getState().runs[0]?.plan.ownSettings;
  if (own === undefined) return choices;
  let all: Settings = { ...own, ...choices };
  let made = choices;
  for (let found = misfit(all); found !== undefined; found = misfit(all)) {
    const value = choicesOf(found, all)[0]?.value;
    if (value === undefined) return made;
    [made, all] = [
      { ...made, [found.name]: value },
      { ...all, [found.name]: value },
    ];
  }
  return made;
}

function differing(choices: SettingChoices): SettingChoices {
  const plan = getState().runs[0]?.plan;
  const offered = (name: string): readonly string[] =>
    plan?.choices.find((own) => own.name === name)?.values ?? [];
  return Object.fromEntries(
    Object.entries(choices).filter(([name, value]) =>
      isOwnName(name)
        ? offered(name).indexOf(value) > 0
        : settingOf(name) !== undefined && plan?.ownSettings[name as SettingName] !== value,
    ),
  );
}

/** Starts comparing with other settings, or ends it. */
export const compareWith = (choices: SettingChoices | undefined): Promise<void> =>
  change({ versus: choices === undefined ? undefined : differing({ ...getState().settings, ...choices }) });

/** Opens the text under other settings, and beside it under those of a second run where there is one. */
export const openRuns = (first: SettingChoices, second: SettingChoices | undefined): Promise<void> =>
  change({
    settings: differing(fitting(first)),
    versus: second === undefined ? undefined : differing(fitting(second)),
  });

/** The other run leads, and this one follows. */
export function swapRuns(): Promise<void> {
  const { settings, versus } = getState();
  return versus === undefined ? Promise.resolve() : change({ settings: versus, versus: settings });
}

const travel = (step: typeof undone): Promise<void> => {
  const state = getState();
  const found = step(state.history, versionOf(state));
  if (found === undefined) return Promise.resolve();
  lastTyped = -Infinity;
  setState({ ...found.version, history: found.history });
  return runAnew();
};

export const undo = (): Promise<void> => travel(undone);
export const redo = (): Promise<void> => travel(redone);
