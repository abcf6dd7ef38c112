/**
 * The reverse map of 2007: for a host frame, the shadow leaves that map it **writably**. It hangs on the frame, and
 * its only client is write protection.
 */
import { pfnOfEntry, spte, type Gfn, type Pfn } from '../quantities.ts';
import { HostStopped, type Machine } from '../machine/machine.ts';
import { PTE_W } from '../hardware/x86-entry.ts';
import { traitsOf } from './era-2007.ts';
import { pfnOfGfn } from './memslots.ts';
import { addPointer, firstPointer, pointers, removePointer, RMAP_LIST } from './pointer-list.ts';
import { isTracked } from './spte-2007.ts';
import { changedBy, flushesFirst, flushEverybody, oweFlush } from './flush-2007.ts';

export const rmapCount = (m: Machine, pfn: Pfn): number =>
  pointers(m.world, RMAP_LIST, m.get('rmap', pfn)).length;

/** Enters a leaf that was just made writable; a leaf that is not present and writable is passed over silently. */
export function rmapAdd(m: Machine, options: { gfn: Gfn; word: number }): void {
  const entry = spte(m.word(options.word));
  if (!isTracked(entry)) return;
  const pfn = pfnOfEntry(entry);
  m.call('rmap_add', { gfn: options.gfn }, () => {
    m.step('rmap-add', { pfn, count: rmapCount(m, pfn) + 1 }, [options.word]);
    m.set('rmap', pfn, addPointer(m, RMAP_LIST, m.get('rmap', pfn), options.word));
  });
}

/** Takes a leaf out, before it loses W or P; a leaf that is not present and writable is passed over silently. */
export function rmapRemove(m: Machine, options: { gfn: Gfn; word: number }): void {
  const entry = spte(m.word(options.word));
  if (!isTracked(entry)) return;
  const pfn = pfnOfEntry(entry);
  const head = m.get('rmap', pfn);
  // Where a guest entry has changed unseen, the leaf was built anew for another frame, which does not know of it.
  if (head === undefined || !pointers(m.world, RMAP_LIST, head).includes(options.word))
    throw new HostStopped('rmap_remove met a leaf that is not in the reverse map of its frame');
  m.call('rmap_remove', { gfn: options.gfn }, () => {
    m.step('rmap-remove', { pfn, count: rmapCount(m, pfn) - 1 }, [options.word]);
    m.set('rmap', pfn, removePointer(m, RMAP_LIST, head, options.word));
  });
}

/**
 * `rmap_write_protect(gfn, flush_tlb)`: takes the write right from every leaf that maps the frame, because the frame
 * is about to be shadowed as a page table. Eras before several vCPUs flush before the entry changes; that is legal only
 * because a flush here means "before the next entry" and there is one vCPU. The last era flushes after it, everywhere.
 */
export function rmapWriteProtect(m: Machine, options: { gfn: Gfn; flushTlb: boolean }): void {
  const { gfn } = options;
  const pfn = pfnOfGfn(m.world, gfn);
  if (pfn === undefined) return;
  // Eras before several vCPUs always flush first.
  const first = !traitsOf(m.settings).remoteFlush || flushesFirst(m);
  m.call('rmap_write_protect', { gfn, flushTlb: options.flushTlb }, () => {
    m.step('rmap-look', { pfn, count: rmapCount(m, pfn) });
    m.reads('rmap', pfn);
    for (;;) {
      const word = firstPointer(m.world, RMAP_LIST, m.get('rmap', pfn));
      if (word === undefined) return;
      if (!isTracked(spte(m.word(word))))
        throw new HostStopped('rmap_write_protect met a leaf that is not writable');
      if (pfnOfEntry(spte(m.word(word))) !== pfn)
        throw new HostStopped('rmap_write_protect met a leaf of another frame');
      rmapRemove(m, { gfn, word });
      if (first) flushOrSay(m, word, options.flushTlb);
      m.step('write-protect', { gfn, forLog: false }, [word]);
      m.set('word', word, m.word(word) & ~PTE_W);
      oweFlush(m, m.settings.flush === 'never' ? { words: [word], bug: 'C-B1' } : { words: [word] });
      if (!first) flushOrSay(m, word, options.flushTlb);
    }
  });
}

function flushOrSay(m: Machine, word: number, flush: boolean): void {
  m.preempt('rmap_write_protect/before-flush');
  if (flush) flushEverybody(m, 'write-protect', changedBy(m, [word]));
  else m.step('flush-left-out', { why: m.settings.flush === 'never' ? 'policy' : 'cr3 load follows' });
  m.preempt('rmap_write_protect/after-flush');
}
