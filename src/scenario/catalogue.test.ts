import { describe, expect, test } from 'vitest';
import { guestLevels, hostLevels } from '../core/hardware/encode.ts';
import type { SettingName, Settings } from '../core/settings.ts';
import { combinationsFor } from '../testing/combinations.ts';
import { CATALOGUE_IDS, catalogueText, planOf } from '../testing/scenarios.ts';
import { record, type Timeline } from '../timeline/timeline.ts';
import { counter, judge } from './expectations.ts';
import { readLines } from './lines.ts';
import { planScenario } from './plan.ts';

/** More than this and a scenario would take seconds: then some settings are to be left out here by name. */
const MOST_COMBINATIONS = 2000;
const LEFT_OUT: Readonly<Record<string, readonly SettingName[]>> = { 'same-boot': ['tlb'] };

/** Lines of a text that begin with a word. */
const linesOf = (text: string, word: string): readonly number[] =>
  readLines(text)
    .filter((line) => line.tokens[0]?.text === word)
    .map((line) => line.number);

describe.each(CATALOGUE_IDS)('%s', (id) => {
  const text = catalogueText(id);
  test('holds what it expects under every combination of settings that its machines offer', () => {
    const combinations = combinationsFor(planOf(text), LEFT_OUT[id]);
    expect(combinations.length).toBeLessThanOrEqual(MOST_COMBINATIONS);
    const judged = new Set<number>();
    const said = new Set<string>();
    let ran = 0;
    const failed = combinations.flatMap((choices) => {
      const name = JSON.stringify(choices);
      const planned = planScenario(text, choices);
      // A machine that lacks what a line needs says so at that line, and nothing runs.
      if (planned.kind === 'problems')
        return planned.problems.filter(({ line }) => line === 0).map(({ message }) => `${name} ${message}`);
      const { plan } = planned;
      const timeline = record(plan.program);
      const results = judge(timeline, plan.expectations);
      ran += 1;
      for (const { line } of results) judged.add(line);
      for (const note of plan.notes) said.add(note.text);
      // Only a hypervisor that has bugs may stop its host.
      const mayStop =
        timeline.stop?.kind === 'host-stopped' && plan.program.settings['shipped-bugs'] !== 'none';
      return [
        ...(timeline.stop === undefined || mayStop ? [] : [`${name} stops: ${timeline.stop.message}`]),
        ...results
          .filter((result) => !result.passed)
          .map((result) => `${name} line ${String(result.line)}: ${String(result.got)}`),
      ];
    });
    expect(failed).toEqual([]);
    expect(ran).toBeGreaterThan(0);
    // No line is for settings that nobody can choose.
    expect(linesOf(text, 'expect').filter((line) => !judged.has(line))).toEqual([]);
    const notes = readLines(text).filter((line) => line.tokens[0]?.text === 'note');
    const texts = notes.map((line) => line.tokens.find(({ kind }) => kind === 'text')?.text.slice(1, -1));
    expect(texts.filter((note) => !said.has(note ?? ''))).toEqual([]);
  });

  test('expects something under its own settings and under those that it suggests', () => {
    const plan = planOf(text);
    const silent = [{}, ...plan.suggestions.map(({ choices }) => choices)].filter((choices) => {
      const { program, expectations } = planOf(text, choices);
      return judge(record(program), expectations).length === 0;
    });
    expect(silent).toEqual([]);
  });

  test('has a title, what one will understand, and a time', () => {
    const plan = planOf(text);
    expect(plan.title).not.toBe('Untitled');
    expect(plan.about?.length).toBeGreaterThan(20);
    expect(plan.minutes).toBeGreaterThan(0);
  });

  test('says each note while something happens: the call that it names runs in its operation', () => {
    const variants = [{}, ...planOf(text).suggestions.map((suggestion) => suggestion.choices)].map(
      (choices) => planOf(text, choices),
    );
    const timelines = variants.map((plan) => record(plan.program));
    const silent = variants
      .flatMap((plan) => plan.notes)
      .filter(
        (note) =>
          note.at !== undefined &&
          !timelines.some((timeline) => {
            const operation = timeline.operations.find(
              (candidate) => candidate.section === note.section && candidate.number === note.after,
            );
            if (operation === undefined) return false;
            const steps = Array.from(
              { length: operation.endStep - operation.firstStep },
              (_, at) => operation.firstStep + at,
            );
            return steps.some((step) =>
              timeline.calls(step).some((call) => (call.name as string) === note.at?.call),
            );
          }),
      );
    expect(silent.map((note) => note.text)).toEqual([]);
  });
});

describe('the formulas that why-24 states in its notes', () => {
  const text = catalogueText('why-24');

  /** References of an operation of the body. */
  function refsOf(timeline: Timeline, number: number): number {
    const operation = timeline.operations.find((o) => o.section === 'body' && o.number === number);
    timeline.seek(operation?.firstStep ?? 0);
    const before = counter(timeline, 'refs');
    timeline.seek(operation?.endStep ?? 0);
    return counter(timeline, 'refs') - before;
  }

  /** Levels of guest tables that are walked in memory: Intel has the top entries of PAE in registers. */
  const guestRows = (settings: Settings): number =>
    guestLevels(settings).length -
    (settings.guest === 'pae' && (settings.machine === 'native' || settings.cpu !== 'svm') ? 1 : 0);

  function firstRead(settings: Settings): number {
    const g = guestRows(settings);
    if (settings.machine === 'native') return g;
    const h = hostLevels(settings).length;
    if (settings['host-pages'] === '2M') return h - 1 + g;
    return settings.psc === 'both' ? h + 2 * g : (g + 1) * (h + 1) - 1;
  }

  /** Undefined where the notes name no figure. */
  function neighbour(settings: Settings): number | undefined {
    const g = guestRows(settings);
    const { psc, tlb, guest, cpu } = settings;
    if (settings.machine === 'native' || settings['host-pages'] === '2M') return undefined;
    const h = hostLevels(settings).length;
    if (psc === 'both') return 2;
    if (psc === 'guest') return 1 + h;
    if (tlb !== '4') return g + h;
    const lost = cpu !== 'arm64' && (guest === '4-level' || guest === '5-level');
    return lost ? firstRead(settings) : undefined;
  }

  test('give the references of the first walk and of the page beside it, under every combination', () => {
    let compared = 0;
    for (const choices of combinationsFor(planOf(text))) {
      const planned = planScenario(text, choices);
      if (planned.kind === 'problems') continue;
      const { settings } = planned.plan.program;
      const timeline = record(planned.plan.program);
      const wanted = [firstRead(settings), 0, neighbour(settings)];
      const got = [refsOf(timeline, 1), refsOf(timeline, 2), refsOf(timeline, 3)];
      compared += 1;
      expect([JSON.stringify(choices), ...got.filter((_, at) => wanted[at] !== undefined)]).toEqual([
        JSON.stringify(choices),
        ...wanted.filter((refs) => refs !== undefined),
      ]);
    }
    expect(compared).toBeGreaterThan(1000);
  });
});
