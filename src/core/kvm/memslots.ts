/** Memory slots: which guest frames exist, and which host frame backs each. */
import type { Machine } from '../machine/machine.ts';
import type { World } from '../machine/world.ts';
import { FIRST_GUEST_PFN, FIRST_SHADOW_PFN, guestFrameOf, hostFrameOf } from '../machine/world.ts';
import { wordOf, type Gfn, type Pfn } from '../quantities.ts';

/** Host frame behind a guest frame, or undefined where no slot covers it: device memory. */
export function pfnOfGfn(world: World, gfn: Gfn): Pfn | undefined {
  for (const slot of world.tables.slot.values()) {
    if (gfn >= slot.firstGfn && gfn < slot.firstGfn + slot.frames) return hostFrameOf(gfn);
  }
  return undefined;
}

/** Number of the slot that covers a guest frame. */
export function slotOfGfn(world: World, gfn: Gfn): number | undefined {
  for (const [number, slot] of world.tables.slot) {
    if (gfn >= slot.firstGfn && gfn < slot.firstGfn + slot.frames) return number;
  }
  return undefined;
}

/** Whether user space wants to know when a guest frame is written. */
export function isLogged(world: World, gfn: Gfn): boolean {
  const slot = slotOfGfn(world, gfn);
  return slot !== undefined && world.get('slot', slot)?.logged === true;
}

/** Guest frame that a host frame backs, or undefined for a frame that is not guest memory. */
export function gfnOfPfn(pfn: Pfn): Gfn | undefined {
  return pfn >= FIRST_GUEST_PFN && pfn < FIRST_SHADOW_PFN ? guestFrameOf(pfn) : undefined;
}

/** Number of the memory word `index` of a guest frame; the frame must be in a slot. */
export function guestWord(m: Machine, gfn: Gfn, index: number): number | undefined {
  const pfn = pfnOfGfn(m.world, gfn);
  return pfn === undefined ? undefined : wordOf(pfn, index);
}
