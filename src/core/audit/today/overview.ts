/**
 * A world of today's KVM as its audit reads it: shadow pages with what their entries are, and where guest memory lies. It
 * reads tables only, and asks no function of the hypervisor what to think of them.
 */
import { isObsoleteIn, pageOfFrame, today } from '../../kvm-shadow/page.ts';
import { hasGptes, isDirect, levelOfRole, spaceOfRole, type AddressSpace } from '../../kvm-shadow/role.ts';
import { frameOf, isLarge, isMmio, isPresent } from '../../kvm-shadow/spte.ts';
import { framesOf, hvaOf, isVisible, slotAt } from '../../kvm-shadow/vm.ts';
import type { HostPage } from '../../machine/tables-today.ts';
import type { ShadowPage } from '../../machine/tables.ts';
import type { World } from '../../machine/world.ts';
import type { Pfn } from '../../quantities.ts';

/** A shadow page, with what the rules ask of it. */
export interface Page {
  readonly page: ShadowPage;
  readonly level: number;
  /** Given up, or of an older generation: it waits for its vCPUs to let go, and stands for nothing any more. */
  readonly obsolete: boolean;
  /** A guest's table stands behind it. */
  readonly shadows: boolean;
  readonly unsync: boolean;
}

/** An entry that is present to KVM and maps a frame. */
export interface Leaf extends Page {
  readonly word: number;
  readonly entry: bigint;
  /** The guest frames that it maps, as KVM has noted them. */
  readonly gfn: number;
  readonly frames: number;
}

/** An entry that leads to another shadow page. */
export interface Link extends Page {
  readonly word: number;
  readonly entry: bigint;
  readonly child: ShadowPage | undefined;
}

/** An entry that marks a device. */
export interface Device extends Page {
  readonly word: number;
  readonly entry: bigint;
}

export interface Overview {
  readonly world: World;
  readonly pages: readonly Page[];
  readonly leaves: readonly Leaf[];
  readonly links: readonly Link[];
  readonly devices: readonly Device[];
}

export function overviewOf(world: World): Overview {
  const pages = [...world.tables.sp.values()].map((page) => ({
    page,
    level: levelOfRole(page.role),
    obsolete: isObsoleteIn(world, page),
    shadows: hasGptes(page.role),
    unsync: today(page).unsync,
  }));
  const [leaves, links, devices]: [Leaf[], Link[], Device[]] = [[], [], []];
  for (const of of pages)
    for (const word of world.wordsOfShadowFrame(of.page.pfn)) {
      const entry = world.word(word);
      if (isMmio(entry)) devices.push({ ...of, word, entry });
      if (!isPresent(entry)) continue;
      if (of.level === 1 || isLarge(entry))
        leaves.push({ ...of, word, entry, gfn: notedGfn(world, of.page, word), frames: framesOf(of.level) });
      else links.push({ ...of, word, entry, child: pageOfFrame(world, frameOf(entry)) });
    }
  return { world, pages, leaves, links, devices };
}

const ENTRIES = 512;

/** The first guest frame of an entry: of a direct page by its place, else as noted when the entry was made. */
function notedGfn(world: World, page: ShadowPage, word: number): number {
  if (isDirect(page.role)) return directGfn(page, word);
  return Number((world.get('shadowed', word) ?? 0n) >> 12n);
}

export const directGfn = (page: ShadowPage, word: number): number =>
  page.gfn + (word % ENTRIES) * framesOf(levelOfRole(page.role));

/** The page of the process behind a guest frame, where a slot covers it that is not being deleted. */
export function hostPageOf(world: World, gfn: number, space: AddressSpace): HostPage | undefined {
  const at = slotAt(world, gfn, space);
  return isVisible(at) ? world.get('hostPage', hvaOf(at, gfn)) : undefined;
}

export const hostFrameAt = (world: World, gfn: number, space: AddressSpace): Pfn | undefined =>
  hostPageOf(world, gfn, space)?.pfn;

/** Where what is in a guest frame lies, be it swapped out: the guest's tables say the same there. */
export function contentsAt(world: World, gfn: number, space: AddressSpace): Pfn | undefined {
  const page = hostPageOf(world, gfn, space);
  return page?.pfn ?? page?.swapped;
}

/** Host frames of the guest's tables that have shadow pages. */
export function shadowedFrames(world: World): ReadonlySet<Pfn> {
  const frames = new Set<Pfn>();
  for (const { role, gfn } of world.tables.sp.values()) {
    const frame = hasGptes(role) ? contentsAt(world, gfn, spaceOfRole(role)) : undefined;
    if (frame !== undefined) frames.add(frame);
  }
  return frames;
}
