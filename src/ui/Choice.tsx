/** Settings of the machine, to be switched: the scenario runs anew. */
import { useId } from 'react';
import {
  applies,
  choicesOf,
  completeSettings,
  SETTINGS,
  type Setting,
  type SettingName,
  type Settings,
  type SettingValue,
} from '../core/settings.ts';
import { choose } from '../store/document.ts';
import { STRINGS } from './strings.ts';
import { useApp } from './use-app.ts';

/** Settings that the header and the heads of a comparison offer at once, as far as the machine has them. */
const OFFERED: readonly SettingName[] = ['cpu', 'guest', 'gpte-write', 'flush'];
/** Settings behind a button. */
const MORE: readonly SettingName[] = [
  'machine',
  'era',
  'nx-huge-pages',
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

/** A text for one KVM is for the other, as far as that has its words; one without KVM is for its own machine. */
const offered = (setting: Setting, settings: Settings): readonly SettingValue[] =>
  choicesOf(setting, settings).filter(
    ({ value }) =>
      setting.name !== 'machine' ||
      value === settings.machine ||
      (value.startsWith('kvm-') && settings.machine.startsWith('kvm-')),
  );

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
    <Picker
      name={name}
      label={setting.label}
      meaning={`${setting.meaning} ${chosen?.meaning ?? ''}`}
      value={value}
      values={offered(setting, settings)}
      side={side}
    />
  );
}

function Picker(of: {
  name: string;
  label: string;
  meaning: string;
  value: string | undefined;
  values: readonly Pick<SettingValue, 'value' | 'wrong'>[];
  side: 0 | 1;
}): React.JSX.Element {
  const { name, label, meaning, value, values, side } = of;
  return (
    <label className="choice" title={meaning}>
      <span>{label}</span>
      <select
        name={name}
        aria-label={label}
        value={value}
        onChange={(event) => {
          void choose({ [name]: event.target.value }, side);
        }}
      >
        {values.map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.wrong === true ? `${choice.value} (${STRINGS.wrong})` : choice.value}
          </option>
        ))}
      </select>
    </label>
  );
}

/** What the text itself offers, beside the settings of the machine. */
function OwnChoices({ side }: { side: 0 | 1 }): React.JSX.Element {
  const plan = useApp((state) => (state.runs[side] ?? state.runs[0])?.plan);
  return (
    <>
      {plan?.choices.map(({ name, values, meaning }) => (
        <Picker
          key={name}
          name={name}
          label={name}
          meaning={meaning}
          value={plan.picks[name]}
          values={values.map((value) => ({ value }))}
          side={side}
        />
      ))}
    </>
  );
}

/** Names of a list under which the machine leaves something to choose. */
const choosable = (names: readonly SettingName[], settings: Settings): readonly SettingName[] =>
  SETTINGS.filter(
    (setting) =>
      names.includes(setting.name) && applies(setting, settings) && offered(setting, settings).length > 1,
  ).map(({ name }) => name);

/** The settings that matter most, and the others behind a button; in a comparison those that are `apart` matter. */
export function Choices({
  side = 0,
  apart,
}: {
  side?: 0 | 1;
  apart?: readonly SettingName[];
}): React.JSX.Element | null {
  const settings = useChosen(side);
  const own = useApp((state) => (state.runs[0]?.plan.choices.length ?? 0) > 0);
  const id = useId();
  if (settings === undefined) return null;
  const all = apart === undefined || (apart.length === 0 && !own);
  const first = choosable(all ? OFFERED : apart, settings);
  // Beside a hypervisor's policies there is no room for the guest, nor for all of them beside the text's own choices.
  const roomless: readonly SettingName[] = own ? ['guest', 'gpte-write'] : ['guest'];
  const moved = apart === undefined && first.includes('gpte-write') ? roomless : [];
  const rest = OFFERED.filter((name) => !first.includes(name));
  const more = choosable([...moved, ...rest, ...MORE], settings).filter(
    (name) => !first.includes(name) || moved.includes(name),
  );
  return (
    <>
      <OwnChoices side={side} />
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
