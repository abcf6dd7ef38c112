/** The binding between the store and React: components select their own slice. */
import { useEffect, useMemo } from 'react';
import { useStore } from 'zustand';
import { layOut } from '../scene/layout.ts';
import { Scenes } from '../scene/scenes.ts';
import type { Scene } from '../scene/parts.ts';
import type { StepView } from '../timeline/timeline.ts';
import { positionOf } from '../store/cursor.ts';
import { STRINGS } from './strings.ts';
import { beginBusy } from '../store/busy.ts';
import { set, store, type AppState, type Run } from '../store/state.ts';

export const useApp = <T>(selector: (state: AppState) => T): T => useStore(store, selector);

/** Whether the machine keeps the guest's paging context apart from its roots. */
export const hasContext = ({ runs }: AppState): boolean =>
  runs[0]?.timeline.program.settings.machine === 'kvm-shadow';

/** A recorded program was opened, and what runs now is its text: changed, under other settings, or compared. */
export const isNoLongerRecorded = ({ original, runs: [run] }: AppState): boolean =>
  !!original?.recording && !!run && !run.recording;

/** Also the class of the page while it is open. */
export type SidePanelName = 'probing' | 'auditing' | 'context' | 'tracing';

/** What stands in the place of the right panel. */
export const sideOf = (state: AppState): SidePanelName | undefined => {
  if (state.probing) return 'probing';
  if (state.auditing) return 'auditing';
  if (state.contextOpen && hasContext(state)) return 'context';
  return state.traceOpen && state.runs[0]?.recording ? 'tracing' : undefined;
};

/** Opens one of them in the place of the others, or closes the one that lies over the kernel's trace. */
export const openSide = (name?: SidePanelName): void => {
  set({
    probing: name === 'probing',
    auditing: name === 'auditing',
    contextOpen: name === 'context',
    ...(name === 'tracing' && { traceOpen: true }),
  });
};

/** The first run, or the other one, with its cursor, so that a component renders anew at each step. */
export function useRun(side = 0): { run: Run; cursor: number } | undefined {
  const run = useApp((state) => state.runs[side]);
  const cursor = useApp((state) => positionOf(state, { side, cursor: state.cursor }));
  return run === undefined ? undefined : { run, cursor };
}

/** The same one frame later: for panels and timeline, which follow the stage. */
export function useSettledRun(side = 0): { run: Run; cursor: number } | undefined {
  const run = useApp((state) => state.runs[side]);
  const cursor = useApp((state) => positionOf(state, { side, cursor: state.settled }));
  return run === undefined ? undefined : { run, cursor };
}

/** The step at the cursor; none at `begin`. */
export function stepAt(run: Run, cursor: number): StepView | undefined {
  return cursor > run.timeline.begin ? run.timeline.step(cursor - 1) : undefined;
}

/** The scene of a run at its cursor, for a viewport of that size. */
export function useScene(side: number, viewport: { width: number; height: number }): Scene | undefined {
  const at = useRun(side);
  const { run, cursor } = at ?? {};
  const { width, height } = viewport;
  const scenes = useMemo(() => {
    if (run === undefined) return undefined;
    const { timeline, cast, plan, show } = run;
    return new Scenes(timeline, { cast, layout: layOut(cast, { width, height }), names: plan.names, show });
  }, [run, width, height]);
  useEffect(() => {
    if (scenes === undefined || cursor === undefined) return undefined;
    let ended = false;
    void import('./stage/prepare-soon.ts').then(({ prepareSoon }) => {
      prepareSoon(scenes, cursor, () => ended);
    });
    return () => {
      ended = true;
    };
  }, [scenes, cursor]);
  return useMemo(() => (cursor === undefined ? undefined : scenes?.at(cursor)), [scenes, cursor]);
}

/** Stands where a view is still being loaded: the app is not idle before it is there. */
export function Loading({ said = false }: { said?: boolean }): string | null {
  useEffect(() => beginBusy(), []);
  return said ? STRINGS.loading : null;
}

/** The place on the axis of two runs, one frame later. */
export const useSettledPlace = (): number =>
  useApp(
    ({ comparison, settled, cursor, beyond }) =>
      (comparison?.axis.ofA[settled] ?? 0) + (settled === cursor ? beyond : 0),
  );
