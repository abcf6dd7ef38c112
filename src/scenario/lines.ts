/** From text to lines of tokens, by the Lezer grammar, and back. Accepts every text. */
import type { Line, Token, TokenKind } from './ast.ts';
import { parser } from './syntax.gen.ts';

const KIND_OF: Readonly<Record<string, TokenKind>> = {
  Number: 'number',
  Text: 'text',
  Equals: 'equals',
  Arrow: 'arrow',
  Keyword: 'word',
  Operation: 'word',
  Flag: 'word',
  Atom: 'word',
};

export function readLines(text: string): readonly Line[] {
  const tokens: (Token | { readonly comment: string; readonly from: number })[] = [];
  parser.parse(text).iterate({
    enter: (node) => {
      if (node.name === 'Comment') tokens.push({ comment: text.slice(node.from, node.to), from: node.from });
      const kind = KIND_OF[node.name];
      if (kind !== undefined && text.slice(node.from, node.to) === '#') {
        tokens.push({ comment: '#', from: node.from });
        return false;
      }
      if (kind === undefined || node.from === node.to)
        return node.name === 'Scenario' || node.name === 'Line';
      const last = tokens.at(-1);
      const glued = last !== undefined && 'to' in last && last.to === node.from;
      tokens.push({ kind, text: text.slice(node.from, node.to), from: node.from, to: node.to, glued });
      return false;
    },
  });
  let at = 0;
  let next = 0;
  return text.split('\n').map((raw, index) => {
    const [from, to] = [at, at + raw.length];
    at = to + 1;
    const own: Token[] = [];
    let comment: string | undefined;
    for (let token = tokens[next]; token !== undefined && token.from < at; token = tokens[next]) {
      if ('comment' in token) comment = token.comment;
      else own.push(token);
      next += 1;
    }
    const line = { number: index + 1, from, to, indent: raw.length - raw.trimStart().length, tokens: own };
    return comment === undefined ? line : { ...line, comment: comment.trimEnd() };
  });
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
