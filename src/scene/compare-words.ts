/** What a guest saw of an operation, in words, for comparing. */
import type { AccessResult } from '../core/operations/access.ts';
import { hex } from './parts.ts';

export function seenText(result: AccessResult | undefined): string {
  if (result === undefined) return 'did not get so far';
  const faults = result.faults.map(
    ({ gva, errorCode }) => `page fault at ${hex(gva)}, error code ${hex(errorCode)}`,
  );
  const end = !result.completed
    ? 'not completed'
    : result.value === undefined
      ? 'completed'
      : `read ${hex(result.value)}`;
  return [...faults, end].join(', ');
}
