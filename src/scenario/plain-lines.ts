/** Statements of one line that are no operations: address spaces, raw entries, notes, suggestions. */
import { CALL_NAMES } from '../core/machine/steps.ts';
import type { Line, OwnChoice, SettingTest, Statement } from './ast.ts';
import { readChoices, readWhen } from './choices.ts';
import { nearest, type Cursor } from './cursor.ts';

type Own = ReadonlyMap<string, OwnChoice>;

export function readTitle(cursor: Cursor, line: Line): Statement {
  const text = line.tokens
    .slice(1)
    .map((t, i) => (i > 0 && !t.glued ? ' ' : '') + t.text)
    .join('');
  if (text === '')
    cursor.fail(undefined, { message: 'The title is empty', remedy: 'Write: title One guest page fault.' });
  return { kind: 'title', text, line };
}

export function readSpace(cursor: Cursor, line: Line): Statement {
  const name = cursor.word('the name of an address space', 'Write: space B kernel=main.').text;
  if (!cursor.atPair()) return { kind: 'space', name, line };
  cursor.oneOf(['kernel'], 'kernel=<space>');
  cursor.equals();
  return {
    kind: 'space',
    name,
    kernelOf: cursor.word('the name of an address space', 'Write: kernel=main.').text,
    line,
  };
}

/** `entry 0x100ff8 = 0x21067`, or half a word: `bytes=4`. */
export function readEntry(
  cursor: Cursor,
  { line, when }: { line: Line; when: readonly SettingTest[] },
): Statement {
  const gpa = cursor.number('a guest physical address');
  cursor.equals();
  const place = cursor.peek();
  const value = cursor.number('the value');
  const bytes = readEntryBytes(cursor);
  if (bytes === 4 && value >> 32n !== 0n)
    cursor.fail(place, {
      message: `0x${value.toString(16)} does not fit 4 bytes`,
      remedy: 'Write at most 8 hex digits, or leave bytes=4 out.',
    });
  return { kind: 'entry', gpa, bytes, value, when, line };
}

function readEntryBytes(cursor: Cursor): 4 | 8 {
  if (!cursor.atPair()) return 8;
  cursor.oneOf(['bytes'], 'bytes=4');
  cursor.equals();
  return cursor.oneOf(['4', '8'], 'a size of 4 or 8') === '4' ? 4 : 8;
}

export function readTry(cursor: Cursor, line: Line, own: Own): Statement {
  const label = cursor.text('Write: try "Update instead" gpte-write=update.');
  return { kind: 'try', label, choices: readChoices(cursor, { own }), line };
}

export function readNote(cursor: Cursor, line: Line, own: Own): Statement {
  if (!cursor.take('at')) {
    const text = cursor.text('Write: note "text".');
    return { kind: 'note', text, when: readWhen(cursor, own), line };
  }
  const token = cursor.word('the name of a call', 'Write: note at rmap_write_protect "text".');
  const [call = '', occurrence] = token.text.split('#');
  const names: readonly string[] = CALL_NAMES;
  if (!names.includes(call)) {
    const near = nearest(call, names);
    cursor.note(token, {
      message: `${JSON.stringify(call)} is no call`,
      remedy:
        near === undefined ? 'The panel "Where we are" shows the calls of a step.' : `Did you mean ${near}?`,
      ...(near === undefined ? {} : { fix: token.text.replace(call, near) }),
    });
  }
  if (occurrence !== undefined && !/^[1-9][0-9]{0,4}$/.test(occurrence)) {
    cursor.note(token, {
      message: `${JSON.stringify(occurrence)} does not say which call is meant`,
      remedy: `Write for example: ${call}#2.`,
    });
  }
  const text = cursor.text('Write: note at fetch "text".');
  const at = occurrence === undefined ? { call } : { call, occurrence: Number(occurrence) };
  return { kind: 'note', text, at, when: readWhen(cursor, own), line };
}
