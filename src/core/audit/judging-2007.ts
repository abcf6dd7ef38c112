/** What the audit knows of the machine of 2006 and 2007. */
import { ROOT_REGISTERS } from '../kvm/context-2007.ts';
import { hardwareRegisters } from '../kvm/kvm-2007.ts';
import { gfnOfPfn, pfnOfGfn } from '../kvm/memslots.ts';
import { shadowPagesOf } from '../kvm/shadow-page.ts';
import { usableEntries } from '../kvm/vendor.ts';
import { noteWritten } from '../kvm/written.ts';
import { FIRST_SHADOW_PFN, type World } from '../machine/world.ts';
import type { Pfn } from '../quantities.ts';
import { scanFreed } from './freed.ts';
import type { Judging } from './judging.ts';
import { scan } from './scan.ts';
import { suspectOf } from './suspects.ts';

export const judging2007: Judging = {
  scan,
  scanFreed,
  scannedTables: ['sp', 'rmap', 'rnode', 'pnode', 'slot', 'dirty', 'written'],
  scannedRegisters: ['cr0', 'efer', ...ROOT_REGISTERS],
  scansFrames: (world, frames) =>
    [...frames].some((frame) => frame >= FIRST_SHADOW_PFN || isShadowedFrame(world, frame)),
  isHalfDone: ({ lockHolder, vcpu }) => lockHolder !== undefined && lockHolder !== vcpu,
  suspectOf,
  usableEntries,
  hardwareRegisters,
  witness: noteWritten,
  pfnOfGfn: (m, gfn) => pfnOfGfn(m.world, gfn),
  contentsOfGfn: (m, gfn) => pfnOfGfn(m.world, gfn),
  // Two stated deviations of the era are not harm: its walker ignores reserved address bits, and a leaf that the kernel
  // may write because CR0.WP was 0 stays so when WP is set again.
  guestRegisters: (_m, decoded) => ({ ...decoded, physicalBits: 52 }),
  kernelWritesStay: true,
  // Its tables are never out of step with the guest's: what a correct TLB may still hold has been in use.
  formerFrames: () => [],
  invalidated: () => undefined,
};

function isShadowedFrame(world: World, frame: Pfn): boolean {
  const gfn = gfnOfPfn(frame);
  return gfn !== undefined && shadowPagesOf(world, gfn).length > 0;
}
