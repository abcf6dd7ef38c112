/**
 * The life of a shadow page: found or made, given up, freed. Source: the reference, D.5, D.8, D.11.
 */
import type { Machine } from '../machine/machine.ts';
import type { ShadowPage } from '../machine/tables.ts';
import { FIRST_SHADOW_PFN } from '../machine/world.ts';
import { gfn, pfn, type Pfn } from '../quantities.ts';
import { isLink, protectFrame, unlinkPage, unlinkParents, zapEntry } from './entries.ts';
import { flushRemote, requestAll } from './flush.ts';
import {
  bucketOf,
  bucketPages,
  indexOfEntry,
  isObsolete,
  pageOfEntry,
  pageFacts,
  pageOfFrame,
  pageOfSerial,
  patchPage,
  patchToday,
  today,
} from './page.ts';
import { childRole, hasGptes, isDirect, isInvalid, levelOfRole, spaceOfRole, withRole } from './role.ts';
import { frameOf, isLarge, isPresent } from './spte.ts';
import { syncPage } from './sync.ts';
import { clearParents, unsyncBelow } from './unsync.ts';
import { forbidLarge, patchVm, slotAt, trackKey, vmOf, type SlotAt } from './vm.ts';

/** Pages that are given up and not freed yet. */
export type Doomed = number[];

/** `kvm_mmu_get_shadow_page`: the page of a guest frame and a role, found in the hash or made. */
export function getShadowPage(m: Machine, of: { gfn: number; role: number }): ShadowPage {
  return m.call('kvm_mmu_get_shadow_page', { gfn: of.gfn, level: levelOfRole(of.role) }, () => {
    const found = findPage(m, of);
    const page = found ?? makePage(m, of);
    m.step('sp-get', { ...pageFacts(page), created: found === undefined });
    return pageOfSerial(m, page.serial);
  });
}

function findPage(m: Machine, of: { gfn: number; role: number }): ShadowPage | undefined {
  const doomed: Doomed = [];
  const page = searchBucket(m, of, doomed);
  m.step('sp-lookup', { gfn: of.gfn, role: of.role, found: page?.serial ?? 0 });
  if (page === undefined) m.count('mmu_cache_miss');
  commitZap(m, doomed);
  return page;
}

function searchBucket(m: Machine, of: { gfn: number; role: number }, doomed: Doomed): ShadowPage | undefined {
  for (const { serial } of bucketPages(m, of.gfn)) {
    const page = pageOfSerial(m, serial);
    if (isObsolete(m, page) || page.gfn !== of.gfn) continue;
    if (page.role !== of.role) {
      // The guest makes an upper table of what it used as a last one: nothing of it may stay out of step.
      if (levelOfRole(of.role) > 1 && today(page).unsync) prepareZap(m, serial, doomed);
      continue;
    }
    if (isDirect(of.role)) return page;
    if (today(page).unsync) {
      const synced = syncPage(m, serial);
      if (synced === 'failed') {
        prepareZap(m, serial, doomed);
        return undefined;
      }
      if (synced === 'flush') flushRemote(m, 'a page in use again was out of step');
    }
    clearFlood(m, serial);
    return pageOfSerial(m, serial);
  }
  return undefined;
}

/** `__clear_sp_write_flooding_count`. */
export function clearFlood(m: Machine, serial: number): void {
  if (today(pageOfSerial(m, serial)).floodCount === 0) return;
  m.step('flood-zero', { serial });
  patchToday(m, serial, { floodCount: 0 });
}

/** `kvm_mmu_alloc_shadow_page`. */
function makePage(m: Machine, of: { gfn: number; role: number }): ShadowPage {
  const serial = (m.get('serial', 'sp') ?? 0) + 1;
  m.step('sp-alloc', { serial, gfn: of.gfn, role: of.role });
  m.set('serial', 'sp', serial);
  const frame = takeFrame(m);
  const page: ShadowPage = Object.freeze({
    serial,
    pfn: frame,
    gfn: gfn(of.gfn),
    role: of.role,
    parents: Object.freeze({ kind: 'none' }),
    rootCount: 0,
    age: serial,
    slots: 0,
    today: Object.freeze({
      unsync: false,
      unsyncChildren: 0,
      validGen: vmOf(m).validGen,
      floodCount: 0,
      nxDisallowed: false,
      listed: true,
    }),
  });
  m.set('sp', serial, page);
  m.set('owner', frame, serial);
  const bucket = bucketOf(of.gfn);
  m.set('hash', bucket, Object.freeze([serial, ...(m.get('hash', bucket) ?? [])]));
  patchVm(m, { usedPages: vmOf(m).usedPages + 1 });
  if (hasGptes(of.role)) accountShadowed(m, page);
  return page;
}

