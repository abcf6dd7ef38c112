/**
 * One text under every combination of up to three settings, or choices of its own: which runs that are, and the table that sums them up, a row
 * for each run and a column for whatever differs. Bounded in settings and runs; a combination that no machine has is a
 * row that says why, and two combinations that mean the same machine are run once.
 */
import { BOUNDS } from '../core/bounds.ts';
import { COUNTERS, type CounterName } from '../core/counters.ts';
import { settingAccepts, settingOf, type SettingName } from '../core/settings.ts';
import { seenApart, type Seen } from '../timeline/seen.ts';
import type { RunSummary } from '../timeline/summary.ts';
import type { OwnChoice, SettingChoices } from './ast.ts';
import { choicesNotOffered } from './not-offered.ts';
import { isOwnName } from './own-choices.ts';
import { planScenario, type Plan } from './plan.ts';

/** A setting and the values that it takes in turn. */
export interface Varied {
  readonly name: string;
  readonly values: readonly string[];
}

export type SweepRow = {
  /** The values of the varied settings, and all that is chosen with them. */
  readonly values: readonly string[];
  readonly choices: SettingChoices;
} & (
  | { readonly kind: 'run'; readonly plan: Plan }
  /** Means the same machine as an earlier row. */
  | { readonly kind: 'same'; readonly as: number }
  | { readonly kind: 'unfit'; readonly why: string }
);

/** What is wrong with a choice of settings to vary, as sentences; `own` is what the text offers beside them. */
export function checkVaried(varied: readonly Varied[], own: readonly OwnChoice[]): readonly string[] {
  const names = varied.map(({ name }) => name);
  const runs = runsOf(varied);
  return [
    ...varied.flatMap(({ name, values }) => {
      const twice = new Set(values).size < values.length ? [`${name} takes a value twice.`] : [];
      if (isOwnName(name)) return [...twice, ...choicesNotOffered(own, { [name]: values.join() })];
      const setting = settingOf(name);
      if (setting === undefined) return [`There is no setting "${name}".`];
      const unknown = values.filter((value) => !settingAccepts(setting, value));
      return [...twice, ...unknown.map((value) => `${name}=${value} is not known.`)];
    }),
    ...(new Set(names).size < names.length ? ['A setting is varied twice.'] : []),
    ...(varied.length > BOUNDS.variedSettings
      ? [
          `${String(varied.length)} settings are varied; at most ${String(BOUNDS.variedSettings)} can be (variedSettings).`,
        ]
      : []),
    ...(runs > BOUNDS.runsCompared
      ? [`That is ${String(runs)} runs; a table has at most ${String(BOUNDS.runsCompared)} (runsCompared).`]
      : []),
  ];
}

/** Number of combinations. */
export const runsOf = (varied: readonly Varied[]): number =>
  varied.reduce((product, { values }) => product * values.length, 1);

/** What the author's suggestions change, each with the text's own value first; as far as a table has room. */
export function suggestVaried({
  suggestions,
  ownSettings,
  choices: own,
}: Pick<Plan, 'suggestions' | 'ownSettings' | 'choices'>): readonly Varied[] {
  const found = new Map<string, Set<string>>();
  const startOf = (name: string): string | undefined =>
    own.find((choice) => choice.name === name)?.values[0] ?? ownSettings[name as SettingName];
  for (const { choices } of suggestions)
    for (const [name, value] of Object.entries(choices))
      found.set(name, (found.get(name) ?? new Set([startOf(name) ?? value])).add(value));
  return [...found]
    .map(([name, values]) => ({ name, values: [...values] }))
    .filter(({ values }) => values.length > 1)
    .reduce<readonly Varied[]>(
      (kept, next) => (checkVaried([...kept, next], own).length === 0 ? [...kept, next] : kept),
      [],
    );
}

