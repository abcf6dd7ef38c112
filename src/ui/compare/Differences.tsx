/** How the two runs differ: what the guest saw, what operations cost, which steps they took; and counters subtracted. */
import { memo, useState } from 'react';
import '../../core/meanings.ts';
import { BOUNDS } from '../../core/bounds.ts';
import { COUNTERS } from '../../core/counters.ts';
import { counterLabel, differenceText, signed } from '../../scene/compare-words.ts';
import { goToPlace } from '../../store/cursor.ts';
import type { Run } from '../../store/state.ts';
import type { Comparison, Difference } from '../../timeline/compare.ts';
import {
  countersApart,
  countsHere,
  minus,
  NO_COUNTS,
  type CounterDifference,
  type Counts,
} from '../../timeline/costs.ts';
import { COMPARE } from '../strings-later.ts';
import { useApp, useSettledPlace, useSettledRun } from '../use-app.ts';
import './compare.css';

export default function Differences(): React.JSX.Element | null {
  const comparison = useApp((state) => state.comparison);
  const place = useSettledPlace();
  if (comparison === undefined) return null;
  const { differences, ends } = comparison;
  const left = differences.length - BOUNDS.differencesListed;
  return (
    <section className="differences">
      <h2>{COMPARE.differences}</h2>
      {differences.length === 0 && <p>{COMPARE.none}</p>}
      <ol>
        {differences.slice(0, BOUNDS.differencesListed).map((difference, at) => (
          <Entry
            key={`${difference.level}${difference.operation}`}
            difference={difference}
            first={at === 0}
            current={place === difference.place}
          />
        ))}
      </ol>
      {left > 0 && <p className="quiet">{COMPARE.more(left)}</p>}
      <Broken title={COMPARE.broken} of={[ends[0].rules, ends[1].rules]} />
      <Broken title={COMPARE.harm} of={[ends[0].harms, ends[1].harms]} />
      <CounterTable comparison={comparison} />
    </section>
  );
}

const Entry = memo(function Entry(props: {
  difference: Difference;
  first: boolean;
  current: boolean;
}): React.JSX.Element {
  const { difference, first, current } = props;
  const { level, operation, text } = difference;
  return (
    <li className={level}>
      <button
        type="button"
        aria-current={current ? 'step' : undefined}
        onClick={() => {
          goToPlace(difference.place);
        }}
      >
        <b>
          <i aria-hidden="true">{COMPARE.letters[level]}</i>
          {first ? `${COMPARE.first}: ${COMPARE.levels[level].toLowerCase()}` : COMPARE.levels[level]}
        </b>
        <span>{`${operation}  ${text}`}</span>
        <small>{differenceText(difference)}</small>
      </button>
    </li>
  );
});

/** What broke in one of the two. */
function Broken({ title, of }: { title: string; of: readonly [readonly string[], readonly string[]] }) {
  const [a, b] = of.map((list) => list.join(', ') || '–');
  if (a === b) return null;
  return <p className="broken">{`${title}: A ${a ?? ''}, B ${b ?? ''}`}</p>;
}

type Scope = 'here' | 'operation' | 'end';
const SCOPES: readonly Scope[] = ['here', 'operation', 'end'];

function CounterTable({ comparison }: { comparison: Comparison }): React.JSX.Element | null {
  const [scope, setScope] = useState<Scope>('end');
  const [a, b] = [useSettledRun(0), useSettledRun(1)];
  if (a === undefined || b === undefined) return null;
  const rows = scope === 'end' ? comparison.totals : rowsHere(scope, [a, b], comparison.totals);
  return (
    <>
      <h2>{COMPARE.counters}</h2>
      <div className="scopes" role="group" aria-label={COMPARE.counters}>
        {SCOPES.map((one) => (
          <button
            key={one}
            type="button"
            aria-pressed={one === scope}
            onClick={() => {
              setScope(one);
            }}
          >
            {COMPARE.scopes[one]}
          </button>
        ))}
      </div>
      {rows.length === 0 ? (
        <p className="quiet">{COMPARE.equal}</p>
      ) : (
        <table className="totals">
          <thead>
            <tr>
              <th scope="col">{COMPARE.counter}</th>
              <th scope="col">A</th>
              <th scope="col">B</th>
              <th scope="col">{COMPARE.minus}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ counter, a: mine, b: theirs }) => (
              <tr key={counter} title={COUNTERS.find((spec) => spec.name === counter)?.meaning}>
                <th scope="row">{counterLabel(counter)}</th>
                <td>{mine}</td>
                <td>{theirs}</td>
                <td className={mine === theirs ? 'quiet' : ''}>{signed(theirs - mine)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

type At = { readonly run: Run; readonly cursor: number };

/** Counters at the cursor: those that differ there, and those that will at the end, so that rows do not come and go. */
function rowsHere(
  scope: Scope,
  [a, b]: readonly [At, At],
  totals: readonly CounterDifference[],
): readonly CounterDifference[] {
  const [mine, theirs] = [a, b].map((at) => countsAt(scope, at)) as [Counts, Counts];
  const apart = countersApart(mine, theirs);
  return COUNTERS.flatMap(({ name }) =>
    [...apart, ...totals].some(({ counter }) => counter === name)
      ? [{ counter: name, a: mine[name], b: theirs[name] }]
      : [],
  );
}

function countsAt(scope: Scope, { run: { timeline }, cursor }: At): Counts {
  const here = countsHere(timeline);
  if (scope !== 'operation') return here;
  const operation = cursor === 0 ? undefined : timeline.operationAt(cursor - 1);
  if (operation === undefined) return NO_COUNTS;
  timeline.seek(operation.firstStep);
  const before = countsHere(timeline);
  timeline.seek(cursor);
  return minus(here, before);
}
