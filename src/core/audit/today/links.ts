/** INV-4 and INV-5: who leads to whom; INV-1 and INV-13 for an entry that leads to a page. */
import { parentsOf, isObsoleteIn, pageOfFrame } from '../../kvm-shadow/page.ts';
import { hasGptes, levelOfRole, roleField } from '../../kvm-shadow/role.ts';
import { paeRootFrame, paeRootWord } from '../../kvm-shadow/shadow-walk.ts';
import { frameOf, isLarge, isPresent } from '../../kvm-shadow/spte.ts';
import type { ShadowPage } from '../../machine/tables.ts';
import type { World } from '../../machine/world.ts';
import type { Pfn } from '../../quantities.ts';
import type { Falsity } from '../falsity.ts';
import { behind } from './behind.ts';
import { exceeds } from './leaves.ts';
import type { Link, Overview, Page } from './overview.ts';

export function checkLinks({ world, pages, links }: Overview): readonly Falsity[] {
  return [
    ...links.flatMap((link) => [...checkLink(world, link), ...checkTarget(world, link)]),
    ...pages.flatMap((page) => checkParents(world, page)),
    ...checkRoots(world),
  ];
}

/** INV-4, downwards: an entry that leads to a page is among that page's parents, once. */
function checkLink(world: World, { word, child, level }: Link): readonly Falsity[] {
  const known = child === undefined ? [] : parentsOf(world, child).filter((parent) => parent === word);
  if (known.length === 1 && child !== undefined && levelOfRole(child.role) === level - 1) return [];
  const places = child === undefined ? [] : ([{ table: 'sp', key: child.serial }] as const);
  return [{ rule: 'INV-4', subject: word, decidedBy: [word], places }];
}

/** INV-4, upwards: each parent entry of a page leads to it. */
function checkParents(world: World, { page }: Page): readonly Falsity[] {
  return parentsOf(world, page)
    .filter((word) => {
      const entry = world.word(word);
      return !isPresent(entry) || isLarge(entry) || frameOf(entry) !== page.pfn;
    })
    .map((word) => ({
      rule: 'INV-4',
      subject: word,
      decidedBy: [word],
      places: [{ table: 'sp', key: page.serial }],
    }));
}

/**
 * INV-1 and INV-13 for a link, from page to page: the page below stands for the table, or for the large page, that the
 * guest's entry names now, and its key has no right that the tables above do not give. So no leaf has one that a walk
 * from the root would refuse. Pages above level 1 are never out of step.
 */
function checkTarget(world: World, link: Link): readonly Falsity[] {
  const { page, word, child, obsolete } = link;
  const now = obsolete || child === undefined ? undefined : behind(world, page, word);
  if (now === undefined || child === undefined) return [];
  const falsity = {
    subject: word,
    decidedBy: [word, ...(now.word === undefined ? [] : [now.word])],
    places: [{ table: 'sp', key: child.serial }],
  } as const;
  if (!now.present || !standsFor(child, link, now)) return [{ rule: 'INV-1', ...falsity }];
  const given = hasGptes(child.role) ? now.access : now.leafAccess;
  const allowed = roleField(page.role, 'access') & given;
  const rights = roleField(child.role, 'access');
  const tooMuch = hasGptes(child.role) ? (rights & ~allowed) !== 0 : exceeds(rights, allowed, page.role);
  return tooMuch ? [{ rule: 'INV-13', ...falsity }] : [];
}

function standsFor(child: ShadowPage, { page, word }: Link, now: { table: number; gfn: number }): boolean {
  if (!hasGptes(child.role)) return child.gfn === now.gfn;
  const four = roleField(page.role, 'has_4_byte_gpte') === 1;
  // A guest's table of 1024 entries has a page for either half of what it maps.
  const half = four ? word % 2 : 0;
  return child.gfn === now.table && roleField(child.role, 'quadrant') === half;
}

/**
 * INV-5: every root that a vCPU uses or remembers is there, and root_count says how many there are. One that stands for
 * nothing any more has been asked back.
 */
function checkRoots(world: World): readonly Falsity[] {
  const found: Falsity[] = [];
  const counts = new Map<number, number>();
  for (const vcpu of world.tables.vcpu.keys()) {
    const places = [{ table: 'mmu', key: vcpu }] as const;
    const subject = `vcpu:${String(vcpu)}`;
    const frames = rootFrames(world, vcpu);
    const pages = frames.map((frame) => pageOfFrame(world, frame));
    for (const page of pages)
      if (page !== undefined) counts.set(page.serial, (counts.get(page.serial) ?? 0) + 1);
    const asked = (world.get('request', vcpu) ?? []).includes('MMU_FREE_OBSOLETE_ROOTS');
    if (pages.some((page) => page === undefined || (!asked && isObsoleteIn(world, page))))
      found.push({ rule: 'INV-5', subject, decidedBy: [], places });
  }
  for (const { serial, rootCount } of world.tables.sp.values())
    if (rootCount !== (counts.get(serial) ?? 0))
      found.push({
        rule: 'INV-5',
        subject: `sp:${String(serial)}`,
        decidedBy: [],
        places: [{ table: 'sp', key: serial }],
      });
  return found;
}

const PAE_ENTRIES = [0, 1, 2, 3] as const;

/** Tables that a vCPU's roots name, remembered ones too: one each, or the four of its PAE page. */
export function rootFrames(world: World, vcpu: number): readonly Pfn[] {
  const mmu = world.get('mmu', vcpu);
  return [mmu?.root, ...(mmu?.prevRoots ?? [])].flatMap((root) => {
    if (root?.hpa === undefined) return [];
    if (root.hpa !== paeRootFrame(vcpu)) return [root.hpa];
    return PAE_ENTRIES.map((index) => world.word(paeRootWord(vcpu, index)))
      .filter((entry) => entry !== 0n)
      .map(frameOf);
  });
}
