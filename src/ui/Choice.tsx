/** A setting of the machine, to be switched: the scenario runs anew. */
import { SETTINGS, type SettingName } from '../core/settings.ts';
import { choose } from '../store/store.ts';
import { STRINGS } from './strings.ts';
import { useApp } from './use-app.ts';

export function Choice({ name }: { name: SettingName }): React.JSX.Element | null {
  const value = useApp((state) => state.runs[0]?.plan.program.settings[name]);
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
          void choose({ [name]: event.target.value });
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
