/**
 * Writing entries of shadow tables: setting, changing, dropping, write-protecting, linking, with the reverse map and
 * the parent links that go with them. Each tells whether a flush is owed. Source: the reference, D.1, D.6.
 */
import type { Machine } from '../machine/machine.ts';
import type { OwedFlush, ShadowPage } from '../machine/tables.ts';
import { flushRemote } from './flush.ts';
import {
  indexOfEntry,
  pageOfEntry,
  pageOfFrame,
  pageOfSerial,
  parentsHead,
  parentsOf,
  patchPage,
  today,
} from './page.ts';
import { oweFlush, owesFlush } from './owed.ts';
import { addPte, ptesIn, removePte } from './pte-list.ts';
import { isDirect, levelOfRole, roleField, spaceOfRole } from './role.ts';
import {
  frameOf,
  isAccessed,
  isDirtySpte,
  isLarge,
  isLast,
  isMmio,
  isMmuWritable,
  isPresent,
  isWritable,
  mmioEntryOf,
  MMU_WRITABLE,
  nonleaf,
  SPTE_W,
} from './spte.ts';
import { markUnsync } from './unsync.ts';
import { framesOf, RMAP_LEVELS, rmapKey, slotAt, slotsAt, type SlotAt } from './vm.ts';

/** Entries of one guest frame beyond which all of them are zapped. */
const RMAP_RECYCLE_THRESHOLD = 1000;

/** `kvm_mmu_page_get_gfn`: the guest frame that an entry maps, or would. */
export function gfnOfEntry(m: Machine, word: number): number {
  const page = pageOfEntry(m.world, word);
  if (roleField(page.role, 'passthrough') === 1) return page.gfn;
  if (isDirect(page.role)) return page.gfn + indexOfEntry(word) * framesOf(levelOfRole(page.role));
  return Number((m.get('shadowed', word) ?? 0n) >> 12n);
}

/** `kvm_mmu_page_get_access`. */
export const accessOfEntry = (m: Machine, word: number): number => {
  const page = pageOfEntry(m.world, word);
  return isDirect(page.role) ? roleField(page.role, 'access') : Number((m.get('shadowed', word) ?? 0n) & 7n);
};

/** `kvm_mmu_page_set_translation`, inside the step marked last. Direct pages need none. */
export function setTranslation(m: Machine, word: number, of: { gfn: number; access: number }): void {
  if (isDirect(pageOfEntry(m.world, word).role)) return;
  m.set('shadowed', word, (BigInt(of.gfn) << 12n) | BigInt(of.access));
}

export const setAccess = (m: Machine, word: number, access: number): void => {
  setTranslation(m, word, { gfn: gfnOfEntry(m, word), access });
};

/** `mmu_spte_update`, inside the step marked last: gives whether TLBs have to be flushed. */
export function updateEntry(m: Machine, word: number, entry: bigint, forLog = false): boolean {
  const old = m.word(word);
  m.set('word', word, entry);
  if (owesFlush(old, entry)) oweFlush(m, word, { forLog });
  if (!isPresent(old)) return false;
  return (
    (isMmuWritable(old) && !isWritable(entry)) ||
    (isAccessed(old) && !isAccessed(entry)) ||
    (isDirtySpte(old) && !isDirtySpte(entry))
  );
}

const PAGES_OF_LEVEL = ['pages_4k', 'pages_2m', 'pages_1g'] as const;
const countPages = (m: Machine, level: number, by: number): void => {
  m.count(PAGES_OF_LEVEL[level - 1] ?? 'pages_4k', by);
};

/** `drop_spte`: an entry, present or not, is no more; the reverse map forgets it. `due`: see `oweFlush`. */
export function dropEntry(m: Machine, word: number, due?: OwedFlush['due']): void {
  const entry = m.word(word);
  const level = levelOfRole(pageOfEntry(m.world, word).role);
  m.step('leaf-drop', { level, entry }, [word]);
  m.set('word', word, undefined);
  if (!isPresent(entry)) return;
  oweFlush(m, word, due === undefined ? {} : { due });
  countPages(m, level, -1);
  removeRmap(m, word);
}

function removeRmap(m: Machine, word: number): void {
  const gfn = gfnOfEntry(m, word);
  const level = levelOfRole(pageOfEntry(m.world, word).role);
  const at = slotAt(m.world, gfn, spaceOfRole(pageOfEntry(m.world, word).role));
  if (at === undefined) return;
  const key = rmapKey(at.id, level, gfn);
  const head = m.get('slotRmap', key);
  if (head === undefined) return;
  m.step('rmap-remove-today', { gfn, level, count: ptesIn(m.world, 'rnode', head).length - 1 });
  m.set('slotRmap', key, removePte(m, 'rnode', head, word));
}

