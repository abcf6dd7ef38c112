/**
 * The invariants of the 2007 shadow MMU, as a scan over the world: what is false now, and since which places.
 * Rules INV-1 to INV-5 and INV-11 to INV-13 of the reference.
 */
import { frameOfWord, gfnOfEntry, pfnOfEntry, spte, type Gfn, type Pfn, type Spte } from '../quantities.ts';
import type { ShadowPage } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { CR0_WP, EFER_NXE } from '../hardware/registers.ts';
import { PTE_NX, PTE_P, PTE_U, PTE_W } from '../hardware/x86-entry.ts';
import { directGfn, guestEntryBehind, type GuestEntry } from '../kvm/behind-2007.ts';
import { rootLevelOf, rootSerials } from '../kvm/context-2007.ts';
import { gfnOfPfn, pfnOfGfn } from '../kvm/memslots.ts';
import { pointers, RMAP_LIST } from '../kvm/pointer-list.ts';
import { levelOfRole, roleOf } from '../kvm/role-2007.ts';
import { parentWords, shadowPageAt } from '../kvm/shadow-page.ts';
import { isPresent, isTracked, SPTE_SHADOW_WRITABLE } from '../kvm/spte-2007.ts';
import type { Falsity } from './falsity.ts';
import { checkLog, checkSlot } from './slots-and-log.ts';

interface Leaf {
  readonly page: ShadowPage;
  readonly word: number;
  readonly entry: Spte;
}

export function scan(world: World): readonly Falsity[] {
  const found: Falsity[] = [];
  const writable = new Map<Pfn, number[]>();
  const tracked = new Set<number>();
  for (const page of world.tables.sp.values()) {
    const level = levelOfRole(page.role);
    const paths = level === 1 ? pathRights(world, page) : [];
    for (const word of world.wordsOfShadowFrame(page.pfn)) {
      const entry = spte(world.word(word));
      if (!isPresent(entry)) continue;
      if (level > 1) {
        found.push(...checkLink(world, { page, word, entry }), ...checkTarget(world, { page, word, entry }));
        continue;
      }
      if (isTracked(entry)) {
        tracked.add(word);
        const pfn = pfnOfEntry(entry);
        writable.set(pfn, [...(writable.get(pfn) ?? []), word]);
      }
      found.push(...checkLeaf(world, { page, word, entry }, paths), ...checkSlot(world, { word, entry }));
    }
    found.push(...checkParents(world, page));
  }
  found.push(...checkWriteProtection(world, writable), ...checkLog(world, writable));
  const listed = new Set(
    [...world.tables.rmap.values()].flatMap((head) => [...pointers(world, RMAP_LIST, head)]),
  );
  const unequal = [...listed]
    .filter((word) => !tracked.has(word))
    .concat([...tracked].filter((word) => !listed.has(word)));
  if (unequal.length > 0) found.push({ rule: 'INV-2', subject: 'rmap', decidedBy: unequal });
  found.push(...checkRoots(world));
  return found;
}

/** What the guest entries on one way to a page allow together. */
interface PathRights {
  readonly words: readonly number[];
  readonly present: boolean;
  readonly user: boolean;
  readonly writable: boolean;
  readonly noExecute: boolean;
}

const NOTHING: readonly Falsity[] = [];

/** INV-1 and INV-13 for one leaf. */
function checkLeaf(world: World, leaf: Leaf, paths: readonly PathRights[]): readonly Falsity[] {
  const direct = directGfn(leaf.page, leaf.word);
  if (direct !== undefined) return checkDirect(world, leaf, { direct, paths });
  const guest = guestEntryBehind(world, leaf.page, leaf.word);
  if (guest === undefined) return NOTHING;
  const named = (guest.value & PTE_P) === 0n ? undefined : pfnOfGfn(world, gfnOfEntry(guest.value));
  if (named !== pfnOfEntry(leaf.entry)) {
    return [{ rule: 'INV-1', subject: leaf.word, decidedBy: [leaf.word, guest.word] }];
  }
  const path = paths.find((one) => grantsTooMuch(world, leaf.entry, { path: one, guest: guest.value }));
  if (path === undefined) return NOTHING;
  return [{ rule: 'INV-13', subject: leaf.word, decidedBy: [leaf.word, guest.word, ...path.words] }];
}

/** A leaf below a large page, or of a guest without paging: it names the frame at its own place. */
function checkDirect(
  world: World,
  leaf: Leaf,
  by: { direct: Gfn; paths: readonly PathRights[] },
): readonly Falsity[] {
  if (pfnOfGfn(world, by.direct) !== pfnOfEntry(leaf.entry))
    return [{ rule: 'INV-1', subject: leaf.word, decidedBy: [leaf.word] }];
  // The nearest entry of each path is the large page's own: the leaf may grant what the whole path does.
  const path = by.paths.find((one) => grantsTooMuch(world, leaf.entry, { path: one, guest: EVERYTHING }));
  if (path === undefined) return NOTHING;
  return [{ rule: 'INV-13', subject: leaf.word, decidedBy: [leaf.word, ...path.words] }];
}

/** An entry that refuses nothing. */
const EVERYTHING = PTE_P | PTE_W | PTE_U;

