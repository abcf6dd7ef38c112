import { describe, expect, test } from 'vitest';
import { choicesOf, settingOf, type Settings } from '../core/settings.ts';
import { CATALOGUE_IDS, catalogueText, planOf } from '../testing/scenarios.ts';
import { record } from '../timeline/timeline.ts';
import type { SettingChoices } from './ast.ts';
import { judge } from './expectations.ts';

/** Every combination of the settings that the screen offers for kvm-2007; other machines run as the text has them. */
const combinationsFor = (own: Settings): readonly SettingChoices[] =>
  ['cpu', 'gpte-write', 'flush', 'shipped-bugs'].reduce<readonly SettingChoices[]>(
    (all, name) => {
      const setting = settingOf(name);
      if (setting === undefined || own.machine !== 'kvm-2007') return all;
      return all.flatMap((choices) =>
        choicesOf(setting, own).map(({ value }) => ({ ...choices, [name]: value })),
      );
    },
    [{}],
  );

describe.each(CATALOGUE_IDS)('%s', (id) => {
  const text = catalogueText(id);
  test('holds what it expects under every combination of settings', () => {
    const failed = combinationsFor(planOf(text).ownSettings).flatMap((choices) => {
      const plan = planOf(text, choices);
      return judge(record(plan.program), plan.expectations)
        .filter((result) => !result.passed)
        .map((result) => `${JSON.stringify(choices)} line ${String(result.line)}: ${String(result.got)}`);
    });
    expect(failed).toEqual([]);
  });

  test('has a title, what one will understand, and a time; and expects something', () => {
    const plan = planOf(text);
    expect(plan.title).not.toBe('Untitled');
    expect(plan.about?.length).toBeGreaterThan(20);
    expect(plan.minutes).toBeGreaterThan(0);
    expect(plan.expectations.length).toBeGreaterThan(0);
  });

  test('says each note while something happens: the call that it names runs in its operation', () => {
    const plan = planOf(text);
    const variants = [{}, ...plan.suggestions.map((suggestion) => suggestion.choices)];
    const timelines = variants.map((choices) => record(planOf(text, choices).program));
    const silent = plan.notes.filter(
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
