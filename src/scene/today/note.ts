/** What the VM has once: beside the name of the hypervisor's zone. */
import type { Context, Note } from '../parts.ts';
import { plural } from '../telling.ts';

export function noteOf({ world, changes }: Context): Note | undefined {
  const vm = world.get('vm', 'kvm');
  if (vm === undefined) return undefined;
  const { generation, validGen, usedPages, maxPages, invalidating, invalidateSeq } = vm;
  const host = invalidating > 0 ? 'the host changes pages · ' : '';
  return {
    text: `${host}slots gen ${String(generation)} · valid gen ${String(validGen)} · ${String(usedPages)}/${String(maxPages)} pages`,
    title: [
      `Memslot generation ${String(generation)}: entries for devices of an older one no longer count.`,
      `mmu_valid_gen ${String(validGen)}: shadow pages of the other one are obsolete.`,
      `${plural(usedPages, 'shadow page', 'shadow pages')} of at most ${String(maxPages)}.`,
      `${plural(invalidateSeq, 'change', 'changes')} of the host's pages so far (mmu_invalidate_seq)${invalidating > 0 ? '; one is under way' : ''}.`,
    ].join('\n'),
    changed: changes.has('vm:kvm'),
  };
}
