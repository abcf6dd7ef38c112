import { expect, test } from 'vitest';
import { indexOfScenarios } from './scenario-index.ts';

const cases: { rule: string; texts: Record<string, string>; index: string[] }[] = [
  {
    rule: 'scenarios without an order are sorted by id',
    texts: { b: 'title Second\n', a: 'title First\n' },
    index: ['a: First (1)', 'b: Second (1)'],
  },
  {
    rule: 'an order comes before an id, and an ordered scenario before one without',
    texts: { a: 'title A', b: '# order: 10\ntitle B', c: '# order: 2\ntitle C' },
    index: ['c: C (2)', 'b: B (2)', 'a: A (1)'],
  },
  {
    rule: 'only the first title counts, wherever it stands, in either line ending',
    texts: { a: '# a comment\r\ntitle Real\r\ntitle Other\r\n' },
    index: ['a: Real (3)'],
  },
  { rule: 'a text without a title is listed by its id', texts: { bare: 'machine kvm-tdp\n' }, index: ['bare: bare (1)'] },
  { rule: 'an indented title is not a title', texts: { a: '  title No\n' }, index: ['a: a (1)'] },
];

test.each(cases)('$rule', ({ texts, index }) => {
  const made = indexOfScenarios(new Map(Object.entries(texts)));
  expect(made.map(({ id, title, lines }) => `${id}: ${title} (${lines})`)).toEqual(index);
});
