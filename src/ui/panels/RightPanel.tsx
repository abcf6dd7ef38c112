/** Where we are in the calls, what changes bit by bit, and the counters. */
import { lazy, Suspense } from 'react';
import { COUNTERS, type Counter } from '../../core/counters.ts';
import { allCounters } from '../../scenario/expectations.ts';
import { entryDiffs, type EntryDiff } from '../../scene/bit-diff.ts';
import { STRINGS } from '../strings.ts';
import { Loading, stepAt, useApp, useSettledRun } from '../use-app.ts';

const Differences = lazy(() => import('../compare/Differences.tsx'));

const Trouble = lazy(() => import('./Trouble.tsx'));

export function RightPanel(): React.JSX.Element {
  const comparing = useApp((state) => state.comparison !== undefined);
  return (
    <aside className="right" id="right" aria-label={STRINGS.rightPanel}>
      {comparing && (
        <Suspense fallback={<Loading />}>
          <Differences />
        </Suspense>
      )}
      {comparing && <h2 className="of-side">{STRINGS.compare.side('A')}</h2>}
      <Calls />
      <TroubleHere />
      <Bits />
      {!comparing && <Counters />}
      <Expectations />
    </aside>
  );
}

function Calls(): React.JSX.Element | null {
  const at = useSettledRun();
  const step = at === undefined ? undefined : stepAt(at.run, at.cursor);
  if (at === undefined) return null;
  const calls = step === undefined ? [] : at.run.timeline.calls(step.index);
  return (
    <section>
      <h2>{STRINGS.where}</h2>
      <ol className="calls">
        {calls.map((call, depth) => (
          <li
            key={call.span}
            style={{ paddingLeft: `${String(depth * 9)}px` }}
            aria-current={depth === calls.length - 1 ? 'step' : undefined}
          >
            {call.name === 'operation'
              ? (at.run.timeline.operationAt(call.first)?.text ?? call.name)
              : call.name === 'VM exit'
                ? `VM exit ${String(call.facts['serial'])}, ${String(call.facts['reason'])}`
                : call.name}
          </li>
        ))}
      </ol>
    </section>
  );
}

function TroubleHere(): React.JSX.Element | null {
  const at = useSettledRun();
  if (at === undefined) return null;
  const { violation, harm } = at.run.timeline.world.tables;
  const broken = [...violation.values()].some(({ mended }) => mended !== true);
  if (!broken && harm.size === 0) return null;
  return (
    <Suspense>
      <Trouble run={at.run} />
    </Suspense>
  );
}

function Bits(): React.JSX.Element | null {
  const at = useSettledRun();
  if (at === undefined) return null;
  const diffs = entryDiffs(at.run.timeline, stepAt(at.run, at.cursor), at.run.show.entryIn);
  return (
    <section>
      <h2>{STRINGS.bits}</h2>
      {diffs.length === 0 ? (
        <p className="quiet">{STRINGS.noBits}</p>
      ) : (
        diffs.map((diff) => <BitRow key={diff.id} diff={diff} />)
      )}
    </section>
  );
}

function BitRow({ diff }: { diff: EntryDiff }): React.JSX.Element {
  const changed = diff.bits.filter((bit) => bit.before !== bit.after);
  return (
    <div className="diff">
      <p>{diff.name}</p>
      <p className="mono">
        {diff.before === diff.after
          ? `0x${diff.after.toString(16)}`
          : `0x${diff.before.toString(16)} → 0x${diff.after.toString(16)}`}
      </p>
      <ul className="bits">
        {diff.bits.map((bit) => (
          <li
            key={bit.name}
            className={`${bit.after ? 'set' : ''}${bit.before === bit.after ? '' : ' changed'}`}
            title={`${bit.name}: ${bit.meaning}`}
          >
            {bit.after ? bit.short : '–'}
          </li>
        ))}
      </ul>
      {changed.slice(0, 3).map((bit) => (
        <p
          key={bit.name}
          className="quiet"
        >{`${bit.name} ${bit.after ? 'set' : 'cleared'}: ${bit.meaning}.`}</p>
      ))}
    </div>
  );
}

function Counters(): React.JSX.Element | null {
  const at = useSettledRun();
  if (at === undefined) return null;
  const values = allCounters(at.run.timeline);
  const kind = at.run.timeline.program.settings.machine.startsWith('kvm-') ? 'kvm' : 'bare';
  const isFirst = ({ prominent = [] }: Counter): boolean => prominent.includes(kind);
  const prominent = COUNTERS.filter(isFirst);
  const rest = COUNTERS.filter((counter) => !isFirst(counter));
  return (
    <section>
      <h2>{STRINGS.counters}</h2>
      <dl className="counters">
        {prominent.map((counter) => (
          <div key={counter.name} title={counter.meaning}>
            <dd>{values[counter.name]}</dd>
            <dt>{counter.label}</dt>
          </div>
        ))}
      </dl>
      <details>
        <summary>{STRINGS.allCounters}</summary>
        <dl className="counters">
          {rest.map((counter) => (
            <div key={counter.name} title={counter.meaning}>
              <dd>{values[counter.name]}</dd>
              <dt>{counter.label}</dt>
            </div>
          ))}
        </dl>
      </details>
    </section>
  );
}

function Expectations(): React.JSX.Element | null {
  const results = useApp((state) => state.runs[0]?.results) ?? [];
  if (results.length === 0) return null;
  return (
    <section>
      <h2>{STRINGS.expectations}</h2>
      <ul className="expectations">
        {results.map((result) => (
          <li key={result.line} className={result.passed ? 'passed' : 'failed'}>
            <span aria-label={result.passed ? 'holds' : 'fails'}>{result.passed ? '✓' : '✗'}</span>
            {` ${result.text.replace(/^expect /, '').replace(/ when .*$/, '')}${result.got === undefined ? '' : `: got ${result.got}`}`}
          </li>
        ))}
      </ul>
    </section>
  );
}
