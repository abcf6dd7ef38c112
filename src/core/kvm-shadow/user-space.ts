/**
 * What the program that runs the guest asks of KVM beside running it: memory for the guest, slots that come and go, the
 * dirty log. Source: the reference, E.8, F.4, I.3.
 */
import type { Phase } from '../engine.ts';
import type { Machine } from '../machine/machine.ts';
import type { SlotRecord } from '../machine/tables.ts';
import { FIRST_GUEST_PFN } from '../machine/world.ts';
import type { LogOperation, SlotOperation } from '../operations/operation.ts';
import { gfn, pfn } from '../quantities.ts';
import { clearDirtyLog, dirtyFrames, slotPhases } from './memslots.ts';

/** Page number at which guest memory lies in the process, unless a slot says otherwise. */
export const FIRST_HVA = 0x7f000;
const LARGE = 512;

/** A slot with its place in the process. */
export const placed = (slot: SlotRecord): SlotRecord & { readonly hva: number } =>
  Object.freeze({ ...slot, hva: slot.hva ?? FIRST_HVA + slot.firstGfn });

/** The process has memory behind the slot, every page of it in place; inside the step marked last. */
export function giveMemory(m: Machine, slot: SlotRecord & { readonly hva: number }): void {
  const { hva, frames, large } = slot;
  for (let page = hva; page < hva + frames; page += 1) {
    if (m.get('hostPage', page) !== undefined) continue;
    const first = page - (page % LARGE);
    const isLarge = large === true && first >= hva && first + LARGE <= hva + frames;
    m.set(
      'hostPage',
      page,
      Object.freeze({
        pfn: pfn(FIRST_GUEST_PFN + page - FIRST_HVA),
        writable: true,
        mayWrite: true,
        pageBits: isLarge ? 21 : 12,
      }),
    );
  }
}

/** A slot comes or goes. Those who are looking at the slots as they were have to come to an end first. */
export function changeSlot(m: Machine, { slot: id, adds }: SlotOperation): readonly Phase[] {
  const readers = {
    why: 'a vCPU is still looking at the memory slots as they were',
    still: () =>
      [...m.world.tables.vcpu.values()].some(({ mode, exit }) => mode === 'hypervisor' && exit !== 'IPI'),
  };
  const slot = adds === undefined ? undefined : placed(recordOf(adds));
  const [first, ...rest] = slotPhases(m, slot === undefined ? { id } : { id, slot });
  if (first === undefined) return [];
  const begin = (): void => {
    if (slot !== undefined) {
      m.step('host-map', { hva: slot.hva, how: 'memory' });
      giveMemory(m, slot);
    }
    first();
  };
  return [{ body: begin }, ...rest.map((body) => ({ waits: readers, body }))];
}

function recordOf({ absent: _absent, ...slot }: NonNullable<SlotOperation['adds']>): SlotRecord {
  return slot;
}

/** User space has dealt with frames of the log. */
export function clearLog(m: Machine, { slot: id, frames }: LogOperation): void {
  const at = { id, slot: m.must('slot', id) };
  const wanted =
    frames === undefined
      ? dirtyFrames(m, at)
      : Array.from({ length: frames.count }, (_, index) => gfn(frames.first + index));
  clearDirtyLog(m, at, wanted);
}
