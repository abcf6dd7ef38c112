/** A setting of the machine, to be switched: the scenario runs anew. */
import { SETTINGS, type SettingName } from '../core/settings.ts';
import { choose } from '../store/document.ts';
import { STRINGS } from './strings.ts';
import { useApp } from './use-app.ts';

/** Settings that the header and the heads of a comparison offer. */
export const OFFERED: readonly SettingName[] = ['cpu', 'gpte-write', 'flush'];

export function Choice({ name, side = 0 }: { name: SettingName; side?: 0 | 1 }): React.JSX.Element | null {
  const value = useApp((state) => state.runs[side]?.plan.program.settings[name]);
  const setting = SETTINGS.find((candidate) => candidate.name === name);
  if (setting === undefined || value === undefined) return null;
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
        {setting.values.map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.wrong === true ? `${choice.value} (${STRINGS.wrong})` : choice.value}
          </option>
        ))}
      </select>
    </label>
  );
}
