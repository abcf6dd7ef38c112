/**
 * All there is to say about a table, a page or a reverse map of a run under KVM: what a box has no room for. Asked for
 * when somebody points at a box, and by the text twin.
 */
import { frameOfWord, type Gfn, type Pfn } from '../core/quantities.ts';
import { addressOfShadow, partsOf } from '../core/kvm/behind-2007.ts';
import { contextIn, PAE_ROOTS, paeRootPfn, rootSerials } from '../core/kvm/context-2007.ts';
import { gfnOfPfn, slotOfGfn } from '../core/kvm/memslots.ts';
import {
  PARENT_LIST,
  pointers,
  RMAP_LIST,
  type ListShape,
  type PointerHead,
} from '../core/kvm/pointer-list.ts';
import { roleOf, type Role } from '../core/kvm/role-2007.ts';
import { shadowPagesOf } from '../core/kvm/shadow-page.ts';
import { coverageOf, TABLE_NAMES_BY_LEVEL } from '../core/hardware/x86-entry.ts';
import type { ShadowPage } from '../core/machine/tables.ts';
import { hostFrameOf, type World } from '../core/machine/world.ts';
import type { Cast } from './cast.ts';
import { shadowId } from './cast.ts';
import { entryName } from './frame-boxes.ts';
import { fillOf } from './list-shape.ts';
import { hex, plural } from './telling.ts';
import { todaysDetails } from './today/details.ts';

export function detailsOf(world: World, cast: Cast, id: string): readonly string[] {
  if (cast.kvm === undefined) return [];
  if (cast.kvm.today !== undefined) return todaysDetails(world, cast, id);
  const table = cast.tables.find((candidate) => candidate.id === id);
  if (table?.role !== undefined) {
    const page = [...world.tables.sp.values()].find((candidate) => shadowId(candidate) === id);
    return page === undefined ? ['Not built now.'] : shadowDetails(world, page);
  }
  if (table?.zone === 'guest') return [...guestDetails(world, table.gfn), ...logDetails(world, table.gfn)];
  if (id.startsWith('pae:')) return paeDetails(world);
  const frame = Number(`0x${id.slice(id.indexOf(':') + 1)}`);
  if (id.startsWith('rmap:')) return rmapDetails(world, frame as Pfn);
  return id.startsWith('frame:') ? pageDetails(world, cast, frame as Gfn) : [];
}

/** What a page stands for: `the PD in guest frame 0x10, quarter 4 of 4 (q3)`. */
function standsFor({ gfn }: ShadowPage, role: Role): string {
  const part = partText(role);
  if (!role.metaphysical)
    return `Stands for the guest's ${TABLE_NAMES_BY_LEVEL[role.level] ?? 'table'} in frame ${hex(gfn)}${part}.`;
  return role.guestLevels === 0
    ? `Paging is off: it maps guest frames from ${hex(gfn)} on as they are${part}. No frame holds a table of the guest for it.`
    : `Splits the large page at guest frame ${hex(gfn)}${part} into small ones. No frame holds a table of the guest for it.`;
}

function partText(role: Role): string {
  const of = partsOf(role);
  if (of === 1) return '';
  if (of === 2) return `, ${role.quadrant === 0 ? 'lower' : 'upper'} half (q${String(role.quadrant)})`;
  return `, quarter ${String(role.quadrant + 1)} of 4 (q${String(role.quadrant)})`;
}

function shadowDetails(world: World, page: ShadowPage): readonly string[] {
  const role = roleOf(page.role);
  const first = addressOfShadow(world, page);
  const last = first === undefined ? 0n : first + coverageOf(role.level) * 512n - 1n;
  const head = page.parents.kind === 'none' ? undefined : page.parents;
  return [
    standsFor(page, role),
    ...(first === undefined || role.level === 4 ? [] : [`Serves addresses ${hex(first)} to ${hex(last)}.`]),
    `Its table lies in host frame ${hex(page.pfn)}. Key: gfn ${hex(page.gfn)}, role ${hex(page.role)}${role.access === 0 ? '' : `, rights ${rightsText(role.access)}`}.`,
    ...(page.rootCount > 0 ? [`In use as a root (${String(page.rootCount)}).`] : []),
    ...(head === undefined
      ? page.rootCount > 0
        ? []
        : ['No entry leads to it.']
      : [listText(world, { shape: PARENT_LIST, head, one: 'parent entry', many: 'parent entries' })]),
  ];
}

