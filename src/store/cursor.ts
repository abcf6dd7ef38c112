/**
 * Moving through a run, or through two on their one axis: each step there is one of both runs, or of the one that takes
 * it alone while the other waits.
 */
import {
  nextOperation,
  nextPlace,
  previousOperation,
  stepBack,
  stepForward,
  stepInto,
  stepOut,
  stepOver,
  stepOverBack,
} from '../timeline/navigate.ts';
import type { Timeline } from '../timeline/timeline.ts';
import type { Comparison } from '../timeline/compare.ts';
import { afterPaint } from './after-paint.ts';
import { beginBusy } from './busy.ts';
import { store, type AppState } from './state.ts';

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

const { getState, setState } = store;

/** Where the other run stands when it comes to a position of the first one. */
export const partnerOf = (comparison: Comparison | undefined, cursor: number): number =>
  comparison === undefined ? 0 : (comparison.axis.b[comparison.axis.ofA[cursor] ?? 0] ?? 0);

/** Where a run's timeline stands while the first run's cursor is at `cursor`. */
export const positionOf = (
  state: Pick<AppState, 'comparison' | 'cursor' | 'beyond'>,
  { side, cursor }: { side: number; cursor: number },
): number =>
  side === 0 ? cursor : partnerOf(state.comparison, cursor) + (cursor === state.cursor ? state.beyond : 0);

/** The place on the axis of two runs at which they stand. */
export const placeOf = ({ comparison, cursor, beyond }: AppState): number =>
  (comparison?.axis.ofA[cursor] ?? cursor) + beyond;

/** The last place of the axis, or the last position of the one run. */
const lastOf = ({ comparison, runs }: AppState): number =>
  comparison === undefined ? (runs[0]?.timeline.length ?? 0) : comparison.axis.a.length - 1;

export const isAtEnd = (state: AppState): boolean => placeOf(state) >= lastOf(state);

/** The steps that the other run can take alone while the first one stands at a position; no more than `wanted`. */
export function mostBeyond(comparison: Comparison | undefined, cursor: number, wanted: number): number {
  if (comparison === undefined) return 0;
  const { a, ofA } = comparison.axis;
  const next = cursor + 1 < ofA.length ? (ofA[cursor + 1] ?? 0) : a.length;
  return Math.max(0, Math.min(wanted, next - 1 - (ofA[cursor] ?? 0)));
}

/** Moves the cursor to a position of the first run, between `begin` and the end; the other run follows. */
export function go(position: number): void {
  const timeline = getState().runs[0]?.timeline;
  if (timeline !== undefined) stand(Math.max(timeline.begin, Math.min(timeline.length, position)), 0);
}

/** Moves both runs to a place of their axis. */
export function goToPlace(place: number): void {
  const state = getState();
  const { comparison } = state;
  const timeline = state.runs[0]?.timeline;
  if (comparison === undefined || timeline === undefined) return;
  const { a, ofA } = comparison.axis;
  const first = ofA[timeline.begin] ?? 0;
  const target = Math.max(first, Math.min(lastOf(state), place));
  const cursor = a[target] ?? timeline.begin;
  stand(cursor, target - (ofA[cursor] ?? 0));
}

/** Moves to a position of one of the runs: of the second by their axis, so that steps which only it takes are reached. */
export function goOfSide(side: number, position: number): void {
  const { comparison } = getState();
  if (side === 0 || comparison === undefined) go(position);
  else goToPlace(comparison.axis.ofB[position] ?? 0);
}

function stand(cursor: number, beyond: number): void {
  const state = getState();
  if (cursor === state.cursor && beyond === state.beyond) return;
  state.runs.forEach((run, side) => {
    run.timeline.seek(positionOf({ ...state, cursor, beyond }, { side, cursor }));
  });
  if (cursor === state.cursor) {
    // The first run waits. What follows it one frame later is told so, and which way the other one went.
    const previous = beyond > state.beyond ? cursor - 1 : cursor + 1;
    const done = beginBusy();
    setState({ beyond, previous });
    settle(done);
  } else {
    setState({ previous: state.cursor, cursor, beyond });
    settle();
  }
}

let settling = false;
let atRest: (() => void)[] = [];

/** Lets panels and timeline follow when the stage has been painted. */
function settle(done?: () => void): void {
  if (done !== undefined) atRest.push(done);
  if (settling) return;
  settling = true;
  afterPaint(() => {
    settling = false;
    setState({ settled: getState().cursor });
    atRest.forEach((rest) => {
      rest();
    });
    atRest = [];
  });
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
  const state = getState();
  const timeline = state.runs[0]?.timeline;
  if (timeline === undefined) return;
  if (state.comparison === undefined) go(MOVES[how](timeline, state.cursor));
  else goToPlace(placeAfter(state, state.comparison, how));
}

const BACKWARDS: readonly Move[] = ['back', 'over-back', 'previous-operation', 'home'];

/** Where a move leads on the axis: both runs make it where both take the next step, otherwise the one that takes it. */
function placeAfter(state: AppState, { axis }: Comparison, how: Move): number {
  const place = placeOf(state);
  if (how === 'home') return 0;
  if (how === 'end') return lastOf(state);
  const back = BACKWARDS.includes(how);
  const one = place + (back ? -1 : 1);
  if (how === 'forward' || how === 'back') return one;
  const sides = [
    { positions: axis.a, places: axis.ofA },
    { positions: axis.b, places: axis.ofB },
  ];
  const reached = sides.flatMap(({ positions, places }, side) => {
    const timeline = state.runs[side]?.timeline;
    if (timeline === undefined || positions[one] === positions[place]) return [];
    return [places[MOVES[how](timeline, positions[place] ?? 0)] ?? place];
  });
  if (reached.length === 0) return one;
  return back || how === 'into' ? Math.min(...reached) : Math.max(...reached);
}

/** To the nearest difference of the two runs, forwards or backwards. */
export function goToDifference(direction: 1 | -1): void {
  const state = getState();
  const place = state.comparison && nextPlace(state.comparison.places, placeOf(state), direction);
  if (place !== undefined) goToPlace(place);
}

export function setPlaying(playing: boolean): void {
  const state = getState();
  const timeline = state.runs[0]?.timeline;
  if (playing && timeline !== undefined && isAtEnd(state)) go(timeline.begin);
  setState({ playing });
}
