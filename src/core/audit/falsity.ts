/** What a scan of a world gives. */
import type { Gfn } from '../quantities.ts';
import type { TableName } from '../machine/tables.ts';

/** A place of the world beside words of memory. */
export interface Place {
  readonly table: TableName;
  readonly key: number | string;
}

/** Something that is false: the rule, the word or thing that breaks it, and what decides it. */
export interface Falsity {
  readonly rule: string;
  /** A word's number for a table entry, or the id of a thing. */
  readonly subject: number | string;
  /** Words of memory. */
  readonly decidedBy: readonly number[];
  readonly places?: readonly Place[];
  /** Set where the frame's place in the dirty log decides it, too. */
  readonly logOf?: Gfn;
}
