/** What must be true of each entry that maps a frame: INV-1, INV-7, INV-11, INV-13 and I.5c. */
import { ACC_EXEC, ACC_USER, ACC_WRITE, isDirect, roleField, spaceOfRole } from '../../kvm-shadow/role.ts';
import {
  frameOf,
  HOST_WRITABLE,
  isMmuWritable,
  isWritable,
  MMIO_GEN_MASK,
  mmioEntryOf,
  SPTE_NX,
  SPTE_U,
} from '../../kvm-shadow/spte.ts';
import { changesOf, hvaOf, isVisible, slotAt } from '../../kvm-shadow/vm.ts';
import { must } from '../../assert.ts';
import type { VmState } from '../../machine/tables-today.ts';
import type { World } from '../../machine/world.ts';
import type { Falsity, Place } from '../falsity.ts';
import { behind, type Behind } from './behind.ts';
import type { Device, Leaf } from './overview.ts';

export function checkLeaf(world: World, leaf: Leaf): readonly Falsity[] {
  const found: Falsity[] = [];
  const broken = (
    rule: string,
    more: { words?: readonly number[]; places?: readonly Place[] } = {},
  ): void => {
    const { words = [], places = [] } = more;
    found.push({ rule, subject: leaf.word, decidedBy: [leaf.word, ...words], places });
  };
  if (!isInSlot(world, leaf)) broken('INV-11', { places: slotPlaces(world, leaf) });
  else checkHost(world, leaf, broken);
  const { entry } = leaf;
  const hostWritable = (entry & HOST_WRITABLE) !== 0n;
  if ((isWritable(entry) && !isMmuWritable(entry)) || (isMmuWritable(entry) && !hostWritable))
    broken('INV-7');
  if (!leaf.obsolete) checkGuest(world, leaf, broken);
  return found;
}

const vmOf = (world: World): VmState => must(world.get('vm', 'kvm'), 'a VM');

type Broken = (rule: string, more?: { words?: readonly number[]; places?: readonly Place[] }) => void;

/**
 * INV-11: all of it lies in a slot that is not being deleted. Who looked at the slot before may map it until nobody looks
 * at the old slots any more; only then everything is given up.
 */
function isInSlot(world: World, { gfn, frames, page }: Leaf): boolean {
  const space = spaceOfRole(page.role);
  const at = slotAt(world, gfn, space);
  const counts = isVisible(at) || changesOf(vmOf(world), space).updating;
  return at !== undefined && counts && gfn + frames <= at.slot.firstGfn + at.slot.frames;
}

const slotPlaces = (world: World, { gfn, page }: Pick<Leaf, 'gfn' | 'page'>): readonly Place[] => {
  const at = slotAt(world, gfn, spaceOfRole(page.role));
  return at === undefined ? [] : [{ table: 'slot', key: at.id }];
};

/**
 * The host's half of INV-1, for every entry: it names the frame that the process has there. Between start and end of a
 * notifier's window the host is about to change that: then nothing is asked. I.5c: what the host took away is not mapped,
 * and what it holds read-only is not written (INV-7).
 */
function checkHost(world: World, { gfn, frames, entry, page }: Leaf, broken: Broken): void {
  if (vmOf(world).invalidating > 0) return;
  const at = must(slotAt(world, gfn, spaceOfRole(page.role)), 'a slot');
  const host = world.get('hostPage', hvaOf(at, gfn));
  const places: readonly Place[] = [{ table: 'hostPage', key: hvaOf(at, gfn) }];
  if (host?.pfn === undefined) broken('I.5c', { places });
  else if (host.pfn !== frameOf(entry) || (frames > 1 && host.pageBits === 12)) broken('INV-1', { places });
  if ((entry & HOST_WRITABLE) === 0n) return;
  if (host?.writable === false || at.slot.readonly === true) broken('INV-7', { places });
}

/** The guest's half. A page that is out of step may differ from the table behind it, but not from the tables above. */
function checkGuest(world: World, leaf: Leaf, broken: Broken): void {
  const { page, word, unsync } = leaf;
  const places: readonly Place[] = [
    { table: 'sp', key: page.serial },
    { table: 'shadowed', key: word },
  ];
  const now = behind(world, page, word);
  const words = now?.word === undefined ? [] : [now.word];
  const inStep = unsync ? undefined : now;
  if (inStep !== undefined && (!inStep.present || inStep.gfn !== leaf.gfn))
    broken('INV-1', { words, places });
  if (grantsTooMuch(world, leaf, inStep)) broken('INV-13', { words, places });
}

/** INV-13: rights beyond those of the guest's entry, of the tables above it, or of what was noted when it was built. */
function grantsTooMuch(world: World, leaf: Leaf, inStep: Behind | undefined): boolean {
  const { page, word, entry } = leaf;
  const above = roleField(page.role, 'access');
  const noted = isDirect(page.role) ? above : Number((world.get('shadowed', word) ?? 0n) & 7n);
  const rights = rightsOf(entry);
  if ((rights & ~noted) !== 0) return true;
  const allowed = above & (inStep?.leafAccess ?? above);
  return exceeds(rights, allowed, page.role);
}

const rightsOf = (entry: bigint): number =>
  (isWritable(entry) ? ACC_WRITE : 0) |
  ((entry & SPTE_U) === 0n ? 0 : ACC_USER) |
  ((entry & SPTE_NX) === 0n ? ACC_EXEC : 0);

/** A page that was built while CR0.WP was clear may let the kernel, and only the kernel, write what is read-only. */
export function exceeds(rights: number, allowed: number, role: number): boolean {
  const beyond = rights & ~allowed;
  const kernelsOwn = roleField(role, 'cr0_wp') === 0 && (rights & ACC_USER) === 0;
  return (kernelsOwn ? beyond & ~ACC_WRITE : beyond) !== 0;
}

/**
 * INV-11 for a device's entry: while its generation counts as the present one, no slot has the frame. One without a
 * number counts always.
 */
export function checkDevice(world: World, { word, entry, obsolete, page }: Device): readonly Falsity[] {
  const { gfn, generation } = mmioEntryOf(entry);
  const space = spaceOfRole(page.role);
  const now = changesOf(vmOf(world), space);
  // While the slots are being changed no such entry counts, whatever its number.
  const counts =
    !now.updating && (now.generation === undefined || generation === (now.generation & MMIO_GEN_MASK));
  if (obsolete || !counts || !isVisible(slotAt(world, gfn, space))) return [];
  return [{ rule: 'INV-11', subject: word, decidedBy: [word], places: slotPlaces(world, { gfn, page }) }];
}
