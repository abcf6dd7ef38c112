/** What the audit knows of a KVM of today with nested paging off. */
import { asidOf } from '../../kvm-shadow/flush.ts';
import { hardwareRegisters } from '../../kvm-shadow/kvm-shadow.ts';
import { paeRootFrame } from '../../kvm-shadow/shadow-walk.ts';
import { spaceOf } from '../../kvm-shadow/vm.ts';
import { noteLogged } from '../../kvm-shadow/written.ts';
import { FIRST_SHADOW_PFN, type World } from '../../machine/world.ts';
import type { Pfn } from '../../quantities.ts';
import type { Judging } from '../judging.ts';
import { suspectAnywhere } from '../suspects.ts';
import { formerFrames, forgetFormer, noteFormer } from './former.ts';
import { scanFreed } from './freed.ts';
import { contentsAt, hostFrameAt, shadowedFrames } from './overview.ts';
import { scan } from './scan.ts';

export const judgingToday: Judging = {
  scan,
  scanFreed,
  scannedTables: [
    'sp',
    'owner',
    'slotRmap',
    'rnode',
    'pnode',
    'shadowed',
    'unsyncBit',
    'writeTrack',
    'slot',
    'dirty',
    'written',
    'hostPage',
    'vm',
    'mmu',
    'request',
  ],
  scannedRegisters: [],
  scansFrames,
  // Who acts while another holds the lock finds its work half done; at the other points nobody does.
  isHalfDone: ({ lockHolder }) => lockHolder !== undefined,
  suspectOf: suspectAnywhere,
  usableEntries: ({ world }, vcpu) =>
    [...world.tables.tlb.values()].filter((entry) => entry.vcpu === vcpu && entry.asid === asidOf({ vcpu })),
  hardwareRegisters,
  witness: (m, frame, written) => {
    noteLogged(m, frame);
    noteFormer(m, frame, written);
  },
  pfnOfGfn: (m, gfn) => hostFrameAt(m.world, gfn, spaceOf(m)),
  contentsOfGfn: (m, gfn) => contentsAt(m.world, gfn, spaceOf(m)),
  guestRegisters: (_m, decoded) => decoded,
  kernelWritesStay: false,
  formerFrames,
  invalidated: forgetFormer,
};

function scansFrames(world: World, frames: ReadonlySet<Pfn>): boolean {
  const roots = [...world.tables.vcpu.keys()].map(paeRootFrame);
  if ([...frames].some((frame) => frame >= FIRST_SHADOW_PFN || roots.includes(frame))) return true;
  return [...shadowedFrames(world)].some((frame) => frames.has(frame));
}
