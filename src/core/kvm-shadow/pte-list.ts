/**
 * The list of shadow entries that hangs on a guest frame (reverse map) or on a shadow page (parents): nothing, one
 * pointer, or descriptors of fourteen. New pointers go to the head descriptor, so those behind it are always full;
 * removal fills the hole from the head. (Linux 6.1 appended at the tail, which shows from 15 pointers on.)
 */
import { must } from '../assert.ts';
import type { Machine } from '../machine/machine.ts';
import type { ListNode, RmapHead } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';

export type ListTable = 'rnode' | 'pnode';
/** `PTE_LIST_EXT`. */
export const PTE_LIST_EXT = 14;

/** Every pointer, in the order in which the kernel goes through them. */
export function ptesIn(world: World, table: ListTable, head: RmapHead | undefined): readonly number[] {
  if (head === undefined) return [];
  if (head.kind === 'one') return [head.word];
  const found: number[] = [];
  for (let at: number | undefined = head.head; at !== undefined;) {
    const node: ListNode = must(world.get(table, at), 'a descriptor');
    found.push(...node.words);
    at = node.next;
  }
  return found;
}

/** `pte_list_add`, inside the step marked last. */
export function addPte(m: Machine, table: ListTable, head: RmapHead | undefined, word: number): RmapHead {
  if (head === undefined) return Object.freeze({ kind: 'one', word });
  if (head.kind === 'one') return newNode(m, table, { words: [head.word, word] });
  const node = m.must(table, head.head);
  if (node.words.length === PTE_LIST_EXT) return newNode(m, table, { words: [word], next: head.head });
  m.set(table, head.head, Object.freeze({ ...node, words: Object.freeze([...node.words, word]) }));
  return head;
}

function newNode(m: Machine, table: ListTable, node: ListNode): RmapHead {
  const serial = m.serial(table);
  m.set(table, serial, Object.freeze({ ...node, words: Object.freeze([...node.words]) }));
  return Object.freeze({ kind: 'chain', head: serial });
}

/** `pte_list_remove`: the pointer must be there. Gives the new head. */
export function removePte(m: Machine, table: ListTable, head: RmapHead, word: number): RmapHead | undefined {
  if (head.kind === 'one') return undefined;
  const first = m.must(table, head.head);
  const last = must(first.words.at(-1), 'the last pointer of the head');
  fillHole(m, table, head.head, { word, last });
  const left = m.must(table, head.head).words.slice(0, -1);
  if (left.length > 0) {
    const { words: _words, ...rest } = m.must(table, head.head);
    m.set(table, head.head, Object.freeze({ ...rest, words: Object.freeze(left) }));
    return head;
  }
  m.set(table, head.head, undefined);
  return first.next === undefined ? undefined : Object.freeze({ kind: 'chain', head: first.next });
}

function fillHole(m: Machine, table: ListTable, from: number, by: { word: number; last: number }): void {
  for (let at: number | undefined = from; at !== undefined;) {
    const node: ListNode = m.must(table, at);
    if (node.words.includes(by.word)) {
      const words = node.words.map((word) => (word === by.word ? by.last : word));
      m.set(table, at, Object.freeze({ ...node, words: Object.freeze(words) }));
      return;
    }
    at = node.next;
  }
  throw new Error('assertion failed: a pointer to remove is in its list');
}
