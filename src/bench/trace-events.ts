/**
 * From a browser's trace to durations: how long the main thread was busy from a key's event to the end of the painting
 * that shows what the key did, and how long with what follows it. Waiting for the screen in between is not counted.
 */
export interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  /** Start, in microseconds. */
  readonly ts: number;
  /** Duration, in microseconds. */
  readonly dur?: number;
  /** Start and duration by the thread's own clock, which stands still while the thread does not run. */
  readonly tts?: number;
  readonly tdur?: number;
  readonly args?: { readonly data?: { readonly type?: string }; readonly name?: string };
}

interface Span {
  readonly from: number;
  readonly to: number;
  /** The same two moments by the thread's own clock; absent where the browser does not tell them. */
  readonly clock?: { readonly from: number; readonly to: number };
}

/** Milliseconds that one key kept the main thread busy. */
export interface KeyWork {
  /** To the end of the first frame after the key; undefined when nothing was painted, as at the end of a run. */
  readonly toPaint: number | undefined;
  /**
   * The same, without the time in which the thread was ready but another process had its processor, or in which it waited
   * for a lock of the compositor: what the page asks of any machine. Undefined when the browser does not tell.
   */
  readonly onThread: number | undefined;
  /** From there to the end of the second frame: what follows one frame later. 0 when there is none. */
  readonly following: number;
}

/** What ends the main thread's part of a frame. */
const PAINTS = new Set(['Paint', 'PrePaint', 'Layerize', 'Commit']);
const isTask = (event: TraceEvent): boolean => /(^|::)RunTask$/.test(event.name);
const isKey = (event: TraceEvent): boolean =>
  event.name === 'EventDispatch' && event.args?.data?.type === 'keydown';

/** The work of each keydown, in order. */
export function workOfKeys(events: readonly TraceEvent[]): readonly KeyWork[] {
  const keys = events.filter(isKey).sort((a, b) => a.ts - b.ts);
  const thread = keys[0];
  if (thread === undefined) return [];
  const own = events.filter((event) => event.pid === thread.pid && event.tid === thread.tid);
  const tasks = spansOf(own.filter(isTask));
  const paints = spansOf(own.filter((event) => PAINTS.has(event.name)));
  const starts = keys.map((key) => taskAt(tasks, key.ts)?.from ?? key.ts);
  return keys.map((key, at) => {
    const from = starts[at] ?? key.ts;
    const ends = frameEnds(paints, tasks, { from: key.ts, to: starts[at + 1] ?? Infinity });
    const [first, second] = ends;
    if (first === undefined) return { toPaint: undefined, onThread: undefined, following: 0 };
    const start = taskAt(tasks, key.ts)?.clock?.from;
    return {
      toPaint: busy(tasks, { from, to: first.to }),
      onThread:
        start === undefined || first.clock === undefined ? undefined : (first.clock.to - start) / 1000,
      following: second === undefined ? 0 : busy(tasks, { from: first.to, to: second.to }),
    };
  });
}

/** Milliseconds to the first paint, for the keys that something was painted for. */
export const keyToPaint = (events: readonly TraceEvent[]): readonly number[] =>
  workOfKeys(events).flatMap(({ toPaint }) => (toPaint === undefined ? [] : [toPaint]));

const taskAt = (tasks: readonly Span[], at: number): Span | undefined =>
  tasks.find((task) => task.from <= at && at < task.to);

/** The last piece of painting of each frame. A frame is made inside one task: its pieces share it. */
function frameEnds(paints: readonly Span[], tasks: readonly Span[], within: Span): readonly Span[] {
  const ends = new Map<number, Span>();
  for (const paint of paints) {
    if (paint.from < within.from || paint.from >= within.to) continue;
    const frame = taskAt(tasks, paint.from)?.from ?? paint.from;
    if (paint.to > (ends.get(frame)?.to ?? -Infinity)) ends.set(frame, paint);
  }
  return [...ends.values()].sort((a, b) => a.to - b.to);
}

const busy = (tasks: readonly Span[], { from, to }: Span): number =>
  tasks
    .filter((task) => task.to > from && task.from < to)
    .reduce((sum, task) => sum + Math.min(task.to, to) - Math.max(task.from, from), 0) / 1000;

/** Outermost spans only, in order. */
function spansOf(events: readonly TraceEvent[]): readonly Span[] {
  const spans: Span[] = [];
  const sorted = events
    .filter((event) => event.dur !== undefined)
    .map((event) => ({
      from: event.ts,
      to: event.ts + (event.dur ?? 0),
      ...(event.tts === undefined || event.tdur === undefined
        ? {}
        : { clock: { from: event.tts, to: event.tts + event.tdur } }),
    }))
    .sort((a, b) => a.from - b.from || b.to - a.to);
  for (const span of sorted) {
    if (span.to > (spans.at(-1)?.to ?? -Infinity)) spans.push(span);
  }
  return spans;
}

/** The value below which that share of the values lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
