/**
 * Where rows, links and motions lie, out of a scene's boxes: arithmetic only, no DOM. All places are those of the picture
 * as a whole: a place of its own for each box or row would be one more coordinate system for the browser to keep.
 */
import { FOLD, HEAD, ROW, type Box } from '../../scene/layout.ts';
import type { SceneBox, SceneLink, SceneRow } from '../../scene/parts.ts';

/** Room that the line with an old value takes. */
export const extraOf = (box: SceneBox): number =>
  box.rows.some((row) => row.old !== undefined) ? ROW - 2 : 0;
const columnsOf = (box: SceneBox): number =>
  box.columns ?? (box.id === 'tlb:0' ? Math.max(1, Math.floor((box.width - 20) / 196)) : 1);
export const foldY = (box: SceneBox): number =>
  box.y +
  (box.id === 'tlb:0' || box.id === 'psc:0'
    ? box.rows.length === 0
      ? HEAD + 15
      : box.height - 8
    : HEAD + box.rows.length * ROW + extraOf(box) + FOLD - 5);

export interface PlacedRow extends SceneRow {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  /** Where the text begins. */
  readonly textX: number;
}

/** Texts of a box begin in one column, after the widest index. */
function textStart(box: SceneBox): number {
  const widest = Math.max(0, ...box.rows.map((row) => row.index.length));
  return widest === 0 ? 9 : Math.max(37, 16 + widest * 7.4);
}

/**
 * A bar along the upper edge with the part filled that a shadow page stands for; double sides where it stands for no
 * table of the guest's. Both are seen without colour.
 */
export function shapeOf({ part, direct, x, y, width, height }: SceneBox): string {
  const sides =
    direct === true ? bar(x + 3, y + 9, 1, height - 18) + bar(x + width - 4, y + 9, 1, height - 18) : '';
  if (part === undefined) return sides;
  const share = (width - 20) / part.of;
  const cells = Array.from({ length: part.of }, (_, at) =>
    bar(x + 11 + at * share, y - 1.5, share - 2, at === part.at ? 3 : 0),
  );
  return sides + cells.join('');
}

const bar = (x: number, y: number, width: number, height: number): string =>
  `M${String(x)},${String(y)}h${String(width)}v${String(height)}h${String(-width)}Z`;

/** Rows with their places; an entry that changes has its old value as a line of its own above it. */
export function placeRows(box: SceneBox): readonly PlacedRow[] {
  const columns = columnsOf(box);
  const width = (box.width - (columns > 1 ? 16 : 0)) / columns;
  const textX = textStart(box);
  let extra = 0;
  return box.rows.map((row, index) => {
    if (row.old !== undefined) extra += ROW - 2;
    const x = box.x + (columns > 1 ? 8 : 0) + (index % columns) * width;
    return {
      ...row,
      x,
      y: box.y + HEAD + Math.floor(index / columns) * ROW + extra,
      width,
      textX: x + textX,
    };
  });
}

export interface Ends {
  readonly path: string;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

interface Curve {
  readonly source: Point;
  readonly target: Point;
}

/** A curve that leaves and arrives vertically. */
function vertical({ source, target }: Curve): string {
  const middle = (source.y + target.y) / 2;
  return curve(source, { x: source.x, y: middle }, { x: target.x, y: middle }, target);
}

/** A curve that leaves and arrives horizontally. */
function horizontal({ source, target }: Curve): string {
  const middle = (source.x + target.x) / 2;
  return curve(source, { x: middle, y: source.y }, { x: middle, y: target.y }, target);
}

function curve(from: Point, ...rest: readonly [Point, Point, Point]): string {
  const spot = ({ x, y }: Point): string => `${String(x)},${String(y)}`;
  return `M${spot(from)}C${rest.map(spot).join(' ')}`;
}

/** From the entry's side to the top of the table below, or across to an entry or frame. */
export function endsOf(link: SceneLink, boxes: ReadonlyMap<string, SceneBox>): Ends {
  const from = boxes.get(link.from.box);
  const to = boxes.get(link.to.box);
  if (from === undefined || to === undefined) return { path: '' };
  if (link.kind === 'table' || link.kind === 'page') {
    return { path: to.y > from.y + from.height ? downwards(from, to, link) : sidewards(from, to, link) };
  }
  if (link.kind === 'tlb') {
    if (to.x >= from.x + from.width) return { path: sidewards(from, to, link) };
    const source = { x: from.x + 40, y: from.y + from.height };
    return {
      path: vertical({ source, target: { x: to.x + to.width - 30, y: rowY(to, link.to.row) } }),
    };
  }
  return { path: sidewards(from, to, link) };
}

/** From the side of the entry that is nearer to the child, out into the gap, down to the child's head. */
function downwards(from: SceneBox, to: SceneBox, link: SceneLink): string {
  const right = to.x > from.x + 4;
  const x = right ? from.x + from.width : from.x;
  const y = rowY(from, link.from.row);
  const out = right ? 8 : -8;
  const end = right ? to.x + to.width - 26 : to.x + 26;
  const middle = to.y - 15;
  return `M${String(x)},${String(y)} C${String(x + out * 1.6)},${String(y)} ${String(x + out)},${String(middle)} ${String((x + end) / 2)},${String(middle)} S${String(end)},${String(middle)} ${String(end)},${String(to.y)}`;
}

/** Across: from the entry's side to the side of what it leads to. */
function sidewards(from: SceneBox, to: SceneBox, link: SceneLink): string {
  const leftwards = to.x + to.width / 2 < from.x + from.width / 2;
  const source = { x: leftwards ? from.x : from.x + from.width, y: rowY(from, link.from.row) };
  const target = {
    x: leftwards ? to.x + to.width : to.x,
    y: link.to.row === undefined ? to.y + 12 : rowY(to, link.to.row),
  };
  return horizontal({ source, target });
}

function rowY(box: SceneBox, row: string | undefined): number {
  const placed = placeRows(box).find((candidate) => candidate.id === row);
  return placed === undefined ? box.y + HEAD / 2 : placed.y + ROW / 2;
}

export function areaOf(box: SceneBox, row: string | undefined): Box {
  const placed = placeRows(box).find((candidate) => candidate.id === row);
  if (placed === undefined) return box;
  return { x: placed.x, y: placed.y, width: placed.width, height: ROW };
}
