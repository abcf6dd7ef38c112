/** INV-3 and INV-8: tables of the guest that are write-protected, and those that it may write unseen. */
import { pageOfEntry, parentsOf, today } from '../../kvm-shadow/page.ts';
import { spaceOfRole } from '../../kvm-shadow/role.ts';
import { isMmuWritable } from '../../kvm-shadow/spte.ts';
import { isVisible, slotAt, slotsAt, trackKey } from '../../kvm-shadow/vm.ts';
import type { World } from '../../machine/world.ts';
import type { Falsity } from '../falsity.ts';
import type { Overview, Page } from './overview.ts';

/** In the slot of any address space: a table is closed to all who could write it. */
const isTracked = (world: World, gfn: number): boolean =>
  slotsAt(world, gfn).some(({ id }) => (world.get('writeTrack', trackKey(id, gfn)) ?? 0) > 0);

/**
 * INV-3: no entry may get its write right back while it maps a table that is in step, or one above level 1; and one
 * above level 1 is on record as such, so that nothing lets it be written later.
 */
export function checkProtection({ world, pages, leaves }: Overview): readonly Falsity[] {
  const tables = pages.filter(({ shadows, obsolete }) => shadows && !obsolete);
  const closed = new Set<number>(tables.filter(({ unsync }) => !unsync).map(({ page }) => page.gfn));
  for (const { page } of tables) if (isTracked(world, page.gfn)) closed.add(page.gfn);
  const open = leaves
    .filter(({ entry }) => isMmuWritable(entry))
    .filter(({ gfn, frames }) => (frames === 1 ? closed.has(gfn) : anyWithin(closed, gfn, frames)))
    .map(({ word, gfn }) => ({
      rule: 'INV-3',
      subject: word,
      decidedBy: [word],
      places: tables
        .filter(({ page }) => page.gfn === gfn)
        .map(({ page }) => ({ table: 'sp', key: page.serial }) as const),
    }));
  const untracked = tables
    .filter(
      ({ level, page }) =>
        level > 1 &&
        isVisible(slotAt(world, page.gfn, spaceOfRole(page.role))) &&
        !isTracked(world, page.gfn),
    )
    .map((of) => aboutPage('INV-3', of));
  return [...open, ...untracked];
}

const anyWithin = (gfns: ReadonlySet<number>, first: number, count: number): boolean =>
  [...gfns].some((gfn) => gfn >= first && gfn < first + count);

const aboutPage = (rule: string, { page }: Page): Falsity => ({
  rule,
  subject: `sp:${String(page.serial)}`,
  decidedBy: [],
  places: [{ table: 'sp', key: page.serial }],
});

/**
 * INV-8: only a page of level 1 with a guest's table behind it is ever out of step, and none whose table is also an upper
 * one; every way down to it is marked; and each page has counted its marks.
 */
export function checkUnsync({ world, pages }: Overview): readonly Falsity[] {
  const counts = new Map<number, number>();
  for (const word of world.tables.unsyncBit.keys()) {
    const { serial } = pageOfEntry(world, word);
    counts.set(serial, (counts.get(serial) ?? 0) + 1);
  }
  const miscounted = pages.filter(
    ({ page }) => today(page).unsyncChildren !== (counts.get(page.serial) ?? 0),
  );
  const outOfStep = pages.filter(({ unsync, obsolete }) => unsync && !obsolete);
  const misplaced = outOfStep.filter(
    ({ level, shadows, page }) => level > 1 || !shadows || isTracked(world, page.gfn),
  );
  return [
    ...[...miscounted, ...misplaced].map((of) => aboutPage('INV-8', of)),
    ...unmarked(world, outOfStep).map((word) => ({
      rule: 'INV-8',
      subject: word,
      decidedBy: [word],
      places: [{ table: 'unsyncBit', key: word } as const],
    })),
  ];
}

/** Entries above pages that are out of step whose bit is not set. */
function unmarked(world: World, outOfStep: readonly Page[]): readonly number[] {
  const missing: number[] = [];
  const seen = new Set<number>();
  const waiting = outOfStep.map(({ page }) => page);
  for (let page = waiting.pop(); page !== undefined; page = waiting.pop()) {
    if (seen.has(page.serial)) continue;
    seen.add(page.serial);
    for (const word of parentsOf(world, page)) {
      if (world.get('unsyncBit', word) !== 1) missing.push(word);
      waiting.push(pageOfEntry(world, word));
    }
  }
  return missing;
}
