/** What a scan of a world gives. */
import type { Gfn } from '../quantities.ts';

/** Something that is false: the rule, the word or thing that breaks it, and the words that decide it. */
export interface Falsity {
  readonly rule: string;
  /** A word's number for a table entry, or the id of a thing. */
  readonly subject: number | string;
  readonly decidedBy: readonly number[];
  /** Set where the frame's place in the dirty log decides it, too. */
  readonly logOf?: Gfn;
}
