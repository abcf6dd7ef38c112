/**
 * What must be true of a shadow page at the moment at which its frame goes back to the pool. Whoever still leads there
 * would lead to whatever the frame is used for next.
 */
import { frameOfWord, pfnOfEntry, spte, type Pfn } from '../quantities.ts';
import type { World } from '../machine/world.ts';
import { rootSerials } from '../kvm/context-2007.ts';
import { pointers, RMAP_LIST } from '../kvm/pointer-list.ts';
import { levelOfRole } from '../kvm/role-2007.ts';
import { isPresent } from '../kvm/spte-2007.ts';
import type { Falsity } from './falsity.ts';

/** INV-2, INV-4 and INV-5, as far as they are about the page in this frame. */
export function scanFreed(world: World, frame: Pfn): readonly Falsity[] {
  const links = [...world.tables.sp.values()]
    .filter((page) => levelOfRole(page.role) > 1)
    .flatMap((page) => world.wordsOfShadowFrame(page.pfn))
    .filter((word) => {
      const entry = spte(world.word(word));
      return isPresent(entry) && pfnOfEntry(entry) === frame;
    });
  const listed = [...world.tables.rmap.values()]
    .flatMap((head) => [...pointers(world, RMAP_LIST, head)])
    .filter((word) => frameOfWord(word) === frame);
  return [
    ...links.map((word) => ({ rule: 'INV-4', subject: word, decidedBy: [word] })),
    ...(listed.length === 0 ? [] : [{ rule: 'INV-2', subject: 'rmap', decidedBy: listed }]),
    ...usedAsRoot(world, frame),
  ];
}

function usedAsRoot(world: World, frame: Pfn): readonly Falsity[] {
  const serial = world.get('owner', frame);
  if (serial === undefined) return [];
  const inUse = [...world.tables.vcpu.keys()].some((vcpu) => rootSerials(world, vcpu).includes(serial));
  return inUse ? [{ rule: 'INV-5', subject: `sp:${String(serial)}`, decidedBy: [] }] : [];
}
