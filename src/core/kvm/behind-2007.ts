/** What a shadow entry stands for: the guest's entry behind it, or the frame behind it where there is no guest table. */
import { gfn, gpte, wordOf, type Gfn, type Gpte } from '../quantities.ts';
import type { ShadowPage } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { entryBytesOfRole } from './context-2007.ts';
import { pfnOfGfn } from './memslots.ts';
import { roleOf } from './role-2007.ts';

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
  // A table of 1024 entries has two shadows of 512; its directory four, in which two entries stand for one.
  const entry = role.level === 1 ? role.quadrant * 512 + index : role.quadrant * 256 + Math.floor(index / 2);
  const own = wordOf(pfn, Math.floor(entry / 2));
  const value = world.word(own);
  return { word: own, value: gpte(entry % 2 === 0 ? value & 0xffff_ffffn : value >> 32n) };
}

/** The guest frame that a leaf of a page without a guest table stands for: its own place below the large page. */
export function directGfn(page: ShadowPage, word: number): Gfn | undefined {
  const role = roleOf(page.role);
  if (!role.metaphysical || role.level !== 1) return undefined;
  // A guest page of 4 MiB has two shadows of 2 MiB, told apart by their quadrant.
  const half = role.guestLevels === 2 ? role.quadrant * 512 : 0;
  return gfn(page.gfn + half + (word % 512));
}
