/** Which settings a table of runs varies, and over which of their values. */
import { BOUNDS } from '../../core/bounds.ts';
import { applies, choicesOf, SETTINGS, type Setting, type SettingValue } from '../../core/settings.ts';
import type { Varied } from '../../scenario/sweep.ts';
import { set } from '../../store/state.ts';
import { STRINGS } from '../strings.ts';
import { RUNS_TABLE as words } from '../strings-later.ts';
import { useApp } from '../use-app.ts';

export function VaryControls({ varied }: { varied: readonly Varied[] }): React.JSX.Element {
  const settings = useApp((state) => state.runs[0]?.plan.program.settings);
  // What a varied machine has may mean nothing on the one that is open.
  const all = varied.some(({ name }) => name === 'machine');
  const offered = SETTINGS.filter(
    (setting) => setting.values.length > 1 && (all || settings === undefined || applies(setting, settings)),
  );
  /** What fits the other settings; all of them where those change too. */
  const valuesOf = (setting: Setting): readonly SettingValue[] =>
    all || settings === undefined ? setting.values : choicesOf(setting, settings);
  const slots = Math.min(BOUNDS.variedSettings, varied.length + 1);
  return (
    <div className="vary">
      {Array.from({ length: slots }, (_, at) => (
        <Slot key={at} at={at} varied={varied} offered={offered} valuesOf={valuesOf} />
      ))}
    </div>
  );
}

function Slot(of: {
  at: number;
  varied: readonly Varied[];
  offered: readonly Setting[];
  valuesOf: (setting: Setting) => readonly SettingValue[];
}): React.JSX.Element {
  const { at, varied, offered, valuesOf } = of;
  const one = varied[at];
  const setting = SETTINGS.find(({ name }) => name === one?.name);
  const taken = new Set(varied.map(({ name }) => name));
  const put = (next: Varied | undefined): void => {
    const kept = next === undefined ? [] : [next];
    set({ varied: [...varied.slice(0, at), ...kept, ...varied.slice(at + 1)] });
  };
  const choose = (name: string): void => {
    const chosen = offered.find((candidate) => candidate.name === name);
    put(
      chosen && {
        name,
        values: valuesOf(chosen)
          .slice(0, 2)
          .map(({ value }) => value),
      },
    );
  };
  return (
    <fieldset>
      <legend>{words.vary(at + 1)}</legend>
      <select
        aria-label={words.vary(at + 1)}
        value={one?.name ?? ''}
        onChange={(event) => {
          choose(event.target.value);
        }}
      >
        <option value="">{words.nothing}</option>
        {offered
          .filter(({ name }) => name === one?.name || !taken.has(name))
          .map(({ name, label }) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
      </select>
      {one !== undefined && setting !== undefined && (
        <span className="values" role="group" aria-label={words.values}>
          {valuesShown(setting, valuesOf(setting), one).map(({ value, meaning, wrong }) => {
            const chosen = one.values.includes(value);
            return (
              <label key={value} title={meaning}>
                <input
                  type="checkbox"
                  checked={chosen}
                  disabled={chosen && one.values.length === 1}
                  onChange={() => {
                    const values = setting.values
                      .map((choice) => choice.value)
                      .filter((candidate) =>
                        candidate === value ? !chosen : one.values.includes(candidate),
                      );
                    put({ name: one.name, values });
                  }}
                />
                {wrong === true ? `${value} (${STRINGS.wrong})` : value}
              </label>
            );
          })}
        </span>
      )}
    </fieldset>
  );
}

/** What fits, and what is chosen already: a link may have chosen what does not fit. */
const valuesShown = (
  setting: Setting,
  fitting: readonly SettingValue[],
  { values }: Varied,
): readonly SettingValue[] =>
  setting.values.filter((choice) => fitting.includes(choice) || values.includes(choice.value));
