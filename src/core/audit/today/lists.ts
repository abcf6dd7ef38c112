/** INV-2 and INV-12: the reverse map, and the dirty log. */
import { ptesIn } from '../../kvm-shadow/pte-list.ts';
import { spaceOfRole } from '../../kvm-shadow/role.ts';
import { isWritable } from '../../kvm-shadow/spte.ts';
import { rmapKey, slotAt } from '../../kvm-shadow/vm.ts';
import { gfn as toGfn, type Gfn } from '../../quantities.ts';
import type { Falsity } from '../falsity.ts';
import { missedWrites } from '../slots-and-log.ts';
import type { Leaf, Overview } from './overview.ts';

/** INV-2: every present leaf, writable or not, stands once in the list of its slot, level and frame, and nothing else. */
export function checkReverseMap({ world, leaves }: Overview): readonly Falsity[] {
  const found: Falsity[] = [];
  const awaited = new Map<number, string>();
  for (const leaf of leaves) {
    const at = slotAt(world, leaf.gfn, spaceOfRole(leaf.page.role));
    if (at !== undefined) awaited.set(leaf.word, rmapKey(at.id, leaf.level, leaf.gfn));
  }
  for (const [key, head] of world.tables.slotRmap)
    for (const word of ptesIn(world, 'rnode', head))
      if (awaited.get(word) === key) awaited.delete(word);
      else found.push(misplaced(word, key));
  return [...found, ...[...awaited].map(([word, key]) => misplaced(word, key))];
}

const misplaced = (word: number, key: string): Falsity => ({
  rule: 'INV-2',
  subject: word,
  decidedBy: [word],
  places: [
    { table: 'slotRmap', key },
    { table: 'shadowed', key: word },
  ],
});

/** INV-12: as in 2007, of every frame that an entry maps. */
export function checkLog({ world, leaves }: Overview): readonly Falsity[] {
  const open = leaves
    .filter(({ entry }) => isWritable(entry))
    .flatMap((leaf) => {
      const frame = unnotedFrame(leaf, (of) => world.get('dirty', of) !== undefined);
      const logged = slotAt(world, leaf.gfn, spaceOfRole(leaf.page.role))?.slot.logged === true;
      if (!logged || frame === undefined) return [];
      return [{ rule: 'INV-12', subject: leaf.word, decidedBy: [leaf.word], logOf: frame }];
    });
  return [...missedWrites(world), ...open];
}

function unnotedFrame({ gfn, frames }: Leaf, isNoted: (of: Gfn) => boolean): Gfn | undefined {
  for (let of = gfn; of < gfn + frames; of += 1) if (!isNoted(toGfn(of))) return toGfn(of);
  return undefined;
}
