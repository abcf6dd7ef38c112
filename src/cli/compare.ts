/** `run ... --compare`: how two runs of one text differ; `run ... --vary`: a table of the runs under all combinations. */
import { counterLabel, differenceText, seenText, signed } from '../scene/compare-words.ts';
import type { SettingChoices } from '../scenario/ast.ts';
import { choicesNotOffered } from '../scenario/not-offered.ts';
import { ownChoicesIn, planScenario, type Plan } from '../scenario/plan.ts';
import { checkVaried, outcomeOf, planSweep, tableOf, type SweepRow, type Varied } from '../scenario/sweep.ts';
import { BOUNDS } from '../core/bounds.ts';
import { compareRuns, type Comparison } from '../timeline/compare.ts';
import { summaryOf, type RunSummary } from '../timeline/summary.ts';
import { record, type Timeline } from '../timeline/timeline.ts';
import { problemText, readScenario, type Print } from './run.ts';

interface CompareOptions {
  readonly settings: SettingChoices;
  /** What is chosen in the second run, over the settings of the first. */
  readonly versus: SettingChoices;
  readonly json: boolean;
}

/** Like `diff`: 0 where the runs do not differ, 1 where they do. */
export function compareCommand(
  name: string,
  { settings, versus, json }: CompareOptions,
  print: Print,
): number {
  const text = readScenario(name);
  const trouble = [settings, versus].flatMap((choices) => choicesNotOffered(ownChoicesIn(text), choices));
  trouble.forEach(print);
  if (trouble.length > 0) return 2;
  const plans: Plan[] = [];
  const timelines: Timeline[] = [];
  for (const choices of [settings, { ...settings, ...versus }]) {
    const planned = planScenario(text, choices);
    if (planned.kind === 'problems') {
      planned.problems.forEach((problem) => {
        print(problemText(problem));
      });
      return 2;
    }
    plans.push(planned.plan);
    timelines.push(record(planned.plan.program));
  }
  const [a, b] = timelines;
  if (a === undefined || b === undefined) return 2;
  const comparison = compareRuns(a, b);
  const [own, other] = plans.map(({ program, picks }): Readonly<Record<string, string>> => ({
    ...program.settings,
    ...picks,
  }));
  if (json) print(comparisonJson(comparison, { timelines: [a, b], settings: [own, other] }));
  else {
    const others = Object.entries(other ?? {}).filter(([key, value]) => own?.[key] !== value);
    print(`${CHOSEN} ${others.map(([key, value]) => `${key}=${value}`).join(' ')}`.trim());
    printComparison(comparison, [a, b], print);
  }
  return comparison.differences.length === 0 ? 0 : 1;
}

const CHOSEN = 'Run B is run A with';

function printComparison(
  { differences, totals, axis, sameEngine }: Comparison,
  [a, b]: readonly [Timeline, Timeline],
  print: Print,
): void {
  if (!sameEngine) print('Different engines: steps are not compared.');
  if (axis.coarse > 0) print(`${String(axis.coarse)} stretches were too long to be aligned exactly.`);
  if (differences.length === 0) print('The runs do not differ.');
  for (const difference of differences) {
    const { level, operation, text } = difference;
    const places = `A ${a.nameOf(difference.a)}, B ${b.nameOf(difference.b)}`;
    print(`${level.padEnd(7)} ${operation.padStart(3)}  ${text}  (${places})`);
    print(`            ${differenceText(difference)}`);
  }
  const rows = totals.map(({ counter, a: mine, b: theirs }) => [
    counterLabel(counter),
    String(mine),
    String(theirs),
    signed(theirs - mine),
  ]);
  if (rows.length > 0) printTable([['at the end', 'A', 'B', 'B − A'], ...rows], print);
}

const readable = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? `0x${value.toString(16)}` : value;

