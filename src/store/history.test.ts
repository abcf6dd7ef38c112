import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BOUNDS } from '../core/bounds.ts';
import { NO_HISTORY, redone, remember, undone, type History, type Version } from './history.ts';

const version = (text: string): Version => ({ text, settings: {}, versus: undefined });

test('undoing goes back change by change, and redoing forth again', () => {
  let history: History = NO_HISTORY;
  let present = version('a');
  for (const text of ['b', 'c']) {
    history = remember(history, present, { merged: false });
    present = version(text);
  }
  const back = undone(history, present);
  expect(back?.version.text).toBe('b');
  const again = back === undefined ? undefined : redone(back.history, back.version);
  expect(again?.version.text).toBe('c');
  expect(again?.history).toEqual(history);
});

test('keys typed in one go are one change, and a change after undoing forgets what was undone', () => {
  const first = remember(NO_HISTORY, version(''), { merged: false });
  const second = remember(first, version('a'), { merged: true });
  expect(second.past.map((past) => past.text)).toEqual(['']);
  const back = undone(second, version('ab'));
  expect(remember(back?.history ?? NO_HISTORY, version(''), { merged: false }).future).toEqual([]);
});

test('any walk through the history ends where it began when each step is taken back', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 20 }), fc.nat(20), (texts, steps) => {
      let history: History = NO_HISTORY;
      let present = version('start');
      for (const text of texts) {
        history = remember(history, present, { merged: false });
        present = version(text);
      }
      const end = { history, present };
      let taken = 0;
      for (let at = 0; at < steps; at += 1) {
        const back = undone(history, present);
        if (back === undefined) break;
        [history, present, taken] = [back.history, back.version, taken + 1];
      }
      for (let at = 0; at < taken; at += 1) {
        const forth = redone(history, present);
        if (forth !== undefined) [history, present] = [forth.history, forth.version];
      }
      expect({ history, present }).toEqual(end);
    }),
  );
});

test('is bounded in number and in size', () => {
  let history: History = NO_HISTORY;
  for (let at = 0; at < BOUNDS.historyVersions + 10; at += 1)
    history = remember(history, version(String(at)), { merged: false });
  expect(history.past.length).toBe(BOUNDS.historyVersions);
  const large = version('x'.repeat(BOUNDS.historyCharacters / 2 + 1));
  history = remember(remember(NO_HISTORY, large, { merged: false }), large, { merged: false });
  expect(history.past.length).toBe(1);
});
