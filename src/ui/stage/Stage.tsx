/** The stage: the frame around d3's picture, its tools, and its text twin. */
import { lazy, Suspense, useEffect, useMemo, useRef, useState } from 'react';
import { beginBusy } from '../../store/busy.ts';
import { store, select, set } from '../../store/state.ts';
import { hasCall } from '../../timeline/navigate.ts';
import { STRINGS } from '../strings.ts';
import { useApp, useScene } from '../use-app.ts';
import { createStage, type StageView } from './stage-view.ts';

const TextTwin = lazy(() => import('./TextTwin.tsx'));
const Inspector = lazy(() => import('./Inspector.tsx'));
const BoxDetail = lazy(() => import('./BoxDetail.tsx'));
const WalkGrid = lazy(() => import('../walk/WalkGrid.tsx'));

function useSize(): [React.RefObject<HTMLDivElement | null>, { width: number; height: number }] {
  const host = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 900, height: 560 });
  useEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => {
      const { width, height } = element.getBoundingClientRect();
      // Beside the walk there may be no room for the picture: then it is hidden, and keeps its arrangement.
      if (width > 0) setSize({ width: Math.round(width), height: Math.round(height) });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
    };
  }, []);
  return [host, size];
}

const inspect = (row: string): void => {
  set({ inspected: row });
};

const lessMotion = matchMedia('(prefers-reduced-motion: reduce)');

export function Stage({ side = 0 }: { side?: 0 | 1 }): React.JSX.Element {
  const [host, size] = useSize();
  const view = useRef<HTMLDivElement>(null);
  const stage = useRef<StageView | undefined>(undefined);
  const scene = useScene(side, size);
  const comparing = useApp((state) => state.runs.length > 1);
  const label = comparing
    ? `${STRINGS.compare.side(side === 0 ? 'A' : 'B')}: ${STRINGS.stageLabel}`
    : STRINGS.stageLabel;
  const inspected = useApp((state) => state.inspected !== undefined);
  const stageView = useApp((state) => state.stageView);
  const leftOut = useApp((state) => state.runs[side]?.cast.leftOut ?? 0);
  const run = useApp((state) => state.runs[side]);
  const pointing = useApp((state) => state.selected !== undefined && state.stageView === 'picture');
  const timeline = run?.timeline;
  const walks = useMemo(() => timeline !== undefined && hasCall(timeline, 'page walk'), [timeline]);

  useEffect(() => {
    if (view.current === null) return undefined;
    const made = createStage(view.current, { select, inspect: side === 0 ? inspect : () => undefined });
    stage.current = made;
    const unsubscribe = store.subscribe((state, before) => {
      if (state.selected !== before.selected) made.highlight(state.selected);
    });
    return () => {
      unsubscribe();
      made.destroy();
      stage.current = undefined;
    };
  }, [stageView, side]);

  useEffect(() => {
    if (scene === undefined || stage.current === undefined) return;
    const done = beginBusy();
    const { cursor, previous, selected } = store.getState();
    void stage.current
      .update(scene, {
        viewport: size,
        backwards: cursor < previous,
        still: lessMotion.matches || Math.abs(cursor - previous) > 400,
        selected,
      })
      .finally(done);
  }, [scene, stageView, size]);

  return (
    <div className="stage-frame">
      <div className="stage-tools" role="group" aria-label={label}>
        {(walks || stageView === 'walk') && (
          <button
            type="button"
            aria-pressed={stageView === 'walk'}
            onClick={() => {
              set({ stageView: stageView === 'walk' ? 'picture' : 'walk' });
            }}
          >
            {STRINGS.walk}
          </button>
        )}
        <button
          type="button"
          aria-pressed={stageView === 'text'}
          onClick={() => {
            set({ stageView: stageView === 'text' ? 'picture' : 'text' });
          }}
        >
          {STRINGS.text}
        </button>
        {stageView !== 'text' && (
          <>
            <button
              type="button"
              onClick={() => {
                stage.current?.fit();
              }}
            >
              {STRINGS.fit}
            </button>
            <button
              type="button"
              aria-label={STRINGS.zoomIn}
              onClick={() => {
                stage.current?.zoomBy(1.25);
              }}
            >
              +
            </button>
            <button
              type="button"
              aria-label={STRINGS.zoomOut}
              onClick={() => {
                stage.current?.zoomBy(0.8);
              }}
            >
              −
            </button>
          </>
        )}
      </div>
      <section className={`stage ${stageView}`} aria-label={label}>
        {inspected && side === 0 && (
          <Suspense>
            <Inspector />
          </Suspense>
        )}
        {leftOut > 0 && <p className="bound">{STRINGS.leftOut(leftOut)}</p>}
        {pointing && run !== undefined && scene !== undefined && (
          <Suspense>
            <BoxDetail run={run} scene={scene} />
          </Suspense>
        )}
        {stageView === 'walk' && (
          <Suspense>
            <WalkGrid side={side} />
          </Suspense>
        )}
        <div className="stage-space" ref={host}>
          {stageView === 'text' ? (
            scene !== undefined && (
              <Suspense>
                <TextTwin scene={scene} run={run} inspect={side === 0 ? inspect : undefined} />
              </Suspense>
            )
          ) : (
            <div ref={view} className="viewport" role="group" aria-label={label} />
          )}
        </div>
      </section>
    </div>
  );
}
