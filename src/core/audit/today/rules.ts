/** The rules to which a KVM of today is held, with nested paging off: in plain words, precisely, and where they hold. */
import { BETWEEN_WORK, EVERYWHERE, RULES, type Rules } from '../rules.ts';

const words = (id: string): string => RULES[id] ?? '';

export const RULES_TODAY: Rules = {
  'INV-1': {
    words:
      "Every shadow entry leads where the guest's own entry leads now, and to the frame that the host has there. A page that is out of step may lead where the guest's entry led before.",
    means:
      'The pfn of a present leaf spte is that of hva_to_pfn for its gfn. If its page is not unsync, its gpte names that gfn now; a non-leaf spte links to a page of the gfn that its gpte names. Obsolete pages are excepted.',
    points: BETWEEN_WORK,
  },
  'INV-2': {
    words: 'The reverse map lists exactly the shadow leaves that are present, each once, under its frame.',
    means: 'The entries of all rmap heads, by slot, level and gfn, are the shadow-present leaf sptes.',
    points: EVERYWHERE,
  },
  'INV-3': {
    words:
      'No shadow leaf lets the guest write a frame that is shadowed as one of its page tables, unless that table is out of step.',
    means:
      'A gfn with a shadow page that is not direct, not unsync and not obsolete, or that is write-tracked, has no leaf spte with MMU-writable=1. One with a page above level 1 is write-tracked.',
    points: BETWEEN_WORK,
  },
  'INV-4': {
    words: words('INV-4'),
    means:
      'A non-leaf spte is among the parent_ptes of the page that it links to, once, and the other way round.',
    points: EVERYWHERE,
  },
  'INV-5': {
    words:
      'A shadow page that is in use as a root, or remembered as one, is not freed; it counts how many use it; and what stands for nothing any more is asked back.',
    means:
      'root_count of a kvm_mmu_page is the number of root and prev_roots that lead to it. Where one of them is obsolete, MMU_FREE_OBSOLETE_ROOTS is requested of its vCPU.',
    points: EVERYWHERE,
  },
  'INV-6': {
    words: words('INV-6'),
    means:
      'Clearing a present spte, its W, its MMU-writable or its D bit, or changing its pfn, obliges to a flush. None is past due while a TLB entry still grants more than the tables. In 2011 that of an entry which a sync drops is due when the host takes the page away.',
    points: EVERYWHERE,
  },
  'INV-7': {
    words: 'What the processor may write, KVM allows; and what KVM allows, the host allows.',
    means:
      'W=1 ⇒ MMU-writable=1 ⇒ Host-writable=1 in a present leaf spte, and Host-writable=1 only where slot and host PTE are writable.',
    points: BETWEEN_WORK,
  },
  'INV-8': {
    words:
      'Only shadows of last-level tables are out of step, and every way down from a root to one of them is marked.',
    means:
      'unsync ⇒ level 1, not direct, gfn not write-tracked. unsync_children is the population of unsync_child_bitmap, and each spte above an unsync page has its bit set.',
    points: BETWEEN_WORK,
  },
  'INV-11': {
    words: `${words('INV-11')} What marks a device leads into no such memory.`,
    means:
      'The gfns of a present leaf spte lie in a visible memslot, or in an invalid one while kvm_set_memslot waits for its readers. That of an mmio spte of the present generation, or of one without a generation, lies in none, unless an update is under way.',
    points: BETWEEN_WORK,
  },
  'INV-12': {
    words: words('INV-12'),
    means:
      'A gfn of a logged memslot has its bit in the dirty_bitmap, or nobody has written it since user space was last given it and no leaf spte of it has W=1.',
    points: BETWEEN_WORK,
  },
  'INV-13': {
    words: `${words('INV-13')} A page that is out of step is held to the tables above it.`,
    means:
      'W, U and X of a leaf spte are in role.access of its page and, if that is not unsync, in its gpte; W only if its D is set. role.access of a page is in that of its parent and in the gpte between. What a page with cr0_wp=0 lets the kernel alone write is excepted.',
    points: BETWEEN_WORK,
  },
  'INV-14': {
    words: words('INV-14'),
    means: 'Between two page faults of one access some word of memory changes, at the latest after the 8th.',
    points: ['op'],
  },
  'I.5c': {
    words: 'No shadow leaf maps a page that the host has taken away.',
    means:
      'No spte maps a page whose host PTE is absent, outside a window from invalidate_range_start to invalidate_range_end.',
    points: BETWEEN_WORK,
  },
};
