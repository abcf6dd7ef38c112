/**
 * `fetch`: makes the shadow path for an address that the guest's tables map, top down, and its leaf. Rights are
 * enforced only in leaves: an entry that links to a shadow table always allows everything.
 */
import { gfn, pfnOfEntry, spte, wordOf, type Gfn, type Gpte, type Pfn } from '../quantities.ts';
import { hasShippedBug } from '../settings.ts';
import type { Machine } from '../machine/machine.ts';
import { indexAt, PTE_D, PTE_W } from '../hardware/x86-entry.ts';
import type { GuestWalk } from './guest-walk.ts';
import { pfnOfGfn } from './memslots.ts';
import { rmapAdd } from './rmap.ts';
import { getPage, isShadowed } from './shadow-page.ts';
import { accessField, isMmio, isPresent, leafSpte, linkSpte } from './spte-2007.ts';

const SHADOW_ROOT_LEVEL = 4;
/** Set in a present level-2 entry: the guest maps this range with one large page. */
const LARGE_PAGE_MARK = 1n << 9n;

/** Gives the word of the leaf. */
export function fetch(m: Machine, walk: GuestWalk): number {
  return m.call('fetch', { gva: walk.gva }, () => {
    let table = m.must('sp', Number(m.reg('root_serial'))).pfn;
    for (let level = SHADOW_ROOT_LEVEL; ; level -= 1) {
      const index = indexAt(walk.gva, level);
      const word = wordOf(table, index);
      const entry = spte(m.word(word));
      m.step('fetch-look', { level, index, entry }, [word]);
      if (level === 1) {
        if (!isPresent(entry) && !isMmio(entry)) {
          setPte(m, { word, entry: walk.entry, gfn: walk.gfn, inherited: inheritedOf(walk) });
        }
        return word;
      }
      table = isPresent(entry) ? pfnOfEntry(entry) : linkChild(m, { walk, word, childLevel: level - 1 });
    }
  });
}

/** Rights that all entries above the guest's leaf leave. */
const inheritedOf = (walk: GuestWalk): bigint => walk.inherited[walk.leafLevel] ?? 0n;

function linkChild(m: Machine, link: { walk: GuestWalk; word: number; childLevel: number }): Pfn {
  const { walk, word, childLevel } = link;
  const large = childLevel < walk.leafLevel;
  const page = getPage(m, {
    gfn: large ? gfn(walk.gfn - (walk.gfn % 512)) : (walk.tableGfns[childLevel] ?? gfn(0)),
    role: {
      guestLevels: 4,
      level: childLevel,
      quadrant: 0,
      metaphysical: large,
      access: accessKey(m, { walk, childLevel, large }),
    },
    parent: word,
    flushTlb: m.settings.flush !== 'never',
  });
  m.step('spte-link', { level: childLevel + 1, serial: page.serial }, [word]);
  m.set('word', word, linkSpte(page.pfn) | (large ? LARGE_PAGE_MARK : 0n));
  return page.pfn;
}

/** Only a split large page keeps rights in its key in this era; with bug C-B3 mended, every page does. */
function accessKey(m: Machine, of: { walk: GuestWalk; childLevel: number; large: boolean }): number {
  if (of.large) return Number((of.walk.entry & 6n) >> 1n);
  if (hasShippedBug(m.settings, 'C-B3')) return 0;
  return accessField(of.walk.inherited[of.childLevel] ?? 0n);
}

export interface LeafPlan {
  readonly word: number;
  readonly entry: Gpte;
  readonly gfn: Gfn;
  readonly inherited: bigint;
}

/** `set_pte`: builds the leaf for a guest entry and enters it into the reverse map if it is writable. */
export function setPte(m: Machine, plan: LeafPlan): void {
  const { word, entry, gfn } = plan;
  m.call('set_pte', { gfn }, () => {
    const pfn = pfnOfGfn(m.world, gfn);
    const shadowed = isShadowed(m, gfn);
    const built = leafSpte({ entry, inherited: plan.inherited, pfn, shadowed });
    if (pfn === undefined) {
      m.step('spte-mmio', { gpa: BigInt(gfn) << 12n }, [word]);
      m.set('word', word, built);
      return;
    }
    m.step(
      'spte-set',
      { gfn, writable: (built & PTE_W) !== 0n, shadowed, guestDirty: (entry & PTE_D) !== 0n },
      [word],
    );
    m.set('word', word, built);
    rmapAdd(m, { gfn, word });
  });
}
