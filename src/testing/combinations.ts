/** Every combination of settings under which the screen lets a person run a scenario. */
import {
  applies,
  choicesOf,
  misfit,
  SETTINGS,
  settingOf,
  type SettingName,
  type Settings,
} from '../core/settings.ts';
import { must } from '../core/assert.ts';
import type { OwnChoice, SettingChoices } from '../scenario/ast.ts';
import { settingsOfRun } from '../scenario/machine-check.ts';
import type { Plan } from '../scenario/plan.ts';

/** The machine comes first; and the vCPUs are those whom the text's own operations name. */
const NOT_VARIED: readonly SettingName[] = ['machine', 'vcpus'];

/**
 * Choices that few texts are about. Where a text does not make one itself, or suggest it, each is tried alone: beside
 * whatever the text says and suggests, in every era. Together with all others they would be tens of thousands of runs.
 */
const SELDOM: readonly { readonly name: SettingName; readonly value: string; readonly machine: string }[] = [
  { name: 'cpu', value: 'vmx-vpid', machine: 'kvm-2007' },
  { name: 'flush-size', value: 'page', machine: 'kvm-2007' },
  { name: 'flush-size', value: 'one-page', machine: 'kvm-2007' },
  { name: 'flush-when', value: 'before', machine: 'kvm-2007' },
  { name: 'asids', value: '4', machine: 'kvm-2007' },
  { name: 'cr3-cache', value: 'on', machine: 'kvm-2007' },
];
const isSeldom = (settings: Settings): boolean =>
  SELDOM.some(({ name, value, machine }) => settings.machine === machine && settings[name] === value);

/** The caches and sizes of this machine alone make over a thousand runs: mistakes are tried as the text suggests them only. */
const isTooMuch = ({ machine }: Settings, name: SettingName): boolean =>
  machine === 'two-stage' && name === 'break';

/** What a text is about: values that it chooses or suggests, by setting. */
type About = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * What each setting may be beside what has been chosen so far; settings are asked in their own order. Of a list, all and
 * nothing are tried, and what the text suggests; mistakes made on purpose only where it suggests them, since a lesson's
 * expectations are there to fail under others.
 */
function combinationsOn(own: Settings, about: About, leftOut: readonly SettingName[]): readonly Settings[] {
  const chosen = SETTINGS.filter(({ name }) => ![...NOT_VARIED, ...leftOut].includes(name));
  const named = (name: SettingName, value: string): boolean => about.get(name)?.has(value) === true;
  return chosen
    .reduce<readonly Settings[]>(
      (all, setting) =>
        all.flatMap((settings) =>
          applies(setting, settings)
            ? choicesOf(setting, settings)
                .filter(
                  ({ value }) =>
                    setting.list !== true ||
                    ['all', 'none'].includes(value) ||
                    (named(setting.name, value) && !isTooMuch(settings, setting.name)),
                )
                .filter(({ value }) => !isSeldomAnew(settings, { [setting.name]: value }, named))
                .map(({ value }) => ({ ...settings, [setting.name]: value }))
            : [settings],
        ),
      [own],
    )
    .filter((settings) => misfit(settings) === undefined);
}

/** Whether a choice is a seldom one that the text is not about. */
const isSeldomAnew = (
  settings: Settings,
  choice: SettingChoices,
  named: (name: SettingName, value: string) => boolean,
): boolean =>
  SELDOM.some(
    ({ name, value, machine }) =>
      settings.machine === machine && choice[name] === value && !named(name, value),
  );

/** Each seldom choice that the text is not about, alone, beside what the text says and suggests, in every era. */
function seldomOn(own: Settings, about: About): readonly Settings[] {
  const eras = choicesOf(must(settingOf('era'), 'eras'), own).map(({ value }) => value);
  return SELDOM.filter(
    ({ name, value, machine }) => own.machine === machine && about.get(name)?.has(value) !== true,
  )
    .flatMap(({ name, value }) => eras.map((era) => ({ ...own, era, [name]: value })))
    .map((settings) => settingsOfRun({ ...settings }, {}))
    .filter((settings) => isSeldom(settings) && misfit(settings) === undefined);
}

/**
 * The machine of the text, and those that its suggestions name, each with all that its header offers, and every choice of
 * the text's own.
 */
export function combinationsFor(
  { ownSettings: own, suggestions, choices, program }: Plan,
  skipped: readonly SettingName[] = [],
): readonly SettingChoices[] {
  // How a log is cleared means nothing to a text without one.
  const logs = [...program.given, ...program.body].some(({ operation }) => operation.kind === 'log');
  const leftOut: readonly SettingName[] = logs ? skipped : [...skipped, 'log-clear'];
  const machines = new Set([
    own.machine,
    ...suggestions.map((suggestion) => suggestion.choices.machine ?? own.machine),
  ]);
  const suggested = suggestions.map((suggestion) => suggestion.choices);
  const about = aboutOf([own, ...suggested]);
  const all = [
    ...[...machines].flatMap((machine) => combinationsOn({ ...own, machine }, about, leftOut)),
    ...suggested.map((made) => settingsOfRun(own, made)),
    ...[{}, ...suggested].flatMap((made) => seldomOn({ ...own, ...made }, about)),
  ].map((settings) => differing(settings, own));
  const different = [...new Map(all.map((made) => [JSON.stringify(made), made])).values()];
  return different.flatMap((made) => picksOf(choices).map((picks) => ({ ...made, ...picks })));
}

function aboutOf(choices: readonly SettingChoices[]): About {
  const about = new Map<string, Set<string>>();
  for (const [name, value] of choices.flatMap((made) => Object.entries(made)))
    for (const part of value.split(',')) about.set(name, (about.get(name) ?? new Set()).add(part));
  return about;
}

/** The text's own value of a choice is not written. */
const picksOf = (choices: readonly OwnChoice[]): readonly SettingChoices[] =>
  choices.reduce<readonly SettingChoices[]>(
    (all, { name, values }) =>
      all.flatMap((picks) => values.map((value, at) => (at === 0 ? picks : { ...picks, [name]: value }))),
    [{}],
  );

const differing = (settings: Settings, own: Settings): SettingChoices =>
  Object.fromEntries(
    Object.entries(settings).filter(
      ([name, value]) => settingOf(name) !== undefined && own[name as SettingName] !== value,
    ),
  );