function takeFrame(m: Machine): Pfn {
  const frames = m.get('frames', 'shadow') ?? {
    fresh: FIRST_SHADOW_PFN,
    free: [],
    pagesLeft: 0,
    buckets: 4096,
  };
  const [reused, ...rest] = frames.free;
  if (reused !== undefined) {
    m.set('frames', 'shadow', Object.freeze({ ...frames, free: Object.freeze(rest) }));
    return reused;
  }
  m.set('frames', 'shadow', Object.freeze({ ...frames, fresh: pfn(frames.fresh + 1) }));
  return frames.fresh;
}

/** `account_shadowed`: tables above level 1 are write-tracked; of those of level 1 existing entries are protected. */
function accountShadowed(m: Machine, page: ShadowPage): void {
  patchVm(m, { indirectPages: vmOf(m).indirectPages + 1 });
  const at = slotOfTable(m, page);
  if (at === undefined) return;
  if (levelOfRole(page.role) > 1) trackFrame(m, page, 1);
  else {
    m.step('large-forbid', { gfn: page.gfn, by: 1 });
    forbidLarge(m, at, { frame: page.gfn, by: 1 });
  }
  if (protectFrame(m, page.gfn)) flushRemote(m, 'a guest table is write-protected');
}

/** `kvm_memslots_for_spte_role`: the slot of the guest's table, in the page's own address space. */
const slotOfTable = (m: Machine, { gfn, role }: ShadowPage): SlotAt | undefined =>
  slotAt(m.world, gfn, spaceOfRole(role));

/** `kvm_write_track_add_gfn` and `_remove_gfn`. */
function trackFrame(m: Machine, page: ShadowPage, by: 1 | -1): void {
  const at = slotOfTable(m, page);
  if (at === undefined) return;
  const frame = page.gfn;
  const key = trackKey(at.id, frame);
  const count = (m.get('writeTrack', key) ?? 0) + by;
  m.step('track-gfn', { gfn: frame, count });
  m.set('writeTrack', key, count || undefined);
  forbidLarge(m, at, { frame, by });
}

function unaccountShadowed(m: Machine, page: ShadowPage): void {
  if (levelOfRole(page.role) > 1) trackFrame(m, page, -1);
  else {
    m.step('large-forbid', { gfn: page.gfn, by: -1 });
    const at = slotOfTable(m, page);
    if (at !== undefined) forbidLarge(m, at, { frame: page.gfn, by: -1 });
  }
  patchVm(m, { indirectPages: vmOf(m).indirectPages - 1 });
}

/** `kvm_mmu_get_child_sp`: the page that an entry should link to; undefined where it links to one already. */
export function getChild(
  m: Machine,
  word: number,
  of: { gfn: number; direct: boolean; access: number },
): ShadowPage | undefined {
  if (isLink(m.word(word))) return undefined;
  const parent = pageOfEntry(m.world, word);
  return getShadowPage(m, {
    gfn: of.gfn,
    role: childRole(parent.role, { index: indexOfEntry(word), direct: of.direct, access: of.access }),
  });
}

/**
 * `__kvm_mmu_prepare_zap_page`: everything in and around a page goes; the page itself waits in `doomed`, or lives on as
 * an invalid root. Gives how many pages were given up.
 */
export function prepareZap(m: Machine, serial: number, doomed: Doomed): number {
  return m.call('kvm_mmu_prepare_zap_page', { serial }, () => {
    m.step('sp-zap', pageFacts(pageOfSerial(m, serial)));
    m.count('mmu_shadow_zapped');
    let zapped = zapUnsyncChildren(m, serial, doomed);
    zapEntries(m, serial);
    unlinkParents(m, serial);
    const page = pageOfSerial(m, serial);
    if (!isInvalid(page.role) && hasGptes(page.role)) unaccountShadowed(m, page);
    if (today(page).unsync) leaveUnsync(m, serial);
    if (page.rootCount === 0) zapped += 1;
    doom(m, serial, doomed);
    return zapped;
  });
}

