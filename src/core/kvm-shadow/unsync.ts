/**
 * Pages that are out of step with the guest's table, as a TLB may be: marking them, and the bitmaps that lead to them.
 * Source: the reference, D.7.
 */
import type { Machine } from '../machine/machine.ts';
import type { ShadowPage } from '../machine/tables.ts';
import {
  ENTRIES,
  entryWord,
  indexOfEntry,
  pageFacts,
  pageOfEntry,
  pageOfFrame,
  pageOfSerial,
  pagesOfTable,
  parentsOf,
  patchToday,
  today,
} from './page.ts';
import { frameOf, isLarge, isPresent } from './spte.ts';
import { isTracked } from './vm.ts';

/** `mark_unsync`: the bit of an entry's page, and upwards where it was the first. */
export function markUnsync(m: Machine, word: number): void {
  if (m.get('unsyncBit', word) === 1) return;
  const page = pageOfEntry(m.world, word);
  const children = today(page).unsyncChildren + 1;
  m.step('unsync-mark', { serial: page.serial, index: indexOfEntry(word), children });
  m.set('unsyncBit', word, 1);
  patchToday(m, page.serial, { unsyncChildren: children });
  if (children === 1) markParents(m, page);
}

/** `kvm_mmu_mark_parents_unsync`. */
function markParents(m: Machine, page: ShadowPage): void {
  for (const word of parentsOf(m.world, page)) markUnsync(m, word);
}

/** `clear_unsync_child_bit`. */
export function clearUnsyncBit(m: Machine, serial: number, index: number): void {
  const page = pageOfSerial(m, serial);
  const children = today(page).unsyncChildren - 1;
  m.step('unsync-clear', { serial, index, children });
  m.set('unsyncBit', entryWord(page, index), undefined);
  patchToday(m, serial, { unsyncChildren: children });
}

/**
 * `mmu_try_to_unsync_pages`: before an entry may let a frame be written, the shadow pages of that frame as a guest table
 * go out of step; gives false where they must not, and the entry has to stay read-only.
 */
export function tryToUnsync(
  m: Machine,
  gfn: number,
  how: { canUnsync: boolean; prefetch: boolean },
): boolean {
  if (isTracked(m, gfn)) {
    m.call('mmu_try_to_unsync_pages', { gfn }, () => {
      m.step('unsync-refuse', { gfn, why: 'tracked' });
    });
    return false;
  }
  const pages = pagesOfTable(m, gfn);
  if (pages.length === 0) return true;
  return m.call('mmu_try_to_unsync_pages', { gfn }, () => {
    for (const page of pages) {
      const why = refusal(page, how);
      if (why === 'already') continue;
      if (why !== undefined) {
        m.step('unsync-refuse', { gfn, why });
        return false;
      }
      m.step('unsync-page', pageFacts(page));
      m.count('mmu_unsync');
      patchToday(m, page.serial, { unsync: true });
      markParents(m, page);
    }
    return true;
  });
}

function refusal(
  page: ShadowPage,
  how: { canUnsync: boolean; prefetch: boolean },
): 'syncing' | 'already' | 'prefetch' | undefined {
  if (!how.canUnsync) return 'syncing';
  if (today(page).unsync) return 'already';
  return how.prefetch ? 'prefetch' : undefined;
}

/** A page that is unsync, and the entries that lead to it from the page that the search began at, nearest first. */
export interface UnsyncFound {
  readonly serial: number;
  readonly path: readonly { readonly serial: number; readonly index: number }[];
}

/** Most pages of one batch: `KVM_PAGE_ARRAY_NR`. */
const BATCH = 16;

/** `mmu_unsync_walk`: the unsync pages below a page, each once, in batches. Bits that lead nowhere are cleared. */
export function unsyncBelow(m: Machine, serial: number): readonly UnsyncFound[] {
  const found: UnsyncFound[] = [];
  if (today(pageOfSerial(m, serial)).unsyncChildren > 0) search(m, { serial, path: [] }, found);
  return found;
}

/** Gives whether anything below is out of step. */
function search(m: Machine, from: UnsyncFound, found: UnsyncFound[]): boolean {
  const page = pageOfSerial(m, from.serial);
  let any = false;
  for (let index = 0; index < ENTRIES && found.length < BATCH; index += 1) {
    const word = entryWord(page, index);
    if (m.get('unsyncBit', word) !== 1) continue;
    const path = [{ serial: from.serial, index }, ...from.path];
    if (leadsToUnsync(m, { entry: m.word(word), path }, found)) any = true;
    else clearUnsyncBit(m, from.serial, index);
  }
  return any;
}

function leadsToUnsync(
  m: Machine,
  of: { entry: bigint; path: UnsyncFound['path'] },
  found: UnsyncFound[],
): boolean {
  const { entry, path } = of;
  const child = isPresent(entry) && !isLarge(entry) ? pageOfFrame(m.world, frameOf(entry)) : undefined;
  if (child === undefined) return false;
  if (today(child).unsyncChildren > 0) return search(m, { serial: child.serial, path }, found);
  if (!today(child).unsync) return false;
  if (!found.some(({ serial }) => serial === child.serial)) found.push({ serial: child.serial, path });
  return true;
}

/** `mmu_pages_clear_parents`: the way to a page that is in step again, up to where another one still hangs. */
export function clearParents(m: Machine, { path }: UnsyncFound): void {
  for (const { serial, index } of path) {
    if (m.get('unsyncBit', entryWord(pageOfSerial(m, serial), index)) === 1) clearUnsyncBit(m, serial, index);
    if (today(pageOfSerial(m, serial)).unsyncChildren > 0) return;
  }
}