function pathRights(world: World, page: ShadowPage): readonly PathRights[] {
  return guestPaths(world, page).map((entries) => ({
    words: entries.map((entry) => entry.word),
    present: entries.every(({ value }) => (value & PTE_P) !== 0n),
    user: entries.every(({ value }) => (value & PTE_U) !== 0n),
    writable: entries.every(({ value }) => (value & PTE_W) !== 0n),
    noExecute: entries.some(({ value }) => (value & PTE_NX) !== 0n),
  }));
}

/** Guest entries above a page, for each way that leads to it from a root: nearest first. */
function guestPaths(world: World, page: ShadowPage): readonly (readonly GuestEntry[])[] {
  const role = roleOf(page.role);
  if (role.guestLevels === 0) return [];
  if (role.level === rootLevelOf(role.guestLevels)) return [[]];
  return parentWords(world, page).flatMap((word) => {
    const parent = shadowPageAt(world, frameOfWord(word));
    const guest = parent === undefined ? undefined : guestEntryBehind(world, parent, word);
    if (parent === undefined || guest === undefined) return [];
    // A bit flipped from outside can link a page to itself or upwards: such a way leads from no root.
    if (levelOfRole(parent.role) !== role.level + 1) return [];
    return guestPaths(world, parent).map((rest) => [guest, ...rest]);
  });
}

/** Whether a leaf allows what a walk over these guest entries would refuse. */
function grantsTooMuch(world: World, leaf: bigint, over: { path: PathRights; guest: bigint }): boolean {
  const { path, guest } = over;
  if (!path.present) return true;
  if ((leaf & PTE_U) !== 0n && !(path.user && (guest & PTE_U) !== 0n)) return true;
  const noExecute = path.noExecute || (guest & PTE_NX) !== 0n;
  const nxOn = ((world.get('reg', '0.efer') ?? 0n) & EFER_NXE) !== 0n;
  if (nxOn && noExecute && (leaf & PTE_NX) === 0n) return true;
  if ((leaf & PTE_W) === 0n || (path.writable && (guest & PTE_W) !== 0n)) return false;
  // CR0.WP=0 lets the kernel write read-only pages: the leaf is then the kernel's alone, and stays so until it faults.
  const kernelTrick = (leaf & (PTE_U | SPTE_SHADOW_WRITABLE)) === 0n;
  const kernelMayWrite = ((world.get('reg', '0.cr0') ?? 0n) & CR0_WP) === 0n;
  return !kernelTrick && !(kernelMayWrite && (leaf & PTE_U) === 0n);
}

/** INV-4, downwards: an entry that links to a page is among that page's parents. */
function checkLink(world: World, { word, entry }: Leaf): readonly Falsity[] {
  const child = shadowPageAt(world, pfnOfEntry(entry));
  if (child !== undefined && parentWords(world, child).includes(word)) return [];
  return [{ rule: 'INV-4', subject: word, decidedBy: [word] }];
}

/**
 * INV-1 for a link: the page below stands for the table, or for the large page, that the guest's entry names now. An entry
 * that is gone says nothing here: what lies below it then grants too much, which is INV-13.
 */
function checkTarget(world: World, { page, word, entry }: Leaf): readonly Falsity[] {
  const child = shadowPageAt(world, pfnOfEntry(entry));
  const guest = guestEntryBehind(world, page, word);
  if (child === undefined || guest === undefined || (guest.value & PTE_P) === 0n) return NOTHING;
  const named = gfnOfEntry(guest.value);
  // The frame of a large page is a multiple of its size; below its first frame lie bits that mean something else.
  const same = roleOf(child.role).metaphysical ? isWithin(child.gfn, named) : child.gfn === named;
  return same ? NOTHING : [{ rule: 'INV-1', subject: word, decidedBy: [word, guest.word] }];
}

/** Frames of 4 KiB below one entry of level 2. */
const LARGE_FRAMES = 512;
const isWithin = (base: Gfn, named: Gfn): boolean =>
  Math.floor(base / LARGE_FRAMES) === Math.floor(named / LARGE_FRAMES);

/** INV-4, upwards: each parent entry of a page links to it. */
function checkParents(world: World, page: ShadowPage): readonly Falsity[] {
  return parentWords(world, page)
    .filter((word) => !isPresent(spte(world.word(word))) || pfnOfEntry(spte(world.word(word))) !== page.pfn)
    .map((word) => ({ rule: 'INV-4', subject: word, decidedBy: [word] }));
}

/** INV-3: no leaf writes to a frame that is shadowed as a guest table. */
function checkWriteProtection(
  world: World,
  writable: ReadonlyMap<Pfn, readonly number[]>,
): readonly Falsity[] {
  const shadowed = new Set(
    [...world.tables.sp.values()].filter((p) => !roleOf(p.role).metaphysical).map((p) => p.gfn),
  );
  return [...writable].flatMap(([pfn, words]) => {
    const gfn = gfnOfPfn(pfn);
    if (gfn === undefined || !shadowed.has(gfn)) return [];
    return words.map((word) => ({ rule: 'INV-3', subject: word, decidedBy: [word] }));
  });
}

/** INV-5: a root in use is never freed. */
function checkRoots(world: World): readonly Falsity[] {
  return [...world.tables.vcpu.keys()].flatMap((vcpu) =>
    rootSerials(world, vcpu)
      .filter((serial) => world.get('sp', serial) === undefined)
      .map((serial) => ({ rule: 'INV-5', subject: `sp:${String(serial)}`, decidedBy: [] })),
  );
}
