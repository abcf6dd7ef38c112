import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CATALOGUE_IDS, catalogueText, RUNS, scenario } from '../testing/scenarios.ts';
import { readLines } from './lines.ts';
import { parser } from './syntax.gen.ts';

const KIND_OF: Readonly<Record<string, string>> = {
  Number: 'number',
  Text: 'text',
  Equals: 'equals',
  Arrow: 'arrow',
  Keyword: 'word',
  Operation: 'word',
  Flag: 'word',
  Atom: 'word',
};

/** The tokens as the editor's grammar sees them. */
function byGrammar(text: string): readonly string[] {
  const tokens: string[] = [];
  parser.parse(text).iterate({
    enter: ({ name, from, to }) => {
      const kind = KIND_OF[name];
      // At the end of a line a lone # is an empty comment.
      const isEmpty = text.slice(from, to) === '#' && /^[^\S\n]*(\n|$)/.test(text.slice(to));
      if (kind !== undefined && !isEmpty) tokens.push(`${kind} ${String(from)} ${String(to)}`);
    },
  });
  return tokens;
}

const byLines = (text: string): readonly string[] =>
  readLines(text).flatMap((line) =>
    line.tokens.map((token) => `${token.kind} ${String(token.from)} ${String(token.to)}`),
  );

const PIECES = [
  ' ',
  '\t',
  '\n',
  '\r',
  '"',
  '=',
  '#',
  '-',
  '>',
  '->',
  '0x1f',
  '64M',
  'map',
  'rw',
  'V+8',
  '# x',
  '"a b"',
  'ü',
  '🦊',
];
const pieces = fc.constantFrom(...PIECES);
const texts = fc.oneof(
  scenario,
  fc.array(pieces, { maxLength: 40 }).map((list) => list.join('')),
  fc.string(),
);

test('lines have the tokens that the grammar of the editor sees', () => {
  for (const id of CATALOGUE_IDS) expect(byLines(catalogueText(id))).toEqual(byGrammar(catalogueText(id)));
  fc.assert(
    fc.property(texts, (text) => {
      expect(byLines(text)).toEqual(byGrammar(text));
    }),
    { numRuns: RUNS * 10 },
  );
});
