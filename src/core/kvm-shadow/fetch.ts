/**
 * `fetch`: the shadow path for an address that the guest's tables map, top down, and its leaf; below a large page of the
 * guest, direct pages. Then the neighbours, ahead of their use. Source: the reference, D.4.
 */
import type { Machine } from '../machine/machine.ts';
import { hasBug } from './bugs.ts';
import { dropEntry, linkPage } from './entries.ts';
import { entryOfGuest, placeOfEntry, gpteAccess, gpteBytes, gpteGfn, protectClean } from './gpte.ts';
import type { GuestWalk } from './guest-walk.ts';
import { directPrefetch, hugepageAdjust, nxAdjust } from './direct-map.ts';
import type { Fault } from './fault.ts';
import { pageOf } from './host-memory.ts';
import {
  entryWord,
  ENTRIES,
  indexOfEntry,
  pageOfEntry,
  pageOfFrame,
  pageOfSerial,
  patchToday,
  today,
} from './page.ts';
import { ACC_WRITE, isDirect, levelOfRole, roleField } from './role.ts';
import { setSpte, type PfResult } from './set-spte.ts';
import { clearFlood, getChild, validateDirect } from './shadow-page.ts';
import { frameOf, isPresent } from './spte.ts';
import { prefetchInvalid } from './sync.ts';
import { syncChildren } from './sync-children.ts';
import { shadowStart } from './shadow-walk.ts';
import { baseOf, isVisible, ownSlotAt, vmOf } from './vm.ts';

/** Neighbours that are built together: `PTE_PREFETCH_NUM`. */
export const PREFETCH = 8;

export function fetchPath(m: Machine, walk: GuestWalk, fault: Fault): PfResult {
  return m.call('fetch', { gva: fault.gva }, () => {
    const top = walk.levels[0];
    if (top === undefined || hasChanged(m, walk, top.level)) return 'retry';
    const start = shadowStart(m, fault.gva);
    if (start === undefined) return 'retry';
    let { word, level } = start;
    for (; level > walk.level; level -= 1) {
      if (!linkGuestTable(m, { walk, fault, word, level })) return 'retry';
      word = below(m, word, fault.gva, level);
    }
    clearFlood(m, pageOfEntry(m.world, word).serial);
    hugepageAdjust(m, fault);
    m.step('map-requested', { gfn: fault.gfn, pfn: fault.backing?.pfn ?? 0, level: fault.goalLevel });
    for (; ; level -= 1) {
      nxAdjust(m, fault, { word, level });
      if (level === fault.goalLevel) break;
      linkDirect(m, { walk, fault, word, level });
      word = below(m, word, fault.gva, level);
    }
    return setAndPrefetch(m, { walk, fault, word, level });
  });
}

interface At {
  readonly walk: GuestWalk;
  readonly fault: Fault;
  readonly word: number;
  readonly level: number;
}

/** The entry of the next level on the way to an address. */
export function below(m: Machine, word: number, gva: bigint, level: number): number {
  const child = pageOfFrame(m.world, frameOf(m.word(word)));
  if (child === undefined) throw new Error('assertion failed: an entry links to a page');
  return entryWord(child, Number(gva >> BigInt(12 + 9 * (level - 2))) % ENTRIES);
}

/** A level above the guest's leaf: its table's page is found or made, brought into step, and linked. */
function linkGuestTable(m: Machine, { walk, fault, word, level }: At): boolean {
  clearFlood(m, pageOfEntry(m.world, word).serial);
  const next = walk.levels.find((at) => at.level === level - 1);
  if (next === undefined) return false;
  const wholeWay = walk.levels.at(-1)?.above ?? next.above;
  const access = hasBug(m, 'D-B5') ? wholeWay : next.above;
  const child = getChild(m, word, { gfn: next.tableGfn, direct: false, access });
  if (child !== undefined && today(child).unsyncChildren > 0 && !hasBug(m, 'D-B2'))
    syncChildren(m, child.serial);
  if (hasChanged(m, walk, level - 1)) return false;
  if (child !== undefined) linkPage(m, word, pageOfSerial(m, child.serial));
  if (fault.write && next.tableGfn === fault.gfn) fault.writesTable = true;
  return true;
}

