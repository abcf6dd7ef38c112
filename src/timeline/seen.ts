/** What a guest saw of an operation, read off a run, and in what two runs differ there. */
import type { AccessResult } from '../core/operations/access.ts';
import type { OperationRecord } from '../core/operations/recorder.ts';
import type { Timeline } from './timeline.ts';

export interface Seen {
  /** Absent where the operation is no access. */
  readonly result?: AccessResult;
  /** The guest got a general protection fault. */
  readonly protection: boolean;
  /** Why the run ended here. */
  readonly stopped?: string;
}

/** In what the guest's view of an operation can differ. */
export type SeenPart = 'reached' | 'end' | 'value' | 'fault' | 'error code';

export function seenOf(timeline: Timeline, operation: OperationRecord): Seen {
  const { result, firstStep, endStep } = operation;
  let protection = false;
  for (let step = firstStep; step < endStep && !protection; step += 1)
    protection = timeline.journal.kind(step) === 'guest-gp';
  const isLast = timeline.stop !== undefined && operation === timeline.operations.at(-1);
  return {
    protection,
    ...(result === undefined ? {} : { result }),
    ...(isLast ? { stopped: timeline.stop.message } : {}),
  };
}

/** Nothing where the guest cannot tell the two apart; undefined stands for an operation that a run did not reach. */
export function seenApart(a: Seen | undefined, b: Seen | undefined): readonly SeenPart[] {
  if (a === undefined || b === undefined) return a === b ? [] : ['reached'];
  const [own, other] = [a.result, b.result];
  const faults = [own?.faults ?? [], other?.faults ?? []] as const;
  const sameFaults =
    faults[0].length === faults[1].length && faults[0].every(({ gva }, at) => gva === faults[1][at]?.gva);
  const sameCodes = faults[0].every(({ errorCode }, at) => errorCode === faults[1][at]?.errorCode);
  const parts: readonly (readonly [SeenPart, boolean])[] = [
    ['end', own?.completed === other?.completed && a.stopped === b.stopped],
    ['value', own?.value === other?.value],
    ['fault', sameFaults && a.protection === b.protection],
    ['error code', !sameFaults || sameCodes],
  ];
  return parts.flatMap(([part, same]) => (same ? [] : [part]));
}
