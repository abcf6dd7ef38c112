/** How the two runs differ: what the guest saw, what operations cost, which steps they took; and the sums. */
import { COUNTERS } from '../../core/counters.ts';
import { seenText } from '../../scene/compare-words.ts';
import { go } from '../../store/cursor.ts';
import type { OperationDifference } from '../../timeline/compare.ts';
import { COMPARE } from '../strings-later.ts';
import { useApp } from '../use-app.ts';
import './compare.css';

/** Differences listed; the rest is counted. */
const MOST_LISTED = 60;

export default function Differences(): React.JSX.Element | null {
  const comparison = useApp((state) => state.comparison);
  const cursor = useApp((state) => state.settled);
  if (comparison === undefined) return null;
  const { differences, totals } = comparison;
  return (
    <section className="differences">
      <h2>{COMPARE.differences}</h2>
      {differences.length === 0 && <p>{COMPARE.none}</p>}
      <ol>
        {differences.slice(0, MOST_LISTED).map((difference, at) => (
          <li key={`${difference.level}${difference.operation}`} className={difference.level}>
            <button
              type="button"
              aria-current={cursor === difference.a ? 'step' : undefined}
              onClick={() => {
                go(difference.a);
              }}
            >
              <b>{at === 0 ? COMPARE.first : COMPARE.levels[difference.level]}</b>
              <span>{`${difference.operation}  ${difference.text}`}</span>
              <small>{words(difference)}</small>
            </button>
          </li>
        ))}
      </ol>
      {differences.length > MOST_LISTED && (
        <p className="quiet">{COMPARE.more(differences.length - MOST_LISTED)}</p>
      )}
      {totals.length > 0 && (
        <table className="totals">
          <caption>{COMPARE.totals}</caption>
          <thead>
            <tr>
              <th scope="col">{COMPARE.counter}</th>
              <th scope="col">A</th>
              <th scope="col">B</th>
              <th scope="col">{COMPARE.minus}</th>
            </tr>
          </thead>
          <tbody>
            {totals.map(({ counter, a, b }) => (
              <tr key={counter} title={COUNTERS.find((spec) => spec.name === counter)?.meaning}>
                <th scope="row">{COUNTERS.find((spec) => spec.name === counter)?.label}</th>
                <td>{a}</td>
                <td>{b}</td>
                <td>{`${b > a ? '+' : '−'}${String(Math.abs(b - a))}`}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function words({ level, seen, counters }: OperationDifference): string {
  if (level === 'visible') return `A: ${seenText(seen?.a)}. B: ${seenText(seen?.b)}.`;
  if (level === 'cost')
    return (counters ?? []).map(({ counter, a, b }) => `${counter} ${String(a)} / ${String(b)}`).join(', ');
  return COMPARE.steps;
}