function comparisonJson(
  comparison: Comparison,
  of: { timelines: readonly [Timeline, Timeline]; settings: readonly unknown[] },
): string {
  const [a, b] = of.timelines;
  const { differences, totals, axis, sameEngine } = comparison;
  return JSON.stringify(
    {
      settings: of.settings,
      sameEngine,
      coarse: axis.coarse,
      differences: differences.map((difference) => ({
        ...difference,
        a: a.nameOf(difference.a),
        b: b.nameOf(difference.b),
      })),
      totals,
    },
    readable,
  );
}

interface TableOptions {
  readonly settings: SettingChoices;
  readonly varied: readonly Varied[];
  readonly json: boolean;
}

export function tableCommand(name: string, { settings, varied, json }: TableOptions, print: Print): number {
  const text = readScenario(name);
  const own = ownChoicesIn(text);
  const trouble = [...checkVaried(varied, own), ...choicesNotOffered(own, settings)];
  if (trouble.length > 0) {
    trouble.forEach(print);
    return 2;
  }
  const planned = planSweep(text, { base: settings, varied });
  const rows = summaries(planned);
  if (json) {
    planned.forEach(({ choices, ...row }, at) => {
      const summary = rows[at];
      print(
        JSON.stringify(
          {
            settings: choices,
            ...(row.kind === 'unfit'
              ? { unfit: row.why }
              : row.kind === 'same'
                ? { sameAs: row.as + 1 }
                : {}),
            ...(typeof summary === 'string' ? { notRun: summary } : summary),
          },
          readable,
        ),
      );
    });
  } else printSweep(planned, { varied, rows }, print);
  return 0;
}

/** A summary, or why there is none. */
function summaries(planned: readonly SweepRow[]): readonly (RunSummary | string)[] {
  const rows: (RunSummary | string)[] = [];
  let steps = 0;
  for (const row of planned) {
    if (row.kind === 'unfit') rows.push(row.why);
    else if (row.kind === 'same') rows.push(rows[row.as] ?? '');
    else if (steps > BOUNDS.stepsCompared)
      rows.push(`bound stepsCompared = ${String(BOUNDS.stepsCompared)} is hit`);
    else {
      const timeline = record(row.plan.program);
      steps += timeline.length;
      rows.push(summaryOf(timeline));
    }
  }
  return rows;
}

function printSweep(
  planned: readonly SweepRow[],
  { varied, rows }: { varied: readonly Varied[]; rows: readonly (RunSummary | string)[] },
  print: Print,
): void {
  const table = tableOf(rows.map((row) => (typeof row === 'string' ? undefined : row)));
  const head = [
    '',
    ...varied.map(({ name }) => name),
    ...table.outcomes.map(({ label, text }) => `${label} ${text}`),
    ...(table.harm ? ['harm'] : []),
    ...(table.rules ? ['broken rules'] : []),
    ...table.counters.map(counterLabel),
  ];
  const lines = planned.map((row, at): readonly string[] => {
    const summary = rows[at];
    const start = [String(at + 1), ...row.values];
    if (summary === undefined || typeof summary === 'string') return [...start, summary ?? ''];
    return [
      ...start,
      ...table.outcomes.map(({ line }) => seenText(outcomeOf(summary, line))),
      ...(table.harm ? [summary.harms.join(', ') || '–'] : []),
      ...(table.rules ? [summary.rules.join(', ') || '–'] : []),
      ...table.counters.map((counter) => String(summary.counts[counter])),
      ...(row.kind === 'same' ? [`the same run as ${String(row.as + 1)}`] : []),
      ...(summary.stopped === undefined ? [] : [`stops: ${summary.stopped}`]),
    ];
  });
  printTable([head, ...lines], print);
  if (table.outcomesLeftOut > 0)
    print(`${String(table.outcomesLeftOut)} more operations differ for the guest; --json has them.`);
}

/** Cells in columns as wide as their widest; the last cell of a row may be longer than the head has columns. */
function printTable(rows: readonly (readonly string[])[], print: Print): void {
  const columns = rows[0]?.length ?? 0;
  const widths = Array.from({ length: columns }, (_, at) =>
    Math.max(...rows.filter((row) => row.length >= columns).map((row) => row[at]?.length ?? 0)),
  );
  for (const row of rows)
    print(
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}
