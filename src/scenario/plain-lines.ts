/** Statements of one line that neither lay the ground nor operate: the title, notes, suggestions. */
import { CALL_NAMES } from '../core/machine/steps.ts';
import type { Line, OwnChoice, Statement } from './ast.ts';
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
