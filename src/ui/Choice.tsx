/** Settings of the machine, to be switched: the scenario runs anew. */
import { useId } from 'react';
import {
  applies,
  choicesOf,
  completeSettings,
  SETTINGS,
  type SettingName,
  type Settings,
} from '../core/settings.ts';
import { choose } from '../store/document.ts';
import { STRINGS } from './strings.ts';
import { useApp } from './use-app.ts';

/** Settings that the header and the heads of a comparison offer at once, as far as the machine has them. */
const OFFERED: readonly SettingName[] = ['cpu', 'guest', 'gpte-write', 'flush'];
/** Settings behind a button. */
const MORE: readonly SettingName[] = [
  'era',
  'flush-reach',
  'flush-size',
  'flush-when',
  'cr3-cache',
  'asids',
  'break',
  'host',
  'host-pages',
  'ept-ad',
  'psc',
  'tlb',
];

/** What is chosen, also where a text with problems keeps it from running. */
function useChosen(side: 0 | 1): Settings | undefined {
  const own = useApp((state) => state.runs[0]?.plan.ownChoices);
  const over = useApp((state) => (side === 0 ? state.settings : state.versus));
  return own === undefined ? undefined : completeSettings({ ...own, ...over });
}

export function Choice({ name, side = 0 }: { name: SettingName; side?: 0 | 1 }): React.JSX.Element | null {
  const settings = useChosen(side);
  const setting = SETTINGS.find((candidate) => candidate.name === name);
  if (setting === undefined || settings === undefined || !applies(setting, settings)) return null;
  const value = settings[name];
  const chosen = setting.values.find((choice) => choice.value === value);
  return (
    <label className="choice" title={`${setting.meaning} ${chosen?.meaning ?? ''}`}>
      <span>{setting.label}</span>
      <select
        name={name}
        value={value}
        onChange={(event) => {
          void choose({ [name]: event.target.value }, side);
        }}
      >
        {choicesOf(setting, settings).map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.wrong === true ? `${choice.value} (${STRINGS.wrong})` : choice.value}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Names of a list under which the machine leaves something to choose. */
const choosable = (names: readonly SettingName[], settings: Settings): readonly SettingName[] =>
  SETTINGS.filter(
    (setting) =>
      names.includes(setting.name) && applies(setting, settings) && choicesOf(setting, settings).length > 1,
  ).map(({ name }) => name);

/** The settings that matter most, and the others behind a button. */
export function Choices({ side = 0 }: { side?: 0 | 1 }): React.JSX.Element | null {
  const settings = useChosen(side);
  const id = useId();
  if (settings === undefined) return null;
  const first = choosable(OFFERED, settings);
  // Beside a hypervisor's policies there is no room for the guest.
  const moved: readonly SettingName[] = first.includes('gpte-write') ? ['guest'] : [];
  const more = choosable([...moved, ...MORE], settings);
  return (
    <>
      {first
        .filter((name) => !moved.includes(name))
        .map((name) => (
          <Choice key={name} name={name} side={side} />
        ))}
      {more.length > 0 && (
        <>
          <button type="button" popoverTarget={id}>
            {STRINGS.moreSettings}
          </button>
          <div id={id} popover="auto" className="more" role="group" aria-label={STRINGS.moreSettings}>
            {more.map((name) => (
              <Choice key={name} name={name} side={side} />
            ))}
          </div>
        </>
      )}
    </>
  );
}
