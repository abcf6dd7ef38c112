/** A table of runs: one text under every combination of up to three settings, a row each, and what differs in columns. */
import { useEffect, useMemo, useState } from 'react';
import { COUNTERS, type CounterName } from '../../core/counters.ts';
import { seenText, signed } from '../../scene/compare-words.ts';
import { checkVaried, outcomeOf, planSweep, runKey, runsOf, tableOf } from '../../scenario/sweep.ts';
import type { SweepRow, SweepTable } from '../../scenario/sweep.ts';
import { openRuns } from '../../store/document.ts';
import { beginBusy } from '../../store/busy.ts';
import { set } from '../../store/state.ts';
import { runRows, type RowResult } from '../../store/sweep.ts';
import { seenApart } from '../../timeline/seen.ts';
import type { RunSummary } from '../../timeline/summary.ts';
import { RUNS_TABLE as words } from '../strings-later.ts';
import { Loading, useApp } from '../use-app.ts';
import { VaryControls } from './VaryControls.tsx';
import { Views } from './Views.tsx';
import './panes.css';
import './table.css';
import '../troubles.css';

export default function RunsTable(): React.JSX.Element {
  const varied = useApp((state) => state.varied) ?? [];
  const own = useApp((state) => state.runs[0]?.plan.choices) ?? [];
  const trouble = checkVaried(varied, own);
  const runs = varied.length === 0 ? 0 : runsOf(varied);
  return (
    <div className="runs">
      <div className="compare-bar">
        <Views now="table" />
        <p>{words.about}</p>
      </div>
      <VaryControls varied={varied} />
      {trouble.length > 0 ? (
        <div role="alert" className="banner">
          {trouble.map((sentence) => (
            <p key={sentence}>{sentence}</p>
          ))}
        </div>
      ) : runs < 2 ? (
        <p>{words.one}</p>
      ) : (
        <Runs />
      )}
    </div>
  );
}

interface Ran {
  readonly rows: readonly SweepRow[];
  readonly results: readonly RowResult[];
}

/** Plans and runs all rows anew whenever the text, its settings or what is varied changes. */
function useRows(): Ran | undefined {
  const text = useApp((state) => state.text);
  const base = useApp((state) => state.settings);
  const varied = useApp((state) => state.varied);
  const [ran, setRan] = useState<Ran | undefined>(undefined);
  useEffect(() => {
    let wanted = true;
    const done = beginBusy();
    const rows = planSweep(text, { base, varied: varied ?? [] });
    void runRows(rows, () => wanted)
      .then((results) => {
        if (results !== undefined) setRan({ rows, results });
      })
      .finally(done);
    return () => {
      wanted = false;
    };
  }, [text, base, varied]);
  return ran;
}

const isRun = (result: RowResult | undefined): result is RunSummary =>
  result !== undefined && !('notRun' in result);

function Runs(): React.JSX.Element {
  const ran = useRows();
  const varied = useApp((state) => state.varied) ?? [];
  const open = useApp((state) => state.runs[0]?.plan);
  const table = useMemo(
    () => tableOf((ran?.results ?? []).map((result) => (isRun(result) ? result : undefined))),
    [ran],
  );
  if (ran === undefined) return <Loading said />;
  const { rows, results } = ran;
  const key = open === undefined ? '' : runKey(open);
  const own = rows.findIndex((row) => row.kind === 'run' && runKey(row.plan) === key);
  const base = own >= 0 ? own : Math.max(0, results.findIndex(isRun));
  const columns = 1 + varied.length;
  const nothing = table.outcomes.length + table.counters.length === 0 && !table.harm && !table.rules;
  return (
    <>
      <div className="scroll" role="region" tabIndex={0} aria-label={words.runs(rows.length)}>
        <table>
          <caption>{words.runs(rows.length)}</caption>
          <thead>
            <tr>
              <th scope="col">{words.run}</th>
              {varied.map(({ name }) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
              <Heads table={table} />
              <th scope="col" className="go">
                {words.actions}
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row, at) => (
              <tr key={row.values.join()} className={at === base ? 'base' : undefined}>
                <th scope="row">
                  {at + 1}
                  {at === base && <small>{words.base}</small>}
                </th>
                {row.values.map((value, index) => (
                  <td key={varied[index]?.name} className="mono">
                    {value}
                  </td>
                ))}
                <Cells
                  row={row}
                  table={table}
                  result={results[at]}
                  base={results[base]}
                  isBase={at === base}
                />
                <td className="go">
                  {row.kind !== 'unfit' && (
                    <Actions
                      number={at + 1}
                      row={row}
                      base={at === base ? undefined : rows[base]}
                      baseNumber={base + 1}
                    />
                  )}
                </td>
              </tr>
            ))}
          </tbody>
          {nothing && (
            <tfoot>
              <tr>
                <td colSpan={columns + 1}>{words.alike}</td>
              </tr>
            </tfoot>
          )}
        </table>
      </div>
      {table.outcomesLeftOut > 0 && <p className="quiet">{words.leftOut(table.outcomesLeftOut)}</p>}
    </>
  );
}

