/**
 * Shadow pages of 2007: finding or making one, the links from parent entries, and giving one up.
 */
import { gfn, pfn, pfnOfEntry, spte, type Gfn } from '../quantities.ts';
import { assert } from '../assert.ts';
import type { Machine } from '../machine/machine.ts';
import type { FrameAllocator, Parents, ShadowPage } from '../machine/tables.ts';
import { FIRST_SHADOW_PFN, type World } from '../machine/world.ts';
import { hasBug } from './era-2007.ts';
import { gfnOfPfn } from './memslots.ts';
import { addPointer, firstPointer, PARENT_LIST, removePointer } from './pointer-list.ts';
import { rmapRemove, rmapWriteProtect } from './rmap.ts';
import { levelOfRole, roleOf, roleWord, type Role } from './role-2007.ts';
import { isPresent, isTracked } from './spte-2007.ts';
import {
  changedBy,
  flushBelow,
  flushesByLinks,
  flushesFirst,
  flushEverybody,
  oweFlush,
  type Changed,
} from './flush-2007.ts';
import { headOf, parentWords, shadowPageAt } from './shadow-links.ts';

export { parentWords, shadowPageAt };

/** `KVM_MIN_FREE` and `KVM_REFILL_PAGES`. */
const MIN_FREE = 5;
const REFILL = 25;
/** Buckets of the largest hash. Eras with fewer spread frames otherwise; only the order in a bucket could tell. */
const bucketsOf = (world: World): number => world.get('frames', 'shadow')?.buckets ?? 1;

/** The bucket of the hash in which the shadow pages of a guest frame are. */
export const bucketOf = (world: World, gfn: Gfn): number => gfn % bucketsOf(world);

/** Shadow pages that shadow the guest table in frame `gfn`, in the order of the hash bucket. */
export function shadowPagesOf(world: World, gfn: Gfn): readonly ShadowPage[] {
  return (world.get('hash', bucketOf(world, gfn)) ?? [])
    .map((serial) => world.get('sp', serial))
    .filter((page): page is ShadowPage => page?.gfn === gfn && !roleOf(page.role).metaphysical);
}

export const isShadowed = (m: Machine, gfn: Gfn): boolean => shadowPagesOf(m.world, gfn).length > 0;

/** Gives up every shadow of a guest table: its frame is an ordinary page from now on. */
export function unshadow(m: Machine, gfn: Gfn): void {
  const pages = shadowPagesOf(m.world, gfn);
  m.step('shadowed-check', { gfn, pages: pages.length });
  for (const page of pages) if (m.get('sp', page.serial) !== undefined) zapPage(m, page.serial);
}

/**
 * Whether a shadow page stands for the small pieces of a large page. The mark in the entry above does not say it: that is
 * set where a piece is built, and pieces that two large pages share are built for one of them.
 */
export const isSplit = (page: ShadowPage): boolean =>
  roleOf(page.role).metaphysical && levelOfRole(page.role) === 1;

export interface PageRequest {
  readonly gfn: Gfn;
  readonly role: Role;
  /** The entry that will link to the page; a root has none. */
  readonly parent?: number;
  /** What `rmap_write_protect` is told. */
  readonly flushTlb: boolean;
}

/** `kvm_mmu_get_page`. */
export function getPage(m: Machine, request: PageRequest): ShadowPage {
  const { gfn } = request;
  const role = roleWord(request.role);
  return m.call('kvm_mmu_get_page', { gfn, level: request.role.level }, () => {
    const found = (m.get('hash', bucketOf(m.world, gfn)) ?? [])
      .map((serial) => m.must('sp', serial))
      .find((page) => page.gfn === gfn && page.role === role);
    m.step('hash-lookup', { gfn, role, found: found?.serial ?? 0 });
    m.reads('hash', bucketOf(m.world, gfn));
    const page = found ?? makePage(m, { gfn, role });
    if (request.parent !== undefined) addParent(m, page.serial, request.parent);
    if (found === undefined && !request.role.metaphysical)
      rmapWriteProtect(m, { gfn, flushTlb: request.flushTlb });
    return m.must('sp', page.serial);
  });
}

