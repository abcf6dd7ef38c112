/** What the walk has cost so far, and why it would cost as many references in full. */
import type { WalkGrid } from '../../scene/walk-grid.ts';
import { WALK } from '../strings-later.ts';

const { totals: text } = WALK;

export function WalkTotals({ grid }: { grid: WalkGrid }): React.JSX.Element {
  const { totals, dimensions } = grid;
  return (
    <div className="walk-totals">
      <dl>
        <Total count={totals.read} label={text.read(totals.read)} className="read" />
        {totals.spared > 0 && <Total count={totals.spared} label={text.spared} />}
        {totals.notNeeded > 0 && <Total count={totals.notNeeded} label={text.notNeeded} />}
      </dl>
      {dimensions === 'one' ? (
        <p className="formulas">{text.one(grid.guestLevels)}</p>
      ) : (
        <div className="formulas">
          <Formula
            label={text.full}
            guest={grid.guestLevels}
            host={grid.host.length}
            result={totals.full}
            explained
          />
          {totals.metLevels !== undefined && (
            <Formula label={text.met} {...totals.metLevels} result={totals.met} />
          )}
        </div>
      )}
    </div>
  );
}

function Total(by: { count: number; label: string; className?: string }): React.JSX.Element {
  return (
    <div className={by.className}>
      <dt>{by.label}</dt>
      <dd>{by.count}</dd>
    </div>
  );
}

/** (g + 1) × (h + 1) − 1, each part over what it stands for. */
function Formula(by: {
  label: string;
  guest: number;
  host: number;
  result: number;
  explained?: boolean;
}): React.JSX.Element {
  const parts = [
    [`(${String(by.guest)} + 1)`, text.formula.guest, 'guest'],
    ['×', '', ''],
    [`(${String(by.host)} + 1)`, text.formula.host, 'host'],
    ['−', '', ''],
    ['1', text.formula.corner, ''],
    ['=', '', ''],
  ] as const;
  return (
    <p className="formula-line">
      <span className="label">{by.label}</span>
      {parts.map(([term, meaning, className], at) => (
        <span key={at} className={`term ${className}`}>
          {term}
          {by.explained === true && meaning !== '' && <small>{meaning}</small>}{' '}
        </span>
      ))}
      <b>{by.result}</b>
    </p>
  );
}
