/**
 * Assertions about our own code. They name the rule that is broken and are never used for a person's input
 * (that is a list of problems) or for what a guest does (that is a value of the domain).
 */
export class AssertionFailed extends Error {
  readonly rule: string;
  constructor(rule: string) {
    super(`assertion failed: ${rule}`);
    this.name = 'AssertionFailed';
    this.rule = rule;
  }
}

export function assert(condition: boolean, rule: string): asserts condition {
  if (!condition) throw new AssertionFailed(rule);
}

/** The value, or an assertion failure that names what should have been there. */
export function must<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new AssertionFailed(`${what} must exist`);
  return value;
}
