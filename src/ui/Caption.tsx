/** What happened, large, and why, smaller; then the address that it is about, cut into fields. */
import { lazy, Suspense } from 'react';
import { addressAt } from '../scene/address.ts';
import { sentenceOf } from '../scene/sentences.ts';
import type { StepView } from '../timeline/timeline.ts';
import { Sentences } from './Sentences.tsx';
import { stepAt, useApp, useRun, useSettledRun } from './use-app.ts';
import { STRINGS } from './strings.ts';

const Alarms = lazy(() => import('./Alarms.tsx'));

const goesWrong = (step: StepView): boolean =>
  step.changes.some(({ place }) => place.table === 'violation' || place.table === 'harm');

export function Caption(): React.JSX.Element {
  const at = useRun();
  const problems = useApp((state) => state.problems);
  const step = at === undefined ? undefined : stepAt(at.run, at.cursor);
  const settings = at?.run.timeline.program.settings;
  const said =
    settings === undefined
      ? { what: problems.length > 0 ? STRINGS.problemsTitle : STRINGS.loading, why: '' }
      : sentenceOf(step ?? { kind: 'begin', facts: {} }, settings);
  return (
    <div className="caption" aria-live="polite">
      <Sentences {...said} />
      {step !== undefined && settings !== undefined && goesWrong(step) && (
        <Suspense>
          <Alarms step={step} settings={settings} />
        </Suspense>
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
