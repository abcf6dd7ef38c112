/** The parts of a line that choose settings, or ask for them: `machine`, `policy`, `try`, and `when`. */
import { must } from '../core/assert.ts';
import { SETTINGS, settingAccepts, settingOf, type Setting } from '../core/settings.ts';
import type { Line, OwnChoice, SettingChoices, SettingTest, Span, Token } from './ast.ts';
import { nearest, type Cursor } from './cursor.ts';

type Where = Setting['where'];
type Own = ReadonlyMap<string, OwnChoice>;

/** A setting, or a choice of the text's own. */
type Choosable = Setting | OwnChoice;

const isSetting = (choosable: Choosable): choosable is Setting => 'where' in choosable;
const valuesOf = (choosable: Choosable): readonly string[] =>
  isSetting(choosable) ? choosable.values.map(({ value }) => value) : choosable.values;

/** After `machine` or `policy`: perhaps the machine's name, then pairs. */
export function readSettings(where: Where, cursor: Cursor): SettingChoices {
  if (where !== 'machine' || cursor.atPair()) return readChoices(cursor, { where });
  const place = cursor.peek();
  const value = cursor.word('a machine', 'Write: machine kvm-2007.').text;
  const setting = must(settingOf('machine'), 'the machine');
  return { machine: checked(cursor, { setting, value, place }), ...readChoices(cursor, { where }) };
}

/** Pairs; only a suggestion may choose what the text itself offers. */
export function readChoices(cursor: Cursor, by: { where?: Where; own?: Own }): SettingChoices {
  const choices: Record<string, string> = {};
  while (cursor.atPair()) {
    const name = cursor.next();
    cursor.equals();
    const place = cursor.next();
    const setting = named(cursor, { name, text: name?.text ?? '', ...by });
    if (setting !== undefined)
      choices[setting.name] = checked(cursor, { setting, value: place?.text ?? '', place });
  }
  return choices;
}

/** `when guest=4-level,5-level cpu!=arm64 Path=cr3`; without the word, no condition. */
export function readWhen(cursor: Cursor, own: Own): readonly SettingTest[] {
  if (!cursor.take('when')) return [];
  if (!cursor.atPair())
    cursor.fail(cursor.peek(), { message: '"when" needs a setting', remedy: 'Write: when flush=never.' });
  const tests: SettingTest[] = [];
  while (cursor.atPair()) {
    const name = cursor.next();
    cursor.equals();
    const place = cursor.next();
    const text = settingText(name?.text ?? '');
    const setting = named(cursor, { name, text, own });
    if (setting === undefined) continue;
    let from = place?.from ?? 0;
    const values = valuesIn(setting, place?.text ?? '').map((value) => {
      const part = place === undefined ? undefined : { from, to: from + value.length };
      from += value.length + 1;
      return checked(cursor, { setting, value, place: part });
    });
    tests.push({ name: setting.name, values, negated: text !== name?.text });
  }
  return tests;
}

/** A line as it stands without its condition, and the condition as a line of its own, where it has one. */
export function cutCondition(line: Line): { readonly said: Line; readonly condition: Line | undefined } {
  const at = line.tokens.findIndex(({ kind, text }) => kind === 'word' && text === 'when');
  if (at < 0) return { said: line, condition: undefined };
  return {
    said: { ...line, tokens: line.tokens.slice(0, at) },
    condition: { ...line, tokens: line.tokens.slice(at) },
  };
}

/** The setting in the first half of a pair, `cpu` as well as `cpu!`. */
export const settingText = (text: string): string => (text.endsWith('!') ? text.slice(0, -1) : text);

/** Alternatives are joined by commas, save where the commas belong to the value. */
const valuesIn = (setting: Choosable, text: string): readonly string[] =>
  isSetting(setting) && setting.list === true ? [text] : text.split(',');

function named(
  cursor: Cursor,
  by: { name: Token | undefined; text: string; where?: Where; own?: Own },
): Choosable | undefined {
  const { name, text, where, own } = by;
  const choice = own?.get(text);
  if (choice !== undefined) return choice;
  const setting = settingOf(text);
  if (setting !== undefined && (where === undefined || setting.where === where)) return setting;
  const names = [
    ...(own?.keys() ?? []),
    ...SETTINGS.filter((s) => where === undefined || s.where === where).map((s) => s.name as string),
  ];
  const near = nearest(text, names);
  cursor.note(name, {
    message: `${JSON.stringify(text)} is no ${where ?? 'machine or policy'} setting`,
    remedy: near === undefined ? `Use one of: ${names.join(', ')}.` : `Did you mean ${near}?`,
    ...(near === undefined ? {} : { fix: near }),
  });
  return undefined;
}

function checked(
  cursor: Cursor,
  { setting, value, place }: { setting: Choosable; value: string; place: Span | undefined },
): string {
  const values = valuesOf(setting);
  if (isSetting(setting) ? settingAccepts(setting, value) : values.includes(value)) return value;
  const near = nearest(value, values);
  cursor.note(place, {
    message: `${setting.name}=${value} is not known`,
    remedy: near === undefined ? `Use one of: ${values.join(', ')}.` : `Did you mean ${near}?`,
    ...(near === undefined ? {} : { fix: near }),
  });
  return values[0] ?? '';
}
