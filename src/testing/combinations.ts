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
import type { SettingChoices } from '../scenario/ast.ts';
import type { Plan } from '../scenario/plan.ts';

/** Mistakes on purpose; and the vCPUs, whom the text's own operations name. */
const NOT_VARIED: readonly SettingName[] = ['machine', 'break', 'vcpus'];

/**
 * What each setting may be beside what has been chosen so far; settings are asked in their own order. Mistakes made on
 * purpose are left out: a lesson's expectations are there to fail under them. Of a list, all and nothing are tried, and what
 * the text suggests.
 */
function combinationsOn(
  own: Settings,
  { suggested, idle }: { suggested: ReadonlySet<string>; idle: readonly SettingName[] },
): readonly Settings[] {
  const chosen = SETTINGS.filter(({ name }) => !NOT_VARIED.includes(name) && !idle.includes(name));
  return chosen
    .reduce<readonly Settings[]>(
      (all, setting) =>
        all.flatMap((settings) =>
          applies(setting, settings)
            ? choicesOf(setting, settings)
                .filter(
                  ({ value }) =>
                    setting.list !== true || ['all', 'none'].includes(value) || suggested.has(value),
                )
                .map(({ value }) => ({ ...settings, [setting.name]: value }))
            : [settings],
        ),
      [own],
    )
    .filter((settings) => misfit(settings) === undefined);
}

/** The machine of the text, and those that its suggestions name, each with all that its header offers. */
export function combinationsFor({ ownSettings: own, suggestions, program }: Plan): readonly SettingChoices[] {
  // How a log is cleared means nothing to a text without one.
  const logs = [...program.given, ...program.body].some(({ operation }) => operation.kind === 'log');
  const idle: readonly SettingName[] = logs ? [] : ['log-clear'];
  const machines = new Set([
    own.machine,
    ...suggestions.map(({ choices }) => choices.machine ?? own.machine),
  ]);
  const suggested = new Set(suggestions.flatMap(({ choices }) => Object.values(choices)));
  const offered = [...machines].flatMap((machine) =>
    combinationsOn({ ...own, machine }, { suggested, idle }).map((settings) => differing(settings, own)),
  );
  // A mistake that the text itself suggests is tried as it is suggested.
  const broken = suggestions.flatMap(({ choices }) => (choices.break === undefined ? [] : [choices]));
  return [...offered, ...broken];
}

const differing = (settings: Settings, own: Settings): SettingChoices =>
  Object.fromEntries(
    Object.entries(settings).filter(
      ([name, value]) => settingOf(name) !== undefined && own[name as SettingName] !== value,
    ),
  );