/** The page is invalid from now on; what nobody runs on can be freed. */
function doom(m: Machine, serial: number, doomed: Doomed): void {
  const page = pageOfSerial(m, serial);
  const root = page.rootCount > 0;
  const current = !isObsolete(m, page);
  m.step('sp-doom', { serial, root });
  patchToday(m, serial, { listed: false });
  patchPage(m, serial, { role: withRole(page.role, { invalid: 1 }) });
  if (!root) {
    doomed.push(serial);
    patchVm(m, { usedPages: vmOf(m).usedPages - 1 });
  } else if (current) requestAll(m, 'MMU_FREE_OBSOLETE_ROOTS');
}

/** `kvm_unlink_unsync_page`. */
export function leaveUnsync(m: Machine, serial: number): void {
  m.step('sync-page', pageFacts(pageOfSerial(m, serial)));
  patchToday(m, serial, { unsync: false });
  m.count('mmu_unsync', -1);
}

function zapUnsyncChildren(m: Machine, serial: number, doomed: Doomed): number {
  if (levelOfRole(pageOfSerial(m, serial).role) === 1) return 0;
  let zapped = 0;
  for (let found = unsyncBelow(m, serial); found.length > 0; found = unsyncBelow(m, serial)) {
    for (const child of found) {
      prepareZap(m, child.serial, doomed);
      clearParents(m, child);
      zapped += 1;
    }
  }
  return zapped;
}

/** `kvm_mmu_page_unlink_children`. */
function zapEntries(m: Machine, serial: number): void {
  const page = pageOfSerial(m, serial);
  for (const word of m.world.wordsOfShadowFrame(page.pfn)) zapEntry(m, page, word);
}

/** `kvm_mmu_commit_zap_page`: all vCPUs are told, then the pages are freed. */
export function commitZap(m: Machine, doomed: Doomed): void {
  if (doomed.length === 0) return;
  m.call('kvm_mmu_commit_zap_page', { count: doomed.length }, () => {
    flushRemote(m, 'pages are freed');
    for (const serial of doomed) freePage(m, serial);
  });
  doomed.length = 0;
}

function freePage(m: Machine, serial: number): void {
  const page = pageOfSerial(m, serial);
  m.point('free', page.pfn);
  m.step('sp-free', { serial, pfn: page.pfn });
  const bucket = bucketOf(page.gfn);
  const left = (m.get('hash', bucket) ?? []).filter((other) => other !== serial);
  m.set('hash', bucket, left.length === 0 ? undefined : Object.freeze(left));
  for (const word of m.world.wordsOfShadowFrame(page.pfn)) m.set('word', word, undefined);
  m.set('owner', page.pfn, undefined);
  m.set('sp', serial, undefined);
  const frames = m.must('frames', 'shadow');
  const free = Object.freeze([...frames.free, page.pfn].sort((a, b) => a - b));
  m.set('frames', 'shadow', Object.freeze({ ...frames, free }));
}

/** `kvm_mmu_remote_flush_or_zap`. */
export function flushOrZap(m: Machine, doomed: Doomed, flush: boolean, why: string): void {
  if (doomed.length > 0) commitZap(m, doomed);
  else if (flush) flushRemote(m, why);
}

/** Pages on the active list, newest first. */
export const activePages = (m: Machine): readonly ShadowPage[] =>
  [...m.world.tables.sp.values()].filter((page) => today(page).listed).sort((a, b) => b.age - a.age);

/** `validate_direct_spte`: a direct page with other rights than the guest's leaf has now is let go. */
export function validateDirect(m: Machine, word: number, access: number): void {
  const entry = m.word(word);
  if (!isPresent(entry) || isLarge(entry)) return;
  const child = pageOfFrame(m.world, frameOf(entry));
  if (child === undefined || ((child.role >> 8) & 7) === access) return;
  unlinkPage(m, word, child);
  flushRemote(m, 'the rights of a large page have changed');
}
