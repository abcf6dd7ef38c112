/** The two sides of a comparison: each with its settings, what happens there, its stage. */
import { applies, SETTINGS, type SettingName, type Settings } from '../../core/settings.ts';
import { sentenceOf } from '../../scene/sentences.ts';
import { goToDifference, placeOf } from '../../store/cursor.ts';
import { swapRuns } from '../../store/document.ts';
import type { AppState } from '../../store/state.ts';
import { LEVELS } from '../../timeline/compare.ts';
import { Choices } from '../Choice.tsx';
import { Lamp } from '../Lamp.tsx';
import { Stage } from '../stage/Stage.tsx';
import { STRINGS } from '../strings.ts';
import { COMPARE } from '../strings-later.ts';
import { Terms } from '../Terms.tsx';
import { stepAt, useApp, useRun } from '../use-app.ts';
import { Views } from './Views.tsx';
import './panes.css';

export default function Panes(): React.JSX.Element {
  return (
    <>
      <Bar />
      <div className="panes">
        <Pane side={0} />
        <Pane side={1} />
      </div>
    </>
  );
}

/** What there is to see, and the way to it. */
function Bar(): React.JSX.Element | null {
  const comparison = useApp((state) => state.comparison);
  if (comparison === undefined) return null;
  const { differences, axis, sameEngine } = comparison;
  const sums = LEVELS.flatMap((level) => {
    const count = differences.filter((difference) => difference.level === level).length;
    return count === 0 ? [] : [COMPARE.sums[level](count)];
  });
  return (
    <div className="compare-bar">
      <Views now="two" />
      <p>
        {sums.length === 0 ? COMPARE.none : `${COMPARE.differences}: ${sums.join(', ')}.`}
        {!sameEngine && ` ${COMPARE.engines}`}
        {axis.coarse > 0 && ` ${COMPARE.coarse(axis.coarse)}`}
      </p>
      <button
        type="button"
        onClick={() => {
          void swapRuns();
        }}
      >
        {COMPARE.swap}
      </button>
      {([-1, 1] as const).map((direction) => (
        <button
          key={direction}
          type="button"
          disabled={differences.length === 0}
          aria-label={direction === 1 ? COMPARE.next : COMPARE.previous}
          title={direction === 1 ? COMPARE.next : COMPARE.previous}
          onClick={() => {
            goToDifference(direction);
          }}
        >
          {direction === 1 ? COMPARE.nextSign : COMPARE.previousSign}
        </button>
      ))}
    </div>
  );
}

/** Whether a side stood still in the step that is shown, because the other one took it alone. */
const waits =
  (side: 0 | 1) =>
  (state: AppState): boolean => {
    const place = placeOf(state);
    const { a, b } = state.comparison?.axis ?? {};
    const positions = side === 0 ? a : b;
    return positions !== undefined && place > 0 && positions[place] === positions[place - 1];
  };

/** The settings in which the two runs differ, and which mean something in both: what one looks for in their heads. */
function useApart(): readonly SettingName[] {
  const [a, b] = [useApp(settingsOf(0)), useApp(settingsOf(1))];
  return a === undefined || b === undefined
    ? []
    : SETTINGS.filter(
        (setting) => a[setting.name] !== b[setting.name] && applies(setting, a) && applies(setting, b),
      ).map(({ name }) => name);
}

const settingsOf =
  (side: 0 | 1) =>
  ({ runs }: AppState): Settings | undefined =>
    runs[side]?.plan.program.settings;

function Pane({ side }: { side: 0 | 1 }): React.JSX.Element {
  const at = useRun(side);
  const waiting = useApp(waits(side));
  const name = side === 0 ? 'A' : 'B';
  const apart = useApart();
  const step = at === undefined ? undefined : stepAt(at.run, at.cursor);
  const timeline = at?.run.timeline;
  const said =
    timeline === undefined
      ? undefined
      : sentenceOf(step ?? { kind: 'begin', facts: {} }, timeline.program.settings);
  return (
    <section className={`pane${waiting ? ' waiting' : ''}`} aria-label={STRINGS.compare.side(name)}>
      <header>
        <b className="side">{name}</b>
        <Choices side={side} apart={apart} />
        <Lamp side={side} />
      </header>
      <div className="pane-step" aria-live="polite">
        <p>
          <small>{at === undefined ? '' : timeline?.nameOf(at.cursor)}</small>
          <Terms>{said?.what ?? ''}</Terms>
        </p>
        <p className="why">
          {waiting ? COMPARE.waits(side === 0 ? 'B' : 'A') : <Terms>{said?.why ?? ''}</Terms>}
        </p>
      </div>
      <Stage side={side} />
    </section>
  );
}
