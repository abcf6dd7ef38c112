/**
 * From text to lines of tokens, and back. Accepts every text. The editor's grammar (`syntax.grammar`) cuts a text the
 * same way, which is a test; it brings a parser of fifty kilobytes, which running a scenario does not need.
 */
import type { Line, Token, TokenKind } from './ast.ts';

/** A comment, a text in quotes, an equals sign, or a word; blanks between them. */
const TOKEN = /#[ \t][^]*|"[^"]*"?|=|[^ \t\r"=]+/g;

export function readLines(text: string): readonly Line[] {
  let at = 0;
  return text.split('\n').map((raw, index) => {
    const from = at;
    at += raw.length + 1;
    const line = {
      number: index + 1,
      from,
      to: from + raw.length,
      indent: raw.length - raw.trimStart().length,
    };
    return { ...line, ...readTokens(raw, from) };
  });
}

function readTokens(raw: string, from: number): Pick<Line, 'tokens' | 'comment'> {
  const tokens: Token[] = [];
  let comment: string | undefined;
  for (const { 0: text, index } of raw.matchAll(TOKEN)) {
    // A lone # is an empty comment at the end of a line, and a word where something is glued to it.
    const empty = text === '#' && raw.slice(index + 1).trim() === '';
    if (empty || /^#[ \t]/.test(text)) comment = text;
    else {
      const start = from + index;
      const glued = tokens.at(-1)?.to === start;
      tokens.push({ kind: kindOf(text), text, from: start, to: start + text.length, glued });
    }
  }
  return comment === undefined ? { tokens } : { tokens, comment: comment.trimEnd() };
}

export const isNumberText = (text: string): boolean => /^(0x[0-9a-fA-F]+|[0-9]+[KMG]?)$/.test(text);

function kindOf(text: string): TokenKind {
  if (text === '=') return 'equals';
  if (text === '->') return 'arrow';
  if (text.startsWith('"')) return 'text';
  return isNumberText(text) ? 'number' : 'word';
}

/** Prints lines with regular white space: two blanks a level of indentation, single blanks between tokens. */
export function printLines(lines: readonly Line[]): string {
  const widths: number[] = [];
  return lines
    .map((line) => {
      if (line.tokens.length === 0) return line.comment ?? '';
      while (widths.length > 0 && (widths.at(-1) ?? 0) >= line.indent) widths.pop();
      const depth = line.indent === 0 ? 0 : widths.length;
      widths.push(line.indent);
      const body = line.tokens
        .map((token, index) => (index === 0 || token.glued ? '' : ' ') + token.text)
        .join('');
      return '  '.repeat(depth) + body + (line.comment === undefined ? '' : `  ${line.comment}`);
    })
    .join('\n');
}
