/**
 * INV-11 and INV-12: what shadow leaves may map, and whether the dirty log tells the truth. Nothing here asks how the
 * hypervisor came to what it has.
 */
import { gfn, pfnOfEntry, type Gfn, type Pfn, type Spte } from '../quantities.ts';
import { idText } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { gfnOfPfn, isLogged, slotOfGfn } from '../kvm/memslots.ts';
import type { Falsity } from './falsity.ts';

/** INV-11: a present leaf leads into a slot. Entries that mark device memory are not present, and lead nowhere. */
export function checkSlot(world: World, leaf: { word: number; entry: Spte }): readonly Falsity[] {
  const frame = gfnOfPfn(pfnOfEntry(leaf.entry));
  if (frame !== undefined && slotOfGfn(world, frame) !== undefined) return [];
  return [{ rule: 'INV-11', subject: leaf.word, decidedBy: [leaf.word] }];
}

/**
 * INV-12 for an era that finds writes by write protection: a frame of a logged slot has its bit, or it was not written
 * since the last fetch, and no leaf lets the guest write it unseen.
 */
export function checkLog(world: World, writable: ReadonlyMap<Pfn, readonly number[]>): readonly Falsity[] {
  const open = [...writable].flatMap(([pfn, words]) => {
    const frame = gfnOfPfn(pfn);
    if (frame === undefined || !isLogged(world, frame) || !isUnnoted(world, frame)) return [];
    return words.map((word) => ({ rule: 'INV-12', subject: word, decidedBy: [word], logOf: frame }));
  });
  return [...missedWrites(world), ...open];
}

const isUnnoted = (world: World, frame: Gfn): boolean => world.get('dirty', frame) === undefined;

/** Frames that were written since user space was last given them, and are not in the log. */
export const missedWrites = (world: World): readonly Falsity[] =>
  [...world.tables.written.keys()]
    .filter((frame) => isUnnoted(world, frame))
    .map((frame) => ({
      rule: 'INV-12',
      subject: idText('written', frame),
      decidedBy: [],
      logOf: frame,
    }));

/** The frame of a subject of INV-12 that is no shadow entry: `written:64`. */
export function frameOfSubject(subject: string): Gfn | undefined {
  const [, frame] = /^written:(\d+)$/.exec(subject) ?? [];
  return frame === undefined ? undefined : gfn(Number(frame));
}
