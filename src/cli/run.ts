/** `run <file or catalogue id>`: runs a scenario and prints it as text or JSON, with its expectations. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { idText } from '../core/machine/tables.ts';
import { changeText, functionRows, isStateChange, stepRows, valueText, type Row } from '../scene/rows.ts';
import { sentenceOf } from '../scene/sentences.ts';
import type { Problem, SettingChoices } from '../scenario/ast.ts';
import { allCounters, judge, type ExpectationResult } from '../scenario/expectations.ts';
import { choicesNotOffered } from '../scenario/not-offered.ts';
import { ownChoicesIn, planScenario, type Plan } from '../scenario/plan.ts';
import { record, type StepView, type Timeline } from '../timeline/timeline.ts';

export type Print = (line: string) => void;

const CATALOGUE = fileURLToPath(new URL('../../public/scenarios/', import.meta.url));

export interface RunOptions {
  readonly settings: SettingChoices;
  readonly output: 'summary' | 'text' | 'json';
  readonly depth: 'operation' | 'function' | 'step';
}

/** The text of a file, or of a scenario of the catalogue by its id. */
export function readScenario(name: string): string {
  const path = existsSync(name) ? name : `${CATALOGUE}${name}.mmu`;
  if (!existsSync(path))
    throw new Error(
      `there is no file and no catalogue scenario "${name}"; known: ${catalogueIds().join(', ')}`,
    );
  return readFileSync(path, 'utf8');
}

export const catalogueIds = (): readonly string[] =>
  readdirSync(CATALOGUE)
    .filter((file) => file.endsWith('.mmu'))
    .map((file) => file.slice(0, -4))
    .sort();

export const problemText = (problem: Problem): string =>
  `${problem.line === 0 ? '' : `${String(problem.line)}:${String(problem.column)}: `}${problem.message}. ${problem.remedy}`;

export function runCommand(name: string, options: RunOptions, print: Print): number {
  const text = readScenario(name);
  const trouble = choicesNotOffered(ownChoicesIn(text), options.settings);
  trouble.forEach(print);
  if (trouble.length > 0) return 1;
  const result = planScenario(text, options.settings);
  if (result.kind === 'problems') {
    result.problems.forEach((problem) => {
      print(problemText(problem));
    });
    return 1;
  }
  const timeline = record(result.plan.program);
  const results = judge(timeline, result.plan.expectations);
  if (options.output === 'json') printJson(timeline, results, print);
  else printText(timeline, { plan: result.plan, results, options }, print);
  return results.every((expectation) => expectation.passed) ? 0 : 1;
}

/** Runs the whole catalogue, each scenario also with every suggestion of its own; counts expectations. */
export function runCatalogue(print: Print): number {
  let passed = 0;
  let failed = 0;
  for (const id of catalogueIds()) {
    const text = readScenario(id);
    const own = planScenario(text);
    if (own.kind === 'problems') {
      own.problems.forEach((problem) => {
        print(`${id}:${problemText(problem)}`);
      });
      failed += own.problems.length;
      continue;
    }
    const variants = [{}, ...own.plan.suggestions.map((suggestion) => suggestion.choices)];
    for (const settings of variants) {
      const result = planScenario(text, settings);
      const results =
        result.kind === 'ok' ? judge(record(result.plan.program), result.plan.expectations) : [];
      passed += results.filter((expectation) => expectation.passed).length;
      failed += results.filter((expectation) => !expectation.passed).length;
      const shown = Object.entries(settings)
        .map(([key, value]) => ` ${key}=${value}`)
        .join('');
      print(`${id}${shown}: ${String(results.length)} expectations`);
      for (const { passed: ok, line, text: claim, got } of results)
        if (!ok) print(`  line ${String(line)}: ${claim}: got ${got ?? ''}`);
    }
  }
  print(`${String(passed)} passed, ${String(failed)} failed`);
  return failed === 0 ? 0 : 1;
}

