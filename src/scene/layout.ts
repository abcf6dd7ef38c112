/**
 * Where everything stands: levels as rows, so that a guest table and its shadow face one another; within a zone a
 * tree by first parent (d3-hierarchy). Laid out for a whole run at once, in the arrangement that fills the given
 * viewport best. Units are CSS pixels at scale 1; text is 13 pixels.
 */
import { hierarchy, tree } from 'd3-hierarchy';
import type { Cast, CastTable } from './cast.ts';

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly zones: Readonly<Record<'hardware' | 'guest' | 'hypervisor', Box>>;
  readonly boxes: ReadonlyMap<string, Box>;
}

export const HEAD = 22;
export const ROW = 19;
export const FOLD = 16;
/** Rows of entries that a table shows at most. */
export const MAX_ROWS = 6;
/** Room below each table, taken by the line that shows an entry's old value. */
const GAP_Y = 30;
const GAP_X = 16;
const PAD = 10;
const TITLE = 15;
const WIDTH = { guest: 138, hypervisor: 156 } as const;
const HARDWARE_TOP_HEIGHT = 86;
const HARDWARE_LEFT_WIDTH = 220;

export const tableHeight = (rows: number): number => HEAD + Math.min(rows, MAX_ROWS) * ROW + FOLD;

/** Up to so many pages or reverse maps stand with their contents; more are drawn small. */
const SPACIOUS = 3;
const SMALL = { guest: 78, hypervisor: 118 } as const;

/** Whether the pages (or reverse maps) of a run are drawn small, without a row of contents. */
export const isSmall = (count: number): boolean => count > SPACIOUS;

type Arrangement = 'top' | 'left' | 'stacked';

/** The arrangement that allows the largest scale in the viewport. */
export function layOut(cast: Cast, viewport: { width: number; height: number }): Layout {
  const arrangements: readonly Arrangement[] = viewport.width < 640 ? ['stacked'] : ['top', 'left'];
  const candidates = arrangements.map((arrangement) => arrange(cast, arrangement));
  return candidates.reduce((best, layout) =>
    scaleOf(layout, viewport) > scaleOf(best, viewport) ? layout : best,
  );
}

export const scaleOf = (layout: Layout, viewport: { width: number; height: number }): number =>
  Math.min(viewport.width / layout.width, viewport.height / layout.height);

interface ZonePlan {
  readonly width: number;
  /** x within the zone. */
  readonly columns: ReadonlyMap<string, number>;
}

function arrange(cast: Cast, arrangement: Arrangement): Layout {
  const guest = planZone(cast, 'guest');
  const hypervisor = planZone(cast, 'hypervisor');
  const boxes = new Map<string, Box>();
  const left = arrangement === 'left';
  const hardware: Box = left
    ? { x: 0, y: 0, width: HARDWARE_LEFT_WIDTH, height: 0 }
    : {
        x: 0,
        y: 0,
        width:
          arrangement === 'stacked'
            ? Math.max(guest.width, hypervisor.width)
            : guest.width + GAP_X + hypervisor.width,
        height: HARDWARE_TOP_HEIGHT,
      };
  const zonesY = left ? 0 : HARDWARE_TOP_HEIGHT + 22;
  const guestX = left ? HARDWARE_LEFT_WIDTH + GAP_X : 0;
  const shared = arrangement !== 'stacked';
  const guestHeights = levelHeights(cast, shared ? ['guest', 'hypervisor'] : ['guest']);
  const guestBox = placeZone(cast, {
    zone: 'guest',
    plan: guest,
    x: guestX,
    y: zonesY,
    heights: guestHeights,
    boxes,
  });
  const hypervisorHeights = shared ? guestHeights : levelHeights(cast, ['hypervisor']);
  const hypervisorBox = placeZone(cast, {
    zone: 'hypervisor',
    plan: hypervisor,
    heights: hypervisorHeights,
    boxes,
    x: shared ? guestX + guest.width + GAP_X : 0,
    y: shared ? zonesY : guestBox.y + guestBox.height + 22,
  });
  const width = hypervisorBox.x + hypervisorBox.width;
  const height = hypervisorBox.y + hypervisorBox.height;
  const hardwareBox = left
    ? { ...hardware, height }
    : arrangement === 'stacked'
      ? { ...hardware, width: Math.max(guestBox.width, width) }
      : hardware;
  placeHardware(hardwareBox, left, boxes);
  return {
    width: Math.max(width, hardwareBox.width),
    height,
    zones: { hardware: hardwareBox, guest: guestBox, hypervisor: hypervisorBox },
    boxes,
  };
}

