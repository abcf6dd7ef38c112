/** How full the nodes of a list of shadow entries are: of a reverse map, or of a page's parents. */
import type { ListShape, PointerHead } from '../core/kvm/pointer-list.ts';
import type { ListNode } from '../core/machine/tables.ts';
import type { World } from '../core/machine/world.ts';

/** Pointers in each node of a chain, in order; none for a plain pointer. */
export function fillOf(world: World, { table }: ListShape, head: PointerHead | undefined): readonly number[] {
  if (head?.kind !== 'chain') return [];
  const fill: number[] = [];
  for (let at: number | undefined = head.head; at !== undefined;) {
    const node: ListNode | undefined = world.get(table, at);
    fill.push(node?.words.length ?? 0);
    at = node?.next;
  }
  return fill;
}

/** `4+1`: two nodes, the first with four, the second with one. */
export const fillText = (...of: Parameters<typeof fillOf>): string => fillOf(...of).join('+');
