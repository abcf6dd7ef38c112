/** Title, settings, audit lamp, theme and help. */
import { auditState, RULES } from '../core/audit/audit.ts';
import { set, type Theme } from '../store/store.ts';
import { Choice } from './Choice.tsx';
import { STRINGS } from './strings.ts';
import { useApp, useRun } from './use-app.ts';

const SHOWN = ['cpu', 'gpte-write', 'flush'] as const;
const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

export function Header(): React.JSX.Element {
  const run = useApp((state) => state.runs[0]);
  const theme = useApp((state) => state.theme);
  const [leftOpen, rightOpen] = [useApp((state) => state.leftOpen), useApp((state) => state.rightOpen)];
  return (
    <header className="top">
      <button
        type="button"
        className="plain"
        aria-expanded={leftOpen}
        aria-controls="left"
        aria-label={STRINGS.leftPanel}
        onClick={() => {
          set({ leftOpen: !leftOpen });
        }}
      >
        ☰
      </button>
      <span className="logo">
        mmu<b>scope</b>
      </span>
      <h1>{run?.plan.title ?? ''}</h1>
      {run !== undefined && SHOWN.map((name) => <Choice key={name} name={name} />)}
      <span className="space" />
      <Lamp />
      <select
        className="theme"
        aria-label={STRINGS.theme.label}
        value={theme}
        onChange={(event) => {
          set({ theme: event.target.value as Theme });
        }}
      >
        {THEMES.map((value) => (
          <option key={value} value={value}>
            {STRINGS.theme[value]}
          </option>
        ))}
      </select>
      <button
        type="button"
        aria-label={STRINGS.help}
        onClick={() => {
          set({ helpOpen: true });
        }}
      >
        ?
      </button>
      <button
        type="button"
        className="plain"
        aria-expanded={rightOpen}
        aria-controls="right"
        aria-label={STRINGS.rightPanel}
        onClick={() => {
          set({ rightOpen: !rightOpen });
        }}
      >
        ☷
      </button>
    </header>
  );
}

function Lamp(): React.JSX.Element | null {
  const at = useRun();
  if (at === undefined) return null;
  const state = auditState(at.run.timeline.world);
  const label = {
    holds: STRINGS.auditHolds,
    'in-flight': STRINGS.auditInFlight,
    broken: STRINGS.auditBroken,
  }[state.kind];
  const rules =
    state.kind === 'broken'
      ? state.violations.map((violation) => `${violation.rule}: ${RULES[violation.rule] ?? ''}`).join(' ')
      : STRINGS.auditMeaning[state.kind];
  return (
    <span className={`lamp ${state.kind}`} title={rules}>
      <i aria-hidden="true" />
      {state.kind === 'broken' ? `${label}: ${state.violations.map((v) => v.rule).join(', ')}` : label}
    </span>
  );
}
