/**
 * `kvm_mmu_pte_write`: the guest stored into a frame that is shadowed as a page table. The shadow entries behind the
 * bytes are cleared and, by policy, built anew at once; a store that does not fit one entry, or the third in a row
 * into the same frame (the fork detector), gives up the whole shadow page.
 */
import {
  gfnOfAddress,
  gfnOfEntry,
  gpte,
  pfnOfEntry,
  spte,
  wordOf,
  type Gfn,
  type Gpte,
  gfn,
} from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import type { ShadowPage } from '../machine/tables.ts';
import { PTE_A, PTE_P } from '../hardware/x86-entry.ts';
import { entryBytesOfRole } from './context-2007.ts';
import { hasBug, traitsOf } from './era-2007.ts';
import { setLeaf } from './leaf-2007.ts';
import { gfnOfPfn } from './memslots.ts';
import { rmapRemove } from './rmap.ts';
import { levelOfRole, roleOf, type Role } from './role-2007.ts';
import { isSplit, removeParent, shadowPageAt, shadowPagesOf, zapPage } from './shadow-page.ts';
import { accessOfField, ALL_ACCESS, isPresent, isTracked } from './spte-2007.ts';
import { changedBy, flushBelow, flushesFirst, flushEverybody, oweFlush, type Changed } from './flush-2007.ts';

/** Writes in a row into one frame after which its shadow is given up. */
const FLOOD_LIMIT = 3n;

export interface GuestStore {
  readonly gpa: bigint;
  readonly bytes: number;
  /** The whole 8-byte word as it will be after the store. */
  readonly word: bigint;
}

export function pteWrite(m: Machine, store: GuestStore): void {
  m.call('kvm_mmu_pte_write', { gpa: store.gpa, bytes: store.bytes }, () => {
    const gfn = gfnOfAddress(store.gpa);
    const flooded = countFlood(m, gfn);
    for (const page of shadowPagesOf(m.world, gfn)) {
      if (m.get('sp', page.serial) === undefined) continue;
      if (flooded || isMisaligned(m, store, page)) zapPage(m, page.serial);
      else writeEntries(m, store, page);
    }
  });
}

/** Whether a store touches more than one entry, or less than half of the smallest one. */
function isMisaligned(m: Machine, { gpa, bytes }: GuestStore, page: ShadowPage): boolean {
  const size = entryBytesOfRole(roleOf(page.role));
  const offset = Number(gpa & 0xfffn);
  const straddles = Math.floor(offset / size) !== Math.floor((offset + bytes - 1) / size);
  return straddles || (bytes < 4 && traitsOf(m.settings).smallStoresZap);
}

/** The entries of a shadow page that stand for the guest's entry behind a store. */
function writeEntries(m: Machine, store: GuestStore, page: ShadowPage): void {
  const offset = Number(store.gpa & 0xfffn);
  const aim = aimAt(m, offset, roleOf(page.role));
  if (aim === undefined) {
    m.step('quadrant-skip', { serial: page.serial, quadrant: roleOf(page.role).quadrant });
    return;
  }
  const bytes = entryBytesOfRole(roleOf(page.role));
  const half = bytes === 4 && (store.gpa & 4n) !== 0n ? store.word >> 32n : store.word;
  const entry = gpte(bytes === 4 ? half & 0xffff_ffffn : half);
  const wholeEntry = store.bytes >= bytes && offset % bytes === 0;
  for (let at = 0; at < aim.count; at += 1)
    writeEntry(m, { page, index: aim.index + at, entry, entryBytes: bytes, wholeEntry });
}

/**
 * Which entries of a shadow page stand for the guest entry at an offset of its table: undefined where another quadrant
 * does. Entries of 4 bytes become entries of 8, so an offset doubles; and an entry of a 32-bit page directory covers
 * 4 MiB, which two entries of 2 MiB stand for.
 */
