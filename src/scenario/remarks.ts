/** What an author says about a scenario: notes, expectations, things to try. */
import { applies, SETTINGS, settingOf, type SettingName, type Settings } from '../core/settings.ts';
import type { CallPlace, Expectation, SettingChoices, SettingTest, Statement } from './ast.ts';
import { printLines } from './lines.ts';

export type Section = 'given' | 'body';

export interface Note {
  readonly text: string;
  readonly section: Section | 'scenario';
  /** Number of operations of the section before the note; the note belongs to the last of them. */
  readonly after: number;
  readonly at?: CallPlace;
}

export interface PlannedExpectation {
  readonly expectation: Expectation;
  readonly section: Section;
  /** Number of operations of the section before the line: it must hold after the last of them. */
  readonly after: number;
  readonly when: readonly SettingTest[];
  readonly line: number;
  readonly text: string;
}

export interface Suggestion {
  readonly label: string;
  readonly choices: SettingChoices;
}

export interface Remarks {
  /** Those that hold under the settings of the run. */
  readonly notes: readonly Note[];
  readonly expectations: readonly PlannedExpectation[];
  readonly suggestions: readonly Suggestion[];
}

export const passes = ({ values, negated }: SettingTest, value: string): boolean =>
  values.includes(value) !== negated;

/** Whether a run under these settings is meant. A setting that means nothing there meets no condition. */
export const meets = (when: readonly SettingTest[], settings: Settings): boolean =>
  when.every((test) => {
    const setting = settingOf(test.name);
    return setting !== undefined && applies(setting, settings) && passes(test, settings[test.name]);
  });

/** Gathers what an author says, each with its place among the operations. */
export function remarksOf(statements: readonly Statement[], settings: Settings): Remarks {
  const notes: Note[] = [];
  const expectations: PlannedExpectation[] = [];
  const suggestions: Suggestion[] = [];
  let section: Section | 'scenario' = 'scenario';
  let after = 0;
  for (const statement of statements) {
    if (statement.kind === 'given' || statement.kind === 'begin') {
      section = statement.kind === 'given' ? 'given' : 'body';
      after = 0;
    } else if (statement.kind === 'operation') after += 1;
    else if (statement.kind === 'note') {
      if (!meets(statement.when, settings)) continue;
      const note = { text: statement.text, section, after };
      notes.push(statement.at === undefined ? note : { ...note, at: statement.at });
    } else if (statement.kind === 'expect') {
      const text = printLines([{ ...statement.line, indent: 0 }]);
      expectations.push({
        expectation: statement.expectation,
        section: section === 'scenario' ? 'body' : section,
        after,
        when: statement.when,
        line: statement.line.number,
        text,
      });
    } else if (statement.kind === 'try')
      suggestions.push({ label: statement.label, choices: statement.choices });
  }
  return { notes, expectations, suggestions };
}

/**
 * The text's own settings, as `guest=4-level`, that a run does not have, so that what the author says may not fit. None
 * where the author suggests what has been chosen.
 */
export function settingsNotMeant({
  ownSettings: own,
  program: { settings },
  suggestions,
}: Pick<Remarks, 'suggestions'> & {
  readonly ownSettings: Settings;
  readonly program: { readonly settings: Settings };
}): readonly string[] {
  const differing = SETTINGS.filter(({ name }) => own[name] !== settings[name]);
  const suggested = suggestions.some(
    ({ choices }) =>
      differing.every(({ name }) => choices[name] === settings[name]) &&
      Object.keys(choices).every((name) => settings[name as SettingName] === choices[name as SettingName]),
  );
  if (suggested) return [];
  return differing
    .filter((setting) => applies(setting, own))
    .map(({ name }) => `${name === 'machine' ? 'machine ' : `${name}=`}${own[name]}`);
}
