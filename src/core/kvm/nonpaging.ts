/**
 * A guest without paging: its addresses are guest physical, and shadow tables stand for no table of the guest's. All
 * of its memory is mapped with every right, page by page as it faults.
 */
import { gfn, gfnOfAddress, pfnOfEntry, spte, wordOf, type Gfn } from '../quantities.ts';
import { must } from '../assert.ts';
import type { AccessKind } from '../hardware/registers.ts';
import type { Machine } from '../machine/machine.ts';
import { indexAt, PTE_P, PTE_U, PTE_W } from '../hardware/x86-entry.ts';
import { quadrantOf, shadowRootFor } from './context-2007.ts';
import { hasBug } from './era-2007.ts';
import { noteMapped } from './leaf-2007.ts';
import { pfnOfGfn } from './memslots.ts';
import { rmapAdd } from './rmap.ts';
import { getPage, isShadowed, unshadow } from './shadow-page.ts';
import { isPresent, linkSpte } from './spte-2007.ts';

/** Frames of 4 KiB below one entry of level 2. */
const DIRECTORY_FRAMES = 512;
const ALL_RIGHTS = 3;

export type NonpagingResult = 'fixed' | 'device' | 'write-to-table';

/** `nonpaging_page_fault`. A store into a root of another vCPU is left to the emulator. */
export function nonpagingPageFault(m: Machine, gpa: bigint, access: AccessKind): NonpagingResult {
  const target = gfnOfAddress(gpa);
  const backed = pfnOfGfn(m.world, target) !== undefined;
  m.step('slot-look', { gfn: target, backed });
  if (!backed) return 'device';
  return nonpagingMap(m, gpa) === 'read-only' && access === 'write' ? 'write-to-table' : 'fixed';
}

function nonpagingMap(m: Machine, gpa: bigint): 'writable' | 'read-only' {
  const target = gfnOfAddress(gpa);
  return m.call('nonpaging_map', { gpa }, () => {
    const root = shadowRootFor(m, gpa);
    let table = must(root.page, 'a root without paging').pfn;
    for (let { level } = root; level > 1; level -= 1) {
      const word = wordOf(table, indexAt(gpa, level));
      const entry = spte(m.word(word));
      m.step('fetch-look', { level, index: indexAt(gpa, level), entry }, [word]);
      table = isPresent(entry) ? pfnOfEntry(entry) : linkChild(m, { gpa, word, level });
    }
    const writable = mayWrite(m, target);
    const word = wordOf(table, indexAt(gpa, 1));
    const pfn = must(pfnOfGfn(m.world, target), 'memory behind the frame');
    m.step('spte-set', { gfn: target, writable, shadowed: !writable, guestDirty: true }, [word]);
    m.set('word', word, (BigInt(pfn) << 12n) | PTE_P | (writable ? PTE_W : 0n) | PTE_U);
    noteMapped(m, { word, gfn: target, writable });
    rmapAdd(m, { gfn: target, word });
    return writable ? 'writable' : 'read-only';
  });
}

/**
 * A table of the guest's that was shadowed while paging was on is given up: else the guest could write it, unseen. A
 * root that another vCPU uses stays shadowed.
 */
function mayWrite(m: Machine, target: Gfn): boolean {
  if (hasBug(m, 'nonpaging-write') || !isShadowed(m, target)) return true;
  unshadow(m, target);
  return !isShadowed(m, target);
}

function linkChild(
  m: Machine,
  at: { gpa: bigint; word: number; level: number },
): ReturnType<typeof pfnOfEntry> {
  const level = at.level - 1;
  const frame = gfnOfAddress(at.gpa);
  const page = getPage(m, {
    gfn: gfn(frame - (frame % DIRECTORY_FRAMES)),
    role: {
      guestLevels: 0,
      level,
      quadrant: quadrantOf(0, { gva: at.gpa, level }),
      metaphysical: true,
      access: hasBug(m, 'C-B5') ? 0 : ALL_RIGHTS,
    },
    parent: at.word,
    flushTlb: false,
  });
  m.step('spte-link', { level: at.level, serial: page.serial }, [at.word]);
  m.set('word', at.word, linkSpte(page.pfn));
  return page.pfn;
}
