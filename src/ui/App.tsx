/** The whole page: header, caption, address strip, stage between two panels, timeline. */
import { useEffect } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { move, set, setPlaying, store } from '../store/store.ts';
import { followAddress, openHash } from './address-bar.ts';
import { AddressStrip, Caption } from './Caption.tsx';
import { Header } from './Header.tsx';
import { Help } from './Help.tsx';
import { listenForKeys } from './keys.ts';
import { LeftPanel } from './panels/LeftPanel.tsx';
import { RightPanel } from './panels/RightPanel.tsx';
import { Stage } from './stage/Stage.tsx';
import { STRINGS } from './strings.ts';
import { TimelineBar } from './timeline/TimelineBar.tsx';
import { useApp } from './use-app.ts';

export function App(): React.JSX.Element {
  useIdleSignal();
  useOpening();
  usePlayback();
  useTheme();
  const [leftOpen, rightOpen] = [useApp((state) => state.leftOpen), useApp((state) => state.rightOpen)];
  return (
    <div className={`app${leftOpen ? '' : ' no-left'}${rightOpen ? '' : ' no-right'}`}>
      <Header />
      {leftOpen && <LeftPanel />}
      <main>
        <LinkTrouble />
        <Problems />
        <Stopped />
        <Caption />
        <AddressStrip />
        <Stage />
      </main>
      {rightOpen && <RightPanel />}
      <TimelineBar />
      <Help />
    </div>
  );
}

function LinkTrouble(): React.JSX.Element | null {
  const sentences = useApp((state) => state.linkTrouble);
  if (sentences.length === 0) return null;
  return (
    <div className="banner" role="alert">
      <b>{STRINGS.linkTitle}</b>
      {sentences.map((sentence) => (
        <p key={sentence}>{sentence}</p>
      ))}
      <button
        type="button"
        onClick={() => {
          set({ linkTrouble: [] });
        }}
      >
        {STRINGS.close}
      </button>
    </div>
  );
}

function Problems(): React.JSX.Element | null {
  const problems = useApp((state) => state.problems);
  if (problems.length === 0) return null;
  return (
    <div className="banner" role="alert">
      <b>{STRINGS.problemsTitle}</b>
      {problems.slice(0, 4).map((problem) => (
        <p
          key={`${String(problem.line)}:${String(problem.column)}${problem.message}`}
        >{`${problem.line === 0 ? '' : `Line ${String(problem.line)}: `}${problem.message}. ${problem.remedy}`}</p>
      ))}
    </div>
  );
}

/** A run that hit a bound, or in which the host itself stopped, says so at its end. */
function Stopped(): React.JSX.Element | null {
  const message = useApp((state) => state.runs[0]?.timeline.stop?.message);
  const atEnd = useApp((state) => state.cursor === state.runs[0]?.timeline.length);
  if (message === undefined || !atEnd) return null;
  return (
    <div className="banner" role="status">
      <b>{STRINGS.stoppedTitle}</b>
      <p>{message}</p>
    </div>
  );
}

/** `<html data-state>` says whether anything is still loading, running or moving. */
function useIdleSignal(): void {
  const busy = useApp(
    (state) =>
      state.busy > 0 ||
      (state.runs.length === 0 && state.problems.length === 0 && state.linkTrouble.length === 0),
  );
  useEffect(() => {
    document.documentElement.dataset['state'] = busy ? 'busy' : 'idle';
  }, [busy]);
}

function useOpening(): void {
  const client = useQueryClient();
  useEffect(() => {
    if (innerWidth < 1000) set({ rightOpen: false });
    if (innerWidth < 1360) set({ leftOpen: false });
    void openHash(location.hash, client);
    const stops = [followAddress(client), listenForKeys()];
    return () => {
      stops.forEach((stop) => {
        stop();
      });
    };
  }, [client]);
}

function usePlayback(): void {
  const playing = useApp((state) => state.playing);
  const speed = useApp((state) => state.speed);
  useEffect(() => {
    if (!playing) return undefined;
    const timer = setInterval(() => {
      const { cursor, runs } = store.getState();
      if (cursor >= (runs[0]?.timeline.length ?? 0)) setPlaying(false);
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
