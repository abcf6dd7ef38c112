/** Title, settings, what can be done with the scenario, audit lamp, theme and help. */
import { lazy, Suspense } from 'react';
import { compareWith } from '../store/document.ts';
import { beginBusy } from '../store/busy.ts';
import { set, type Theme } from '../store/state.ts';
import { Choices } from './Choice.tsx';
import { LampSwitch } from './Lamp.tsx';
import { STRINGS } from './strings.ts';
import { hasContext, Loading, openSide, sideOf, useApp } from './use-app.ts';

const Openers = lazy(() => import('./mmu/Openers.tsx'));

const THEMES: readonly Theme[] = ['system', 'light', 'dark'];
const THEME_SIGNS: Readonly<Record<Theme, string>> = { system: '◐', light: '☀', dark: '☾' };

/** What to compare with first is worked out when it is wanted. */
function compare(): void {
  const done = beginBusy();
  void import('./compare/other-settings.ts')
    .then(({ otherSettings }) => compareWith(otherSettings()))
    .finally(done);
}

export function Header(): React.JSX.Element {
  const title = useApp((state) => state.runs[0]?.plan.title ?? '');
  const tabled = useApp((state) => state.varied !== undefined);
  const comparing = useApp((state) => state.runs.length > 1);
  const side = useApp(sideOf);
  const today = useApp(hasContext);
  const instead = side !== undefined;
  const recorded = useApp((state) => state.runs[0]?.recording !== undefined);
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
            if (comparing) void compareWith(undefined);
            else if (!tabled) compare();
          }}
        >
          {STRINGS.compare.title}
        </button>
        <button
          type="button"
          data-opens="bench"
          aria-pressed={side === 'probing'}
          onClick={() => {
            openSide(side === 'probing' ? undefined : 'probing');
          }}
        >
          {STRINGS.translate}
        </button>
        {today && (
          <Suspense fallback={<Loading />}>
            <Openers />
          </Suspense>
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
          openSide();
          set({ rightOpen: instead || !rightOpen, ...(recorded && { traceOpen: false }) });
        }}
      >
        ☷
      </button>
    </header>
  );
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
