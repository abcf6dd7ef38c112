/** The whole page: header, caption, address strip, stage between two panels, timeline. */
import { lazy, Suspense, useEffect, useState } from 'react';
import { isAtEnd, move, setPlaying } from '../store/cursor.ts';
import { hasReasons, onReasons } from '../store/busy.ts';
import { set, store, type AppState } from '../store/state.ts';
import { followAddress, openTab } from './address-bar.ts';
import { AddressStrip, Caption } from './Caption.tsx';
import { Header } from './Header.tsx';
import { listenForKeys } from './keys.ts';
import { LeftPanel } from './panels/LeftPanel.tsx';
import { RightPanel } from './panels/RightPanel.tsx';
import { Stage } from './stage/Stage.tsx';
import { TimelineBar } from './timeline/TimelineBar.tsx';
import { isNoLongerRecorded, Loading, sideOf, useApp } from './use-app.ts';

const Troubles = lazy(() => import('./Troubles.tsx'));
const RunsTable = lazy(() => import('./compare/RunsTable.tsx'));
const Panes = lazy(() => import('./compare/Panes.tsx'));
const Dialogs = lazy(() => import('./dialogs/Dialogs.tsx'));
const SidePanel = lazy(() => import('./SidePanel.tsx'));

/** Inside another page the address is that page's own, and nothing is kept. */
const EMBEDDED = window.self !== window.top;

export function App(): React.JSX.Element {
  useOpening();
  const [leftOpen, rightOpen] = [useApp((state) => state.leftOpen), useApp((state) => state.rightOpen)];
  const editing = useApp((state) => state.editing);
  const troubled = useApp(
    (state) =>
      state.linkTrouble.length > 0 ||
      state.problems.length > 0 ||
      !!state.keepTrouble ||
      !!state.runs[0]?.timeline.stop ||
      isNoLongerRecorded(state),
  );
  const side = useApp(sideOf);
  const tabled = useApp((state) => state.varied !== undefined && state.runs.length > 0);
  const comparing = useApp((state) => state.runs.length > 1) && !tabled;
  const shape = [
    leftOpen ? '' : 'no-left',
    rightOpen && !tabled ? '' : 'no-right',
    editing && leftOpen ? 'editing' : '',
    side ?? '',
    comparing ? 'comparing' : '',
  ];
  return (
    <div className={`app ${shape.join(' ')}`}>
      <Header />
      {leftOpen && <LeftPanel />}
      <main>
        {troubled && (
          <Suspense fallback={<Loading />}>
            <Troubles />
          </Suspense>
        )}
        {comparing || tabled ? (
          <Suspense fallback={<Loading />}>{tabled ? <RunsTable /> : <Panes />}</Suspense>
        ) : (
          <>
            <Caption />
            <AddressStrip />
            <Stage />
          </>
        )}
      </main>
      {side !== undefined ? (
        <Suspense fallback={<Loading />}>
          <SidePanel name={side} />
        </Suspense>
      ) : (
        rightOpen && !tabled && <RightPanel />
      )}
      {!tabled && <TimelineBar />}
      <DialogsOnceOpened />
      <Signals />
    </div>
  );
}

/** They stay when the first has been opened: one that closes gives the focus back. */
function DialogsOnceOpened(): React.JSX.Element | null {
  const open = useApp((state) => state.dialog !== undefined);
  const [wanted, want] = useState(false);
  if (open && !wanted) want(true);
  return wanted || open ? (
    <Suspense>
      <Dialogs />
    </Suspense>
  ) : null;
}

/** What draws nothing lives apart, so that the page is not rendered anew for it. */
function Signals(): null {
  useIdleSignal();
  usePlayback();
  useTheme();
  return null;
}

const isBusy = (state: AppState): boolean =>
  hasReasons() ||
  state.settled !== state.cursor ||
  (state.runs.length === 0 && state.problems.length === 0 && state.linkTrouble.length === 0);

/**
 * `<html data-state>` says whether anything is still loading, running or moving. It draws nothing, so it is told by the
 * store and not by a rendering: a step would otherwise cost two more of those.
 */
function useIdleSignal(): void {
  useEffect(() => {
    const tell = (): void => {
      const word = isBusy(store.getState()) ? 'busy' : 'idle';
      const { dataset } = document.documentElement;
      if (dataset['state'] !== word) dataset['state'] = word;
    };
    tell();
    const stops = [store.subscribe(tell), onReasons(tell)];
    return () => {
      stops.forEach((stop) => {
        stop();
      });
    };
  }, []);
}

function useOpening(): void {
  useEffect(() => {
    if (innerWidth < 1000) set({ rightOpen: false, traceOpen: false });
    if (innerWidth < 1360) set({ leftOpen: false });
    // Tooltips have their words a moment later.
    void openTab().then(() => import('../core/meanings.ts'));
    const stops = [listenForKeys(), ...(EMBEDDED ? [] : [followAddress(), keepDraftsSoon()])];
    return () => {
      stops.forEach((stop) => {
        stop();
      });
    };
  }, []);
}

/** Keeping drafts can wait until the page stands. */
function keepDraftsSoon(): () => void {
  let stop: (() => void) | undefined;
  let ended = false;
  void import('../store/drafts.ts').then(({ keepDrafts }) => {
    if (!ended) stop = keepDrafts();
  });
  return () => {
    ended = true;
    stop?.();
  };
}

function usePlayback(): void {
  const playing = useApp((state) => state.playing);
  const speed = useApp((state) => state.speed);
  useEffect(() => {
    if (!playing) return undefined;
    const timer = setInterval(() => {
      if (isAtEnd(store.getState())) setPlaying(false);
      else move('forward');
    }, 1000 / speed);
    return () => {
      clearInterval(timer);
    };
  }, [playing, speed]);
}

function useTheme(): void {
  const theme = useApp((state) => state.theme);
  useEffect(() => {
    if (theme === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = theme;
  }, [theme]);
}
