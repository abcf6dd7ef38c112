/**
 * Changes of a scenario's text that the screen makes instead of a person typing: add an operation, delete, move,
 * disable. They work on any text, problems or not, and touch nothing but the lines that they are about.
 */
import { lastLineOf, type Span } from './ast.ts';
import { readLines } from './lines.ts';
import { interpret } from './statements.ts';

/** One operation in the text, or one that is disabled. Lines from 1, both ends included. */
export interface OperationLines {
  /** As links name it: `3`, `g2`. A disabled operation has none. */
  readonly label: string | undefined;
  readonly first: number;
  readonly last: number;
  /** Last of the notes that follow directly: they go with the operation. */
  readonly lastNote: number;
  readonly disabled: boolean;
}

/** Disabled lines are comments that begin so. */
const DISABLED = '# off: ';

export function operationLines(text: string): readonly OperationLines[] {
  const lines = readLines(text);
  const raw = text.split('\n');
  const found: OperationLines[] = [];
  let [label, given] = [0, false];
  for (const statement of interpret(lines).statements) {
    if (statement.kind === 'given' || statement.kind === 'begin')
      [given, label] = [statement.kind === 'given', 0];
    if (statement.kind !== 'operation') continue;
    label += 1;
    const first = statement.line.number;
    const last = lastLineOf(statement.operation);
    found.push({
      label: given ? `g${String(label)}` : String(label),
      first,
      last,
      lastNote: notesAfter(raw, last),
      disabled: false,
    });
  }
  return [...found, ...disabledLines(raw)].sort((a, b) => a.first - b.first);
}

function disabledLines(raw: readonly string[]): readonly OperationLines[] {
  const found: OperationLines[] = [];
  for (let at = 0; at < raw.length; at += 1) {
    if (!isDisabled(raw[at])) continue;
    const first = at;
    // Lines of the same operation stand deeper than its first.
    while (isDisabled(raw[at + 1]) && depthOf(raw[at + 1]) > depthOf(raw[first])) at += 1;
    found.push({ label: undefined, first: first + 1, last: at + 1, lastNote: at + 1, disabled: true });
  }
  return found;
}

const isDisabled = (line: string | undefined): boolean =>
  line?.trimStart().startsWith(DISABLED.trimEnd()) === true;
const depthOf = (line: string | undefined): number => {
  const rest = (line ?? '').trimStart().slice(DISABLED.length);
  return rest.length - rest.trimStart().length;
};

function notesAfter(raw: readonly string[], last: number): number {
  let line = last;
  while (/^\s*note\b/.test(raw[line] ?? '')) line += 1;
  return line;
}

/** The operation to which a line belongs, its notes included. */
export const operationAtLine = (text: string, line: number): OperationLines | undefined =>
  operationLines(text).find((operation) => line >= operation.first && line <= operation.lastNote);

/** Where a new operation goes that comes after the one with that label; `0` is directly after `begin`. */
export function lineAfter(text: string, label: string): number {
  const raw = text.split('\n');
  const operation = operationLines(text).find((candidate) => candidate.label === label);
  if (operation === undefined) {
    const begin = raw.findIndex((line) => /^\s*begin\b/.test(line));
    return begin < 0 ? raw.length : begin + 1;
  }
  let line = operation.lastNote;
  while (/^\s*(note|expect)\b/.test(raw[line] ?? '')) line += 1;
  return line;
}

/** Puts an operation after a line, indented like `given` where it lands there. Gives the text and its first line. */
export function insertOperation(
  text: string,
  { after, operation, begin = true }: { after: number; operation: string; begin?: boolean },
): { readonly text: string; readonly line: number } {
  const raw = text.split('\n');
  const beginLine = raw.findIndex((line) => /^\s*begin\b/.test(line)) + 1;
  const indent = beginLine > 0 && after < beginLine ? '  ' : '';
  const added = operation.split('\n').map((line) => indent + line);
  if (begin && beginLine === 0) added.unshift('begin');
  // A text that ends in a newline keeps ending in one.
  const at = raw.length === after && raw.at(-1) === '' ? after - 1 : after;
  raw.splice(at, 0, ...added);
  return { text: raw.join('\n'), line: at + added.length - operation.split('\n').length + 1 };
}

/**
 * Puts what another vCPU does in the middle of an operation directly below it, after what others do there already. Above
 * the guest's own handler, whose lines may stand deeper or not.
 */
export function insertMeanwhile(
  text: string,
  { operation, line }: { operation: OperationLines; line: string },
): { readonly text: string; readonly line: number } {
  const raw = text.split('\n');
  let after = operation.first;
  while (after < operation.last && /^\s*at\b/.test(raw[after] ?? '')) after += 1;
  const indent = /^\s*/.exec(raw[operation.first - 1] ?? '')?.[0] ?? '';
  raw.splice(after, 0, `${indent}  ${line}`);
  return { text: raw.join('\n'), line: after + 1 };
}

/** Deletes an operation with its notes. */
export function deleteOperation(text: string, operation: OperationLines): string {
  const raw = text.split('\n');
  raw.splice(operation.first - 1, operation.lastNote - operation.first + 1);
  return raw.join('\n');
}

/** Makes comments of an operation's lines, or an operation of them again. */
export function toggleOperation(text: string, operation: OperationLines): string {
  const raw = text.split('\n');
  for (let line = operation.first; line <= operation.last; line += 1) {
    const own = raw[line - 1] ?? '';
    const indent = /^\s*/.exec(raw[operation.first - 1] ?? '')?.[0] ?? '';
    raw[line - 1] = operation.disabled
      ? own.replace(DISABLED, '').replace(DISABLED.trimEnd(), '')
      : `${indent}${DISABLED}${own.slice(indent.length)}`;
  }
  return raw.join('\n');
}

/** Exchanges an operation with the one before or after it in the same section; undefined where there is none. */
export function moveOperation(
  text: string,
  { operation, direction }: { operation: OperationLines; direction: 'up' | 'down' },
): { readonly text: string; readonly line: number } | undefined {
  const raw = text.split('\n');
  const all = operationLines(text);
  const at = all.findIndex((candidate) => candidate.first === operation.first);
  const other = all[direction === 'up' ? at - 1 : at + 1];
  if (other === undefined) return undefined;
  const [upper, lower] = direction === 'up' ? [other, operation] : [operation, other];
  const between = raw.slice(upper.lastNote, lower.first - 1);
  if (between.some((line) => /^\s*(given|begin)\b/.test(line))) return undefined;
  const blocks = [
    raw.slice(lower.first - 1, lower.lastNote),
    between,
    raw.slice(upper.first - 1, upper.lastNote),
  ];
  raw.splice(upper.first - 1, lower.lastNote - upper.first + 1, ...blocks.flat());
  const line =
    direction === 'up' ? upper.first : upper.first + (blocks[0]?.length ?? 0) + (blocks[1]?.length ?? 0);
  return { text: raw.join('\n'), line };
}

/** The smallest replacement that turns one text into another: offsets in `before`, and what stands there instead. */
export function smallestChange(before: string, after: string): Span & { readonly insert: string } {
  let from = 0;
  const shorter = Math.min(before.length, after.length);
  while (from < shorter && before[from] === after[from]) from += 1;
  let tail = 0;
  while (tail < shorter - from && before[before.length - 1 - tail] === after[after.length - 1 - tail])
    tail += 1;
  return { from, to: before.length - tail, insert: after.slice(from, after.length - tail) };
}
