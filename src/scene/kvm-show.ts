/** How KVM's machines are shown: guest tables, their shadows, reverse maps. */
import { frameOfWord } from '../core/quantities.ts';
import { X86_BITS } from '../core/hardware/x86-entry.ts';
import { SPTE_BITS } from '../core/kvm/spte-2007.ts';
import { gfnOfPfn } from '../core/kvm/memslots.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { FIRST_SHADOW_PFN } from '../core/machine/world.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { hardwareBoxes } from './hardware-boxes.ts';
import type { NamedEntry, Show } from './parts.ts';
import { allLinks } from './scene-links.ts';
import { pageBoxes, rmapBoxes, tableBoxes } from './table-boxes.ts';

export const kvmShow: Show = {
  boxes: (context) => [
    ...hardwareBoxes(context),
    ...tableBoxes(context),
    ...pageBoxes(context),
    ...rmapBoxes(context),
  ],
  links: allLinks,
  entryIn,
};

function entryIn({ world }: Timeline, word: number): NamedEntry | undefined {
  const pfn = frameOfWord(word);
  const index = (word % 512).toString(16).padStart(3, '0');
  if (pfn >= FIRST_SHADOW_PFN) {
    const page = shadowPageAt(world, pfn);
    return {
      name: `shadow entry, ${page === undefined ? 'freed page' : `sp ${String(page.serial)}`} [${index}]`,
      bits: SPTE_BITS,
    };
  }
  const gfn = gfnOfPfn(pfn);
  if (gfn === undefined || !world.tables.blank.has(pfn)) return undefined;
  return { name: `guest entry, gfn ${gfn.toString(16)} [${index}]`, bits: X86_BITS };
}
