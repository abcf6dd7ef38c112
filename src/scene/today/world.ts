/** What the views of a KVM of today look up in a world: pages of frames, frames behind guest memory, lists of entries. */
import { must } from '../../core/assert.ts';
import { guestFrameOf, hostFrameOf, FIRST_GUEST_PFN, FIRST_SHADOW_PFN } from '../../core/machine/world.ts';
import type { World } from '../../core/machine/world.ts';
import type { TodaysPage } from '../../core/machine/tables-today.ts';
import type { RmapHead, ShadowPage } from '../../core/machine/tables.ts';
import { indexOfEntry, pageOfFrame } from '../../core/kvm-shadow/page.ts';
import { ptesIn } from '../../core/kvm-shadow/pte-list.ts';
import { isDirect, isInvalid, levelOfRole, roleField } from '../../core/kvm-shadow/role.ts';
import { framesOf, RMAP_LEVELS, rmapKey, slotAt, slotsAt, trackKey } from '../../core/kvm-shadow/vm.ts';
import { frameOfWord, gfn as toGfn, type Gfn, type Pfn } from '../../core/quantities.ts';

export const pageAt = (world: World, word: number): ShadowPage | undefined =>
  pageOfFrame(world, frameOfWord(word));

export const todayOf = (page: ShadowPage): TodaysPage => must(page.today, 'a page of today');

/** The host frame behind a guest frame now: what the process has there, or what it had at first. */
export function frameBehind(world: World, gfn: Gfn): Pfn {
  const at = slotAt(world, gfn, 0);
  if (at === undefined) return hostFrameOf(gfn);
  const hva = (at.slot.hva ?? 0) + (gfn - at.slot.firstGfn);
  return world.get('hostPage', hva)?.pfn ?? hostFrameOf(gfn);
}

const isBacked = (pfn: number): boolean => pfn >= FIRST_GUEST_PFN && pfn < FIRST_SHADOW_PFN;

/** The guest frame that a host frame backs now; several may share the frame of zeros, then none is named. */
export function gfnBackedBy(world: World, pfn: Pfn): Gfn | undefined {
  if (!isBacked(pfn)) return undefined;
  const first = guestFrameOf(pfn);
  if (frameBehind(world, first) === pfn && slotAt(world, first, 0) !== undefined) return first;
  for (const { slot } of slotsOf(world))
    for (let at = 0; at < slot.frames; at += 1)
      if (world.get('hostPage', (slot.hva ?? 0) + at)?.pfn === pfn) return toGfn(slot.firstGfn + at);
  return undefined;
}

/** Those that the guest usually has: what System Management Mode alone sees has no box of its own. */
const slotsOf = (world: World) =>
  [...world.tables.slot.values()].filter(({ smm }) => smm !== true).map((slot) => ({ slot }));

/** The guest frame that a leaf maps. */
export function gfnOfLeaf(world: World, word: number): Gfn | undefined {
  const page = pageAt(world, word);
  if (page === undefined) return undefined;
  if (isDirect(page.role)) return toGfn(page.gfn + indexOfEntry(word) * framesOf(levelOfRole(page.role)));
  const known = world.get('shadowed', word);
  return known === undefined ? undefined : toGfn(Number(known >> 12n));
}

export const listedIn = (world: World, key: string): readonly number[] =>
  ptesIn(world, 'rnode', world.get('slotRmap', key));

/** Every shadow entry that maps a guest frame, at any level and in any address space. */
export const entriesOf = (world: World, gfn: number): readonly number[] =>
  slotsAt(world, gfn).flatMap(({ id }) =>
    RMAP_LEVELS.flatMap((level) => listedIn(world, rmapKey(id, level, gfn))),
  );

/** How many shadow pages above the last level write-track a guest frame. */
export function trackedBy(world: World, gfn: number): number {
  return slotsAt(world, gfn).reduce(
    (sum, { id }) => sum + (world.get('writeTrack', trackKey(id, gfn)) ?? 0),
    0,
  );
}

/** Pointers in each descriptor of a list, from the head on; none for a plain pointer. */
export function fillOf(
  world: World,
  table: 'rnode' | 'pnode',
  head: RmapHead | undefined,
): readonly number[] {
  const fill: number[] = [];
  for (let at = head?.kind === 'chain' ? head.head : undefined; at !== undefined;) {
    const node = world.get(table, at);
    fill.push(node?.words.length ?? 0);
    at = node?.next;
  }
  return fill;
}

/** Given up by a fast zap of everything: made when `mmu_valid_gen` was another. */
export const isOfOldGeneration = (world: World, page: ShadowPage): boolean =>
  todayOf(page).validGen !== world.get('vm', 'kvm')?.validGen;

/** A page that no walk may begin at or find any more. */
export const isGone = (world: World, page: ShadowPage): boolean =>
  isInvalid(page.role) || isOfOldGeneration(world, page);

/** How many shadow pages stand for one guest table, each for a part of it. */
export function partsOf(role: number): number {
  if (isDirect(role) || roleField(role, 'has_4_byte_gpte') === 0) return 1;
  return levelOfRole(role) === 1 ? 2 : 4;
}

/** Index, in the guest's own table, of the entry that a shadow entry stands for: of 1024 entries a page serves a part. */
export function guestIndexOf(role: number, index: number): number {
  if (partsOf(role) === 1) return index;
  const quadrant = roleField(role, 'quadrant');
  return levelOfRole(role) === 1 ? quadrant * 512 + index : quadrant * 256 + Math.floor(index / 2);
}
