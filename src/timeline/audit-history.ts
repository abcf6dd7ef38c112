/**
 * What the audit found in a whole run, in order of steps: broken rules with the step that broke them, the step at which
 * it was found and the one that mended it; and harm. Read off the journal, so that the cursor need not move.
 */
import type { Harm, OwedFlush, TableName, TableValues, Violation } from '../core/machine/tables.ts';
import { must } from '../core/assert.ts';
import type { Timeline } from './timeline.ts';

/** Steps are indices, as in the journal. */
export interface BrokenRule {
  readonly violation: Violation;
  /** The step that broke it. */
  readonly cause: number;
  readonly found: number;
  readonly mended?: number;
}

export interface HarmDone {
  readonly harm: Harm;
  readonly step: number;
}

export interface AuditHistory {
  /** In order of `found`. */
  readonly broken: readonly BrokenRule[];
  readonly harm: readonly HarmDone[];
}

export function auditHistory(timeline: Timeline): AuditHistory {
  return {
    broken: serials(timeline, 'violation').map((serial) => {
      const [first, ...later] = changesOf(timeline, 'violation', serial);
      const { value, step: found } = must(first, 'a violation was found');
      const violation = must(value, 'a violation');
      const mended = later.find((change) => change.value?.mended === true)?.step;
      const rule = { violation, cause: violation.cause, found };
      return mended === undefined ? rule : { ...rule, mended };
    }),
    harm: serials(timeline, 'harm').map((serial) => {
      const { value, step } = must(changesOf(timeline, 'harm', serial)[0], 'harm was done');
      return { harm: must(value, 'harm'), step };
    }),
  };
}

/** A flush that is owed at the position of the timeline, with the step since which it is past due. */
export interface FlushDue {
  readonly owed: OwedFlush;
  readonly overdueSince?: number;
}

export function flushesDue(timeline: Timeline): readonly FlushDue[] {
  return [...timeline.world.tables.owed.values()].map((owed) => {
    if (owed.overdue !== true) return { owed };
    const since = changesOf(timeline, 'owed', owed.serial).find((change) => change.value?.overdue === true);
    return since === undefined ? { owed } : { owed, overdueSince: since.step };
  });
}

type Serial = 'violation' | 'harm' | 'owed';

/** Serials that were given in this run: from 1 on without a gap. */
function serials({ journal }: Timeline, table: Serial): readonly number[] {
  const given: number[] = [];
  while (journal.lastChange(table, given.length + 1) !== undefined) given.push(given.length + 1);
  return given;
}

/** The changes of one thing, first to last. */
function changesOf<T extends TableName & Serial>(
  { journal }: Timeline,
  table: T,
  serial: number,
): readonly { readonly step: number; readonly value: TableValues[T] | undefined }[] {
  const found: { step: number; value: TableValues[T] | undefined }[] = [];
  for (
    let change = journal.lastChange(table, serial);
    change !== undefined;
    change = journal.previousChange(change)
  ) {
    found.unshift({
      step: journal.stepOfChange(change),
      value: journal.valueAfter(change) as TableValues[T] | undefined,
    });
  }
  return found;
}
