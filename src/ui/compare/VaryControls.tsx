/** Which settings a table of runs varies, and over which of their values. */
import '../../core/meanings.ts';
import { BOUNDS } from '../../core/bounds.ts';
import { applies, choicesOf, SETTINGS, type SettingValue } from '../../core/settings.ts';
import type { OwnChoice } from '../../scenario/ast.ts';
import type { Varied } from '../../scenario/sweep.ts';
import { set } from '../../store/state.ts';
import { STRINGS } from '../strings.ts';
import { RUNS_TABLE as words } from '../strings-later.ts';
import { useApp } from '../use-app.ts';

/** A setting, or a choice of the text's own. */
interface Axis {
  readonly name: string;
  readonly label: string;
  readonly values: readonly SettingValue[];
  /** Values that fit the other settings. */
  readonly fitting: readonly SettingValue[];
  readonly offered: boolean;
}

const axisOf = ({ name, values, meaning }: OwnChoice): Axis => {
  const all = values.map((value) => ({ value, meaning }));
  return { name, label: name, values: all, fitting: all, offered: true };
};

export function VaryControls({ varied }: { varied: readonly Varied[] }): React.JSX.Element {
  const settings = useApp((state) => state.runs[0]?.plan.program.settings);
  const own = useApp((state) => state.runs[0]?.plan.choices) ?? [];
  // What a varied machine has may mean nothing on the one that is open: then nothing is kept back.
  const all = settings === undefined || varied.some(({ name }) => name === 'machine');
  const axes = [
    ...own.map(axisOf),
    ...SETTINGS.filter(({ values }) => values.length > 1).map((setting): Axis => ({
      ...setting,
      fitting: all ? setting.values : choicesOf(setting, settings),
      offered: all || applies(setting, settings),
    })),
  ];
  const slots = Math.min(BOUNDS.variedSettings, varied.length + 1);
  return (
    <div className="vary">
      {Array.from({ length: slots }, (_, at) => (
        <Slot key={at} at={at} varied={varied} axes={axes} />
      ))}
    </div>
  );
}

function Slot(of: { at: number; varied: readonly Varied[]; axes: readonly Axis[] }): React.JSX.Element {
  const { at, varied, axes } = of;
  const one = varied[at];
  const axis = axes.find(({ name }) => name === one?.name);
  const taken = new Set(varied.map(({ name }) => name));
  const put = (next: Varied | undefined): void => {
    const kept = next === undefined ? [] : [next];
    set({ varied: [...varied.slice(0, at), ...kept, ...varied.slice(at + 1)] });
  };
  const choose = (name: string): void => {
    const chosen = axes.find((candidate) => candidate.name === name);
    put(chosen && { name, values: chosen.fitting.slice(0, 2).map(({ value }) => value) });
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
        {axes
          .filter(({ name, offered }) => name === one?.name || (offered && !taken.has(name)))
          .map(({ name, label }) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
      </select>
      {one !== undefined && axis !== undefined && (
        <span className="values" role="group" aria-label={words.values}>
          {valuesShown(axis, one).map(({ value, meaning, wrong }) => {
            const chosen = one.values.includes(value);
            return (
              <label key={value} title={meaning}>
                <input
                  type="checkbox"
                  checked={chosen}
                  disabled={chosen && one.values.length === 1}
                  onChange={() => {
                    const values = axis.values
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
const valuesShown = ({ values, fitting }: Axis, chosen: Varied): readonly SettingValue[] =>
  values.filter((choice) => fitting.includes(choice) || chosen.values.includes(choice.value));
