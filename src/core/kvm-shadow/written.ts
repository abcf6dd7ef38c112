/**
 * The truth by which the dirty log is judged, for a guest whose memory belongs to a process: which frames of logged slots
 * were written since user space was last given them. No hypervisor knows it: it is read off the writes themselves.
 */
import type { Machine } from '../machine/machine.ts';
import type { SlotRecord } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { FIRST_GUEST_PFN, guestFrameOf } from '../machine/world.ts';
import { gfn, type Gfn, type Pfn } from '../quantities.ts';
import { hvaOf, spaceOf, spaceOfSlot, type SlotAt } from './vm.ts';

/** The guest frames of a slot that a host frame stands behind: more than one where the process maps it so. */
export function framesBehind(world: World, at: SlotAt, frame: Pfn): readonly Gfn[] {
  const { slot } = at;
  const behind = (of: number): boolean => world.get('hostPage', hvaOf(at, of))?.pfn === frame;
  // Nearly always the frame is where a guest's memory is put at first, and only there.
  const usual = frame >= FIRST_GUEST_PFN ? guestFrameOf(frame) : slot.firstGfn;
  if (usual >= slot.firstGfn && usual < slot.firstGfn + slot.frames && behind(usual)) return [usual];
  const found: Gfn[] = [];
  for (let of: number = slot.firstGfn; of < slot.firstGfn + slot.frames; of += 1)
    if (behind(of)) found.push(gfn(of));
  return found;
}

/** A word of a host frame was written, inside the step marked last. */
export function noteLogged(m: Machine, frame: Pfn): void {
  if (m.world.tables.owner.has(frame)) return;
  for (const [id, slot] of m.world.tables.slot) {
    // What is written through another address space's slots is noted in their log, if they have one.
    if (slot.logged !== true || spaceOfSlot(slot) !== spaceOf(m)) continue;
    for (const of of framesBehind(m.world, { id, slot }, frame))
      if (m.get('written', of) === undefined) m.set('written', of, 1);
  }
}

/** User space has been given these frames, or no log is kept of them any more; inside the step marked last. */
export function forgetWritten(m: Machine, frames: Iterable<Gfn>): void {
  for (const of of [...frames]) if (m.get('written', of) !== undefined) m.set('written', of, undefined);
}

/** Frames of a slot that were written. */
export const writtenFrames = (m: Machine, { firstGfn, frames }: SlotRecord): readonly Gfn[] =>
  [...m.world.tables.written.keys()].filter((of) => of >= firstGfn && of < firstGfn + frames);
