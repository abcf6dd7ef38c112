import { expect, test } from 'vitest';
import { misplaced } from './all.ts';

test('every rule that is to be broken stands exactly once where the list says', () => {
  expect(misplaced()).toEqual([]);
});
