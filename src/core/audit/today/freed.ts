/** What must be true of a shadow page of today at the moment at which its frame goes back to the pool. */
import { parentsOf, pageOfFrame } from '../../kvm-shadow/page.ts';
import { ptesIn } from '../../kvm-shadow/pte-list.ts';
import { frameOf, isLarge, isPresent } from '../../kvm-shadow/spte.ts';
import { levelOfRole } from '../../kvm-shadow/role.ts';
import type { World } from '../../machine/world.ts';
import { frameOfWord, type Pfn } from '../../quantities.ts';
import type { Falsity } from '../falsity.ts';
import { rootFrames } from './links.ts';

/** INV-2, INV-4 and INV-5, as far as they are about the page in this frame. */
export function scanFreed(world: World, frame: Pfn): readonly Falsity[] {
  const links = [...world.tables.sp.values()]
    .filter((page) => levelOfRole(page.role) > 1)
    .flatMap((page) => world.wordsOfShadowFrame(page.pfn))
    .filter((word) => {
      const entry = world.word(word);
      return isPresent(entry) && !isLarge(entry) && frameOf(entry) === frame;
    });
  const page = pageOfFrame(world, frame);
  const parents = page === undefined ? [] : parentsOf(world, page);
  const listed = [...world.tables.slotRmap.values()]
    .flatMap((head) => [...ptesIn(world, 'rnode', head)])
    .filter((word) => frameOfWord(word) === frame);
  const rooted = [...world.tables.vcpu.keys()].some((vcpu) => rootFrames(world, vcpu).includes(frame));
  return [
    ...[...new Set([...links, ...parents])].map((word) => ({
      rule: 'INV-4',
      subject: word,
      decidedBy: [word],
    })),
    ...listed.map((word) => ({ rule: 'INV-2', subject: word, decidedBy: [word] })),
    ...(rooted && page !== undefined
      ? [{ rule: 'INV-5', subject: `sp:${String(page.serial)}`, decidedBy: [] }]
      : []),
  ];
}
