/** Runs every row of a table, one after another, and keeps of each only what the table says. */
import { BOUNDS } from '../core/bounds.ts';
import type { SweepRow } from '../scenario/sweep.ts';
import { summaryOf, type RunSummary } from '../timeline/summary.ts';
import { recordPlan } from './running.ts';

/** A row's run, or why it has none. */
export type RowResult = RunSummary | { readonly notRun: string };

/** Undefined when nobody waits for it any more. */
export async function runRows(
  rows: readonly SweepRow[],
  isWanted: () => boolean,
): Promise<readonly RowResult[] | undefined> {
  const results: RowResult[] = [];
  let steps = 0;
  for (const row of rows) {
    if (row.kind === 'unfit') results.push({ notRun: row.why });
    else if (row.kind === 'same') results.push(results[row.as] ?? { notRun: '' });
    else if (steps > BOUNDS.stepsCompared)
      results.push({ notRun: `the bound stepsCompared = ${String(BOUNDS.stepsCompared)} is hit` });
    else {
      const timeline = await recordPlan(row.plan, isWanted);
      if (timeline === undefined) return undefined;
      steps += timeline.length;
      results.push(summaryOf(timeline));
    }
  }
  return isWanted() ? results : undefined;
}
