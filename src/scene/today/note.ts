/** What the VM has once: beside the name of the hypervisor's zone. */
import type { Context, Note } from '../parts.ts';
import { plural } from '../telling.ts';

export function noteOf({ world, changes }: Context): Note | undefined {
  const vm = world.get('vm', 'kvm');
  if (vm === undefined) return undefined;
  const { generation, validGen, usedPages, maxPages, invalidating, invalidateSeq, tlbsDirty } = vm;
  const host = invalidating > 0 ? 'the host changes pages · ' : '';
  return {
    text: `${host}${generation === undefined ? '' : `slots gen ${String(generation)} · `}${tlbsDirty === undefined ? '' : `tlbs_dirty ${String(tlbsDirty)} · `}valid gen ${String(validGen)} · ${String(usedPages)}/${String(maxPages)} pages`,
    title: [
      generation === undefined
        ? 'Entries for devices carry no generation: each new slot gives up all shadow pages.'
        : `Memslot generation ${String(generation)}: entries for devices of an older one no longer count.`,
      ...(tlbsDirty === undefined
        ? []
        : [`tlbs_dirty ${String(tlbsDirty)}: entries that a sync dropped since the last flush of all TLBs.`]),
      `mmu_valid_gen ${String(validGen)}: shadow pages of the other one are obsolete.`,
      `${plural(usedPages, 'shadow page', 'shadow pages')} of at most ${String(maxPages)}.`,
      `${plural(invalidateSeq, 'change', 'changes')} of the host's pages so far (mmu_invalidate_seq)${invalidating > 0 ? '; one is under way' : ''}.`,
    ].join('\n'),
    changed: changes.has('vm:kvm'),
  };
}
