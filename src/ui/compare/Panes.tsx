/** The two sides of a comparison: each with its settings, what happens there, its stage. */
import { sentenceOf } from '../../scene/sentences.ts';
import { swapRuns } from '../../store/document.ts';
import { Choices } from '../Choice.tsx';
import { Lamp } from '../Lamp.tsx';
import { Stage } from '../stage/Stage.tsx';
import { STRINGS } from '../strings.ts';
import { COMPARE } from '../strings-later.ts';
import { stepAt, useRun } from '../use-app.ts';
import './panes.css';

export default function Panes(): React.JSX.Element {
  return (
    <div className="panes">
      <Pane side={0} />
      <Pane side={1} />
    </div>
  );
}

function Pane({ side }: { side: 0 | 1 }): React.JSX.Element {
  const at = useRun(side);
  const name = side === 0 ? 'A' : 'B';
  const step = at === undefined ? undefined : stepAt(at.run, at.cursor);
  const timeline = at?.run.timeline;
  return (
    <section className="pane" aria-label={STRINGS.compare.side(name)}>
      <header>
        <b className="side">{name}</b>
        <Choices side={side} />
        {side === 1 && (
          <button
            type="button"
            title={COMPARE.swapMeaning}
            onClick={() => {
              void swapRuns();
            }}
          >
            {COMPARE.swap}
          </button>
        )}
        <Lamp side={side} />
      </header>
      {side === 1 && timeline !== undefined && at !== undefined && (
        <p className="pane-step">
          <small>{timeline.nameOf(at.cursor)}</small>
          {sentenceOf(step ?? { kind: 'begin', facts: {} }, timeline.program.settings).what}
        </p>
      )}
      <Stage side={side} />
    </section>
  );
}
