/** Finds the same place again in another run: fetched with the first change of what is open. */
import { lineInNewText } from '../scenario/same-line.ts';
import { alignedStep } from '../timeline/align.ts';
import type { Run } from './state.ts';

/** The position in `next` that is the same operation and the same place in it as `cursor` in `before`. */
export function samePlace(before: Run, cursor: number, next: Run): number {
  const { timeline } = before;
  const operation = cursor <= timeline.begin ? undefined : timeline.operationAt(cursor - 1);
  if (operation === undefined) return next.timeline.begin;
  const line = lineInNewText(before.text, next.text, operation.line);
  const candidates = next.timeline.operations.filter((candidate) => candidate.section === operation.section);
  const place =
    candidates.find((candidate) => line >= candidate.line && line <= candidate.lastLine) ??
    candidates.findLast((candidate) => candidate.line <= line) ??
    candidates[0];
  if (place === undefined) return next.timeline.begin;
  return alignedStep({ a: timeline, own: operation, position: cursor, b: next.timeline, other: place });
}
