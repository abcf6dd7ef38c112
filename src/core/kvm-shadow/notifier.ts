/**
 * The MMU notifier: before the host changes its own entries for some pages, KVM takes every entry for them away; a fault
 * that began earlier is told by a sequence number that what it found is no longer so. Source: the reference, I.4.
 */
import type { Machine } from '../machine/machine.ts';
import { rmapOf, zapRmap } from './entries.ts';
import { flushRemote } from './flush.ts';
import { callPutOff } from './owed.ts';
import { patchVm, RMAP_LEVELS, vmOf, type SlotAt } from './vm.ts';

/** Pages of the process, by number. */
export interface HvaRange {
  readonly hva: number;
  readonly pages: number;
}

/**
 * `invalidate_range_start`, the host's change, `invalidate_range_end`. `holder`: who takes the lock for the first, and has
 * released it when the host makes its change.
 */
export function withNotifier(m: Machine, range: HvaRange, by: { holder?: number; change: () => void }): void {
  m.step('notifier-start', { hva: range.hva, pages: range.pages });
  m.underLock(() => {
    start(m, range);
  }, by.holder);
  m.preempt('mmu_notifier/started');
  by.change();
  const seq = vmOf(m).invalidateSeq + 1;
  m.step('notifier-end', { seq });
  patchVm(m, { invalidateSeq: seq, invalidating: vmOf(m).invalidating - 1 });
}

function start(m: Machine, range: HvaRange): void {
  patchVm(m, { invalidating: vmOf(m).invalidating + 1 });
  let flush = false;
  for (const [id, slot] of m.world.tables.slot) {
    const first = Math.max(range.hva, slot.hva ?? 0);
    const end = Math.min(range.hva + range.pages, (slot.hva ?? 0) + slot.frames);
    if (first >= end) continue;
    const gfn = slot.firstGfn + (first - (slot.hva ?? 0));
    flush = unmapFrames(m, { id, slot }, { gfn, pages: end - first }) || flush;
  }
  // Of entries that were dropped before, the reverse map knows no more; they may be in TLBs still.
  if ((vmOf(m).tlbsDirty ?? 0) > 0) {
    m.amendLastStep(() => {
      callPutOff(m);
    });
    flush = true;
  }
  if (flush) flushRemote(m, 'the host takes pages away');
}

/** `kvm_unmap_gfn_range`: through the reverse map, at every level. */
function unmapFrames(m: Machine, at: SlotAt, of: { gfn: number; pages: number }): boolean {
  return m.call('kvm_unmap_gfn_range', of, () => {
    let flush = false;
    for (const level of RMAP_LEVELS) {
      const size = 512 ** (level - 1);
      const first = Math.floor(of.gfn / size) * size;
      for (let gfn = first; gfn < of.gfn + of.pages; gfn += size)
        flush = zapCounted(m, at, { gfn, level }) || flush;
    }
    return flush;
  });
}

function zapCounted(m: Machine, at: SlotAt, of: { gfn: number; level: number }): boolean {
  const { length } = rmapOf(m, at, of);
  const zapped = zapRmap(m, at, of);
  if (length > 0)
    m.amendLastStep(() => {
      m.count('notifier_zaps', length);
    });
  return zapped;
}
