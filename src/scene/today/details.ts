/** All there is to say about a box of a KVM of today: asked for when somebody points at it, and by the text twin. */
import { coverageOf } from '../../core/hardware/x86-entry.ts';
import { pageOfFrame, parentsHead, parentsOf } from '../../core/kvm-shadow/page.ts';
import { isDirect, isInvalid, levelOfRole } from '../../core/kvm-shadow/role.ts';
import { frameOf, isWritable } from '../../core/kvm-shadow/spte.ts';
import { paeRootFrame, paeRootWord } from '../../core/kvm-shadow/shadow-walk.ts';
import { hvaOf, rmapKey, slotAt } from '../../core/kvm-shadow/vm.ts';
import type { RmapHead, ShadowPage } from '../../core/machine/tables.ts';
import type { World } from '../../core/machine/world.ts';
import { frameOfWord, type Gfn } from '../../core/quantities.ts';
import type { Cast } from '../cast.ts';
import { hex, plural } from '../telling.ts';
import { entryName } from './frame-boxes.ts';
import { rootText } from './hardware.ts';
import { roleText, standsFor } from './names.ts';
import { pagesByBox } from './table-boxes.ts';
import { entriesOf, fillOf, frameBehind, isOfOldGeneration, listedIn, todayOf, trackedBy } from './world.ts';

export function todaysDetails(world: World, cast: Cast, id: string): readonly string[] {
  const table = cast.tables.find((candidate) => candidate.id === id);
  if (table?.role !== undefined) {
    const page = pagesByBox({ world, cast }).get(id);
    return page === undefined ? ['Not built now.'] : pageDetails(world, page);
  }
  if (table?.zone === 'guest') return guestDetails(world, table.gfn);
  const [kind = '', key = ''] = id.split(':');
  switch (kind) {
    case 'pae':
      return [
        `The processor loads these four entries as the root of the shadow of vCPU ${key}: one for each GiB of its addresses.`,
      ];
    case 'rmap':
      return listDetails(world, key);
    case 'frame':
      return frameDetails(world, parseInt(key, 16) as Gfn);
    case 'vcpu':
      return vcpuDetails(world, Number(key));
    default:
      return [];
  }
}

function pageDetails(world: World, page: ShadowPage): readonly string[] {
  const { floodCount, validGen, nxDisallowed } = todayOf(page);
  const first = addressOf(world, page);
  const level = levelOfRole(page.role);
  const last = first === undefined ? 0n : first + coverageOf(level) * 512n - 1n;
  return [
    standsFor(page),
    ...stateDetails(world, page),
    ...(first === undefined || level >= ROOT_LEVEL
      ? []
      : [`Serves addresses ${hex(first)} to ${hex(last)}.`]),
    `${roleText(page.role)} Made in valid generation ${String(validGen)}. Its table lies in host frame ${hex(page.pfn)}.`,
    ...(floodCount > 0
      ? [
          `The guest has written its table ${plural(floodCount, 'time', 'times')} in a row. At the third it is given up.`,
        ]
      : []),
    ...(nxDisallowed ? ['It exists only because executable large pages are forbidden.'] : []),
    ...(page.rootCount > 0 ? [`In use as a root (${String(page.rootCount)}).`] : []),
    ...parentDetails(world, page),
  ];
}
const ROOT_LEVEL = 4;

/** In which state a page is that is not as it should be for ever. */
function stateDetails(world: World, page: ShadowPage): readonly string[] {
  const { unsync, unsyncChildren } = todayOf(page);
  return [
    ...(isInvalid(page.role) ? ['Invalid: given up, but a vCPU still has it as a root.'] : []),
    ...(isOfOldGeneration(world, page)
      ? ['Obsolete: all pages of its generation were given up at once.']
      : []),
    ...(unsync
      ? ['Unsync: the guest may write its table, and this page may be out of date until the guest flushes.']
      : []),
    ...(unsyncChildren > 0
      ? [`${plural(unsyncChildren, 'entry leads', 'entries lead')} to a page that is out of step, marked ≠.`]
      : []),
  ];
}

function parentDetails(world: World, page: ShadowPage): readonly string[] {
  const words = parentsOf(world, page);
  if (words.length === 0) return page.rootCount > 0 ? [] : ['No entry leads to it.'];
  return [
    `${plural(words.length, 'parent entry', 'parent entries')} (${shapeText(world, 'pnode', parentsHead(page))}): ${words.map((word) => entryName(world, word)).join(', ')}.`,
  ];
}

/** How a list is kept: as a plain pointer, or in descriptors of fourteen. */
function shapeText(world: World, table: 'rnode' | 'pnode', head: RmapHead | undefined): string {
  const fill = fillOf(world, table, head);
  if (fill.length === 0) return 'a plain pointer';
  return `${plural(fill.length, 'descriptor', 'descriptors')}: ${fill.map((count) => `${String(count)} of 14`).join(', ')}`;
}