/** Plans every combination over `base`; the last setting changes fastest. */
export function planSweep(
  text: string,
  { base, varied }: { base: SettingChoices; varied: readonly Varied[] },
): readonly SweepRow[] {
  const known = new Map<string, number>();
  return combinations(varied).map((values, at): SweepRow => {
    const choices: SettingChoices = {
      ...base,
      ...Object.fromEntries(varied.map(({ name }, index) => [name, values[index]])),
    };
    const planned = planScenario(text, choices);
    if (planned.kind === 'problems')
      return { values, choices, kind: 'unfit', why: planned.problems[0]?.message ?? '' };
    const key = runKey(planned.plan);
    const as = known.get(key);
    if (as !== undefined) return { values, choices, kind: 'same', as };
    known.set(key, at);
    return { values, choices, kind: 'run', plan: planned.plan };
  });
}

/** Two runs of one text with the same key are the same run. */
export const runKey = ({ program, picks }: Pick<Plan, 'program' | 'picks'>): string =>
  Object.entries({ ...program.settings, ...picks })
    .map(([name, value]) => `${name}=${value}`)
    .sort()
    .join('&');

const combinations = (varied: readonly Varied[]): readonly (readonly string[])[] =>
  varied.reduce<readonly (readonly string[])[]>(
    (rows, { values }) => rows.flatMap((row) => values.map((value) => [...row, value])),
    [[]],
  );

/** An operation whose outcome for the guest is not the same in all runs. */
export interface OutcomeColumn {
  readonly label: string;
  readonly text: string;
  readonly line: number;
}

export interface SweepTable {
  readonly outcomes: readonly OutcomeColumn[];
  /** Guest-visible columns that are left out. */
  readonly outcomesLeftOut: number;
  readonly counters: readonly CounterName[];
  readonly harm: boolean;
  readonly rules: boolean;
  readonly stopped: boolean;
}

/** Columns of outcomes in a table. */
const MOST_OUTCOMES = 6;

/** Counters of what went wrong: they come first, before what it cost. */
const GRAVE: readonly CounterName[] = ['stale_hits', 'flushes_missing'];

/** Which columns differ between the runs of a table; undefined stands for a row without a run. */
export function tableOf(summaries: readonly (RunSummary | undefined)[]): SweepTable {
  const runs = summaries.filter((summary) => summary !== undefined);
  const differs = (value: (run: RunSummary) => string): boolean => new Set(runs.map(value)).size > 1;
  const operations = new Map(
    runs.flatMap(({ operations: own }) => own.map((operation) => [operation.line, operation] as const)),
  );
  const outcomes = [...operations.values()]
    .filter(({ line }) => {
      // A run that has no such line is none in which it came out otherwise; one that stopped before it is.
      const reached = runs.filter((run) => run.stopped !== undefined || outcomeOf(run, line) !== undefined);
      const [one] = reached;
      return reached.some(
        (run) => one !== undefined && seenApart(outcomeOf(one, line), outcomeOf(run, line)).length > 0,
      );
    })
    .sort((a, b) => a.line - b.line);
  return {
    outcomes: outcomes.slice(0, MOST_OUTCOMES),
    outcomesLeftOut: Math.max(0, outcomes.length - MOST_OUTCOMES),
    counters: [...GRAVE, ...COUNTERS.map(({ name }) => name).filter((name) => !GRAVE.includes(name))].filter(
      (name) => differs((run) => String(run.counts[name])),
    ),
    harm: differs(({ harms }) => harms.join()) || runs.some(({ harms }) => harms.length > 0),
    rules: differs(({ rules }) => rules.join()) || runs.some(({ rules }) => rules.length > 0),
    stopped: runs.some(({ stopped }) => stopped !== undefined),
  };
}

/** What the guest of a run saw of the operation at a line; undefined where it did not get there, or has no such line. */
export const outcomeOf = ({ operations }: RunSummary, line: number): Seen | undefined =>
  operations.find((operation) => operation.line === line)?.seen;
