/**
 * The dirty log of 2006 and 2007: for a slot that is logged, one bit for each frame that was written since user space
 * last fetched the log. Beginning to log and fetching take the write right from every leaf of the slot, so that the next
 * write faults and is seen: a leaf of a logged slot is writable only while the bit of its frame is set.
 */
import { gfn, pfnOfEntry, spte, type Gfn, type Spte } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import type { ShadowPage } from '../machine/tables.ts';
import { PTE_W } from '../hardware/x86-entry.ts';
import { hasBug, traitsOf } from './era-2007.ts';
import { gfnOfPfn, isLogged, slotOfGfn } from './memslots.ts';
import { levelOfRole } from './role-2007.ts';
import { rmapRemove } from './rmap.ts';
import { resetContext } from './roots.ts';
import { isTracked } from './spte-2007.ts';
import { changedBy, flushesFirst, flushEverybody, oweFlush } from './flush-2007.ts';
import { forgetWritten } from './written.ts';

/** `mark_page_dirty`, inside the step marked last. */
export function markPageDirty(m: Machine, frame: Gfn): void {
  if (isLogged(m.world, frame) && m.get('dirty', frame) === undefined) m.set('dirty', frame, 1);
}

/**
 * User space begins or ends logging a slot. The last era takes write rights away at any change of a slot; those before
 * it only where logging begins, and then make the paging context anew.
 */
export function setLogging(m: Machine, slot: number, on: boolean): void {
  const { remoteFlush } = traitsOf(m.settings);
  m.call('kvm_vm_ioctl_set_memory_region', { slot }, () => {
    const { firstGfn, frames, logged } = m.must('slot', slot);
    m.step('slot-log', { slot, on });
    m.set('slot', slot, Object.freeze({ firstGfn, frames, ...(on ? { logged: true as const } : {}) }));
    if (!on) {
      forgetWritten(m, framesOf(m, 'written', slot));
      clearLog(m, slot);
    }
    if (remoteFlush) removeAndFlush(m, slot);
    else {
      if (on) removeWriteAccess(m, slot);
      resetContext(m);
    }
    if (on && logged !== true) copyAll(m, slot);
  });
}

/** User space copies all of a slot when a log of it has begun: what was written until then is in the copy. */
function copyAll(m: Machine, slot: number): void {
  m.amendLastStep(() => {
    forgetWritten(m, framesOf(m, 'written', slot));
  });
}

/** Frames of a slot that stand in a table, rising. */
const framesOf = (m: Machine, table: 'dirty' | 'written', slot: number): readonly Gfn[] =>
  [...m.world.tables[table].keys()]
    .filter((frame) => slotOfGfn(m.world, frame) === slot)
    .sort((a, b) => a - b);

function clearLog(m: Machine, slot: number): void {
  for (const frame of framesOf(m, 'dirty', slot)) m.set('dirty', frame, undefined);
}

/**
 * `KVM_GET_DIRTY_LOG`: gives the frames written since the last time to user space, write-protects the slot, and clears
 * the bits. Where nothing was written there is nothing to protect: no leaf of the slot is writable then.
 */
export function getDirtyLog(m: Machine, slot: number): readonly Gfn[] {
  return m.call('kvm_vm_ioctl_get_dirty_log', { slot }, () => {
    const frames = framesOf(m, 'dirty', slot);
    m.step('log-fetch', { slot, count: frames.length });
    if (frames.length === 0) return frames;
    removeAndFlush(m, slot);
    if (!hasBug(m, 'E-B4')) clearGiven(m, slot, frames);
    return frames;
  });
}

function removeAndFlush(m: Machine, slot: number): void {
  const changed = changedBy(m, writableLeaves(m, slot));
  if (flushesFirst(m)) flushEverybody(m, 'dirty-log', changed);
  removeWriteAccess(m, slot);
  if (!flushesFirst(m)) flushEverybody(m, 'dirty-log', changed);
}

/** E-B4: the bits are cleared when the lock is free again. Who wrote in between has its bit cleared, and may go on. */
export function clearLogLate(m: Machine, slot: number, given: readonly Gfn[]): void {
  if (!hasBug(m, 'E-B4') || given.length === 0) return;
  m.call('kvm_vm_ioctl_get_dirty_log', { slot }, () => {
    clearGiven(m, slot, given);
  });
}

function clearGiven(m: Machine, slot: number, given: readonly Gfn[]): void {
  m.preempt('kvm_vm_ioctl_get_dirty_log/before-clear');
  m.step('log-clear', { slot, count: framesOf(m, 'dirty', slot).length });
  clearLog(m, slot);
  forgetWritten(m, given);
}

/** `kvm_mmu_slot_remove_write_access`: every leaf of the pages that may map the slot. */
function removeWriteAccess(m: Machine, slot: number): void {
  m.call('kvm_mmu_slot_remove_write_access', { slot }, () => {
    for (const word of writableLeaves(m, slot)) writeProtect(m, word, spte(m.word(word)));
  });
}

const writableLeaves = (m: Machine, slot: number): readonly number[] =>
  newestFirst(m)
    .filter((page) => (page.slots & (1 << slot)) !== 0 && levelOfRole(page.role) === 1)
    .flatMap((page) => m.world.wordsOfShadowFrame(page.pfn))
    .filter((word) => (m.word(word) & PTE_W) !== 0n);

/** A leaf of the page, whatever it maps: entries for devices are not present, and lose the bit all the same. */
function writeProtect(m: Machine, word: number, entry: Spte): void {
  const frame = gfnOfPfn(pfnOfEntry(entry)) ?? gfn(pfnOfEntry(entry));
  rmapRemove(m, { gfn: frame, word });
  m.step('write-protect', { gfn: frame, forLog: true }, [word]);
  m.set('word', word, entry & ~PTE_W);
  if (isTracked(entry)) oweFlush(m, { words: [word] });
}

const newestFirst = (m: Machine): readonly ShadowPage[] =>
  [...m.world.tables.sp.values()].sort((a, b) => b.age - a.age);