function aimAt(m: Machine, offset: number, role: Role): { index: number; count: number } | undefined {
  if (entryBytesOfRole(role) === 8) return { index: Math.floor(offset / 8), count: 1 };
  // C-B4: doubled once, whatever the level, and applied to every quadrant.
  if (hasBug(m, 'C-B4')) return { index: Math.floor(((offset * 2) & 0xfff) / 8), count: 1 };
  const doubled = offset * 2;
  const place = role.level === 2 ? (doubled & ~7) * 2 : doubled;
  if (Math.floor(place / 4096) !== role.quadrant) return undefined;
  return { index: Math.floor((place & 0xfff) / 8), count: role.level === 2 ? 2 : 1 };
}

function countFlood(m: Machine, gfn: Gfn): boolean {
  const same = m.reg('last_pt_write_gfn') === BigInt(gfn) && m.reg('last_pt_write_count') > 0n;
  const count = same ? m.reg('last_pt_write_count') + 1n : 1n;
  const flooded = count >= FLOOD_LIMIT;
  m.step('flood-count', { gfn, count: Number(count), flooded });
  m.setReg('last_pt_write_gfn', BigInt(gfn));
  m.setReg('last_pt_write_count', count);
  return flooded;
}

interface EntryWrite {
  readonly page: ShadowPage;
  readonly index: number;
  readonly entry: Gpte;
  readonly entryBytes: 4 | 8;
  readonly wholeEntry: boolean;
}

function writeEntry(m: Machine, write: EntryWrite): void {
  zapEntry(m, write);
  if (m.settings['gpte-write'] === 'update' && levelOfRole(write.page.role) === 1) buildEntry(m, write);
}

function zapEntry(m: Machine, { page, index }: EntryWrite): void {
  m.call('mmu_pte_write_zap_pte', { index }, () => {
    const word = wordOf(page.pfn, index);
    const entry = spte(m.word(word));
    const level = levelOfRole(page.role);
    const leftReverseMap = level === 1 && isTracked(entry);
    const child = isPresent(entry) && level > 1 ? shadowPageAt(m.world, pfnOfEntry(entry)) : undefined;
    const split = child !== undefined && isSplit(child);
    const owes = leftReverseMap || split;
    const changed = owes ? changedBy(m, [word]) : { words: [word] };
    if (owes && flushesFirst(m)) settleFlush(m, changed);
    if (child !== undefined && !split) flushBelow(m, [word]);
    if (isPresent(entry) && level === 1) rmapRemove(m, { gfn: gfnOfPfn(pfnOfEntry(entry)) ?? gfn(0), word });
    else if (child !== undefined) removeParent(m, child.serial, word);
    m.step('spte-clear', { level, why: 'guest write' }, [word]);
    m.set('word', word, 0n);
    if (!owes) return;
    oweFlush(m, hasBug(m, 'C-B6') ? { words: [word], bug: 'C-B6' } : { words: [word] });
    if (!flushesFirst(m)) settleFlush(m, changed);
  });
}

/**
 * Once out of the reverse map, nobody will find the leaf to flush it later. And a guest that changes a large page
 * invalidates one address of it: enough for one large translation, not for the small ones into which its shadow splits
 * it. Eras before 2007c left this flush out.
 */
function settleFlush(m: Machine, changed: Changed): void {
  if (hasBug(m, 'C-B6')) return;
  m.preempt('mmu_pte_write_zap_pte/before-flush');
  flushEverybody(m, 'zap', changed);
  m.preempt('mmu_pte_write_zap_pte/after-flush');
}

function buildEntry(m: Machine, { page, index, entry, entryBytes, wholeEntry }: EntryWrite): void {
  m.call('mmu_pte_write_new_pte', { index }, () => {
    const because = whyNotBuilt(entry, wholeEntry);
    const word = wordOf(page.pfn, index);
    if (because !== undefined) {
      m.step('update-refuse', { because }, [word]);
      return;
    }
    // The era's bug C-B3: rights of the upper guest entries are not asked for here.
    const inherited = hasBug(m, 'C-B3') ? ALL_ACCESS : accessOfField(roleOf(page.role).access);
    setLeaf(m, { word, entry, entryBytes, large: false, gfn: gfnOfEntry(entry), inherited });
  });
}

function whyNotBuilt(entry: bigint, wholeEntry: boolean): string | undefined {
  if (!wholeEntry) return 'not a whole entry';
  if ((entry & PTE_P) === 0n) return 'not present';
  return (entry & PTE_A) === 0n ? 'not accessed' : undefined;
}
