/** Which settings a run has, and what is wrong with them: on this machine they mean nothing, or do not fit together. */
import {
  applies,
  choicesOf,
  completeSettings,
  misfit,
  settingAccepts,
  settingOf,
  SETTINGS,
  type Setting,
  type SettingName,
  type Settings,
} from '../core/settings.ts';
import type { Line, Problem, SettingChoices, SettingTest, Span, Statement } from './ast.ts';
import { settingText } from './choices.ts';
import { conditionsOf, passes } from './conditions.ts';
import { isOwnName } from './own-choices.ts';

export interface Said {
  readonly message: string;
  readonly remedy: string;
}

/** Notes a problem at a place of the text. */
export type Report = (place: { readonly line: Line; readonly span?: Span | undefined }, said: Said) => void;

export const placeless = (message: string, remedy: string): Problem => ({
  line: 0,
  column: 0,
  span: { from: 0, to: 0 },
  message,
  remedy,
});

/** What is wrong with the settings of a link or of the command line by themselves. */
export function checkOverrides(overrides: SettingChoices): readonly Problem[] {
  return Object.entries(overrides).flatMap(([name, value]) => {
    // A text may lose a choice of its own while it is edited.
    if (isOwnName(name)) return [];
    const setting = settingOf(name);
    if (setting === undefined)
      return [placeless(`There is no setting ${JSON.stringify(name)}`, 'Leave it out.')];
    if (settingAccepts(setting, value)) return [];
    const values = setting.values.map((choice) => choice.value).join(', ');
    return [placeless(`${name}=${value} is not known`, `Use one of: ${values}.`)];
  });
}

/** What a text chooses. */
export const choicesIn = (statements: readonly Statement[]): SettingChoices =>
  statements.reduce<SettingChoices>(
    (choices, statement) => (statement.kind === 'settings' ? { ...choices, ...statement.choices } : choices),
    {},
  );

/** The settings of a run: what the caller chooses wins, as far as it means anything on the machine. */
export function settingsOfRun(chosen: SettingChoices, overrides: SettingChoices): Settings {
  const own = completeSettings(chosen);
  const all = completeSettings({ ...chosen, ...overrides });
  const idle = SETTINGS.filter((setting) => !applies(setting, all)).map(({ name }) => [name, own[name]]);
  return { ...all, ...(Object.fromEntries(idle) as SettingChoices) };
}

/** What of a run a setting or a value of it is not for, and what it is for. */
function clash(
  { machines, cpus, eras }: Pick<Setting, 'machines' | 'cpus' | 'eras'>,
  { machine, cpu, era }: Settings,
): readonly [string, string] {
  if (machines?.includes(machine) === false) return [`machine ${machine}`, `machine ${machines[0] ?? ''}`];
  if (cpus?.includes(cpu) === false) return [`cpu=${cpu}`, `cpu=${cpus[0] ?? ''}`];
  return [`era=${era}`, `era=${eras?.[0] ?? ''}`];
}

function whyIdle(setting: Setting, settings: Settings): Said {
  const [where, needed] = clash(setting, settings);
  return {
    message: `${setting.name} means nothing ${where.startsWith('m') ? 'on' : 'with'} ${where}`,
    remedy: `Leave it out, or write: ${needed}.`,
  };
}

function whyMisfit(setting: Setting, settings: Settings): Said {
  const { name } = setting;
  const fitting = choicesOf(setting, settings);
  const parts = settings[name].split(',');
  const choice = setting.values.find((known) => parts.includes(known.value) && !fitting.includes(known));
  const [against] = clash(choice ?? setting, settings);
  const values = fitting.map(({ value }) => `${name}=${value}`);
  return {
    message: `${name}=${choice?.value ?? settings[name]} does not fit ${against}`,
    remedy: `Use one of: ${values.join(', ')}.`,
  };
}

