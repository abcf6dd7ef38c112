/** Reads the tokens of one line, left to right, and collects problems with their place and remedy. */
import type { Line, Problem, Span, Token } from './ast.ts';

/** Thrown to leave a line whose rest makes no sense; the problem is already noted. */
export class LineFailed extends Error {}

export class Cursor {
  readonly line: Line;
  private readonly problems: Problem[];
  private readonly names: ReadonlyMap<string, bigint>;
  private at = 0;

  constructor(line: Line, problems: Problem[], names: ReadonlyMap<string, bigint>) {
    this.line = line;
    this.problems = problems;
    this.names = names;
  }

  peek(): Token | undefined {
    return this.line.tokens[this.at];
  }
  next(): Token | undefined {
    const token = this.line.tokens[this.at];
    if (token !== undefined) this.at += 1;
    return token;
  }
  /** Takes the next token if it is this word. */
  take(word: string): boolean {
    if (this.peek()?.text !== word) return false;
    this.at += 1;
    return true;
  }
  /** Whether a `key=value` pair stands next. */
  atPair(): boolean {
    return this.line.tokens[this.at + 1]?.kind === 'equals';
  }

  note(place: Span | undefined, said: { message: string; remedy: string; fix?: string }): void {
    const span = place ?? { from: this.line.tokens.at(-1)?.to ?? this.line.to, to: this.line.to };
    const where = {
      line: this.line.number,
      column: span.from - this.line.from + 1,
      span: { from: span.from, to: span.to },
    };
    this.problems.push({ ...where, ...said });
  }

  fail(place: Span | undefined, said: { message: string; remedy: string; fix?: string }): never {
    this.note(place, said);
    throw new LineFailed();
  }

  word(expected: string, remedy: string): Token {
    const token = this.next();
    if (token?.kind !== 'word') {
      this.fail(token, { message: `${foundText(token)} where ${expected} was expected`, remedy });
    }
    return token;
  }

  /** One of these words; a near miss is offered as a fix. */
  oneOf<W extends string>(words: readonly W[], what: string): W {
    const token = this.next();
    const found = words.find((word) => word === token?.text);
    if (found !== undefined) return found;
    const near = token === undefined ? undefined : nearest(token.text, words);
    const remedy = near === undefined ? `Write one of: ${words.join(', ')}.` : `Did you mean ${near}?`;
    this.fail(token, {
      message: `${foundText(token)} where ${what} was expected`,
      remedy,
      ...(near === undefined ? {} : { fix: near }),
    });
  }

  arrow(remedy = 'Write: map <address> -> <target>.'): void {
    const token = this.next();
    if (token?.kind !== 'arrow') {
      this.fail(token, {
        message: `${foundText(token)} where -> was expected`,
        remedy,
      });
    }
  }

  equals(): void {
    const token = this.next();
    if (token?.kind !== 'equals') {
      this.fail(token, {
        message: `${foundText(token)} where = was expected`,
        remedy: 'Write = between the name and its value.',
      });
    }
  }

  /** A number, a name from `let`, or one of them plus an offset: `K+0x118`. */
  number(what: string): bigint {
    const token = this.next();
    if (token === undefined || (token.kind !== 'number' && token.kind !== 'word')) {
      this.fail(token, {
        message: `${foundText(token)} where ${what} was expected`,
        remedy: 'Write a number, 0x-hex or decimal.',
      });
    }
    return this.sumOf(token.text, { token, what });
  }

  private sumOf(text: string, { token, what }: { token: Token; what: string }): bigint {
    let sum = 0n;
    for (const part of text.split('+')) {
      const value = numberOf(part) ?? this.names.get(part);
      if (value === undefined) {
        const near = nearest(part, [...this.names.keys()]);
        this.fail(token, {
          message: `${JSON.stringify(part)} is no number and no name in use, where ${what} was expected`,
          remedy:
            near === undefined
              ? `Write a number, or name it first: let ${/^\w+$/.test(part) ? part : 'K'} = 0x1000.`
              : `Did you mean ${near}?`,
          ...(near === undefined || token.text !== part ? {} : { fix: near }),
        });
      }
      sum += value;
    }
    if (sum >= 1n << 64n)
      this.fail(token, { message: `${what} does not fit 64 bits`, remedy: 'Write at most 16 hex digits.' });
    return sum;
  }

  /** Numbers joined by commas: `0x20,0x21`. */
  numbers(what: string): readonly bigint[] {
    const token = this.next();
    if (token === undefined || (token.kind !== 'number' && token.kind !== 'word'))
      this.fail(token, {
        message: `${foundText(token)} where ${what} were expected`,
        remedy: 'Write numbers joined by commas, without blanks: 0x20,0x21.',
      });
    return token.text.split(',').map((part) => this.sumOf(part, { token, what }));
  }

  /** A number that must lie in a range and fits a JavaScript number. */
  small(what: string, range: { min: number; max: number }): number {
    const token = this.peek();
    const value = this.number(what);
    if (value < BigInt(range.min) || value > BigInt(range.max)) {
      this.fail(token, {
        message: `${what} is ${String(value)}`,
        remedy:
          range.min === range.max
            ? `Write ${String(range.min)}.`
            : `Write a number from ${String(range.min)} to ${String(range.max)}.`,
      });
    }
    return Number(value);
  }

  text(remedy: string): string {
    const token = this.next();
    if (token?.kind !== 'text' || !token.text.endsWith('"') || token.text.length < 2) {
      this.fail(token, { message: `${foundText(token)} where a text in quotes was expected`, remedy });
    }
    return token.text.slice(1, -1);
  }

  /** Says what stands at the end of a line that is already complete. */
  end(): void {
    const token = this.peek();
    if (token !== undefined) {
      this.note(
        { from: token.from, to: this.line.tokens.at(-1)?.to ?? token.to },
        {
          message: `${foundText(token)} after the end of the statement`,
          remedy: 'Remove it, or start a comment with # and a blank.',
        },
      );
    }
  }
}

const foundText = (token: Token | undefined): string =>
  token === undefined ? 'The line ends' : `Found ${JSON.stringify(token.text)}`;

const UNITS: Readonly<Record<string, bigint>> = { K: 1n << 10n, M: 1n << 20n, G: 1n << 30n };

/** The value of a number token, or undefined. */
export function numberOf(text: string): bigint | undefined {
  if (text.length > 24) return undefined;
  if (/^0x[0-9a-fA-F]+$/.test(text)) return BigInt(text);
  const decimal = /^([0-9]+)([KMG]?)$/.exec(text);
  return decimal === null ? undefined : BigInt(decimal[1] ?? '0') * (UNITS[decimal[2] ?? ''] ?? 1n);
}

/** The word that a misspelt one was probably meant to be. */
export function nearest(text: string, words: readonly string[]): string | undefined {
  if (text.length > 40) return undefined;
  const scored = words.map((word) => ({ word, distance: editDistance(text.toLowerCase(), word) }));
  const best = scored.sort((a, b) => a.distance - b.distance)[0];
  return best !== undefined && best.distance <= Math.max(1, Math.floor(best.word.length / 3))
    ? best.word
    : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  let before: number[] = [];
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next[j] = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + same);
      // Two letters exchanged are one mistake.
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        next[j] = Math.min(next[j] ?? 0, (before[j - 2] ?? 0) + 1);
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
