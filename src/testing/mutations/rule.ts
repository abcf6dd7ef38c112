/** A rule of the walk, and the change of text that breaks it. */
export interface BrokenRule {
  readonly id: string;
  /** The rule that no longer holds. */
  readonly rule: string;
  /** Under src/core/hardware. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** No recorded walk can show it, so only the tests are run. */
  readonly unrecorded?: true;
  /** A rule of the caches: no recorded walk has any, so only the tests are run, with the comparison of the caches. */
  readonly by?: 'caches';
}
