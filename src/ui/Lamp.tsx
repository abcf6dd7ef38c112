/** Says whether the audit, all rules together, holds at the cursor of a run. */
import { auditState, RULES } from '../core/audit/audit.ts';
import { STRINGS } from './strings.ts';
import { useSettledRun } from './use-app.ts';

const LABELS = {
  holds: STRINGS.auditHolds,
  'in-flight': STRINGS.auditInFlight,
  broken: STRINGS.auditBroken,
} as const;

export function Lamp({ side = 0 }: { side?: 0 | 1 }): React.JSX.Element | null {
  const at = useSettledRun(side);
  if (at === undefined) return null;
  const state = auditState(at.run.timeline.world);
  const rules =
    state.kind === 'broken'
      ? state.violations.map((violation) => `${violation.rule}: ${RULES[violation.rule] ?? ''}`).join(' ')
      : STRINGS.auditMeaning[state.kind];
  const label = LABELS[state.kind];
  return (
    <span className={`lamp ${state.kind}`} title={rules}>
      <i aria-hidden="true" />
      {state.kind === 'broken' ? `${label}: ${state.violations.map((v) => v.rule).join(', ')}` : label}
    </span>
  );
}
