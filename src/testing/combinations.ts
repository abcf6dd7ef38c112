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
import type { SettingChoices } from '../scenario/ast.ts';
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
function combinationsOn(own: Settings, about: About): readonly Settings[] {
  const chosen = SETTINGS.filter(({ name }) => !NOT_VARIED.includes(name));
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

/** The machine of the text, and those that its suggestions name, each with all that its header offers. */
export function combinationsFor({ ownSettings: own, suggestions }: Plan): readonly SettingChoices[] {
  const machines = new Set([
    own.machine,
    ...suggestions.map(({ choices }) => choices.machine ?? own.machine),
  ]);
  const about = aboutOf([own, ...suggestions.map(({ choices }) => choices)]);
  const all = [
    ...[...machines].flatMap((machine) => combinationsOn({ ...own, machine }, about)),
    ...suggestions.map(({ choices }) => settingsOfRun(own, choices)),
    ...[{}, ...suggestions.map(({ choices }) => choices)].flatMap((choices) =>
      seldomOn({ ...own, ...choices }, about),
    ),
  ].map((settings) => differing(settings, own));
  return [...new Map(all.map((choices) => [JSON.stringify(choices), choices])).values()];
}

function aboutOf(choices: readonly SettingChoices[]): About {
  const about = new Map<string, Set<string>>();
  for (const [name, value] of choices.flatMap((made) => Object.entries(made)))
    for (const part of value.split(',')) about.set(name, (about.get(name) ?? new Set()).add(part));
  return about;
}

const differing = (settings: Settings, own: Settings): SettingChoices =>
  Object.fromEntries(
    Object.entries(settings).filter(
      ([name, value]) => settingOf(name) !== undefined && own[name as SettingName] !== value,
    ),
  );
