/** `make_mmu_pages_available`: shadow pages are bounded, and the oldest make room. Source: the reference, D.3. */
import type { Machine } from '../machine/machine.ts';
import { activePages, commitZap, prepareZap, type Doomed } from './shadow-page.ts';
import { vmOf } from './vm.ts';

/** `KVM_MIN_FREE_MMU_PAGES` and `KVM_REFILL_PAGES`. */
const MIN_FREE = 5;
const REFILL = 25;

export const pagesLeft = (m: Machine): number => Math.max(0, vmOf(m).maxPages - vmOf(m).usedPages);

export function makeRoom(m: Machine): void {
  const left = pagesLeft(m);
  m.step('pages-check', { left });
  if (left >= MIN_FREE) return;
  zapOldest(m, REFILL - left);
  m.step('room-made', { left: pagesLeft(m) });
}

/** `kvm_mmu_zap_oldest_mmu_pages`: roots that are in use stay. */
export function zapOldest(m: Machine, wanted: number): void {
  const doomed: Doomed = [];
  let zapped = 0;
  while (zapped < wanted) {
    const oldest = activePages(m).findLast((page) => page.rootCount === 0);
    if (oldest === undefined) break;
    zapped += prepareZap(m, oldest.serial, doomed);
    m.amendLastStep(() => {
      m.count('mmu_recycled');
    });
  }
  commitZap(m, doomed);
}
