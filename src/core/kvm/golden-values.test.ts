import { describe, expect, test } from 'vitest';
import { PTE_U, PTE_W } from '../hardware/x86-entry.ts';
import { gpte, pfn } from '../quantities.ts';
import { Machine } from '../machine/machine.ts';
import { DEFAULT_SETTINGS } from '../settings.ts';
import { addPointer, pointers, removePointer, RMAP_LIST, type PointerHead } from './pointer-list.ts';
import { roleOf, roleWord } from './role-2007.ts';
import { ALL_ACCESS, leafSpte, linkSpte } from './spte-2007.ts';

const kernel = ALL_ACCESS & ~PTE_U;

describe('shadow entries of 2007 (annex 5.1)', () => {
  test.each([
    [
      'normal, writable, user',
      { entry: gpte(0x20067n), inherited: ALL_ACCESS, pfn: pfn(0x10020), shadowed: false },
      0x10020c67n,
    ],
    [
      'D=0: read-only, so that D can be caught',
      { entry: gpte(0x20027n), inherited: ALL_ACCESS, pfn: pfn(0x10020), shadowed: false },
      0x10020c25n,
    ],
    [
      'read-only for the guest',
      { entry: gpte(0x20065n), inherited: ALL_ACCESS, pfn: pfn(0x10020), shadowed: false },
      0x10020865n,
    ],
    [
      'kernel map of T, not shadowed',
      { entry: gpte(0x13063n), inherited: kernel, pfn: pfn(0x10013), shadowed: false },
      0x10013463n,
    ],
    [
      'kernel map of T, shadowed',
      { entry: gpte(0x13063n), inherited: kernel, pfn: pfn(0x10013), shadowed: true },
      0x10013461n,
    ],
    [
      'no slot: device memory',
      { entry: gpte(0xfee00063n), inherited: kernel, pfn: undefined, shadowed: false },
      0xfee00662n,
    ],
    [
      'an upper entry without W takes it away',
      { entry: gpte(0x20067n), inherited: ALL_ACCESS & ~PTE_W, pfn: pfn(0x10020), shadowed: false },
      0x10020865n,
    ],
  ])('%s', (_name, request, expected) => {
    expect(leafSpte({ gpa: 0xfee00000n, softwareBits: true, ...request })).toBe(expected);
  });
  test('a link allows everything', () => {
    expect(linkSpte(pfn(0x20000))).toBe(0x20000027n);
  });
});

describe('role words of 2007', () => {
  const plain = { guestLevels: 4, quadrant: 0, metaphysical: false, access: 0 };
  test.each([
    ['level 1 of a 4-level guest', { ...plain, level: 1 }, 0x14],
    ['level 2', { ...plain, level: 2 }, 0x24],
    ['root', { ...plain, level: 4 }, 0x44],
    [
      'page directory of a 2-level guest, quadrant 3',
      { ...plain, guestLevels: 2, level: 2, quadrant: 3 },
      0x322,
    ],
    ['its page table, quadrant 1', { ...plain, guestLevels: 2, level: 1, quadrant: 1 }, 0x112],
    ['split large page with U and W', { ...plain, level: 1, metaphysical: true, access: 3 }, 0x70014],
    [
      'root 2 without paging',
      { ...plain, guestLevels: 0, level: 2, quadrant: 2, metaphysical: true },
      0x10220,
    ],
  ])('%s', (_name, role, word) => {
    expect(roleWord(role)).toBe(word);
    expect(roleOf(word)).toEqual(role);
  });
});

describe('the list behind a reverse map', () => {
  const build = (words: readonly number[]): { m: Machine; head: PointerHead | undefined } => {
    const m = new Machine({ settings: DEFAULT_SETTINGS });
    m.step('begin', {});
    return {
      m,
      head: words.reduce<PointerHead | undefined>(
        (head, word) => addPointer(m, RMAP_LIST, head, word),
        undefined,
      ),
    };
  };
  const nodes = (m: Machine): number[] => [...m.world.tables.rnode.values()].map((node) => node.words.length);

  test('one writable mapping is a plain pointer', () => {
    const { m, head } = build([7]);
    expect([head?.kind, nodes(m)]).toEqual(['one', []]);
  });
  test('two are one descriptor, six are two (4 and 2)', () => {
    expect(nodes(build([1, 2]).m)).toEqual([2]);
    expect(nodes(build([1, 2, 3, 4, 5, 6]).m)).toEqual([4, 2]);
  });
  test('a list that shrank to one entry stays a descriptor; without it nothing is left', () => {
    const { m, head } = build([1, 2]);
    const one = head === undefined ? undefined : removePointer(m, RMAP_LIST, head, 1);
    expect([one?.kind, pointers(m.world, RMAP_LIST, one), nodes(m)]).toEqual(['chain', [2], [1]]);
    expect(one === undefined ? 'gone' : removePointer(m, RMAP_LIST, one, 2)).toBeUndefined();
    expect(nodes(m)).toEqual([]);
  });
  test('the last pointer of the same node fills the hole; an emptied node is unlinked', () => {
    const { m, head } = build([1, 2, 3, 4, 5]);
    const four = head === undefined ? undefined : removePointer(m, RMAP_LIST, head, 2);
    expect(pointers(m.world, RMAP_LIST, four)).toEqual([1, 4, 3, 5]);
    const three = four === undefined ? undefined : removePointer(m, RMAP_LIST, four, 5);
    expect(nodes(m)).toEqual([3]);
    expect(pointers(m.world, RMAP_LIST, three)).toEqual([1, 4, 3]);
  });
});
