/** Where the tables of a zone stand: as a tree by first parent, or, where there are many, in lines. */
import { hierarchy, tree } from 'd3-hierarchy';

interface Sized {
  readonly id: string;
  readonly storey: number;
  readonly parent: string | undefined;
  readonly height: number;
  readonly folded?: true;
}

export interface Placed {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** x within the zone, from 0 or below; y within the storey. */
export type Places = ReadonlyMap<string, Placed>;

const GAP = 16;

interface TreeNode {
  readonly id: string;
  readonly children: TreeNode[];
}

export function treeOf(tables: readonly Sized[], width: number): Places {
  const nodes = new Map<string, TreeNode>(tables.map((table) => [table.id, { id: table.id, children: [] }]));
  const root: TreeNode = { id: '', children: [] };
  const stacks = stacksOf(tables);
  for (const table of tables) {
    const node = nodes.get(table.id);
    if (node !== undefined && (stacks.get(table.id)?.line ?? 0) === 0)
      (nodes.get(table.parent ?? '') ?? root).children.push(node);
  }
  const unit = width + GAP;
  const laid = tree<TreeNode>()
    .nodeSize([unit, 1])
    .separation(() => 1)(hierarchy(root, (node) => node.children));
  const placed = laid.descendants().filter((node) => node.data.id !== '');
  const own = new Map(tables.map((table) => [table.id, table]));
  // Tables that nothing links yet stand beside the tree; no two of one level may share a place.
  const taken = new Map<number, number>();
  const places = new Map<string, Placed>();
  for (const node of placed.sort((a, b) => a.x - b.x)) {
    const { storey = 0, height = 0 } = own.get(node.data.id) ?? {};
    const last = taken.get(storey);
    const x = last === undefined ? node.x : Math.max(node.x, last + unit);
    taken.set(storey, x);
    places.set(node.data.id, { x, y: 0, width, height });
  }
  for (const { id, height } of tables) {
    const stack = stacks.get(id);
    const { x } = places.get(stack?.first ?? '') ?? { x: 0 };
    if (stack !== undefined) places.set(id, { x, y: stack.line * (CHIP.height + CHIP.gap), width, height });
  }
  return places;
}

/** Folded tables that hang on one parent stand one below the other, in one place of the tree: in which line each. */
function stacksOf(tables: readonly Sized[]): ReadonlyMap<string, { line: number; first: string }> {
  const parents = new Set(tables.map(({ parent }) => parent));
  const last = new Map<string, { line: number; first: string }>();
  const stacks = new Map<string, { line: number; first: string }>();
  for (const { id, parent, storey, folded } of tables) {
    if (folded !== true || parents.has(id)) continue;
    const key = `${parent ?? ''} ${String(storey)}`;
    const above = last.get(key);
    const own = above === undefined ? { line: 0, first: id } : { line: above.line + 1, first: above.first };
    stacks.set(id, own);
    last.set(key, own);
  }
  return stacks;
}

/** Open tables side by side in lines. */
const COLUMNS = 4;
/** A folded table: a title and a number. */
export const CHIP = { width: 128, wide: 164, height: 24, gap: 8 } as const;

/** Each storey as lines: first the tables that stand open, then the folded ones, small. */
export function gridOf(tables: readonly Sized[], of: { width: number; gap: number }): Places {
  const places = new Map<string, Placed>();
  const across = COLUMNS * (of.width + GAP) - GAP;
  const chip = of.width > 150 ? CHIP.wide : CHIP.width;
  for (const storey of new Set(tables.map((table) => table.storey))) {
    const own = tables.filter((table) => table.storey === storey);
    const open = own.filter((table) => table.folded !== true);
    let y = 0;
    for (let at = 0; at < open.length; at += COLUMNS) {
      const line = open.slice(at, at + COLUMNS);
      line.forEach((table, column) => {
        places.set(table.id, { x: column * (of.width + GAP), y, width: of.width, height: table.height });
      });
      y += Math.max(...line.map(({ height }) => height)) + of.gap;
    }
    const perLine = Math.floor((across + CHIP.gap) / (chip + CHIP.gap));
    own
      .filter((table) => table.folded === true)
      .forEach((table, index) => {
        const [line, column] = [Math.floor(index / perLine), index % perLine];
        places.set(table.id, {
          x: column * (chip + CHIP.gap),
          y: y + line * (CHIP.height + CHIP.gap),
          width: chip,
          height: CHIP.height,
        });
      });
  }
  return places;
}
