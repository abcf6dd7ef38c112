/**
 * The list of shadow entries that 2007 hangs on a frame (reverse map, nodes of four) or on a shadow page (parents,
 * nodes of five): nothing, one pointer, or a chain of nodes. A list that became a chain stays one until it is empty;
 * removal fills the hole with the last pointer of the same node.
 */
import { assert, must } from '../assert.ts';
import type { Machine } from '../machine/machine.ts';
import type { ListNode } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';

export type PointerHead =
  { readonly kind: 'one'; readonly word: number } | { readonly kind: 'chain'; readonly head: number };

export interface ListShape {
  readonly table: 'rnode' | 'pnode';
  readonly nodeSize: 4 | 5;
}
export const RMAP_LIST: ListShape = { table: 'rnode', nodeSize: 4 };
export const PARENT_LIST: ListShape = { table: 'pnode', nodeSize: 5 };

/** Every pointer of a list, in the order in which it is searched. */
export function pointers(world: World, shape: ListShape, head: PointerHead | undefined): readonly number[] {
  if (head === undefined) return [];
  if (head.kind === 'one') return [head.word];
  const found: number[] = [];
  for (let at: number | undefined = head.head; at !== undefined;) {
    const node: ListNode = must(world.get(shape.table, at), 'list node');
    found.push(...node.words);
    at = node.next;
  }
  return found;
}

export function firstPointer(
  world: World,
  shape: ListShape,
  head: PointerHead | undefined,
): number | undefined {
  if (head === undefined) return undefined;
  return head.kind === 'one' ? head.word : world.get(shape.table, head.head)?.words[0];
}

/** Adds a pointer inside the step marked last; gives the new head. */
export function addPointer(
  m: Machine,
  shape: ListShape,
  head: PointerHead | undefined,
  word: number,
): PointerHead {
  if (head === undefined) return Object.freeze({ kind: 'one', word });
  if (head.kind === 'one') {
    const node = m.serial(shape.table);
    m.set(shape.table, node, Object.freeze({ words: Object.freeze([head.word, word]) }));
    return Object.freeze({ kind: 'chain', head: node });
  }
  for (let at = head.head; ;) {
    const node = m.must(shape.table, at);
    if (node.words.length < shape.nodeSize) {
      m.set(shape.table, at, Object.freeze({ ...node, words: Object.freeze([...node.words, word]) }));
      return head;
    }
    if (node.next === undefined) {
      const next = m.serial(shape.table);
      m.set(shape.table, next, Object.freeze({ words: Object.freeze([word]) }));
      m.set(shape.table, at, Object.freeze({ ...node, next }));
      return head;
    }
    at = node.next;
  }
}

/** Removes a pointer that must be there, inside the step marked last; gives the new head. */
export function removePointer(
  m: Machine,
  shape: ListShape,
  head: PointerHead,
  word: number,
): PointerHead | undefined {
  if (head.kind === 'one') {
    assert(head.word === word, 'a single pointer is the one to remove');
    return undefined;
  }
  let before: number | undefined;
  for (let at: number | undefined = head.head; at !== undefined;) {
    const node: ListNode = m.must(shape.table, at);
    const slot = node.words.indexOf(word);
    if (slot >= 0) return removeFromNode(m, shape, { head: head.head, before, at, node, slot });
    before = at;
    at = node.next;
  }
  throw new Error('assertion failed: a pointer to remove is in its list');
}

interface Found {
  readonly head: number;
  readonly before: number | undefined;
  readonly at: number;
  readonly node: ListNode;
  readonly slot: number;
}

function removeFromNode(m: Machine, shape: ListShape, found: Found): PointerHead | undefined {
  const { head, before, at, node, slot } = found;
  const last = must(node.words.at(-1), 'last pointer');
  const words = node.words.map((word, index) => (index === slot ? last : word)).slice(0, -1);
  if (words.length > 0) {
    m.set(shape.table, at, Object.freeze({ ...node, words: Object.freeze(words) }));
    return Object.freeze({ kind: 'chain', head });
  }
  m.set(shape.table, at, undefined);
  if (before === undefined) {
    return node.next === undefined ? undefined : Object.freeze({ kind: 'chain', head: node.next });
  }
  const { next: _dropped, ...rest } = m.must(shape.table, before);
  m.set(shape.table, before, Object.freeze(node.next === undefined ? rest : { ...rest, next: node.next }));
  return Object.freeze({ kind: 'chain', head });
}