/** A level below the guest's leaf, where the host has smaller pages than the guest thinks. */
function linkDirect(m: Machine, { walk, fault, word, level }: At): void {
  const access = hasBug(m, 'D-B3') ? roleField(pageOfEntry(m.world, word).role, 'access') : walk.access;
  if (!hasBug(m, 'D-B4')) validateDirect(m, word, access);
  const child = getChild(m, word, { gfn: baseOf(fault.gfn, level), direct: true, access });
  if (child === undefined) return;
  linkPage(m, word, child);
  if (!fault.hugeDisallowed || fault.reqLevel < level) return;
  m.amendLastStep(() => {
    patchToday(m, child.serial, { nxDisallowed: true });
    m.count('nx_lpage_splits');
  });
}

function setAndPrefetch(m: Machine, { walk, fault, word, level }: At): PfResult {
  const result = setSpte(m, {
    word,
    gfn: baseOf(fault.gfn, level),
    access: walk.access,
    ...(fault.backing === undefined ? {} : { backing: fault.backing }),
    prefetch: false,
    write: fault.write,
  });
  if (result === 'spurious') return result;
  prefetch(m, word);
  return result;
}

/** `gpte_changed`: whether the guest's entry of a level is still what the walk read. */
function hasChanged(m: Machine, walk: GuestWalk, level: number): boolean {
  const at = walk.levels.find((candidate) => candidate.level === level);
  if (at === undefined) return false;
  const changed = entryOfGuest(m, at.gpa) !== at.entry;
  m.step('gpte-check', { level, changed }, placeOfEntry(m, at.gpa));
  return changed;
}

/** `pte_prefetch`: the other seven of an aligned group of eight, until one cannot be built. */
function prefetch(m: Machine, word: number): void {
  const page = pageOfEntry(m.world, word);
  if (levelOfRole(page.role) > 1 || vmOf(m).invalidating > 0) return;
  const own = indexOfEntry(word);
  const first = own - (own % PREFETCH);
  m.call('pte_prefetch', { index: own }, () => {
    if (isDirect(page.role)) {
      directPrefetch(m, page, own);
      return;
    }
    const table = BigInt(page.gfn) << 12n;
    const quarter =
      roleField(page.role, 'has_4_byte_gpte') === 1 ? roleField(page.role, 'quadrant') * 2048 : 0;
    const entries = Array.from({ length: PREFETCH }, (_, at) =>
      entryOfGuest(m, table + BigInt(quarter + (first + at) * gpteBytes(m))),
    );
    for (const [at, entry] of entries.entries()) {
      const neighbour = entryWord(page, first + at);
      if (neighbour === word || isPresent(m.word(neighbour))) continue;
      if (entry === undefined || !prefetchOne(m, neighbour, entry)) break;
    }
  });
}

/** `prefetch_gpte`: one neighbour; false where it cannot be built. `logged`: a writable one may be built in a logged slot. */
export function prefetchOne(m: Machine, word: number, entry: bigint, logged = false): boolean {
  const refuse = (why: string): false => {
    m.step('prefetch-refuse', { index: indexOfEntry(word), entry, why });
    return false;
  };
  if (prefetchInvalid(m, entry)) {
    dropEntry(m, word);
    return refuse('entry');
  }
  const gfn = gpteGfn(m, entry);
  const access = protectClean(
    gpteAccess(m, entry) & roleField(pageOfEntry(m.world, word).role, 'access'),
    entry,
  );
  const at = ownSlotAt(m, gfn);
  if (!isVisible(at)) return refuse('no memory');
  if (!logged && at.slot.logged === true && (access & ACC_WRITE) !== 0) return refuse('log');
  const found = pageOf(m, at, { frame: gfn, write: true, mayWait: false });
  if (found.kind !== 'page') return refuse('host');
  setSpte(m, {
    word,
    gfn,
    access,
    backing: { at, pfn: found.pfn, hostWritable: true },
    prefetch: true,
    write: false,
  });
  return true;
}
