import { expect, test } from 'vitest';
import { keyToPaint, percentile, workOfKeys, type TraceEvent } from './trace-events.ts';

const event = (name: string, ts: number, dur: number, type?: string): TraceEvent => ({
  name,
  ph: 'X',
  pid: 1,
  tid: 1,
  ts,
  dur,
  ...(type === undefined ? {} : { args: { data: { type } } }),
});

const ONE_KEY = [
  event('RunTask', 0, 900),
  event('RunTask', 1000, 3000),
  event('EventDispatch', 1100, 2500, 'keydown'),
  event('RunTask', 9000, 4000),
  event('PrePaint', 10_000, 1000),
  event('Paint', 11_500, 500),
  event('RunTask', 14_000, 700),
  // The panels, a frame later.
  event('RunTask', 25_000, 5000),
  event('Paint', 26_000, 1000),
];

test('counts the work from the task of a key to the end of its painting, without the waiting between', () => {
  // 1000..4000, the key's own task, and 9000..12000 of the frame's.
  expect(keyToPaint(ONE_KEY)).toEqual([6]);
});

test('counts what follows in the next frame apart', () => {
  // 12000..13000 is left of the first frame's task, then 14000..14700 and 25000..27000.
  expect(workOfKeys(ONE_KEY)).toEqual([{ toPaint: 6, onThread: undefined, following: 1 + 0.7 + 2 }]);
});

test('pieces of a frame belong together however far apart, because they share a task', () => {
  const slow = [
    event('RunTask', 0, 1000),
    event('EventDispatch', 0, 1000, 'keydown'),
    event('RunTask', 2000, 30_000),
    event('PrePaint', 3000, 1000),
    event('Paint', 20_000, 10_000),
  ];
  expect(workOfKeys(slow)).toEqual([{ toPaint: 29, onThread: undefined, following: 0 }]);
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

test('a key that nothing is painted for is left out, not counted as quick', () => {
  const still = [event('RunTask', 0, 2000), event('EventDispatch', 100, 1000, 'keydown')];
  expect(workOfKeys(still)).toEqual([{ toPaint: undefined, onThread: undefined, following: 0 }]);
  expect(keyToPaint([...still, ...ONE_KEY.map((own) => ({ ...own, ts: own.ts + 50_000 }))])).toEqual([6]);
});

test('the clock of the thread leaves out what another process took', () => {
  const clocked = [
    { ...event('RunTask', 1000, 3000), tts: 500, tdur: 1000 },
    event('EventDispatch', 1100, 2500, 'keydown'),
    { ...event('RunTask', 9000, 4000), tts: 1600, tdur: 2000 },
    { ...event('Paint', 11_500, 500), tts: 3100, tdur: 400 },
  ];
  expect(workOfKeys(clocked)).toEqual([{ toPaint: 6, onThread: 3, following: 0 }]);
});

test('percentiles', () => {
  const values = Array.from({ length: 100 }, (_, at) => at + 1);
  expect([percentile(values, 0.5), percentile(values, 0.95), percentile([], 0.5)]).toEqual([51, 96, 0]);
});