/** `rmap_add`. More than 1000 entries of one frame are zapped, all of them. */
export function addRmap(m: Machine, at: SlotAt, word: number, of: { gfn: number; access: number }): void {
  const level = levelOfRole(pageOfEntry(m.world, word).role);
  const key = rmapKey(at.id, level, of.gfn);
  const head = m.get('slotRmap', key);
  const before = ptesIn(m.world, 'rnode', head).length;
  m.step('rmap-add-today', { gfn: of.gfn, level, count: before + 1 });
  setTranslation(m, word, of);
  countPages(m, level, 1);
  m.set('slotRmap', key, addPte(m, 'rnode', head, word));
  if (before > (m.get('counter', 'max_mmu_rmap_size@0') ?? 0))
    m.count('max_mmu_rmap_size', before - (m.get('counter', 'max_mmu_rmap_size@0') ?? 0));
  if (before <= RMAP_RECYCLE_THRESHOLD) return;
  m.count('mmu_recycled');
  zapRmap(m, at, { gfn: of.gfn, level });
  flushRemote(m, 'too many entries map one frame');
}

export const rmapOf = (m: Machine, at: SlotAt, of: { gfn: number; level: number }): readonly number[] =>
  ptesIn(m.world, 'rnode', m.get('slotRmap', rmapKey(at.id, of.level, of.gfn)));

/** `kvm_zap_all_rmap_sptes`: gives whether there was any. */
export function zapRmap(m: Machine, at: SlotAt, of: { gfn: number; level: number }): boolean {
  const words = rmapOf(m, at, of);
  for (const word of words) dropEntry(m, word);
  return words.length > 0;
}

/** `rmap_write_protect` of one frame at one level. `forTable`: KVM itself forbids writing from now on. */
export function protectRmap(
  m: Machine,
  at: SlotAt,
  of: { gfn: number; level: number; forTable: boolean },
): boolean {
  let flush = false;
  for (const word of rmapOf(m, at, of)) flush = protectEntry(m, word, of) || flush;
  return flush;
}

/** `spte_write_protect`. */
function protectEntry(m: Machine, word: number, of: { gfn: number; forTable: boolean }): boolean {
  const entry = m.word(word);
  if (!isWritable(entry) && !(of.forTable && isMmuWritable(entry))) return false;
  m.step('leaf-protect', { gfn: of.gfn, forTable: of.forTable }, [word]);
  const taken = of.forTable ? SPTE_W | MMU_WRITABLE : SPTE_W;
  return updateEntry(m, word, entry & ~taken, !of.forTable);
}

/**
 * `kvm_mmu_slot_gfn_write_protect`: every entry of a frame, at every level and in every address space. Gives whether a
 * flush is owed.
 */
export function protectFrame(m: Machine, gfn: number): boolean {
  return m.call('kvm_mmu_slot_gfn_write_protect', { gfn }, () => {
    let flush = false;
    for (const at of slotsAt(m.world, gfn))
      for (const level of RMAP_LEVELS) flush = protectRmap(m, at, { gfn, level, forTable: true }) || flush;
    return flush;
  });
}

/** `__link_shadow_page`. */
export function linkPage(m: Machine, word: number, child: ShadowPage): void {
  if (isPresent(m.word(word))) {
    dropEntry(m, word);
    flushRemote(m, 'a table takes the place of a large page');
  }
  m.step('sp-link', { level: levelOfRole(child.role) + 1, serial: child.serial }, [word]);
  m.set('word', word, nonleaf(child.pfn));
  const parents = addPte(m, 'pnode', parentsHead(child), word);
  patchPage(m, child.serial, { parents });
  if (today(child).unsync) markUnsync(m, word);
}

/** `drop_parent_pte`: an entry lets go of the page that it links to. */
export function unlinkPage(m: Machine, word: number, child: ShadowPage): void {
  m.step('sp-unlink', { level: levelOfRole(child.role) + 1, serial: child.serial }, [word]);
  const head = parentsHead(pageOfSerial(m, child.serial));
  if (head !== undefined)
    patchPage(m, child.serial, {
      parents: removePte(m, 'pnode', head, word) ?? Object.freeze({ kind: 'none' }),
    });
  m.set('word', word, undefined);
  oweFlush(m, word);
}

/** `mmu_page_zap_pte`: whatever an entry holds. Gives whether it was present. */
export function zapEntry(m: Machine, page: ShadowPage, word: number): boolean {
  const entry = m.word(word);
  if (!isPresent(entry)) {
    if (isMmio(entry)) clearMmio(m, word);
    return false;
  }
  if (isLast(entry, levelOfRole(page.role))) dropEntry(m, word);
  else {
    const child = pageOfFrame(m.world, frameOf(entry));
    if (child !== undefined) unlinkPage(m, word, child);
  }
  return true;
}

export function clearMmio(m: Machine, word: number): void {
  m.step('mmio-clear', { gfn: mmioEntryOf(m.word(word)).gfn }, [word]);
  m.set('word', word, undefined);
}

/** `kvm_mmu_unlink_parents`. */
export function unlinkParents(m: Machine, serial: number): void {
  for (;;) {
    const page = pageOfSerial(m, serial);
    const [first] = parentsOf(m.world, page);
    if (first === undefined) return;
    unlinkPage(m, first, page);
  }
}

/** Whether an entry links to a table. */
export const isLink = (entry: bigint): boolean => isPresent(entry) && !isLarge(entry);
