/** Tells the grammar which words are numbers: 0x-hex, or decimal with an optional K, M or G. */
import { isNumberText } from './lines.ts';
import { Number as NumberTerm } from './syntax.gen.ts';

/** Called by the parser for each word; -1 leaves it a word. */
export const specializeNumber = (text: string, _stack?: unknown): number =>
  isNumberText(text) ? NumberTerm : -1;
