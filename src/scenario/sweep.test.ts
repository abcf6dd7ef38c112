import { describe, expect, test } from 'vitest';
import { BOUNDS } from '../core/bounds.ts';
import { SETTINGS } from '../core/settings.ts';
import { catalogueText, CATALOGUE_IDS, planOf } from '../testing/scenarios.ts';
import { summaryOf } from '../timeline/summary.ts';
import { record } from '../timeline/timeline.ts';
import { checkVaried, outcomeOf, planSweep, runsOf, suggestVaried, tableOf, type Varied } from './sweep.ts';

const CPU = { name: 'cpu', values: ['svm', 'vmx-novpid'] };
const FLUSH = { name: 'flush', values: ['always', 'never'] };
const summaries = (id: string, varied: readonly Varied[]) =>
  planSweep(catalogueText(id), { base: {}, varied }).map((row) =>
    row.kind === 'run' ? summaryOf(record(row.plan.program)) : undefined,
  );

describe('the runs of a table', () => {
  test('all combinations, the last setting fastest', () => {
    const rows = planSweep(catalogueText('stale-tlb'), {
      base: { 'gpte-write': 'zap' },
      varied: [CPU, FLUSH],
    });
    expect(rows.map(({ values }) => values.join())).toEqual([
      'svm,always',
      'svm,never',
      'vmx-novpid,always',
      'vmx-novpid,never',
    ]);
    expect(rows[1]?.choices).toEqual({ 'gpte-write': 'zap', cpu: 'svm', flush: 'never' });
  });
  test('what means the same machine runs once, and what no machine has says why', () => {
    const machine = { name: 'machine', values: ['kvm-2007', 'native'] };
    const rows = planSweep(catalogueText('three-exits'), { base: {}, varied: [machine, FLUSH] });
    expect(rows.map(({ kind }) => kind)).toEqual(['run', 'run', 'run', 'same']);
    expect(rows[3]).toMatchObject({ as: 2 });
    const cpu = { name: 'cpu', values: ['svm', 'arm64'] };
    const unfit = planSweep(catalogueText('three-exits'), { base: {}, varied: [cpu] })[1];
    expect(unfit).toMatchObject({ kind: 'unfit', why: 'cpu=arm64 does not fit machine kvm-2007' });
  });
});

describe('the eight runs of C-4', () => {
  const varied = suggestVaried(planOf(catalogueText('eight-runs')));
  const runs = planSweep(catalogueText('eight-runs'), { base: {}, varied });
  test('are what the lesson suggests to vary', () => {
    expect(varied.map(({ name, values }) => `${name}=${values.join()}`).sort()).toEqual([
      'Path=fault,cr3',
      'cpu=svm,vmx-novpid',
      'flush=always,never',
    ]);
  });
  test('have a stale hit only on svm, without the flush, on the fault path', () => {
    const stale = runs.flatMap((row) =>
      row.kind === 'run' && summaryOf(record(row.plan.program)).counts.stale_hits > 0 ? [row.choices] : [],
    );
    expect(runs.filter(({ kind }) => kind === 'run')).toHaveLength(8);
    expect(stale).toEqual([{ flush: 'never', cpu: 'svm', Path: 'fault' }]);
  });
  test('make no column of a line that only some of them have', () => {
    const table = tableOf(
      runs.map((row) => (row.kind === 'run' ? summaryOf(record(row.plan.program)) : undefined)),
    );
    expect(table.outcomes.map(({ text }) => text)).toEqual(['v0 user read V']);
  });
});

describe('bounds and mistakes are said', () => {
  const many = SETTINGS.filter(({ values }) => values.length > 2).map(({ name, values }) => ({
    name,
    values: values.map(({ value }) => value),
  }));
  test.each<[string, readonly Varied[], string]>([
    ['an unknown setting', [{ name: 'colour', values: ['red'] }], 'no setting "colour"'],
    ['an unknown value', [{ name: 'flush', values: ['often'] }], 'flush=often is not known'],
    ['a value twice', [{ name: 'flush', values: ['never', 'never'] }], 'a value twice'],
    ['a setting twice', [FLUSH, FLUSH], 'varied twice'],
    ['too many settings', many.slice(0, BOUNDS.variedSettings + 1), 'variedSettings'],
    ['too many runs', many.slice(0, BOUNDS.variedSettings), 'runsCompared'],
  ])('%s', (_name, varied, said) => {
    expect(checkVaried(varied, []).join(' ')).toContain(said);
  });
  test.each(CATALOGUE_IDS)('what %s suggests to vary is a table that can run', (id) => {
    const plan = planOf(catalogueText(id));
    const varied = suggestVaried(plan);
    expect(checkVaried(varied, plan.choices)).toEqual([]);
    expect(runsOf(varied)).toBeLessThanOrEqual(BOUNDS.runsCompared);
    for (const { values } of varied) expect(values.length).toBeGreaterThan(1);
  });
});

describe('what a table shows', () => {
  test('C-4, the fault path: one of four runs does harm, and the guest reads what it must not', () => {
    const runs = summaries('stale-tlb', [CPU, FLUSH]);
    const table = tableOf(runs);
    expect(table.outcomes.map(({ label }) => label)).toEqual(['6']);
    expect([table.harm, table.rules, table.stopped]).toEqual([true, true, false]);
    expect(table.counters).toContain('stale_hits');
    expect(runs.map((run) => run?.counts.stale_hits)).toEqual([0, 1, 0, 0]);
    expect(runs.map((run) => (run?.harms ?? []).length > 0)).toEqual([false, true, false, false]);
    const line = table.outcomes[0]?.line ?? 0;
    expect(runs.map((run) => run && outcomeOf(run, line)?.result?.value)).toEqual([
      0xda7a0021n,
      0xda7a0020n,
      0xda7a0021n,
      0xda7a0021n,
    ]);
  });
  test('runs that are alike have no columns', () => {
    const [run] = summaries('three-exits', [FLUSH]);
    expect(tableOf([run, run, undefined])).toEqual({
      outcomes: [],
      outcomesLeftOut: 0,
      counters: [],
      harm: false,
      rules: false,
      stopped: false,
    });
  });
});
