/**
 * The dirty log of 2007: for a slot that is logged, one bit for each frame that was written since user space last
 * fetched the log. Fetching takes the write right from every leaf of the slot, so that the next write faults and is
 * seen.
 */
import { gfn, pfnOfEntry, spte, type Gfn } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import type { ShadowPage } from '../machine/tables.ts';
import { PTE_W } from '../hardware/x86-entry.ts';
import { gfnOfPfn, slotOfGfn } from './memslots.ts';
import { levelOfRole } from './role-2007.ts';
import { rmapRemove } from './rmap.ts';
import { isTracked } from './spte-2007.ts';
import { flushEverybody, oweFlush } from './vendor.ts';

/** `mark_page_dirty`, inside the step marked last. */
export function markPageDirty(m: Machine, frame: Gfn): void {
  const slot = slotOfGfn(m.world, frame);
  if (slot === undefined || m.get('slot', slot)?.logged !== true) return;
  if (m.get('dirty', frame) === undefined) m.set('dirty', frame, 1);
}

/** User space begins or ends logging a slot. */
export function setLogging(m: Machine, slot: number, on: boolean): void {
  const before = m.must('slot', slot);
  m.step('slot-log', { slot, on });
  m.set(
    'slot',
    slot,
    Object.freeze({
      firstGfn: before.firstGfn,
      frames: before.frames,
      ...(on ? { logged: true as const } : {}),
    }),
  );
  for (const frame of framesLogged(m, slot)) m.set('dirty', frame, undefined);
}

const framesLogged = (m: Machine, slot: number): readonly Gfn[] =>
  [...m.world.tables.dirty.keys()]
    .filter((frame) => slotOfGfn(m.world, frame) === slot)
    .sort((a, b) => a - b);

/** `KVM_GET_DIRTY_LOG`: gives the bits to user space, clears them, and write-protects the slot. */
export function getDirtyLog(m: Machine, slot: number): void {
  m.call('kvm_vm_ioctl_get_dirty_log', { slot }, () => {
    const frames = framesLogged(m, slot);
    m.step('log-fetch', { slot, count: frames.length });
    if (frames.length === 0) return;
    removeWriteAccess(m, slot);
    m.step('log-clear', { slot, count: frames.length });
    for (const frame of frames) m.set('dirty', frame, undefined);
  });
}

/** `kvm_mmu_slot_remove_write_access`: every leaf of the pages that may map the slot. */
function removeWriteAccess(m: Machine, slot: number): void {
  m.call('kvm_mmu_slot_remove_write_access', { slot }, () => {
    const lost: number[] = [];
    for (const page of newestFirst(m)) {
      if ((page.slots & (1 << slot)) === 0) continue;
      for (const word of m.world.wordsOfShadowFrame(page.pfn)) {
        const entry = spte(m.word(word));
        if (!isTracked(entry) || levelOfRole(page.role) !== 1) continue;
        const frame = gfnOfPfn(pfnOfEntry(entry)) ?? gfn(0);
        rmapRemove(m, { gfn: frame, word });
        m.step('write-protect', { gfn: frame }, [word]);
        m.set('word', word, entry & ~PTE_W);
        lost.push(word);
      }
    }
    if (lost.length === 0) return;
    m.amendLastStep(() => {
      oweFlush(m, { words: lost });
    });
    flushEverybody(m, 'dirty-log');
  });
}

const newestFirst = (m: Machine): readonly ShadowPage[] =>
  [...m.world.tables.sp.values()].sort((a, b) => b.age - a.age);
