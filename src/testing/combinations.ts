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
import type { OwnChoice, SettingChoices } from '../scenario/ast.ts';
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
  { suggested, leftOut }: { suggested: ReadonlySet<string>; leftOut: readonly SettingName[] },
): readonly Settings[] {
  const chosen = SETTINGS.filter(({ name }) => ![...NOT_VARIED, ...leftOut].includes(name));
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
  const suggested = new Set(suggestions.flatMap((suggestion) => Object.values(suggestion.choices)));
  const offered = [...machines].flatMap((machine) =>
    combinationsOn({ ...own, machine }, { suggested, leftOut }).flatMap((settings) =>
      picksOf(choices).map((picks) => ({ ...differing(settings, own), ...picks })),
    ),
  );
  // A mistake that the text itself suggests is tried as it is suggested.
  const broken = suggestions.flatMap((suggestion) =>
    suggestion.choices.break === undefined ? [] : [suggestion.choices],
  );
  return [...offered, ...broken];
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
