import { expect, test } from 'vitest';
import { keyToPaint, percentile, type TraceEvent } from './trace-events.ts';

const event = (name: string, ts: number, dur: number, type?: string): TraceEvent => ({
  name,
  ph: 'X',
  pid: 1,
  tid: 1,
  ts,
  dur,
  ...(type === undefined ? {} : { args: { data: { type } } }),
});

test('counts the work from a key to the end of its painting, without the waiting between', () => {
  const trace = [
    event('RunTask', 0, 900),
    event('RunTask', 1000, 3000),
    event('EventDispatch', 1100, 2500, 'keydown'),
    event('RunTask', 9000, 4000),
    event('PrePaint', 10_000, 1000),
    event('Paint', 11_500, 500),
    event('RunTask', 14_000, 700),
    // A frame of the animation that follows.
    event('RunTask', 25_000, 5000),
    event('Paint', 26_000, 1000),
  ];
  // 1100..4000 of the key's own task, 9000..12000 of the frame's.
  expect(keyToPaint(trace)).toEqual([(2900 + 3000) / 1000]);
});

test('each key has its own frame', () => {
  const key = (at: number): TraceEvent[] => [
    event('RunTask', at, 2000),
    event('EventDispatch', at, 1000, 'keydown'),
    event('RunTask', at + 5000, 1000),
    event('Paint', at + 5200, 300),
  ];
  expect(keyToPaint([...key(0), ...key(100_000)])).toEqual([2.5, 2.5]);
  expect(keyToPaint([])).toEqual([]);
});

test('percentiles', () => {
  const values = Array.from({ length: 100 }, (_, at) => at + 1);
  expect([percentile(values, 0.5), percentile(values, 0.95), percentile([], 0.5)]).toEqual([51, 96, 0]);
});
