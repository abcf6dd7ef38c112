/** What an author says about a scenario: notes, expectations, things to try. */
import { applies, SETTINGS, settingOf, type SettingName, type Settings } from '../core/settings.ts';
import type { CallPlace, Expectation, SettingChoices, Statement } from './ast.ts';
import { isIn, type Chosen } from './conditions.ts';
import { printLines } from './lines.ts';

export type Section = 'given' | 'body';

export interface Note {
  readonly text: string;
  readonly section: Section | 'scenario';
  /** Number of the operation of the section to which the note belongs, the last before it; 0 before the first. */
  readonly after: number;
  readonly at?: CallPlace;
}

export interface PlannedExpectation {
  readonly expectation: Expectation;
  readonly section: Section;
  /** Number of the last operation before the line that the run does not leave out: it must hold after that one. */
  readonly after: number;
  readonly line: number;
  readonly text: string;
}

export interface Suggestion {
  readonly label: string;
  readonly choices: SettingChoices;
}

export interface Remarks {
  /** Notes and expectations that are for what is chosen in the run. */
  readonly notes: readonly Note[];
  readonly expectations: readonly PlannedExpectation[];
  readonly suggestions: readonly Suggestion[];
}

/**
 * Gathers what an author says, each with its place among the operations; `statements` are all of the text's. What a
 * hypervisor counts is its own: figures hold for the machine of the text, `own`, and for others that their condition names.
 */
export function remarksOf(
  statements: readonly Statement[],
  chosen: Chosen,
  own: Pick<Settings, 'machine'>,
): Remarks {
  const counted = ({ expectation, when }: Extract<Statement, { kind: 'expect' }>): boolean =>
    expectation.kind !== 'counters' ||
    own.machine === chosen.settings.machine ||
    when.some(({ name }) => name === 'machine');
  const notes: Note[] = [];
  const expectations: PlannedExpectation[] = [];
  const suggestions: Suggestion[] = [];
  let section: Section | 'scenario' = 'scenario';
  // Of all operations, and of those that the run has.
  let [after, ran] = [0, 0];
  for (const statement of statements) {
    if (statement.kind === 'operation') after += 1;
    if (!isIn(statement, chosen)) continue;
    if (statement.kind === 'given' || statement.kind === 'begin') {
      section = statement.kind === 'given' ? 'given' : 'body';
      [after, ran] = [0, 0];
    } else if (statement.kind === 'operation') ran = after;
    else if (statement.kind === 'note') {
      const note = { text: statement.text, section, after };
      notes.push(statement.at === undefined ? note : { ...note, at: statement.at });
    } else if (statement.kind === 'expect') {
      if (!counted(statement)) continue;
      const text = printLines([{ ...statement.line, indent: 0 }]);
      expectations.push({
        expectation: statement.expectation,
        section: section === 'scenario' ? 'body' : section,
        after: ran,
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
      Object.entries(choices).every(
        ([name, value]) => settingOf(name) === undefined || settings[name as SettingName] === value,
      ),
  );
  if (suggested) return [];
  return differing
    .filter((setting) => applies(setting, own))
    .map(({ name }) => `${name === 'machine' ? 'machine ' : `${name}=`}${own[name]}`);
}
