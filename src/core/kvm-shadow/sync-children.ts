/** `mmu_sync_children`: everything below a page comes into step again, and is write-protected again. Source: reference, D.7. */
import type { Machine } from '../machine/machine.ts';
import { protectFrame } from './entries.ts';
import { pageOfSerial } from './page.ts';
import { flushOrZap, leaveUnsync, prepareZap, type Doomed } from './shadow-page.ts';
import { syncPage } from './sync.ts';
import { clearParents, unsyncBelow } from './unsync.ts';
import { slotsAt } from './vm.ts';

export function syncChildren(m: Machine, serial: number): void {
  m.call('mmu_sync_children', { serial }, () => {
    const doomed: Doomed = [];
    let flush = false;
    for (let found = unsyncBelow(m, serial); found.length > 0; found = unsyncBelow(m, serial)) {
      let isProtected = false;
      for (const child of found) {
        const { gfn } = pageOfSerial(m, child.serial);
        if (slotsAt(m.world, gfn).length > 0) isProtected = protectFrame(m, gfn) || isProtected;
      }
      if (isProtected) {
        flushOrZap(m, doomed, true, 'tables are write-protected again');
        flush = false;
      }
      for (const child of found) {
        leaveUnsync(m, child.serial);
        const synced = syncPage(m, child.serial);
        if (synced === 'failed') prepareZap(m, child.serial, doomed);
        flush = synced === 'flush' || flush;
        clearParents(m, child);
      }
    }
    flushOrZap(m, doomed, flush, 'entries have changed');
  });
}
