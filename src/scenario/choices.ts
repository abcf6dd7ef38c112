/** The parts of a line that choose settings, or ask for them: `machine`, `policy`, `try`, and `when`. */
import { must } from '../core/assert.ts';
import { SETTINGS, settingAccepts, settingOf, type Setting } from '../core/settings.ts';
import type { SettingChoices, SettingTest, Span, Token } from './ast.ts';
import { nearest, type Cursor } from './cursor.ts';

type Where = Setting['where'];

/** After `machine` or `policy`: perhaps the machine's name, then pairs. */
export function readSettings(where: Where, cursor: Cursor): SettingChoices {
  if (where !== 'machine' || cursor.atPair()) return readChoices(cursor, where);
  const place = cursor.peek();
  const value = cursor.word('a machine', 'Write: machine kvm-2007.').text;
  const machine = checked(cursor, { setting: must(settingOf('machine'), 'the machine'), value, place });
  return { machine, ...readChoices(cursor, where) };
}

export function readChoices(cursor: Cursor, where?: Where): SettingChoices {
  const choices: Record<string, string> = {};
  while (cursor.atPair()) {
    const name = cursor.next();
    cursor.equals();
    const place = cursor.next();
    const setting = named(cursor, { name, text: name?.text ?? '', where });
    if (setting !== undefined)
      choices[setting.name] = checked(cursor, { setting, value: place?.text ?? '', place });
  }
  return choices;
}

/** `when guest=4-level,5-level cpu!=arm64`; without the word, no condition. */
export function readWhen(cursor: Cursor): readonly SettingTest[] {
  if (!cursor.take('when')) return [];
  if (!cursor.atPair())
    cursor.fail(cursor.peek(), { message: '"when" needs a setting', remedy: 'Write: when flush=never.' });
  const tests: SettingTest[] = [];
  while (cursor.atPair()) {
    const name = cursor.next();
    cursor.equals();
    const place = cursor.next();
    const text = settingText(name?.text ?? '');
    const setting = named(cursor, { name, text, where: undefined });
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

/** The setting in the first half of a pair, `cpu` as well as `cpu!`. */
export const settingText = (text: string): string => (text.endsWith('!') ? text.slice(0, -1) : text);

/** Alternatives are joined by commas, save where the commas belong to the value. */
export const valuesIn = (setting: Setting, text: string): readonly string[] =>
  setting.list === true ? [text] : text.split(',');

function named(
  cursor: Cursor,
  { name, text, where }: { name: Token | undefined; text: string; where: Where | undefined },
): Setting | undefined {
  const setting = settingOf(text);
  if (setting !== undefined && (where === undefined || setting.where === where)) return setting;
  const names = SETTINGS.filter((s) => where === undefined || s.where === where).map((s) => s.name as string);
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
  { setting, value, place }: { setting: Setting; value: string; place: Span | undefined },
): string {
  if (settingAccepts(setting, value)) return value;
  const values = setting.values.map((choice) => choice.value);
  const near = nearest(value, values);
  cursor.note(place, {
    message: `${setting.name}=${value} is not known`,
    remedy: near === undefined ? `Use one of: ${values.join(', ')}.` : `Did you mean ${near}?`,
    ...(near === undefined ? {} : { fix: near }),
  });
  return setting.values[0].value;
}
