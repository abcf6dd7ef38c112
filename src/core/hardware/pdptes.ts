/**
 * The four root entries of PAE paging, which MOV CR3 loads into registers (Intel SDM vol. 3, "PAE paging"; AMD APM vol.
 * 2). A present one with a reserved bit makes the load fail.
 */
import type { Machine } from '../machine/machine.ts';
import { readEntry } from './format.ts';
import { rootOf } from './registers.ts';
import { PTE_P } from './x86-entry.ts';
import { reservedInPdpte } from './x86-format.ts';

/** `place` says where a physical address of the system lies in the model's memory. */
export function pdptesAt(
  m: Machine,
  by: { cr3: bigint; physicalBits: number; place: (address: bigint) => bigint },
): readonly bigint[] | 'malformed' {
  const root = rootOf(by.cr3, 'pae');
  const entries = [0n, 1n, 2n, 3n].map((index) => readEntry(m, by.place(root + index * 8n), 8));
  return entries.some((entry) => isMalformedPdpte(entry, by.physicalBits)) ? 'malformed' : entries;
}

/** Present, and a bit set that must be clear. */
export const isMalformedPdpte = (entry: bigint, physicalBits: number): boolean =>
  (entry & PTE_P) !== 0n && (entry & reservedInPdpte(physicalBits)) !== 0n;

/** The registers that keep them, inside a step of the caller's own. Without paging of this kind there is nothing to keep. */
export function setPdptes(m: Machine, entries: readonly bigint[]): void {
  entries.forEach((entry, index) => {
    m.setReg(`pdptr${String(index)}`, entry);
  });
}

/** The load as a step of its own, where there is anything to load. */
export function loadPdptes(m: Machine, entries: readonly bigint[]): void {
  if (entries.length === 0) return;
  m.step('pdpte-load', { count: entries.length });
  setPdptes(m, entries);
  m.count('pdpte_loads', entries.length);
}
