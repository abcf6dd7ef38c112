/** Says whether the audit, all rules together, holds at the cursor of a run; in the header, pressing it opens the audit. */
import { auditState } from '../core/audit/audit.ts';
import { engineOf } from '../core/operations/engines.ts';
import { STRINGS } from './strings.ts';
import { openSide, useApp, useSettledRun } from './use-app.ts';

interface Light {
  readonly kind: keyof typeof STRINGS.audit;
  readonly label: string;
  readonly rules: string;
}

function useLight(side: 0 | 1): Light | undefined {
  const at = useSettledRun(side);
  if (at === undefined) return undefined;
  const { world, program } = at.run.timeline;
  const judged = engineOf(program.settings).judged || world.tables.violation.size > 0;
  const state = judged ? auditState(world) : ({ kind: 'none' } as const);
  const { kind } = state;
  const broken = kind === 'broken' ? [...new Set(state.violations.map(({ rule }) => rule))].join(', ') : '';
  return {
    kind,
    label: `${STRINGS.audit[kind]}${broken && `: ${broken}`}`,
    rules: STRINGS.auditMeaning[kind],
  };
}

export function Lamp({ side }: { side: 0 | 1 }): React.JSX.Element | null {
  const light = useLight(side);
  if (light === undefined) return null;
  return (
    <span className={`lamp ${light.kind}`} title={light.rules}>
      <i aria-hidden="true" />
      {light.label}
    </span>
  );
}

/** The lamp of the run that the keys move, as the switch of the audit panel. */
export function LampSwitch(): React.JSX.Element | null {
  const light = useLight(0);
  const open = useApp((state) => state.auditing);
  if (light === undefined) return null;
  return (
    <button
      type="button"
      className={`lamp ${light.kind}`}
      data-opens="audit"
      title={`${light.rules} ${STRINGS.auditOpen}`}
      aria-expanded={open}
      onClick={() => {
        openSide(open ? undefined : 'auditing');
      }}
    >
      <i aria-hidden="true" />
      {light.label}
    </button>
  );
}
