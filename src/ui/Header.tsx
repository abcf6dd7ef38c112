/** Title, settings, what can be done with the scenario, audit lamp, theme and help. */
import { compareWith } from '../store/document.ts';
import { set, store, type Theme } from '../store/state.ts';
import type { SettingChoices } from '../scenario/ast.ts';
import { Choices } from './Choice.tsx';
import { LampSwitch } from './Lamp.tsx';
import { STRINGS } from './strings.ts';
import { hasContext, useApp } from './use-app.ts';

const THEMES: readonly Theme[] = ['system', 'light', 'dark'];
const THEME_SIGNS: Readonly<Record<Theme, string>> = { system: '◐', light: '☀', dark: '☾' };

export function Header(): React.JSX.Element {
  const title = useApp((state) => state.runs[0]?.plan.title ?? '');
  const tabled = useApp((state) => state.varied !== undefined);
  const comparing = useApp((state) => state.runs.length > 1);
  const probing = useApp((state) => state.probing);
  const context = useApp((state) => (hasContext(state) ? state.contextOpen : undefined));
  const instead = useApp((state) => state.probing || state.auditing) || context === true;
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
      <h1 title={title}>{title}</h1>
      <nav className="doings" aria-label={STRINGS.actions}>
        <button
          type="button"
          onClick={() => {
            set({ dialog: 'scenarios' });
          }}
        >
          {STRINGS.scenarios.title}
        </button>
        <button
          type="button"
          onClick={() => {
            set({ dialog: 'share' });
          }}
        >
          {STRINGS.share.title}
        </button>
        <button
          type="button"
          aria-pressed={comparing || tabled}
          onClick={() => {
            if (tabled) set({ varied: undefined });
            if (!comparing) set({ leftOpen: false });
            if (comparing || !tabled) void compareWith(comparing ? undefined : otherSettings());
          }}
        >
          {STRINGS.compare.title}
        </button>
        <button
          type="button"
          data-opens="bench"
          aria-pressed={probing}
          onClick={() => {
            set({ probing: !probing, auditing: false, contextOpen: false });
          }}
        >
          {STRINGS.translate}
        </button>
        {context !== undefined && (
          <button
            type="button"
            data-opens="context"
            aria-pressed={context}
            onClick={() => {
              set({ contextOpen: !context, probing: false, auditing: false });
            }}
          >
            {STRINGS.context}
          </button>
        )}
      </nav>
      {(!comparing || tabled) && <Choices />}
      <span className="space" />
      <LampSwitch />
      <ThemeChoice />
      <button
        type="button"
        aria-label={STRINGS.help}
        onClick={() => {
          set({ dialog: 'help' });
        }}
      >
        ?
      </button>
      <button
        type="button"
        className="plain"
        aria-expanded={rightOpen && !instead && !tabled}
        disabled={tabled}
        aria-controls="right"
        aria-label={STRINGS.rightPanel}
        onClick={() => {
          set({ rightOpen: instead || !rightOpen, probing: false, auditing: false, contextOpen: false });
        }}
      >
        ☷
      </button>
    </header>
  );
}

/**
 * What the author suggests first and is not chosen yet; otherwise the other way to handle a guest entry's write, or
 * with and without caches of tables.
 */
function otherSettings(): SettingChoices {
  const run = store.getState().runs[0];
  const settings = run?.plan.program.settings;
  const chosen: Readonly<Record<string, string>> = { ...settings, ...run?.plan.picks };
  const suggested = run?.plan.suggestions.find(({ choices }) =>
    Object.entries(choices).some(([name, value]) => chosen[name] !== value),
  );
  if (suggested !== undefined) return suggested.choices;
  return settings === undefined || settings.machine === 'kvm-2007'
    ? { 'gpte-write': settings?.['gpte-write'] === 'zap' ? 'update' : 'zap' }
    : { psc: settings.psc === 'off' ? 'guest' : 'off' };
}

/** Goes round: as the system has it, light, dark. */
function ThemeChoice(): React.JSX.Element {
  const theme = useApp((state) => state.theme);
  const label = `${STRINGS.theme.label}: ${STRINGS.theme[theme]}`;
  return (
    <button
      type="button"
      className="theme"
      aria-label={label}
      title={label}
      onClick={() => {
        set({ theme: THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system' });
      }}
    >
      {THEME_SIGNS[theme]}
    </button>
  );
}
