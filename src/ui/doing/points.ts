/** Points at which another vCPU may act, as far as the operation at the cursor comes near them. */
import { PREEMPTION_NAMES, type PreemptionPoint } from '../../core/machine/preemption.ts';
import type { OperationRecord } from '../../core/operations/recorder.ts';
import type { Timeline } from '../../timeline/timeline.ts';

/** The call in which a point lies: `rmap_write_protect/before-flush`, `page-walk/level-1`. */
const callOf = (point: PreemptionPoint): string => {
  const call = point.slice(0, point.indexOf('/'));
  return call === 'page-walk' ? 'page walk' : call;
};

/** The points of calls that the operation makes come first; the others it never reaches as the text stands. */
export function pointsOf(
  timeline: Timeline,
  { firstStep, endStep }: OperationRecord,
): { readonly near: readonly PreemptionPoint[]; readonly far: readonly PreemptionPoint[] } {
  const made = new Set<string>();
  for (let step = firstStep; step < endStep; step += 1)
    for (const { name } of timeline.calls(step)) made.add(name);
  return {
    near: PREEMPTION_NAMES.filter((point) => made.has(callOf(point))),
    far: PREEMPTION_NAMES.filter((point) => !made.has(callOf(point))),
  };
}
