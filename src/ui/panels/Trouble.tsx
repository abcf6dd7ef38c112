/** Broken rules and harm at the cursor, in words, with the step that began it: loaded with the first of them. */
import { rulesOf } from '../../core/audit/rules-of.ts';
import { HARM_WORDS } from '../../scene/harm-words.ts';
import { go } from '../../store/cursor.ts';
import type { Run } from '../../store/state.ts';

/** The world is the one at the cursor: whoever moved the cursor has moved the timeline. */
export default function Trouble({ run: { timeline } }: { run: Run }): React.JSX.Element {
  const violations = [...timeline.world.tables.violation.values()].filter(
    (violation) => violation.mended !== true,
  );
  const rules = rulesOf(timeline.program.settings);
  return (
    <section className="trouble" role="status">
      {violations.map((violation) => (
        <p key={violation.serial}>
          <b>{violation.rule}</b>
          {` ${rules[violation.rule]?.words ?? ''} `}
          <button
            type="button"
            className="inline"
            onClick={() => {
              go(violation.cause + 1);
            }}
          >{`False since step ${String(violation.cause - timeline.begin + 1)}.`}</button>
        </p>
      ))}
      {[...timeline.world.tables.harm.values()].map((harm) => (
        <p key={`h${String(harm.serial)}`}>
          <b>Harm:</b>
          {` ${HARM_WORDS[harm.kind]}`}
        </p>
      ))}
    </section>
  );
}
