/**
 * `fetch`: makes the shadow path for an address that the guest's tables map, top down, and its leaf. Rights are
 * enforced only in leaves: an entry that links to a shadow table always allows everything.
 */
import { gfn, pfnOfEntry, spte, wordOf, type Pfn } from '../quantities.ts';
import { must } from '../assert.ts';
import type { AccessRequest } from '../hardware/fault.ts';
import type { Machine } from '../machine/machine.ts';
import { indexAt, PTE_NX } from '../hardware/x86-entry.ts';
import { contextOf, quadrantOf, shadowRootFor } from './context-2007.ts';
import { hasBug, traitsOf } from './era-2007.ts';
import type { GuestWalk } from './guest-walk.ts';
import { setLeaf, setLeafForFault, type FaultLeaf, type LeafPlan } from './leaf-2007.ts';
import { getPage } from './shadow-page.ts';
import { accessField, inherit, isMmio, isPresent, linkSpte, SPTE_LARGE_MARK } from './spte-2007.ts';

/** Makes the path down to the leaf, and the leaf where there was none. Gives the word of the leaf. */
export function fetch(m: Machine, walk: GuestWalk): number {
  return m.call('fetch', { gva: walk.gva }, () => {
    const { word, parent } = must(pathTo(m, walk), 'a path');
    const entry = spte(m.word(word));
    if (isPresent(entry) || isMmio(entry)) return word;
    if (walk.leafLevel > 1) markLarge(m, parent);
    setLeaf(m, planFor(walk, word));
    return word;
  });
}

/** The same in the last era, in which the leaf is built anew by each fault and needs no fixing. */
export function fetchAnew(
  m: Machine,
  walk: GuestWalk,
  request: AccessRequest,
): { word: number; result: FaultLeaf } {
  return m.call('fetch', { gva: walk.gva }, () => {
    const path = pathTo(m, walk);
    if (path === undefined) return { word: 0, result: 'again' };
    const { word, parent } = path;
    if (walk.leafLevel > 1) markLarge(m, parent);
    return { word, result: setLeafForFault(m, planFor(walk, word), request) };
  });
}

const planFor = (walk: GuestWalk, word: number): LeafPlan => ({
  word,
  entry: walk.entry,
  entryBytes: walk.entryBytes,
  large: walk.leafLevel > 1,
  gfn: walk.gfn,
  // Rights that all entries above the guest's leaf leave.
  inherited: walk.inherited[walk.leafLevel] ?? 0n,
});

/**
 * The words of the leaf and of the entry above it; tables on the way are made. Undefined where another vCPU has changed what
 * the walk had read of such a table: nobody but the walk knew of the table until it was protected.
 */
function pathTo(m: Machine, walk: GuestWalk): { word: number; parent: number | undefined } | undefined {
  const root = shadowRootFor(m, walk.gva);
  if (root.word !== undefined)
    m.step('fetch-look', { level: 3, index: root.index, entry: m.word(root.word) }, [root.word]);
  let table = must(root.page, 'a root for an address that the guest maps').pfn;
  let parent: number | undefined;
  for (let { level } = root; ; level -= 1) {
    const index = indexAt(walk.gva, level);
    const word = wordOf(table, index);
    const entry = spte(m.word(word));
    m.step('fetch-look', { level, index, entry }, [word]);
    if (level === 1) return { word, parent };
    parent = word;
    if (isPresent(entry)) table = pfnOfEntry(entry);
    else {
      table = linkChild(m, { walk, word, childLevel: level - 1 });
      if (asksAgain(m) && walk.isChanged[level - 1]?.() === true) return undefined;
    }
  }
}

/** Bug walk-race: the era of several vCPUs did not look again at what its walk had read. */
const asksAgain = (m: Machine): boolean => traitsOf(m.settings).remoteFlush && !hasBug(m, 'walk-race');

/** The guest maps what lies below this entry with one large page. */
function markLarge(m: Machine, word: number | undefined): void {
  if (word === undefined || (m.word(word) & SPTE_LARGE_MARK) !== 0n) return;
  m.step('spte-mark-large', {}, [word]);
  m.set('word', word, m.word(word) | SPTE_LARGE_MARK);
}

function linkChild(m: Machine, link: { walk: GuestWalk; word: number; childLevel: number }): Pfn {
  const { walk, word, childLevel } = link;
  const { guestLevels } = contextOf(m);
  const large = childLevel < walk.leafLevel;
  const page = getPage(m, {
    gfn: large ? walk.baseGfn : (walk.tableGfns[childLevel] ?? gfn(0)),
    role: {
      guestLevels,
      level: childLevel,
      quadrant: quadrantOf(guestLevels, { gva: walk.gva, level: childLevel }),
      metaphysical: large,
      access: accessKey(m, { walk, childLevel, large }),
    },
    parent: word,
    flushTlb: m.settings.flush !== 'never',
  });
  m.step('spte-link', { level: childLevel + 1, serial: page.serial }, [word]);
  m.set('word', word, linkSpte(page.pfn));
  return page.pfn;
}

/**
 * The rights that are part of a page's key. Eras since mid-2007 keep those of a large page there, without which two
 * large pages of one frame and different rights share their shadow (C-B5). With bug C-B3 mended, every page keeps the
 * rights of the whole path.
 */
function accessKey(m: Machine, of: { walk: GuestWalk; childLevel: number; large: boolean }): number {
  const { walk, childLevel, large } = of;
  const above = walk.inherited[large ? walk.leafLevel : childLevel] ?? 0n;
  if (!hasBug(m, 'C-B3')) return accessField(large ? inherit(above, walk.entry) : above);
  if (!large || hasBug(m, 'C-B5')) return 0;
  const ownRights = Number((walk.entry & 6n) >> 1n);
  // 2007c means to add no-execute to the field, and sets the place of the user bit instead.
  return hasBug(m, 'nx-slip') && (walk.entry & PTE_NX) !== 0n ? ownRights | 2 : ownRights;
}