function makePage(m: Machine, key: { gfn: Gfn; role: number }): ShadowPage {
  const frames = m.must('frames', 'shadow');
  assert(frames.pagesLeft > 0, 'the pool is refilled before a fault');
  const reused = frames.free[0];
  const frame = reused ?? frames.fresh;
  m.step('shadow-alloc', { serial: (m.get('serial', 'sp') ?? 0) + 1, pfn: frame });
  const serial = m.serial('sp');
  m.set(
    'frames',
    'shadow',
    Object.freeze({
      ...frames,
      fresh: reused === undefined ? pfn(frames.fresh + 1) : frames.fresh,
      free: reused === undefined ? frames.free : Object.freeze(frames.free.slice(1)),
      pagesLeft: frames.pagesLeft - 1,
    }),
  );
  const page: ShadowPage = Object.freeze({
    serial,
    pfn: frame,
    ...key,
    parents: NO_PARENTS,
    rootCount: 0,
    slots: 0,
    age: m.serial('age'),
  });
  m.step('shadow-hash', { serial, gfn: key.gfn, role: key.role });
  m.set('sp', serial, page);
  m.set('owner', frame, serial);
  m.set(
    'hash',
    bucketOf(m.world, key.gfn),
    Object.freeze([serial, ...(m.get('hash', bucketOf(m.world, key.gfn)) ?? [])]),
  );
  return page;
}

const NO_PARENTS: Parents = Object.freeze({ kind: 'none' });
function addParent(m: Machine, serial: number, word: number): void {
  const page = m.must('sp', serial);
  m.step('parent-add', { serial, count: parentWords(m.world, page).length + 1 });
  m.set(
    'sp',
    serial,
    Object.freeze({ ...page, parents: addPointer(m, PARENT_LIST, headOf(page.parents), word) }),
  );
}

export function removeParent(m: Machine, serial: number, word: number): void {
  const page = m.must('sp', serial);
  const head = headOf(page.parents);
  assert(head !== undefined, 'a linked page knows its parent');
  m.step('parent-remove', { serial, count: parentWords(m.world, page).length - 1 });
  m.set(
    'sp',
    serial,
    Object.freeze({ ...page, parents: removePointer(m, PARENT_LIST, head, word) ?? NO_PARENTS }),
  );
}

/** `kvm_mmu_zap_page`. Gives whether the page was freed (a root in use is only emptied). */
export function zapPage(m: Machine, serial: number): boolean {
  return m.call('kvm_mmu_zap_page', { serial }, () => {
    const changed = takenAway(m, serial);
    if (changed !== undefined && flushesFirst(m)) flushBeforeFree(m, changed);
    flushBelow(m, linksOf(m, serial));
    unlinkParents(m, serial);
    unlinkChildren(m, serial);
    if (changed !== undefined && !flushesFirst(m)) flushBeforeFree(m, changed);
    return releasePage(m, serial);
  });
}

function unlinkParents(m: Machine, serial: number): void {
  for (;;) {
    const page = m.must('sp', serial);
    const word = firstPointer(m.world, PARENT_LIST, headOf(page.parents));
    if (word === undefined) return;
    removeParent(m, serial, word);
    m.step('spte-clear', { level: levelOfRole(page.role) + 1, why: 'parent' }, [word]);
    m.set('word', word, 0n);
  }
}

/**
 * What the TLBs may still give of a page that is zapped, and has to be flushed; undefined where nothing is. Leaves leave the
 * reverse map. Children of split large pages lose what the guest will invalidate by one address of many: see C-B6.
 */
function takenAway(m: Machine, serial: number): Changed | undefined {
  const page = m.must('sp', serial);
  const present = presentIn(m, page);
  if (levelOfRole(page.role) === 1)
    return changedBy(
      m,
      present.filter((word) => isTracked(spte(m.word(word))) || flushesByLinks(m)),
    );
  const split = present.filter((word) => {
    const child = shadowPageAt(m.world, pfnOfEntry(spte(m.word(word))));
    return child !== undefined && isSplit(child);
  });
  return split.length === 0 || hasBug(m, 'C-B6') ? undefined : changedBy(m, split);
}

