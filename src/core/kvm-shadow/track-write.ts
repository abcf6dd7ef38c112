/**
 * `kvm_mmu_track_write`: the guest's own memory has been written where a table is shadowed, and the entries that stood
 * for what was there go. Source: the reference, D.8.
 */
import type { Machine } from '../machine/machine.ts';
import type { ShadowPage } from '../machine/tables.ts';
import { zapEntry } from './entries.ts';
import { entryOfGuest } from './gpte.ts';
import { entryWord, pageOfSerial, pagesOfTable, patchToday, today } from './page.ts';
import { levelOfRole, roleField } from './role.ts';
import { flushOrZap, prepareZap, type Doomed } from './shadow-page.ts';
import { CR4_PAE } from '../hardware/registers.ts';
import { vmOf } from './vm.ts';

/** Writes in a row after which a page is given up. */
const FLOOD = 3;

export function trackWrite(m: Machine, of: { gpa: bigint; bytes: number }): void {
  if (vmOf(m).indirectPages === 0) return;
  m.call('kvm_mmu_track_write', of, () => {
    m.underLock(() => {
      noteWrite(m, of);
    });
  });
}

function noteWrite(m: Machine, of: { gpa: bigint; bytes: number }): void {
  const wide = (m.reg('cr4') & CR4_PAE) !== 0n && of.bytes === 4;
  const at = wide ? { gpa: of.gpa & ~7n, bytes: 8 } : of;
  const entry = at.bytes >= 4 ? (entryOfGuest(m, at.gpa) ?? 0n) : 0n;
  m.step('track-write', at);
  m.count('mmu_pte_write');
  const doomed: Doomed = [];
  let flush = false;
  for (const { serial } of pagesOfTable(m, Number(at.gpa >> 12n))) {
    const page = pageOfSerial(m, serial);
    if (isMisaligned(page, at) || isFlooded(m, page)) {
      prepareZap(m, serial, doomed);
      m.amendLastStep(() => {
        m.count('mmu_flooded');
      });
    } else flush = zapWritten(m, page, { ...at, entry }) || flush;
  }
  flushOrZap(m, doomed, flush, 'the guest has changed an entry');
}

/** A store that is no whole entry; one byte at the beginning of an entry is one that sets a mark. */
function isMisaligned({ role }: ShadowPage, { gpa, bytes }: { gpa: bigint; bytes: number }): boolean {
  const size = roleField(role, 'has_4_byte_gpte') === 1 ? 4 : 8;
  const offset = Number(gpa & 0xfffn);
  if (offset % size === 0 && bytes === 1) return false;
  return Math.floor(offset / size) !== Math.floor((offset + bytes - 1) / size) || bytes < 4;
}

/** Pages of level 1 go out of step instead. */
function isFlooded(m: Machine, page: ShadowPage): boolean {
  if (levelOfRole(page.role) === 1) return false;
  const count = today(page).floodCount + 1;
  m.step('flood-one', { serial: page.serial, count });
  patchToday(m, page.serial, { floodCount: count });
  return count >= FLOOD;
}

/** The entries that stand for the written one: two for a 4-byte directory entry. Gives whether a flush is owed. */
function zapWritten(m: Machine, page: ShadowPage, of: { gpa: bigint; entry: bigint }): boolean {
  let flush = false;
  for (const index of writtenEntries(page, Number(of.gpa & 0xfffn))) {
    flush = zapEntry(m, pageOfSerial(m, page.serial), entryWord(page, index)) || flush;
    if (of.entry !== 0n && levelOfRole(page.role) > 1)
      m.amendLastStep(() => {
        m.count('mmu_pde_zapped');
      });
  }
  return flush;
}

/** `get_written_sptes`. */
function writtenEntries({ role }: ShadowPage, offset: number): readonly number[] {
  if (roleField(role, 'has_4_byte_gpte') === 0) return [Math.floor(offset / 8)];
  const directory = levelOfRole(role) === 2;
  const wide = directory ? (offset * 2 - ((offset * 2) % 8)) * 2 : offset * 2;
  if (Math.floor(wide / 4096) !== roleField(role, 'quadrant')) return [];
  const index = Math.floor((wide % 4096) / 8);
  return directory ? [index, index + 1] : [index];
}
