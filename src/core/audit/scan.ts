/**
 * The invariants of the 2007 shadow MMU, as a scan over the world: what is false now, and since which places.
 * Rules INV-1 to INV-5 and INV-13 of the reference.
 */
import {
  frameOfWord,
  gfnOfEntry,
  gpte,
  pfnOfEntry,
  spte,
  wordOf,
  type Pfn,
  type Spte,
} from '../quantities.ts';
import type { ShadowPage } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { CR0_WP, EFER_NXE } from '../hardware/registers.ts';
import { PTE_NX, PTE_P, PTE_U, PTE_W } from '../hardware/x86-entry.ts';
import { gfnOfPfn, pfnOfGfn } from '../kvm/memslots.ts';
import { pointers, RMAP_LIST } from '../kvm/pointer-list.ts';
import { levelOfRole, roleOf } from '../kvm/role-2007.ts';
import { parentWords, shadowPageAt } from '../kvm/shadow-page.ts';
import { isPresent, isTracked, SPTE_SHADOW_WRITABLE } from '../kvm/spte-2007.ts';

/** Something that is false: the rule, the word or thing that breaks it, and the words that decide it. */
export interface Falsity {
  readonly rule: string;
  /** A word's number for a table entry, or the id of a thing. */
  readonly subject: number | string;
  readonly decidedBy: readonly number[];
}

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
        found.push(...checkLink(world, { page, word, entry }));
        continue;
      }
      if (isTracked(entry)) {
        tracked.add(word);
        const pfn = pfnOfEntry(entry);
        writable.set(pfn, [...(writable.get(pfn) ?? []), word]);
      }
      found.push(...checkLeaf(world, { page, word, entry }, paths));
    }
    found.push(...checkParents(world, page));
  }
  found.push(...checkWriteProtection(world, writable));
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
  const guestWord = guestWordOf(world, leaf);
  if (guestWord === undefined) return NOTHING;
  const guest = gpte(world.word(guestWord));
  const named = (guest & PTE_P) === 0n ? undefined : pfnOfGfn(world, gfnOfEntry(guest));
  if (named !== pfnOfEntry(leaf.entry)) {
    return [{ rule: 'INV-1', subject: leaf.word, decidedBy: [leaf.word, guestWord] }];
  }
  const path = paths.find((candidate) => grantsTooMuch(world, leaf.entry, { path: candidate, guest }));
  if (path === undefined) return NOTHING;
  return [{ rule: 'INV-13', subject: leaf.word, decidedBy: [leaf.word, guestWord, ...path.words] }];
}

function pathRights(world: World, page: ShadowPage): readonly PathRights[] {
  return guestPaths(world, page).map((words) => {
    const entries = words.map((word) => world.word(word));
    return {
      words,
      present: entries.every((entry) => (entry & PTE_P) !== 0n),
      user: entries.every((entry) => (entry & PTE_U) !== 0n),
      writable: entries.every((entry) => (entry & PTE_W) !== 0n),
      noExecute: entries.some((entry) => (entry & PTE_NX) !== 0n),
    };
  });
}

/** The guest's entry behind a shadow entry; a page without a guest table has none. */
function guestWordOf(world: World, { page, word }: Pick<Leaf, 'page' | 'word'>): number | undefined {
  if (roleOf(page.role).metaphysical) return undefined;
  const pfn = pfnOfGfn(world, page.gfn);
  return pfn === undefined ? undefined : wordOf(pfn, word % 512);
}

/** Guest entries above a page, for each way that leads to it from a root: words, nearest first. */
function guestPaths(world: World, page: ShadowPage): readonly (readonly number[])[] {
  if (levelOfRole(page.role) === 4) return [[]];
  return parentWords(world, page).flatMap((word) => {
    const parent = shadowPageAt(world, frameOfWord(word));
    const guestWord = parent === undefined ? undefined : guestWordOf(world, { page: parent, word });
    if (parent === undefined || guestWord === undefined) return [];
    // A bit flipped from outside can link a page to itself or upwards: such a way leads from no root.
    if (levelOfRole(parent.role) !== levelOfRole(page.role) + 1) return [];
    return guestPaths(world, parent).map((rest) => [guestWord, ...rest]);
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
  return [...world.tables.vcpu.keys()].flatMap((vcpu) => {
    const serial = Number(world.get('reg', `${String(vcpu)}.root_serial`) ?? 0n);
    if (serial === 0 || world.get('sp', serial) !== undefined) return [];
    return [{ rule: 'INV-5', subject: `sp:${String(serial)}`, decidedBy: [] }];
  });
}
