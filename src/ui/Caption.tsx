/** What happened, large, and why, smaller; then the address that it is about, cut into fields. */
import { lazy, Suspense, useEffect } from 'react';
import { addressAt } from '../scene/address.ts';
import { BEGIN } from '../scene/telling.ts';
import { Loading, stepAt, useApp, useRun, useSettledRun } from './use-app.ts';
import { Sentences } from './Sentences.tsx';
import { STRINGS } from './strings.ts';

/** The sentences of all steps are fetched as soon as the first picture stands: until the first step nobody needs them. */
const fetchSentences = (): Promise<typeof import('./StepSentences.tsx')> => import('./StepSentences.tsx');
const StepSentences = lazy(fetchSentences);

export function Caption(): React.JSX.Element {
  const at = useRun();
  const problems = useApp((state) => state.problems);
  const step = at === undefined ? undefined : stepAt(at.run, at.cursor);
  useEffect(() => {
    void fetchSentences();
  }, []);
  const { what, why } =
    at === undefined
      ? { what: problems.length > 0 ? STRINGS.problemsTitle : STRINGS.loading, why: '' }
      : BEGIN;
  return (
    <div className="caption" aria-live="polite">
      {at !== undefined && step !== undefined ? (
        <Suspense fallback={<Loading />}>
          <StepSentences step={step} settings={at.run.timeline.program.settings} />
        </Suspense>
      ) : (
        <Sentences what={what} why={why} />
      )}
    </div>
  );
}

export function AddressStrip(): React.JSX.Element {
  const at = useSettledRun();
  const step = at === undefined ? undefined : stepAt(at.run, at.cursor);
  const strip = at === undefined ? undefined : addressAt(at.run.timeline, step);
  const operation = step === undefined ? undefined : at?.run.timeline.operationAt(step.index);
  return (
    <div className="strip">
      <div className="who">
        <b>{operation?.text ?? ''}</b>
        <span>{strip === undefined ? '' : `translated by ${strip.by}`}</span>
      </div>
      {strip?.fields.map((field) => (
        <div
          key={field.label}
          className={`field${field.lit ? ' lit' : field.level === undefined ? ' end' : ''}`}
        >
          <span>{field.digits}</span>
          <small>{field.label}</small>
        </div>
      ))}
    </div>
  );
}
