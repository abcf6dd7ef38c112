/**
 * One address is invalidated: by the guest's INVLPG, or because a fault goes to the guest. A page that is out of step has
 * this one entry read anew; it stays out of step. Source: the reference, D.7; Linux 6.1 builds the new entry at once.
 */
import type { Machine } from '../machine/machine.ts';
import type { Pfn } from '../quantities.ts';
import { zapEntry } from './entries.ts';
import { eraOf } from './era.ts';
import { prefetchOne } from './fetch.ts';
import { flushOwn, flushRemote } from './flush.ts';
import { entryOfGuest } from './gpte.ts';
import { forgetMmio } from './mmio-entry.ts';
import { pageOfEntry, pageOfSerial, today } from './page.ts';
import { levelOfRole } from './role.ts';
import { shadowPath } from './shadow-walk.ts';
import { isLast, isPresent } from './spte.ts';
import { gpaOfEntry, syncEntry } from './sync.ts';

export function invalidateAddress(m: Machine, gva: bigint, of: { roots: 'current' | 'all' }): void {
  m.call('kvm_mmu_invalidate_addr', { gva }, () => {
    flushOwn(m, 'address', gva);
    const { root, prevRoots, cpuRole } = m.must('mmu', m.vcpu);
    // A guest without paging has nothing that could be out of step.
    if ((cpuRole.base & 0xf) === 0) return;
    inRoot(m, gva, root.hpa);
    if (of.roots === 'current') return;
    for (const { hpa } of prevRoots) if (hpa !== undefined) inRoot(m, gva, hpa);
  });
}

function inRoot(m: Machine, gva: bigint, hpa: Pfn | undefined): void {
  forgetMmio(m, gva);
  if (hpa === undefined) return;
  m.underLock(() => {
    for (const { word } of shadowPath(m, gva, hpa)) {
      const page = pageOfEntry(m.world, word);
      if (today(page).unsync) {
        if (eraOf(m).rebuildsInvalidated) rebuildEntry(m, word);
        else syncOne(m, word);
      }
      if (today(pageOfSerial(m, page.serial)).unsyncChildren === 0) return;
    }
  });
}

function syncOne(m: Machine, word: number): void {
  const synced = syncEntry(m, word);
  if (synced === 'failed') zapEntry(m, pageOfEntry(m.world, word), word);
  if (synced !== 'same') flushRemote(m, 'an entry was out of step');
}

/** 6.1: the entry goes, and what the guest's entry says now is built ahead of its use. */
function rebuildEntry(m: Machine, word: number): void {
  const page = pageOfEntry(m.world, word);
  const old = m.word(word);
  if (!isLast(old, levelOfRole(page.role))) return;
  zapEntry(m, page, word);
  if (isPresent(old)) flushRemote(m, 'an entry was out of step');
  const entry = entryOfGuest(m, gpaOfEntry(m, word));
  if (entry !== undefined) prefetchOne(m, word, entry, true);
}
