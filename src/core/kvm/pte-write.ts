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
  type Spte,
  gfn,
} from '../quantities.ts';
import { hasShippedBug } from '../settings.ts';
import type { Machine } from '../machine/machine.ts';
import type { ShadowPage } from '../machine/tables.ts';
import { PTE_A, PTE_P } from '../hardware/x86-entry.ts';
import { setPte } from './fetch.ts';
import { gfnOfPfn } from './memslots.ts';
import { rmapRemove } from './rmap.ts';
import { levelOfRole, roleOf } from './role-2007.ts';
import { removeParent, shadowPageAt, shadowPagesOf, zapPage } from './shadow-page.ts';
import { accessOfField, ALL_ACCESS, isPresent, isTracked } from './spte-2007.ts';
import { flushTlb, oweFlush } from './vendor.ts';

/** Writes in a row into one frame after which its shadow is given up. */
const FLOOD_LIMIT = 3n;
const ENTRY_BYTES = 8;

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
    const offset = Number(store.gpa & 0xfffn);
    const wholeEntry = store.bytes === ENTRY_BYTES && offset % ENTRY_BYTES === 0;
    for (const page of shadowPagesOf(m.world, gfn)) {
      if (m.get('sp', page.serial) === undefined) continue;
      if (flooded || misaligned(offset, store.bytes)) zapPage(m, page.serial);
      else
        writeEntry(m, { page, index: Math.floor(offset / ENTRY_BYTES), entry: gpte(store.word), wholeEntry });
    }
  });
}

const misaligned = (offset: number, bytes: number): boolean =>
  Math.floor(offset / ENTRY_BYTES) !== Math.floor((offset + bytes - 1) / ENTRY_BYTES) || bytes < 4;

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
    if (isPresent(entry) && level === 1) rmapRemove(m, { gfn: gfnOfPfn(pfnOfEntry(entry)) ?? gfn(0), word });
    else if (isPresent(entry)) unlinkChild(m, { entry, word });
    m.step('spte-clear', { level, why: 'guest write' }, [word]);
    m.set('word', word, 0n);
    if (leftReverseMap) settleFlush(m, word);
  });
}

function unlinkChild(m: Machine, { entry, word }: { entry: Spte; word: number }): void {
  const child = shadowPageAt(m.world, pfnOfEntry(entry));
  if (child !== undefined) removeParent(m, child.serial, word);
}

/** Once out of the reverse map, nobody will find the leaf to flush it later. The era left this flush out. */
function settleFlush(m: Machine, word: number): void {
  if (hasShippedBug(m.settings, 'C-B6')) {
    oweFlush(m, { words: [word], bug: 'C-B6' });
    return;
  }
  oweFlush(m, { words: [word] });
  flushTlb(m, 'zap');
}

function buildEntry(m: Machine, { page, index, entry, wholeEntry }: EntryWrite): void {
  m.call('mmu_pte_write_new_pte', { index }, () => {
    const because = whyNotBuilt(entry, wholeEntry);
    const word = wordOf(page.pfn, index);
    if (because !== undefined) {
      m.step('update-refuse', { because }, [word]);
      return;
    }
    // The era's bug C-B3: rights of the upper guest entries are not asked for here.
    const inherited = hasShippedBug(m.settings, 'C-B3')
      ? ALL_ACCESS
      : accessOfField(roleOf(page.role).access);
    setPte(m, { word, entry, gfn: gfnOfEntry(entry), inherited });
  });
}

function whyNotBuilt(entry: bigint, wholeEntry: boolean): string | undefined {
  if (!wholeEntry) return 'not a whole entry';
  if ((entry & PTE_P) === 0n) return 'not present';
  return (entry & PTE_A) === 0n ? 'not accessed' : undefined;
}
