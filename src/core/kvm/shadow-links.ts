/** How shadow tables hang together, read off the world: whose table lies in a frame, who links to it, which addresses use an entry. */
import { frameOfWord, pfnOfEntry, spte, type Pfn } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import type { Parents, ShadowPage } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { ROOT_REGISTERS } from './context-2007.ts';
import { PARENT_LIST, pointers, type PointerHead } from './pointer-list.ts';
import { levelOfRole } from './role-2007.ts';
import { isPresent } from './spte-2007.ts';

/** The shadow page whose table lies in a host frame. */
export function shadowPageAt(world: World, pfn: Pfn): ShadowPage | undefined {
  const serial = world.get('owner', pfn);
  return serial === undefined ? undefined : world.get('sp', serial);
}

export const headOf = (parents: Parents): PointerHead | undefined =>
  parents.kind === 'none' ? undefined : parents;

/** The entries that link to a shadow page. */
export const parentWords = (world: World, page: ShadowPage): readonly number[] =>
  pointers(world, PARENT_LIST, headOf(page.parents));

/**
 * Every address of the vCPU that acts whose translation comes from a shadow entry, page by page: over each way from its
 * roots to the entry, and, where the entry links to a table, down to each leaf below.
 */
export function addressesThrough(m: Machine, word: number): readonly bigint[] {
  const below = offsetsBelow(m.world, word);
  return waysTo(m, word).flatMap((base) => below.map((offset) => canonical(m, base + offset)));
}

/** Bytes of address that one entry of a level covers. */
const spanOf = (level: number): bigint => 1n << BigInt(12 + 9 * (level - 1));

/** The first address that an entry serves, for each way to it. */
function waysTo(m: Machine, word: number): readonly bigint[] {
  const page = shadowPageAt(m.world, frameOfWord(word));
  if (page === undefined) return [];
  const own = BigInt(word % 512) * spanOf(levelOfRole(page.role));
  const above = parentWords(m.world, page)
    // A bit flipped from outside can link a page to itself: such a way leads from no root.
    .filter((parent) => levelAt(m.world, parent) === levelOfRole(page.role) + 1)
    .flatMap((parent) => waysTo(m, parent));
  return [...rootsAt(m, page.serial), ...above].map((base) => base + own);
}

function levelAt(world: World, word: number): number {
  const page = shadowPageAt(world, frameOfWord(word));
  return page === undefined ? 0 : levelOfRole(page.role);
}

/** Where the addresses of a root begin: a root of PAE serves a quarter of them. */
const rootsAt = (m: Machine, serial: number): readonly bigint[] =>
  ROOT_REGISTERS.flatMap((name, at) => {
    if (m.reg(name) !== BigInt(serial)) return [];
    return [at === 0 ? 0n : BigInt(at - 1) * spanOf(3)];
  });

/** Distance of each leaf below an entry from its first address; of a leaf itself, none. */
function offsetsBelow(world: World, word: number): readonly bigint[] {
  const level = levelAt(world, word);
  if (level <= 1) return [0n];
  const entry = spte(world.word(word));
  if (!isPresent(entry) || shadowPageAt(world, pfnOfEntry(entry)) === undefined) return [];
  const span = spanOf(level - 1);
  return world
    .wordsOfShadowFrame(pfnOfEntry(entry))
    .filter((child) => isPresent(spte(world.word(child))) && levelAt(world, child) === level - 1)
    .flatMap((child) => offsetsBelow(world, child).map((offset) => BigInt(child % 512) * span + offset));
}

/** Four levels leave 16 bits that repeat the highest one. */
const canonical = (m: Machine, address: bigint): bigint =>
  m.reg('root_serial') !== 0n && address >> 47n === 1n ? address | (0xffffn << 48n) : address;
