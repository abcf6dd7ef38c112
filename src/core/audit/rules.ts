/**
 * What the rules of the audit mean in the terms of the kernel of 2007, and where the model holds each of them to account.
 * The rules in plain words stand at the end; what finds them false is scan.ts. Those of a KVM of today are in
 * today/rules.ts.
 */
import type { Violation } from '../machine/tables.ts';

export interface RuleSpec {
  /** The same in the kernel's terms. */
  readonly means: string;
  /** The points at which it must hold; in between it may be false for good reason. */
  readonly points: readonly Violation['point'][];
}

/** A rule in plain words, and precisely. */
export interface Rule extends RuleSpec {
  readonly words: string;
}
export type Rules = Readonly<Record<string, Rule>>;

/** The end of an exit's handling, the guest about to run, the end of an operation. */
export const BETWEEN_WORK = ['unlock', 'entry', 'op'] as const;
/** And in the middle of the work, where a frame is given back: for what is about that frame. */
export const EVERYWHERE = ['unlock', 'entry', 'free', 'op'] as const;

export const RULE_SPECS: Readonly<Record<string, RuleSpec>> = {
  'INV-1': {
    means:
      'A present leaf spte holds the pfn of the gfn that its gpte names now; a non-leaf spte links to a page of that gfn.',
    points: BETWEEN_WORK,
  },
  'INV-2': {
    means: 'The entries of all rmaps are the leaf sptes with P=1 and W=1.',
    points: EVERYWHERE,
  },
  'INV-3': {
    means: 'A gfn with a shadow page that is not metaphysical has no leaf spte with W=1.',
    points: BETWEEN_WORK,
  },
  'INV-4': {
    means: 'A non-leaf spte is among the parent_ptes of the page that it links to, and the other way round.',
    points: EVERYWHERE,
  },
  'INV-5': {
    means: 'A kvm_mmu_page with root_count > 0 stays allocated.',
    points: EVERYWHERE,
  },
  'INV-6': {
    means:
      'A change that takes a right from an spte obliges to a flush. None is past due while a TLB entry still grants more than the tables.',
    points: EVERYWHERE,
  },
  'INV-11': {
    means: 'The pfn of a present leaf spte is that of a gfn in a memslot. Sptes marked IO are not present.',
    points: BETWEEN_WORK,
  },
  'INV-12': {
    means:
      'A gfn of a logged memslot has its bit in the dirty_bitmap, or nobody has written it since the last KVM_GET_DIRTY_LOG and no leaf spte of it has W=1.',
    points: BETWEEN_WORK,
  },
  'INV-13': {
    means:
      'P, W, U and NX of a leaf spte allow no more than all gptes of the walk together. What CR0.WP=0 lets the kernel write is excepted.',
    points: BETWEEN_WORK,
  },
  'INV-14': {
    means: 'Between two page faults of one access some word of memory changes, at the latest after the 8th.',
    points: ['op'],
  },
};

/** The rules in plain words. */
export const RULES: Readonly<Record<string, string>> = {
  'INV-1':
    "Every shadow entry leads where the guest's own entry leads now: to the frame behind it, or to the shadow of its table.",
  'INV-2': 'The reverse map lists exactly the shadow leaves that are present and writable.',
  'INV-3': 'No shadow leaf lets the guest write a frame that is shadowed as one of its page tables.',
  'INV-4': 'A shadow page knows exactly the entries that link to it.',
  'INV-5': 'A shadow page that is in use as a root is not freed.',
  'INV-6': 'No TLB entry allows more than the tables do once the flush for it was due.',
  'INV-11': 'Every shadow leaf leads into memory that the guest was given.',
  'INV-12':
    'Every frame that was written since the last fetch of the dirty log is noted in it, and none can be written unnoted.',
  'INV-13': "A shadow leaf grants no right that the guest's own tables refuse.",
  'INV-14': 'No access faults more than 8 times in a row without any table having changed.',
};

export const RULES_2007: Rules = Object.fromEntries(
  Object.entries(RULE_SPECS).map(([id, spec]) => [id, { ...spec, words: RULES[id] ?? '' }]),
);
