/** The scenario as text: a list to click on, or the editor, which is loaded when first wanted; and what a click does to it. */
import { lazy, Suspense } from 'react';
import type { OperationRecord } from '../../core/operations/recorder.ts';
import { go } from '../../store/cursor.ts';
import { redo, undo } from '../../store/document.ts';
import { set, type OperationEdit } from '../../store/state.ts';
import { STRINGS } from '../strings.ts';
import { useApp } from '../use-app.ts';

const Editor = lazy(() => import('../editor/Editor.tsx'));

export function ScenarioText(): React.JSX.Element {
  const editing = useApp((state) => state.editing);
  return (
    <section className="scenario">
      <h2>{STRINGS.scenario}</h2>
      <Tools />
      {editing ? (
        <Suspense fallback={<Lines />}>
          <Editor />
        </Suspense>
      ) : (
        <Lines />
      )}
    </section>
  );
}

function Tools(): React.JSX.Element {
  const editing = useApp((state) => state.editing);
  const history = useApp((state) => state.history);
  return (
    <div className="text-tools" role="toolbar" aria-label={STRINGS.editor.tools}>
      <button
        type="button"
        aria-pressed={editing}
        onClick={() => {
          set({ editing: !editing });
        }}
      >
        {editing ? STRINGS.editor.done : STRINGS.editor.edit}
      </button>
      <button
        type="button"
        aria-label={STRINGS.editor.undo}
        title={STRINGS.editor.undo}
        disabled={history.past.length === 0}
        onClick={() => void undo()}
      >
        ↶
      </button>
      <button
        type="button"
        aria-label={STRINGS.editor.redo}
        title={STRINGS.editor.redo}
        disabled={history.future.length === 0}
        onClick={() => void redo()}
      >
        ↷
      </button>
      <OperationTools />
    </div>
  );
}

const TOOLS: readonly { readonly how: OperationEdit; readonly sign: string }[] = [
  { how: 'up', sign: '▲' },
  { how: 'down', sign: '▼' },
  { how: 'disable', sign: '⊘' },
  { how: 'delete', sign: '✕' },
];

const editOperation = async (how: OperationEdit, line?: number): Promise<void> => {
  const { editOperation: change } = await import('../../store/operations.ts');
  await change(how, line);
};

/** For the operation at the cursor; a step inside it renders nothing. */
function OperationTools(): React.JSX.Element {
  const inOperation = useOperation() !== undefined;
  return (
    <>
      {TOOLS.map(({ how, sign }) => (
        <button
          key={how}
          type="button"
          aria-label={STRINGS.editor.operation[how]}
          title={STRINGS.editor.operation[how]}
          disabled={!inOperation}
          onClick={() => void editOperation(how)}
        >
          {sign}
        </button>
      ))}
    </>
  );
}

/** The operation of the first run at the cursor. */
function useOperation(): OperationRecord | undefined {
  return useApp(({ runs, settled }) => {
    const timeline = runs[0]?.timeline;
    return timeline === undefined || settled <= timeline.begin
      ? undefined
      : timeline.operationAt(settled - 1);
  });
}

function Lines(): React.JSX.Element {
  const text = useApp((state) => state.text);
  const problems = useApp((state) => state.problems);
  const run = useApp((state) => state.runs[0]);
  const operation = useOperation();
  const operations = run?.text === text ? run.timeline.operations : [];
  const leftOut = run?.text === text ? run.plan.leftOut : undefined;
  return (
    <ol className="code">
      {text.split('\n').map((line, index) => {
        const number = index + 1;
        const current =
          operation !== undefined &&
          operation.line > 0 &&
          number >= operation.line &&
          number <= operation.lastLine;
        const starts = operations.find(
          (candidate) => candidate.section === 'body' && candidate.line === number,
        );
        const problem = problems.find((candidate) => candidate.line === number);
        return (
          <li
            key={number}
            className={`${current ? 'now' : ''}${problem === undefined ? '' : ' wrong'}${leftOut?.has(number) === true ? ' off' : ''}`}
            aria-current={current ? 'step' : undefined}
          >
            {starts === undefined ? (
              <PlainLine line={line} number={number} />
            ) : (
              <button
                type="button"
                onClick={() => {
                  go(starts.firstStep + 1);
                }}
              >
                {line}
              </button>
            )}
            {problem !== undefined && <em>{`${problem.message}. ${problem.remedy}`}</em>}
          </li>
        );
      })}
    </ol>
  );
}

/** A line that no operation begins at; a disabled operation can be had back. */
function PlainLine({ line, number }: { line: string; number: number }): React.JSX.Element {
  if (!/^\s*# off: \S/.test(line)) return <span>{line}</span>;
  return (
    <>
      <span className="off">{line}</span>
      <button type="button" className="enable" onClick={() => void editOperation('enable', number)}>
        {STRINGS.editor.operation.enable}
      </button>
    </>
  );
}
