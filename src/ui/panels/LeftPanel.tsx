/** The scenario as text with the current operation marked, what the author says about it, and the catalogue. */
import { useQuery } from '@tanstack/react-query';
import { catalogueQuery } from '../../catalogue/catalogue.ts';
import type { Note } from '../../scenario/remarks.ts';
import { choose, go, type Run } from '../../store/store.ts';
import { STRINGS } from '../strings.ts';
import { Choice } from '../Choice.tsx';
import { Terms } from '../Terms.tsx';
import { stepAt, useApp, useRun } from '../use-app.ts';

export function LeftPanel(): React.JSX.Element {
  return (
    <aside className="left" id="left" aria-label={STRINGS.leftPanel}>
      <Notes />
      <TryNext />
      <section className="bugs">
        <h2>{STRINGS.settings}</h2>
        <Choice name="shipped-bugs" />
      </section>
      <ScenarioText />
      <CatalogueList />
    </aside>
  );
}

/** Notes of the operation at the cursor; one that names a call only while that call runs, or after it. */
function notesAt(run: Run, cursor: number): readonly Note[] {
  const step = stepAt(run, cursor);
  const operation = step === undefined ? undefined : run.timeline.operationAt(step.index);
  if (step === undefined || operation === undefined)
    return run.plan.notes.filter((note) => note.section === 'scenario');
  const calls = run.timeline.calls(step.index).map((call) => call.name as string);
  const own = run.plan.notes.filter(
    (note) => note.section === operation.section && note.after === operation.number,
  );
  const here = own.filter((note) => note.at !== undefined && calls.includes(note.at.call));
  if (here.length > 0) return here.slice(-1);
  const general = own.filter((note) => note.at === undefined);
  return general.length > 0 ? general : run.plan.notes.filter((note) => note.section === 'scenario');
}

function Notes(): React.JSX.Element | null {
  const at = useRun();
  if (at === undefined) return null;
  const notes = notesAt(at.run, at.cursor);
  if (notes.length === 0) return null;
  return (
    <section className="notes">
      <h2>{STRINGS.notes}</h2>
      {notes.map((note) => (
        <p key={note.text}>
          <Terms>{note.text}</Terms>
        </p>
      ))}
    </section>
  );
}

function TryNext(): React.JSX.Element | null {
  const run = useApp((state) => state.runs[0]);
  if (run === undefined || run.plan.suggestions.length === 0) return null;
  const settings = run.plan.program.settings;
  return (
    <section>
      <h2>{STRINGS.tryNext}</h2>
      <div className="tries">
        {run.plan.suggestions
          .filter(({ choices }) =>
            Object.entries(choices).some(
              ([name, value]) => settings[name as keyof typeof settings] !== value,
            ),
          )
          .map(({ label, choices }) => (
            <button
              key={label}
              type="button"
              onClick={() => {
                void choose(choices);
              }}
            >
              {label}
            </button>
          ))}
      </div>
    </section>
  );
}

function ScenarioText(): React.JSX.Element {
  const text = useApp((state) => state.text);
  const problems = useApp((state) => state.problems);
  const at = useRun();
  const step = at === undefined ? undefined : stepAt(at.run, at.cursor);
  const operation = step === undefined ? undefined : at?.run.timeline.operationAt(step.index);
  const operations = at?.run.timeline.operations ?? [];
  return (
    <section className="scenario">
      <h2>{STRINGS.scenario}</h2>
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
              className={`${current ? 'now' : ''}${problem === undefined ? '' : ' wrong'}`}
              aria-current={current ? 'step' : undefined}
            >
              {starts === undefined ? (
                <span>{line}</span>
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
    </section>
  );
}

function CatalogueList(): React.JSX.Element {
  const { data, error } = useQuery(catalogueQuery);
  const id = useApp((state) => state.id);
  return (
    <nav aria-label={STRINGS.catalogue}>
      <h2>{STRINGS.catalogue}</h2>
      {error !== null && <p className="trouble">{error.message}</p>}
      <ul className="catalogue">
        {data?.map((entry) => (
          <li key={entry.id}>
            <a href={`#/s/${entry.id}`} aria-current={entry.id === id ? 'page' : undefined}>
              {entry.title}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
