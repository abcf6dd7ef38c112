/** What is left of a run when it is one of many in a table: what the guest saw, what broke, what it cost. */
import { countsHere, type Counts } from './costs.ts';
import { seenOf, type Seen } from './seen.ts';
import { operationLabel, type Timeline } from './timeline.ts';

export interface SummedOperation {
  readonly label: string;
  readonly text: string;
  readonly line: number;
  readonly seen: Seen;
}

export interface RunSummary {
  /** Steps since `begin`. */
  readonly steps: number;
  /** Operations after `begin`. */
  readonly operations: readonly SummedOperation[];
  readonly counts: Counts;
  /** Rules that were broken, and kinds of harm that was done, each once. */
  readonly rules: readonly string[];
  readonly harms: readonly string[];
  /** Why it ended early. */
  readonly stopped?: string;
}

/** The timeline is where it was afterwards. */
export function summaryOf(timeline: Timeline): RunSummary {
  const place = timeline.position;
  timeline.seek(timeline.length);
  const { violation, harm } = timeline.world.tables;
  const summary: RunSummary = {
    steps: timeline.length - timeline.begin,
    operations: timeline.operations
      .filter(({ section }) => section === 'body')
      .map((operation) => ({
        label: operationLabel(operation),
        text: operation.text,
        line: operation.line,
        seen: seenOf(timeline, operation),
      })),
    counts: countsHere(timeline),
    rules: [...new Set([...violation.values()].map(({ rule }) => rule))],
    harms: [...new Set([...harm.values()].map(({ kind }) => kind as string))],
    ...(timeline.stop === undefined ? {} : { stopped: timeline.stop.message }),
  };
  timeline.seek(place);
  return summary;
}