const presentIn = (m: Machine, { pfn }: ShadowPage): readonly number[] =>
  m.world.wordsOfShadowFrame(pfn).filter((word) => isPresent(spte(m.word(word))));

function linksOf(m: Machine, serial: number): readonly number[] {
  const page = m.must('sp', serial);
  return levelOfRole(page.role) === 1 ? [] : presentIn(m, page);
}

function flushBeforeFree(m: Machine, changed: Changed): void {
  m.preempt('kvm_mmu_zap_page/before-flush');
  flushEverybody(m, 'zap', { ...changed, beforeFree: true });
}

function unlinkChildren(m: Machine, serial: number): void {
  const page = m.must('sp', serial);
  const level = levelOfRole(page.role);
  for (const word of m.world.wordsOfShadowFrame(page.pfn)) {
    const entry = spte(m.word(word));
    let lost = false;
    if (isPresent(entry) && level === 1) {
      lost = isTracked(entry);
      rmapRemove(m, { gfn: gfnOfPfn(pfnOfEntry(entry)) ?? gfn(0), word });
    } else if (isPresent(entry)) {
      const child = shadowPageAt(m.world, pfnOfEntry(entry));
      lost = child !== undefined && isSplit(child);
      if (child !== undefined) removeParent(m, child.serial, word);
    }
    m.step('spte-clear', { level, why: 'zap' }, [word]);
    m.set('word', word, 0n);
    if (!lost) continue;
    const bug = level > 1 && hasBug(m, 'C-B6') ? { bug: 'C-B6' } : {};
    oweFlush(m, { words: [word], ...bug });
  }
}

function releasePage(m: Machine, serial: number): boolean {
  const page = m.must('sp', serial);
  if (page.rootCount > 0) {
    m.step('shadow-keep', { serial, rootCount: page.rootCount });
    m.count('pages_zapped');
    m.set('sp', serial, Object.freeze({ ...page, age: m.serial('age') }));
    return false;
  }
  m.preempt('kvm_mmu_zap_page/before-free');
  m.step('shadow-unhash', { serial, gfn: page.gfn });
  m.count('pages_zapped');
  const rest = (m.get('hash', bucketOf(m.world, page.gfn)) ?? []).filter((other) => other !== serial);
  m.set('hash', bucketOf(m.world, page.gfn), rest.length === 0 ? undefined : Object.freeze(rest));
  m.point('free', page.pfn);
  m.step('shadow-free', { serial, pfn: page.pfn });
  m.set('sp', serial, undefined);
  m.set('owner', page.pfn, undefined);
  const frames = m.must('frames', 'shadow');
  const free = [...frames.free, page.pfn].sort((a, b) => a - b);
  m.set(
    'frames',
    'shadow',
    Object.freeze({ ...frames, free: Object.freeze(free), pagesLeft: frames.pagesLeft + 1 }),
  );
  return true;
}

/** `kvm_mmu_free_some_pages`: before a fault or a CR3 load, when the pool is nearly empty. */
export function freeSomePages(m: Machine): void {
  const left = m.must('frames', 'shadow').pagesLeft;
  if (left >= MIN_FREE) return;
  m.call('kvm_mmu_free_some_pages', { left }, () => {
    m.step('pool-check', { left });
    for (
      let tries = 0;
      tries < m.must('frames', 'shadow').buckets && m.must('frames', 'shadow').pagesLeft < REFILL;
      tries += 1
    ) {
      const oldest = [...m.world.tables.sp.values()].reduce((a, b) => (a.age < b.age ? a : b));
      zapPage(m, oldest.serial);
    }
  });
}

/** The allocator of a new machine. Pool and hash have the same size in every era. */
export const emptyPool = (pages: number): FrameAllocator =>
  Object.freeze({
    fresh: FIRST_SHADOW_PFN,
    free: Object.freeze([]),
    pagesLeft: pages,
    buckets: pages,
  });