/** Whether the value of a setting fits the others; of a list, each part. */
const fits = (setting: Setting, settings: Settings): boolean =>
  settings[setting.name]
    .split(',')
    .every((part) => choicesOf(setting, settings).some((choice) => choice.value === part));

/** The token that names a setting, or its value, in a line. */
export function pairIn(line: Line, name: string, part: 'name' | 'value'): Span | undefined {
  const at = line.tokens.findIndex(
    (token, i) => settingText(token.text) === name && line.tokens[i + 1]?.kind === 'equals',
  );
  if (at < 0) return undefined;
  return line.tokens[part === 'name' ? at : at + 2];
}

/** Every line of settings, conditions and things to try, against the machine of the text. */
export function checkSettings(statements: readonly Statement[], own: Settings, report: Report): void {
  for (const statement of statements) {
    if (statement.kind === 'settings')
      checkChoices(statement.line, statement.choices, { settings: own, report });
    else if (statement.kind === 'try') {
      const { choices, line } = statement;
      const settings = { ...own, ...choices };
      checkChoices(line, choices, { settings, report });
      checkSuggestion(line, { choices, settings }, report);
    }
    for (const { when, line } of conditionsOf(statement)) checkCondition(line, when, { own, report });
  }
}

/** What scopes of settings depend on. */
const GROUND: readonly SettingName[] = ['machine', 'cpu', 'era'];

/** The machines and processors that a condition leaves, those of the text where it says nothing of them. */
const groundsOf = (when: readonly SettingTest[], own: Settings): readonly Settings[] =>
  GROUND.reduce<readonly Settings[]>(
    (all, name) => {
      const tests = when.filter((test) => test.name === name);
      if (tests.length === 0) return all;
      const left = settingOf(name)?.values.filter(({ value }) => tests.every((test) => passes(test, value)));
      return all.flatMap((settings) => (left ?? []).map(({ value }) => ({ ...settings, [name]: value })));
    },
    [own],
  );

/** Each setting in a condition must mean something, and each value fit, on some machine that the condition leaves. */
function checkCondition(
  line: Line,
  when: readonly SettingTest[],
  { own, report }: { own: Settings; report: Report },
): void {
  const grounds = groundsOf(when, own);
  for (const { name, values, negated } of when) {
    const setting = settingOf(name);
    if (setting === undefined) continue;
    const having = grounds.filter((settings) => applies(setting, settings));
    const [ground] = having;
    if (ground === undefined) {
      report({ line, span: pairIn(line, name, 'name') }, whyIdle(setting, grounds[0] ?? own));
      continue;
    }
    const wrong = values.find((value) => !having.some((some) => fits(setting, { ...some, [name]: value })));
    if (wrong !== undefined && !negated)
      report({ line, span: pairIn(line, name, 'value') }, whyMisfit(setting, { ...ground, [name]: wrong }));
  }
}

/** A suggestion must leave settings that fit each other, those of the text included. */
function checkSuggestion(
  line: Line,
  { choices, settings }: { choices: SettingChoices; settings: Settings },
  report: Report,
): void {
  const found = misfit(settings);
  if (found === undefined || found.name in choices) return;
  const { message, remedy } = whyMisfit(found, settings);
  report({ line }, { message: `Here ${message}`, remedy });
}

function checkChoices(line: Line, choices: SettingChoices, by: { settings: Settings; report: Report }): void {
  const { settings, report } = by;
  for (const name of Object.keys(choices)) {
    const setting = settingOf(name);
    if (setting === undefined) continue;
    if (!applies(setting, settings))
      report({ line, span: pairIn(line, name, 'name') }, whyIdle(setting, settings));
    else if (!fits(setting, settings))
      report({ line, span: pairIn(line, name, 'value') }, whyMisfit(setting, settings));
  }
}

/** What does not fit once the caller's settings stand over those of the text. */
export function checkRun(settings: Settings): readonly Problem[] {
  const found = misfit(settings);
  if (found === undefined) return [];
  const { message, remedy } = whyMisfit(found, settings);
  return [placeless(message, remedy)];
}
