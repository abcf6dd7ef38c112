/** What a VM has once, its memory slots, and what is kept for each guest frame of a slot. Source: reference, D.1, I.1. */
import type { Machine } from '../machine/machine.ts';
import type { VmState } from '../machine/tables-today.ts';
import type { SlotRecord } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import type { Gfn } from '../quantities.ts';
import { hasGptes, isInvalid, spaceOfRole, type AddressSpace } from './role.ts';

export const vmOf = (m: Machine): VmState => m.must('vm', 'kvm');

/** Inside the step marked last. */
export function patchVm(m: Machine, changes: Partial<VmState>): void {
  m.set('vm', 'kvm', Object.freeze({ ...vmOf(m), ...changes }));
}

export interface SlotAt {
  readonly id: number;
  readonly slot: SlotRecord;
}

const ADDRESS_SPACES: readonly AddressSpace[] = [0, 1];
export const spaceOfSlot = ({ smm }: Pick<SlotRecord, 'smm'>): AddressSpace => (smm === true ? 1 : 0);

/** Whether the vCPU that acts is in System Management Mode. */
export const isInSmm = (m: Machine): boolean => m.reg('smm') !== 0n;
/** `kvm_arch_vcpu_memslots_id`: which slots the vCPU that acts goes by. */
export const spaceOf = (m: Machine): AddressSpace => (isInSmm(m) ? 1 : 0);

/** The slot of an address space that covers a guest frame, one that is being deleted too. */
export function slotAt(world: World, frame: number, space: AddressSpace): SlotAt | undefined {
  for (const [id, slot] of world.tables.slot) {
    if (spaceOfSlot(slot) !== space) continue;
    if (frame >= slot.firstGfn && frame < slot.firstGfn + slot.frames) return { id, slot };
  }
  return undefined;
}

/** `gfn_to_memslot` for the vCPU that acts. */
export const ownSlotAt = (m: Machine, frame: number): SlotAt | undefined =>
  slotAt(m.world, frame, spaceOf(m));

/** Slots of all address spaces that cover a guest frame. */
export const slotsAt = (world: World, frame: number): readonly SlotAt[] =>
  ADDRESS_SPACES.flatMap((space) => slotAt(world, frame, space) ?? []);

/** What changes of an address space's slots leave for marks of devices. */
export interface SlotChanges {
  /** Absent where marks carry no number. */
  readonly generation: number | undefined;
  readonly updating: boolean;
}

export function changesOf(vm: VmState, space: AddressSpace): SlotChanges {
  return space === 0
    ? { generation: vm.generation, updating: vm.updating }
    : { generation: vm.smmGeneration, updating: vm.smmUpdating === true };
}

/** `kvm_is_visible_memslot`. */
export const isVisible = (at: SlotAt | undefined): at is SlotAt =>
  at !== undefined && at.slot.invalid !== true;

/** Page number in the process that runs the guest. */
export const hvaOf = ({ slot }: SlotAt, frame: number): number => (slot.hva ?? 0) + (frame - slot.firstGfn);

/** Guest frames that an entry of a level covers. */
export const framesOf = (level: number): number => 512 ** (level - 1);
/** The first of the frames that share an entry of a level. */
export const baseOf = (frame: number, level: number): number => frame - (frame % framesOf(level));

/** Levels that have a reverse map of their own: 4 KiB, 2 MiB, 1 GiB. */
export const RMAP_LEVELS = [1, 2, 3] as const;
const LARGE_LEVELS = [2, 3] as const;

export const rmapKey = (id: number, level: number, frame: number): string =>
  `${String(id)}.${String(level)}.${baseOf(frame, level).toString(16)}`;
export const trackKey = (id: number, frame: number): string => `${String(id)}.${frame.toString(16)}`;

/** `kvm_mmu_gfn_disallow_lpage` and its contrary, inside the step marked last. */
export function forbidLarge(m: Machine, at: SlotAt, of: { frame: number; by: 1 | -1 }): void {
  for (const level of LARGE_LEVELS) {
    const key = rmapKey(at.id, level, of.frame);
    m.set('disallowLpage', key, (m.get('disallowLpage', key) ?? 0) + of.by || undefined);
  }
}

export const mayBeLarge = (m: Machine, at: SlotAt, frame: number, level: number): boolean =>
  (m.get('disallowLpage', rmapKey(at.id, level, frame)) ?? 0) === 0 &&
  !isShadowedElsewhere(m, at, { first: baseOf(frame, level), frames: framesOf(level) });

/** Whether tables of the guest in another address space lie in these frames: their slot is another, and so are its reasons. */
function isShadowedElsewhere(m: Machine, { slot }: SlotAt, of: { first: number; frames: number }): boolean {
  return [...m.world.tables.sp.values()].some(
    ({ gfn, role }) =>
      spaceOfRole(role) !== spaceOfSlot(slot) &&
      hasGptes(role) &&
      !isInvalid(role) &&
      gfn >= of.first &&
      gfn < of.first + of.frames,
  );
}

/** What a new slot forbids by its ends and by its alignment in the process, inside the step marked last. */
export function initLarge(m: Machine, { id, slot }: SlotAt): void {
  const first = Number(slot.firstGfn);
  const last = first + slot.frames - 1;
  for (const level of LARGE_LEVELS) {
    const size = framesOf(level);
    const aligned = (first ^ (slot.hva ?? 0)) % size === 0;
    for (let frame = baseOf(first, level); frame <= last; frame += size) {
      const cut = frame < first || frame + size - 1 > last;
      if (cut || !aligned) m.set('disallowLpage', rmapKey(id, level, frame), 1);
    }
  }
}

/**
 * `kvm_slot_page_track_is_active` for writes. A table counts in the slot of its own address space; who writes it may be in
 * the other.
 */
export const isTracked = (m: Machine, frame: number): boolean =>
  slotsAt(m.world, frame).some(({ id }) => (m.get('writeTrack', trackKey(id, frame)) ?? 0) > 0);

/** `mark_page_dirty_in_slot`. */
export function markDirty(m: Machine, frame: number): void {
  if (ownSlotAt(m, frame)?.slot.logged !== true) return;
  m.step('dirty-mark', { gfn: frame });
  m.set('dirty', frame as Gfn, 1);
}
