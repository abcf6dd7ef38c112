/** What a shadow entry stands for: the guest's entry behind it, or the frame behind it where there is no guest table. */
import { coverageOf } from '../hardware/x86-entry.ts';
import { frameOfWord, gfn, gpte, wordOf, type Gfn, type Gpte } from '../quantities.ts';
import type { ShadowPage } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { entryBytesOfRole } from './context-2007.ts';
import { pfnOfGfn } from './memslots.ts';
import { roleOf, type Role } from './role-2007.ts';
import { parentWords, shadowPageAt } from './shadow-page.ts';

export interface GuestEntry {
  /** The memory word that holds it; two entries of 4 bytes share one. */
  readonly word: number;
  readonly value: Gpte;
}

/** The guest's entry behind a shadow entry; a page without a guest table has none. */
export function guestEntryBehind(world: World, page: ShadowPage, word: number): GuestEntry | undefined {
  const role = roleOf(page.role);
  const pfn = role.metaphysical ? undefined : pfnOfGfn(world, page.gfn);
  if (pfn === undefined) return undefined;
  const index = word % 512;
  if (entryBytesOfRole(role) === 8) {
    const own = wordOf(pfn, index);
    return { word: own, value: gpte(world.word(own)) };
  }
  const entry = guestIndexBehind(role, index);
  const own = wordOf(pfn, Math.floor(entry / 2));
  const value = world.word(own);
  return { word: own, value: gpte(entry % 2 === 0 ? value & 0xffff_ffffn : value >> 32n) };
}

/**
 * Index, in the guest's own table, of the entry that entry `index` of a shadow page stands for. A table of 1024 entries
 * has two shadows of 512; its directory four, in which two entries stand for one.
 */
export function guestIndexBehind(role: Role, index: number): number {
  if (entryBytesOfRole(role) === 8) return index;
  return role.level === 1 ? role.quadrant * 512 + index : role.quadrant * 256 + Math.floor(index / 2);
}

/** How many shadow pages stand for one guest table, or one large page, each for a part of it. */
export function partsOf({ guestLevels, level, metaphysical }: Role): number {
  if (guestLevels === 2) return level === 1 ? 2 : 4;
  // Without paging a page of level 1 has a first frame of its own; the roots share frame 0.
  return guestLevels === 0 && metaphysical && level === 2 ? 4 : 1;
}

/**
 * First address that the entries of a shadow page translate, as its parents say; undefined where no entry leads to it
 * now and its role does not tell.
 */
export function addressOfShadow(world: World, page: ShadowPage): bigint | undefined {
  const role = roleOf(page.role);
  if (role.level === 4) return 0n;
  const [parent] = parentWords(world, page);
  const above = parent === undefined ? undefined : shadowPageAt(world, frameOfWord(parent));
  if (parent !== undefined && above !== undefined) {
    const first = addressOfShadow(world, above);
    const { level } = roleOf(above.role);
    return first === undefined ? undefined : first + BigInt(parent % 512) * coverageOf(level);
  }
  const root = [...world.tables.reg].find(
    ([name, value]) => /\.pae_root\d$/.test(name) && Number(value) === page.serial,
  );
  if (root !== undefined) return BigInt(root[0].slice(-1)) << 30n;
  return partsOf(role) === 4 ? BigInt(role.quadrant) << 30n : undefined;
}

/** The guest frame that a leaf of a page without a guest table stands for: its own place below the large page. */
export function directGfn(page: ShadowPage, word: number): Gfn | undefined {
  const role = roleOf(page.role);
  if (!role.metaphysical || role.level !== 1) return undefined;
  // A guest page of 4 MiB has two shadows of 2 MiB, told apart by their quadrant.
  const half = role.guestLevels === 2 ? role.quadrant * 512 : 0;
  return gfn(page.gfn + half + (word % 512));
}