const SIZES = ['4 KiB', '2 MiB', '1 GiB'] as const;

function listDetails(world: World, key: string): readonly string[] {
  const [slot = '', level = '1', frame = ''] = key.split('.');
  const words = listedIn(world, key);
  const name = `Slot ${slot}, pages of ${SIZES[Number(level) - 1] ?? ''}, guest frame 0x${frame}`;
  if (words.length === 0) return [`${name}: no shadow entry maps it.`];
  const shape = shapeText(world, 'rnode', world.get('slotRmap', key));
  const names = words.map(
    (word) => `${entryName(world, word)}${isWritable(world.word(word)) ? ' writable' : ''}`,
  );
  return [`${name}: ${plural(words.length, 'entry', 'entries')} (${shape}): ${names.join(', ')}.`];
}

function guestDetails(world: World, gfn: Gfn): readonly string[] {
  const pages = [...world.tables.sp.values()].filter((page) => page.gfn === gfn && !isDirect(page.role));
  const tracked = trackedBy(world, gfn);
  return [
    pages.length === 0
      ? 'No shadow page stands for it.'
      : `Shadowed by ${pages.map((page) => `sp ${String(page.serial)}${todayOf(page).unsync ? ' (unsync)' : ''}`).join(', ')}.`,
    ...(tracked > 0
      ? [
          `Write-tracked for ${plural(tracked, 'shadow page', 'shadow pages')} above the last level: every write is emulated.`,
        ]
      : []),
    ...frameDetails(world, gfn),
  ];
}

function frameDetails(world: World, gfn: Gfn): readonly string[] {
  const at = slotAt(world, gfn, 0);
  if (at === undefined)
    return ['No memory slot covers it: an access goes to user space, which plays a device.'];
  const host = world.get('hostPage', hvaOf(at, gfn));
  const why = world.get('disallowLpage', rmapKey(at.id, 2, gfn)) ?? 0;
  const words = entriesOf(world, gfn);
  return [
    host?.pfn === undefined
      ? 'The host has no memory behind it now. The next use brings some in.'
      : `Host frame ${hex(frameBehind(world, gfn))}, ${host.writable ? 'writable' : 'read-only'} for the process${host.pageBits === LARGE_BITS ? ', part of a large page of the host' : ''}.`,
    `${plural(words.length, 'shadow entry maps', 'shadow entries map')} it${words.length === 0 ? '' : `: ${words.map((word) => entryName(world, word)).join(', ')}`}.`,
    ...(why > 0 ? [`${plural(why, 'reason forbids', 'reasons forbid')} a large page around it.`] : []),
    ...logDetails(world, gfn),
  ];
}
const LARGE_BITS = 21;

function logDetails(world: World, gfn: Gfn): readonly string[] {
  if (slotAt(world, gfn, 0)?.slot.logged !== true) return [];
  return [
    world.get('dirty', gfn) === undefined
      ? 'Clean in the dirty log: not written since the log was last fetched.'
      : 'Dirty in the log: written since the log was last fetched.',
  ];
}

function vcpuDetails(world: World, vcpu: number): readonly string[] {
  const mmu = world.get('mmu', vcpu);
  const requests = world.get('request', vcpu) ?? [];
  if (mmu === undefined) return [];
  return [
    `Root: ${rootText(world, mmu.root)}.`,
    `Remembered roots: ${mmu.prevRoots.map((root) => rootText(world, root)).join('; ')}.`,
    requests.length === 0
      ? 'Nothing is asked of it before it runs the guest.'
      : `To be done before it runs the guest: ${requests.join(', ')}.`,
  ];
}

/** First address that the entries of a shadow page translate, as its parents say; undefined where nothing leads to it. */
export function addressOf(world: World, page: ShadowPage): bigint | undefined {
  const level = levelOfRole(page.role);
  const [parent] = parentsOf(world, page);
  const above = parent === undefined ? undefined : pageOfFrame(world, frameOfWord(parent));
  if (parent !== undefined && above !== undefined) {
    const first = addressOf(world, above);
    return first === undefined
      ? undefined
      : first + BigInt(parent % 512) * coverageOf(levelOfRole(above.role));
  }
  if (level >= ROOT_LEVEL) return 0n;
  for (const vcpu of world.tables.vcpu.keys())
    for (let index = 0; index < 4; index += 1)
      if (frameOf(world.word(paeRootWord(vcpu, index))) === page.pfn) return BigInt(index) << 30n;
  return undefined;
}

export const isPaeRootFrame = (world: World, frame: number): number | undefined =>
  [...world.tables.vcpu.keys()].find((vcpu) => paeRootFrame(vcpu) === frame);
