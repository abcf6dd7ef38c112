/** What the author says, what to try next, the scenario as text, and doing instead of typing. */
import { lazy, Suspense, useState } from 'react';
import { settingsNotMeant, type Note } from '../../scenario/remarks.ts';
import { choose } from '../../store/document.ts';
import { type Run } from '../../store/state.ts';
import { STRINGS } from '../strings.ts';
import { Choice } from '../Choice.tsx';
import { Terms } from '../Terms.tsx';
import { ScenarioText } from './ScenarioText.tsx';
import { stepAt, useApp, useSettledRun } from '../use-app.ts';

const Doing = lazy(() => import('../doing/Doing.tsx'));

export function LeftPanel(): React.JSX.Element {
  return (
    <aside className="left" id="left" aria-label={STRINGS.leftPanel}>
      <Notes />
      <TryNext />
      <ScenarioText />
      <DoSomething />
      <Bugs />
    </aside>
  );
}

/** Only a hypervisor of the past ships bugs. */
function Bugs(): React.JSX.Element | null {
  const machine = useApp((state) => state.runs[0]?.plan.program.settings.machine);
  if (machine !== undefined && machine !== 'kvm-2007') return null;
  return (
    <section className="bugs">
      <h2>{STRINGS.settings}</h2>
      <Choice name="shipped-bugs" />
    </section>
  );
}

/** Loaded when it is first unfolded. */
function DoSomething(): React.JSX.Element {
  const [wanted, setWanted] = useState(false);
  return (
    <details
      className="doing"
      onToggle={(event) => {
        if (event.currentTarget.open) setWanted(true);
      }}
    >
      <summary>
        <h2>{STRINGS.doing.title}</h2>
      </summary>
      {wanted && (
        <Suspense>
          <Doing />
        </Suspense>
      )}
    </details>
  );
}

/** Notes of the operation at the cursor; one that names a call only while that call runs, or after it. */
function notesAt(run: Run, cursor: number): readonly Note[] {
  const step = stepAt(run, cursor);
  const operation = step === undefined ? undefined : run.timeline.operationAt(step.index);
  if (step === undefined || operation === undefined)
    return run.plan.notes.filter((note) => note.section === 'scenario');
  const calls = run.timeline.calls(step.index);
  const own = run.plan.notes.filter(
    (note) => note.section === operation.section && note.after === operation.number,
  );
  const here = own.filter(({ at }) =>
    calls.some(
      (call) =>
        call.name === at?.call &&
        (at.occurrence === undefined || at.occurrence === occurrenceOf(run, call.span, operation.firstStep)),
    ),
  );
  if (here.length > 0) return here.slice(-1);
  const general = own.filter((note) => note.at === undefined);
  return general.length > 0 ? general : run.plan.notes.filter((note) => note.section === 'scenario');
}

/** The how many-th call of its name a call is, from a step on. */
function occurrenceOf({ timeline }: Run, span: number, from: number): number {
  const seen = new Set<number>();
  const { name, first } = timeline.call(span);
  for (let step = from; step <= first; step += 1)
    for (const call of timeline.calls(step)) if (call.name === name) seen.add(call.span);
  return seen.size;
}

function Notes(): React.JSX.Element | null {
  const at = useSettledRun();
  if (at === undefined) return null;
  const notes = notesAt(at.run, at.cursor);
  if (notes.length === 0) return null;
  const others = settingsNotMeant(at.run.plan);
  return (
    <section className="notes">
      <h2>{STRINGS.notes}</h2>
      {notes.map((note) => (
        <p key={note.text}>
          <Terms>{note.text}</Terms>
        </p>
      ))}
      {others.length > 0 && <p className="meant">{STRINGS.writtenFor(others.join(', '))}</p>}
    </section>
  );
}

function TryNext(): React.JSX.Element | null {
  const run = useApp((state) => state.runs[0]);
  if (run === undefined || run.plan.suggestions.length === 0) return null;
  const chosen: Readonly<Record<string, string>> = { ...run.plan.program.settings, ...run.plan.picks };
  return (
    <section>
      <h2>{STRINGS.tryNext}</h2>
      <div className="tries">
        {run.plan.suggestions
          .filter(({ choices }) => Object.entries(choices).some(([name, value]) => chosen[name] !== value))
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
