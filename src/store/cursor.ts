/** Moving through a run: the cursor of the first run leads, the other run's follows by operation and step. */
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
import type { Timeline } from '../timeline/timeline.ts';
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

/** Where a run's timeline stands while the first run's cursor is at `cursor`. */
export const positionOf = (
  { comparison }: Pick<AppState, 'comparison'>,
  { side, cursor }: { side: number; cursor: number },
): number => (side === 0 ? cursor : (comparison?.partner[cursor] ?? 0));

/** Moves the cursor to a position, between `begin` and the end. */
export function go(position: number): void {
  const state = getState();
  const timeline = state.runs[0]?.timeline;
  if (timeline === undefined) return;
  const cursor = Math.max(timeline.begin, Math.min(timeline.length, position));
  if (cursor === state.cursor) return;
  state.runs.forEach((run, side) => {
    run.timeline.seek(positionOf(state, { side, cursor }));
  });
  setState({ previous: state.cursor, cursor });
  settle();
}

let settling = false;

/** Lets panels and timeline follow when the stage has been painted. */
function settle(): void {
  if (settling) return;
  settling = true;
  const follow = (): void => {
    settling = false;
    setState({ settled: getState().cursor });
  };
  // A page that is not seen is not painted.
  if (document.hidden) setTimeout(follow, 0);
  else
    requestAnimationFrame(() => {
      setTimeout(follow, 0);
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
