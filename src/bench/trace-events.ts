/**
 * From a browser's trace to durations: how long the main thread was busy from a key's event to the end of the painting
 * that shows what the key did. Waiting for the screen between the two is not counted.
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
  readonly args?: { readonly data?: { readonly type?: string }; readonly name?: string };
}

interface Span {
  readonly from: number;
  readonly to: number;
}

/** What ends the main thread's part of a frame. */
const PAINTS = new Set(['Paint', 'PrePaint', 'Layerize', 'Commit']);
const isTask = (event: TraceEvent): boolean => /(^|::)RunTask$/.test(event.name);

/** Milliseconds of main-thread work for each keydown, in order. */
export function keyToPaint(events: readonly TraceEvent[]): readonly number[] {
  const keys = events
    .filter((event) => event.name === 'EventDispatch' && event.args?.data?.type === 'keydown')
    .sort((a, b) => a.ts - b.ts);
  const thread = keys[0];
  if (thread === undefined) return [];
  const own = events.filter((event) => event.pid === thread.pid && event.tid === thread.tid);
  const tasks = spansOf(own.filter(isTask));
  const paints = spansOf(own.filter((event) => PAINTS.has(event.name)));
  return keys.map((key, at) => {
    const next = keys[at + 1]?.ts ?? Infinity;
    const end = endOfFrame(paints, { from: key.ts, to: next });
    const busy = tasks
      .filter((task) => task.to > key.ts && task.from < end)
      .reduce((sum, task) => sum + Math.min(task.to, end) - Math.max(task.from, key.ts), 0);
    return busy / 1000;
  });
}

/** The end of the first run of painting after a key: pieces of it lie directly one after another. */
function endOfFrame(paints: readonly Span[], within: Span): number {
  let end: number | undefined;
  for (const paint of paints) {
    if (paint.from < within.from || paint.from >= within.to) continue;
    if (end !== undefined && paint.from - end > SAME_FRAME_US) break;
    end = Math.max(end ?? 0, paint.to);
  }
  return end ?? within.from;
}
const SAME_FRAME_US = 4000;

/** Outermost spans only, in order. */
function spansOf(events: readonly TraceEvent[]): readonly Span[] {
  const spans: Span[] = [];
  const sorted = events
    .filter((event) => event.dur !== undefined)
    .map((event) => ({ from: event.ts, to: event.ts + (event.dur ?? 0) }))
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
