/**
 * The page walk as a grid, beside the picture where there is room for both. Beside, not above: the grid needs its five
 * or six rows, and a window is wider than high; the picture follows the step and needs no more than a table's width.
 */
import { useEffect, useMemo, useRef, useState } from 'react';
import { geometryOf } from '../../scene/walk-geometry.ts';
import { nextWalk, walkGridAt, type WalkCell, type WalkGrid as Grid } from '../../scene/walk-grid.ts';
import { goOfSide } from '../../store/cursor.ts';
import { select } from '../../store/state.ts';
import { WALK as walk } from '../strings-later.ts';
import { Terms } from '../Terms.tsx';
import { useApp, useRun } from '../use-app.ts';
import { WalkTable } from './WalkTable.tsx';
import { WalkTotals } from './WalkTotals.tsx';
import { placeText, readingParts, stateText } from './words.ts';
import './walk.css';

export default function WalkGrid({ side }: { side: 0 | 1 }): React.JSX.Element | null {
  const at = useRun(side);
  const selected = useApp((state) => state.selected);
  const timeline = at?.run.timeline;
  const cursor = at?.cursor ?? 0;
  const grid = useMemo(() => {
    if (timeline === undefined) return undefined;
    timeline.seek(cursor);
    return walkGridAt(timeline, geometryOf(timeline), selected);
  }, [timeline, cursor, selected]);
  if (timeline === undefined) return null;
  const next = grid === undefined ? nextWalk(timeline) : undefined;
  return (
    <div className="walk-pane">
      {grid === undefined ? (
        <div className="walk-none">
          <p>{walk.none}</p>
          {next !== undefined && (
            <button
              type="button"
              onClick={() => {
                goOfSide(side, next);
              }}
            >
              {walk.next}
            </button>
          )}
        </div>
      ) : (
        <Walk
          grid={grid}
          jump={(position) => {
            goOfSide(side, position);
          }}
        />
      )}
    </div>
  );
}

/** The cell that the line below tells about: hovered or focused, else the present one, else the last that was reached. */
function toldCell(grid: Grid, wanted: string | undefined): WalkCell | undefined {
  const cells = grid.rows.flatMap((row) => row.cells);
  return (
    cells.find((cell) => cell.id === wanted) ??
    grid.now ??
    cells.find((cell) => cell.state === 'at fault') ??
    cells.findLast((cell) => cell.state === 'read')
  );
}

function Walk({ grid, jump }: { grid: Grid; jump: (position: number) => void }): React.JSX.Element {
  const [hovered, setHovered] = useState<string>();
  const [focused, setFocused] = useState<string>();
  const box = useRef<HTMLDivElement>(null);
  const now = grid.now?.id;
  useEffect(() => {
    if (box.current !== null && now !== undefined) keepInSight(box.current, now);
  }, [now]);
  const point = (cell: WalkCell | undefined): void => {
    select(cell?.row);
  };
  return (
    <>
      <header className="walk-head">
        <h2>{walk.title[grid.dimensions](grid.gva)}</h2>
        {grid.fault !== undefined ? (
          <p className="fault">{grid.fault}</p>
        ) : (
          <p>
            <Terms>{grid.isOver ? walk.over : walk.how[grid.dimensions]}</Terms>
          </p>
        )}
      </header>
      <div className="walk-scroll" ref={box} style={{ '--rows': grid.rows.length } as React.CSSProperties}>
        <WalkTable
          grid={grid}
          active={focused ?? now}
          onHover={(cell) => {
            setHovered(cell?.id);
            point(cell);
          }}
          onFocus={(cell) => {
            setFocused(cell?.id);
            point(cell);
          }}
          onJump={(cell) => {
            if (cell.position !== undefined) jump(cell.position);
          }}
        />
      </div>
      <Told grid={grid} cell={toldCell(grid, hovered ?? focused)} />
      <WalkTotals grid={grid} />
    </>
  );
}

/** One line about one cell: the arithmetic of its address, and what the entry holds. */
function Told({ grid, cell }: { grid: Grid; cell: WalkCell | undefined }): React.JSX.Element {
  const row = grid.rows.find((candidate) => candidate.cells.some(({ id }) => id === cell?.id));
  if (cell === undefined || row === undefined) return <p className="walk-told" />;
  return (
    <p className="walk-told">
      <b>{String(cell.number)}</b>
      <span>{`${placeText(cell, { grid, row })}${cell.state === 'read' ? '' : `: ${stateText(cell)}`}`}</span>
      {readingParts(cell).map((part) => (
        <code key={part}>{part}</code>
      ))}
    </p>
  );
}

/** Scrolls the table inside its box, never the page. */
function keepInSight(box: HTMLElement, id: string): void {
  const cell = box.querySelector<HTMLElement>(`[data-cell="${id}"]`);
  if (cell === null || (box.scrollWidth <= box.clientWidth && box.scrollHeight <= box.clientHeight)) return;
  const [inner, outer] = [cell.getBoundingClientRect(), box.getBoundingClientRect()];
  const header = box.querySelector('tbody th')?.getBoundingClientRect().width ?? 0;
  const head = box.querySelector('thead')?.getBoundingClientRect().height ?? 0;
  const left = Math.min(0, inner.left - outer.left - header) || Math.max(0, inner.right - outer.right);
  const top = Math.min(0, inner.top - outer.top - head) || Math.max(0, inner.bottom - outer.bottom);
  box.scrollBy({ left, top });
}
