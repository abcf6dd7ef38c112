/** Memory slots: which guest frames exist, and which host frame backs each. */
import type { Machine } from '../machine/machine.ts';
import type { World } from '../machine/world.ts';
import { FIRST_GUEST_PFN, FIRST_SHADOW_PFN } from '../machine/world.ts';

/** Host frame behind a guest frame, or undefined where no slot covers it: device memory. */
export function pfnOfGfn(world: World, gfn: number): number | undefined {
  for (const slot of world.tables.slot.values()) {
    if (gfn >= slot.firstGfn && gfn < slot.firstGfn + slot.frames) return FIRST_GUEST_PFN + gfn;
  }
  return undefined;
}

/** Guest frame that a host frame backs, or undefined for a frame that is not guest memory. */
export function gfnOfPfn(pfn: number): number | undefined {
  return pfn >= FIRST_GUEST_PFN && pfn < FIRST_SHADOW_PFN ? pfn - FIRST_GUEST_PFN : undefined;
}

/** Number of the memory word `index` of a guest frame; the frame must be in a slot. */
export function guestWord(m: Machine, gfn: number, index: number): number | undefined {
  const pfn = pfnOfGfn(m.world, gfn);
  return pfn === undefined ? undefined : pfn * 512 + index;
}