const rightsText = (access: number): string =>
  [
    (access & 1) === 0 ? 'read-only' : 'writable',
    (access & 2) === 0 ? 'kernel' : 'user',
    ...((access & 4) === 0 ? [] : ['no fetch']),
  ].join(', ');

/** Every pointer of a list, and how full each node is. */
function listText(
  world: World,
  of: { shape: ListShape; head: PointerHead; one: string; many: string },
): string {
  const words = pointers(world, of.shape, of.head);
  const fill = fillOf(world, of.shape, of.head);
  const size = String(of.shape.nodeSize);
  const shape =
    fill.length === 0
      ? 'a plain pointer'
      : `${plural(fill.length, 'node', 'nodes')}: ${fill.map((count) => `${String(count)} of ${size}`).join(', ')}`;
  const names = words.map((word) => parentName(world, word));
  return `${plural(words.length, of.one, of.many)} (${shape}): ${names.join(', ')}.`;
}

const parentName = (world: World, word: number): string =>
  frameOfWord(word) === paeRootPfn(0) ? `pae_root [${String(word % 512)}]` : entryName(world, word);

function rmapDetails(world: World, pfn: Pfn): readonly string[] {
  const head = world.get('rmap', pfn);
  const frame = gfnOfPfn(pfn);
  const name = frame === undefined ? `Host frame ${hex(pfn)}` : `Guest frame ${hex(frame)}`;
  if (head === undefined) return [`${name}: no shadow entry lets the guest write it.`];
  const list = listText(world, { shape: RMAP_LIST, head, one: 'writable entry', many: 'writable entries' });
  return [`${name}: ${list}`];
}

function guestDetails(world: World, gfn: Gfn): readonly string[] {
  const pages = shadowPagesOf(world, gfn);
  const head = world.get('rmap', hostFrameOf(gfn));
  return [
    pages.length === 0
      ? 'No shadow page stands for it.'
      : `Shadowed by ${pages.map((page) => `sp ${String(page.serial)}${partText(roleOf(page.role))}`).join('; ')}.`,
    ...(head === undefined
      ? ['No shadow entry lets the guest write it.']
      : rmapDetails(world, hostFrameOf(gfn))),
    ...floodDetails(world, gfn),
  ];
}

function floodDetails(world: World, gfn: Gfn): readonly string[] {
  const reg = (name: string): bigint => world.get('reg', `0.last_pt_write_${name}`) ?? 0n;
  const count = reg('count');
  if (count === 0n || reg('gfn') !== BigInt(gfn)) return [];
  return [
    `vCPU 0 has written it ${plural(Number(count), 'time', 'times')} in a row. At the third its shadow is given up.`,
  ];
}

function pageDetails(world: World, cast: Cast, gfn: Gfn): readonly string[] {
  const count = cast.largePages.get(gfn);
  return [
    ...(count === undefined
      ? []
      : [
          `A large page of ${String(count)} frames, up to ${hex(gfn + count - 1)}. The shadow maps each by itself.`,
        ]),
    ...logDetails(world, gfn),
    ...rmapDetails(world, hostFrameOf(gfn)),
  ];
}

function logDetails(world: World, gfn: Gfn): readonly string[] {
  const slot = slotOfGfn(world, gfn);
  if (slot === undefined || world.get('slot', slot)?.logged !== true) return [];
  return [
    world.get('dirty', gfn) === undefined
      ? `Clean in the dirty log of slot ${String(slot)}: not written since the log was last fetched.`
      : `Dirty in the log of slot ${String(slot)}: written since the log was last fetched.`,
  ];
}

function paeDetails(world: World): readonly string[] {
  const roots = rootSerials(world, 0);
  if (contextIn(world, 0).shadowRootLevel === 4) return ['Not in use: the shadow has four levels now.'];
  return [
    `The processor loads these ${String(PAE_ROOTS)} entries as the root of the shadow of vCPU 0: one for each GiB of its addresses.`,
    `The page lies in host frame ${hex(paeRootPfn(0))}, below 4 GiB. ${plural(roots.length, 'entry leads', 'entries lead')} to a root.`,
  ];
}