function placeHardware(zone: Box, left: boolean, boxes: Map<string, Box>): void {
  const y = zone.y + TITLE;
  if (left) {
    boxes.set('vcpu:0', { x: zone.x + 12, y, width: zone.width - 24, height: HEAD + 3 * ROW });
    boxes.set('tlb:0', {
      x: zone.x + 12,
      y: y + HEAD + 3 * ROW + 24,
      width: zone.width - 24,
      height: zone.height - TITLE - HEAD - 3 * ROW - 38,
    });
    return;
  }
  const cpuWidth = Math.min(210, Math.max(150, zone.width * 0.4));
  boxes.set('vcpu:0', { x: zone.x + 12, y, width: cpuWidth, height: zone.height - TITLE - 8 });
  boxes.set('tlb:0', {
    x: zone.x + 24 + cpuWidth,
    y,
    width: zone.width - cpuWidth - 36,
    height: zone.height - TITLE - 8,
  });
}

/** Height of each level's row, the same in both zones so that levels face one another. Level 0 are the pages. */
function levelHeights(cast: Cast, zones: readonly CastTable['zone'][]): readonly number[] {
  const heights = [HEAD + ROW, 0, 0, 0, 0, 0];
  for (const table of cast.tables) {
    if (!zones.includes(table.zone)) continue;
    heights[table.level] = Math.max(
      heights[table.level] ?? 0,
      tableHeight(Math.max(1, table.indices.length)),
    );
  }
  return heights;
}

interface TreeNode {
  readonly id: string;
  readonly children: TreeNode[];
}

function planZone(cast: Cast, zone: CastTable['zone']): ZonePlan {
  const tables = cast.tables.filter((table) => table.zone === zone);
  const nodes = new Map<string, TreeNode>(tables.map((table) => [table.id, { id: table.id, children: [] }]));
  const root: TreeNode = { id: '', children: [] };
  for (const table of tables) {
    const node = nodes.get(table.id);
    if (node !== undefined) (nodes.get(table.parent ?? '') ?? root).children.push(node);
  }
  const unit = WIDTH[zone] + GAP_X;
  const laid = tree<TreeNode>()
    .nodeSize([unit, 1])
    .separation(() => 1)(hierarchy(root, (node) => node.children));
  const placed = laid.descendants().filter((node) => node.data.id !== '');
  const level = new Map(tables.map((table) => [table.id, table.level]));
  // Tables that nothing links yet stand beside the tree; no two of one level may share a place.
  const taken = new Map<number, number[]>();
  const columns = new Map<string, number>();
  for (const node of placed.sort((a, b) => a.x - b.x)) {
    const own = taken.get(level.get(node.data.id) ?? 0) ?? [];
    const last = own.at(-1);
    const x = last === undefined ? node.x : Math.max(node.x, last + unit);
    taken.set(level.get(node.data.id) ?? 0, [...own, x]);
    columns.set(node.data.id, x);
  }
  const least = Math.min(0, ...columns.values());
  const most = Math.max(0, ...columns.values());
  const below = zone === 'guest' ? cast.frames.length : cast.rmaps.length;
  const belowWidth = below > SPACIOUS ? 0 : below * unit - GAP_X;
  const width = Math.max(most - least + WIDTH[zone], belowWidth, WIDTH[zone] * 1.4) + 2 * PAD;
  const shift = PAD - least + (width - 2 * PAD - (most - least + WIDTH[zone])) / 2;
  return { width, columns: new Map([...columns].map(([id, x]) => [id, x + shift])) };
}

function placeZone(
  cast: Cast,
  at: {
    zone: CastTable['zone'];
    plan: ZonePlan;
    x: number;
    y: number;
    heights: readonly number[];
    boxes: Map<string, Box>;
  },
): Box {
  const { zone, plan, heights, boxes } = at;
  const tops: number[] = [];
  let y = at.y + TITLE;
  for (let level = 4; level >= 1; level -= 1) {
    tops[level] = y;
    if ((heights[level] ?? 0) > 0) y += (heights[level] ?? 0) + GAP_Y;
  }
  for (const table of cast.tables) {
    if (table.zone !== zone) continue;
    const x = at.x + (plan.columns.get(table.id) ?? PAD);
    boxes.set(table.id, {
      x,
      y: tops[table.level] ?? y,
      width: WIDTH[zone],
      height: tableHeight(Math.max(1, table.indices.length)),
    });
  }
  const below =
    zone === 'guest'
      ? cast.frames.map((gfn) => `frame:${gfn.toString(16)}`)
      : cast.rmaps.map((pfn) => `rmap:${pfn.toString(16)}`);
  const small = isSmall(below.length);
  const width = small ? SMALL[zone] : WIDTH[zone];
  const height = small ? HEAD + 2 : HEAD + ROW;
  const gap = small ? 8 : GAP_X;
  const perRow = Math.max(1, Math.floor((plan.width - 2 * PAD + gap) / (width + gap)));
  below.forEach((id, index) => {
    const x = at.x + PAD + (index % perRow) * (width + gap);
    boxes.set(id, { x, y: y + Math.floor(index / perRow) * (height + 8), width, height });
  });
  const rows = Math.max(1, Math.ceil(below.length / perRow));
  const zoneHeight = y - at.y + rows * (height + 8) + 4;
  return { x: at.x, y: at.y, width: plan.width, height: zoneHeight };
}