function printText(
  timeline: Timeline,
  run: { plan: Plan; results: readonly ExpectationResult[]; options: RunOptions },
  print: Print,
): void {
  if (run.options.output === 'text') {
    for (const operation of timeline.operations.filter((o) => o.section === 'body')) {
      print(`# ${String(operation.number)} ${operation.text}`);
      if (run.options.depth === 'operation') continue;
      const rows = run.options.depth === 'function' ? functionRows : stepRows;
      for (const row of rows(timeline, operation.firstStep, operation.endStep)) print(rowText(timeline, row));
    }
  }
  if (timeline.stop !== undefined) print(`stopped: ${timeline.stop.message}`);
  print(`${run.plan.title}: ${String(timeline.length - timeline.begin)} steps`);
  print(
    Object.entries(allCounters(timeline))
      .filter(([, value]) => value !== 0)
      .map(([key, value]) => `${key}=${String(value)}`)
      .join(' '),
  );
  for (const { rule, subject, bug, cause } of timeline.world.tables.violation.values()) {
    print(
      `violation ${rule} at ${subject}, false since step ${String(cause - timeline.begin + 1)}${bug === undefined ? '' : ` (${bug})`}`,
    );
  }
  for (const { kind, gva, got } of timeline.world.tables.harm.values())
    print(`harm ${kind} at 0x${gva.toString(16)}, frame 0x${got.toString(16)}`);
  for (const { passed, line, text, got } of run.results) {
    print(
      `${passed ? 'ok  ' : 'FAIL'} line ${String(line)}: ${text}${got === undefined ? '' : `: got ${got}`}`,
    );
  }
}

/** `  11 kvm  mmu_pte_write_zap_pte  sPT: The shadow PT entry is cleared. | word:20003.023 0x0 -> 0x0`. */
function rowText(timeline: Timeline, row: Row): string {
  const last = row.steps.at(-1) as StepView;
  const changes = row.changes.filter(isStateChange).map(changeText).join('; ');
  const number = String(row.firstStep - timeline.begin + 1).padStart(5);
  return `${number} ${last.actor.padEnd(5)} ${'  '.repeat(row.depth - 1)}${row.call}  ${last.space}: ${sentenceOf(last, timeline.program.settings).what}${changes === '' ? '' : ` | ${changes}`}`;
}

function printJson(timeline: Timeline, results: readonly ExpectationResult[], print: Print): void {
  for (let index = timeline.begin; index < timeline.length; index += 1) print(stepJson(timeline, index));
  print(
    JSON.stringify({
      counters: allCounters(timeline),
      violations: [...timeline.world.tables.violation.values()].map((violation) => ({
        ...violation,
        cause: violation.cause - timeline.begin + 1,
      })),
      harms: [...timeline.world.tables.harm.values()].map((harm) => ({
        ...harm,
        gva: `0x${harm.gva.toString(16)}`,
      })),
      expectations: {
        passed: results.filter((r) => r.passed).length,
        failed: results.filter((r) => !r.passed).length,
      },
      ...(timeline.stop === undefined ? {} : { stopped: timeline.stop }),
    }),
  );
}

function stepJson(timeline: Timeline, index: number): string {
  const step = timeline.step(index);
  const stack = timeline.calls(index).map((call) => call.name);
  return JSON.stringify(
    {
      n: index - timeline.begin + 1,
      at: timeline.nameOf(index + 1),
      vcpu: step.vcpu,
      actor: step.actor,
      kind: step.kind,
      op: step.op,
      space: step.space,
      calls: stack,
      facts: step.facts,
      reads: step.reads.map((place) => idText(place.table, place.key)),
      changes: step.changes.map((change) => ({
        id: idText(change.place.table, change.place.key),
        before: valueText(change.before),
        after: valueText(change.after),
      })),
      ...sentenceOf(step, timeline.program.settings),
    },
    (_key, value: unknown) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value),
  );
}