function Heads({ table }: { table: SweepTable }): React.JSX.Element {
  return (
    <>
      {table.outcomes.map(({ line, label, text }) => (
        <th key={line} scope="col" className="outcome">
          <span className="mono">{`${label}  ${text}`}</span>
        </th>
      ))}
      {table.harm && <th scope="col">{words.harm}</th>}
      {table.rules && <th scope="col">{words.rules}</th>}
      {table.counters.map((counter) => {
        const spec = COUNTERS.find(({ name }) => name === counter);
        return (
          <th key={counter} scope="col" className="number" title={spec?.meaning}>
            {spec?.label}
          </th>
        );
      })}
      {table.stopped && <th scope="col">{words.stops}</th>}
    </>
  );
}

interface CellsOf {
  readonly row: SweepRow;
  readonly table: SweepTable;
  readonly result: RowResult | undefined;
  readonly base: RowResult | undefined;
  readonly isBase: boolean;
}

function Cells({ row, table, result, base, isBase }: CellsOf): React.JSX.Element {
  const count = table.outcomes.length + Number(table.harm) + Number(table.rules) + table.counters.length;
  const whole = count + Number(table.stopped);
  if (!isRun(result))
    return whole === 0 ? <></> : <td colSpan={whole}>{words.notRun(result?.notRun ?? '')}</td>;
  const against = isRun(base) && !isBase ? base : undefined;
  return (
    <>
      {table.outcomes.map(({ line }) => {
        const seen = outcomeOf(result, line);
        const differs = against !== undefined && seenApart(outcomeOf(against, line), seen).length > 0;
        return (
          <Differing key={line} differs={differs}>
            {seenText(seen)}
          </Differing>
        );
      })}
      {table.harm && <List of={result.harms} base={against?.harms} />}
      {table.rules && <List of={result.rules} base={against?.rules} />}
      {table.counters.map((counter) => (
        <Count key={counter} counter={counter} counts={result.counts} base={against?.counts} />
      ))}
      {table.stopped && <td>{result.stopped ?? words.nothingThere}</td>}
      {whole > 0 && row.kind === 'same' && <td className="quiet note">{words.same(row.as + 1)}</td>}
    </>
  );
}

function Differing({ differs, children }: { differs: boolean; children: string }): React.JSX.Element {
  return (
    <td className={differs ? 'differs' : undefined}>
      {differs && <abbr title={words.differs}>≠</abbr>}
      {children}
    </td>
  );
}

function List({
  of,
  base,
}: {
  of: readonly string[];
  base: readonly string[] | undefined;
}): React.JSX.Element {
  const text = of.length === 0 ? words.nothingThere : of.join(', ');
  const differs = base !== undefined && base.join() !== of.join();
  return <td className={`${of.length > 0 ? 'bad' : 'quiet'}${differs ? ' differs' : ''}`}>{text}</td>;
}

function Count(of: {
  counter: CounterName;
  counts: RunSummary['counts'];
  base: RunSummary['counts'] | undefined;
}): React.JSX.Element {
  const [value, base] = [of.counts[of.counter], of.base?.[of.counter]];
  return (
    <td className="number">
      {value}
      <small>{base === undefined || base === value ? '' : signed(value - base)}</small>
    </td>
  );
}

/** Back leads to the table again. */
function leave(): void {
  history.pushState(null, '', location.hash);
  set({ varied: undefined });
}

function Actions(of: {
  number: number;
  row: SweepRow;
  base: SweepRow | undefined;
  baseNumber: number;
}): React.JSX.Element {
  const { number, row, base, baseNumber } = of;
  return (
    <>
      <button
        type="button"
        aria-label={words.openNamed(number)}
        onClick={() => {
          leave();
          void openRuns(row.choices, undefined);
        }}
      >
        {words.open}
      </button>
      {base !== undefined && (
        <button
          type="button"
          aria-label={words.compareNamed(number, baseNumber)}
          onClick={() => {
            leave();
            void openRuns(base.choices, row.choices);
          }}
        >
          {words.compare}
        </button>
      )}
    </>
  );
}
