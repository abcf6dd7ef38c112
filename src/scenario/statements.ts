/** From lines to statements: what each line means, and what is wrong with it, several problems at once. */
import { BOUNDS } from '../core/bounds.ts';
import { SETTINGS, settingAccepts, settingOf, type Setting } from '../core/settings.ts';
import type {
  Expectation,
  HandlerBlock,
  Line,
  OperationStatement,
  Problem,
  SettingChoices,
  Statement,
} from './ast.ts';
import { COUNTERS, isCounterName } from '../core/counters.ts';
import { CALL_NAMES } from '../core/machine/steps.ts';
import { Cursor, LineFailed, nearest } from './cursor.ts';
import { readAction, readChange, readFlip, readVcpu } from './guest-actions.ts';
import { readHost } from './invalidations.ts';

const VERSION = 1;
const WORDS = [
  'title',
  'about',
  'minutes',
  'machine',
  'policy',
  'let',
  'slot',
  'space',
  'map',
  'entry',
  'given',
  'begin',
  'note',
  'expect',
  'try',
  'flip',
  'host',
  'v0',
] as const;
const LATER = ['predict', 'goal', 'par', 'fork', 'at'];

export interface Interpretation {
  readonly statements: readonly Statement[];
  readonly problems: readonly Problem[];
  /** Names that `let` gives to numbers. */
  readonly names: ReadonlyMap<string, bigint>;
}

export function interpret(lines: readonly Line[]): Interpretation {
  return new Interpreter(lines).run();
}

class Interpreter {
  private readonly problems: Problem[] = [];
  private readonly statements: Statement[] = [];
  private readonly names = new Map<string, bigint>();
  private readonly lines: readonly Line[];
  private at = 0;

  constructor(lines: readonly Line[]) {
    this.lines = lines.filter((line) => line.tokens.length > 0);
  }

  run(): Interpretation {
    this.header();
    while (this.at < this.lines.length) {
      const line = this.lines[this.at] as Line;
      this.at += 1;
      this.guard(() => {
        this.statement(line);
      });
    }
    return { statements: this.statements, problems: this.problems, names: this.names };
  }

  private guard(body: () => void): void {
    try {
      body();
    } catch (error) {
      if (!(error instanceof LineFailed)) throw error;
    }
  }

  private cursor(line: Line): Cursor {
    return new Cursor(line, this.problems, this.names);
  }

  private header(): void {
    const first = this.lines[0];
    const empty: Line = { number: 1, from: 0, to: 0, indent: 0, tokens: [] };
    const cursor = this.cursor(first ?? empty);
    if (first?.tokens[0]?.text !== 'mmuscope') {
      cursor.note(first?.tokens[0] ?? { from: 0, to: 0 }, {
        message: 'A scenario begins with the line "mmuscope 1"',
        remedy: 'Write mmuscope 1 as the first line.',
      });
      return;
    }
    this.at = 1;
    this.guard(() => {
      cursor.next();
      const place = cursor.peek();
      const version = cursor.number('the version');
      if (version !== BigInt(VERSION)) {
        cursor.fail(place, {
          message: `Version ${String(version)} of the language is not known here`,
          remedy: version > 1n ? 'Open it with a newer mmuscope.' : 'Write mmuscope 1.',
        });
      }
      cursor.end();
    });
  }

  private statement(line: Line): void {
    const cursor = this.cursor(line);
    const head = line.tokens[0];
    if (head === undefined) return;
    const operation = this.operationOf(head.text, cursor, line);
    if (operation !== undefined) {
      this.statements.push({ kind: 'operation', operation, line });
      return;
    }
    if (LATER.includes(head.text)) {
      cursor.fail(head, { message: `"${head.text}" is not in this version yet`, remedy: 'Remove the line.' });
    }
    const word = cursor.oneOf(WORDS.slice(0, -1), 'a statement');
    const made = this.plain(word, cursor, line);
    if (made !== undefined) this.statements.push(made);
    if (word !== 'title') cursor.end();
  }

  private operationOf(head: string, cursor: Cursor, line: Line): OperationStatement | undefined {
    if (head === 'flip') return readFlip(cursor, line);
    if (head === 'host') return readHost(cursor, line);
    return /^v[0-9]+$/.test(head) ? this.operation(line) : undefined;
  }

  private plain(word: (typeof WORDS)[number], cursor: Cursor, line: Line): Statement | undefined {
    switch (word) {
      case 'title': {
        const text = line.tokens
          .slice(1)
          .map((t, i) => (i > 0 && !t.glued ? ' ' : '') + t.text)
          .join('');
        if (text === '')
          cursor.fail(undefined, {
            message: 'The title is empty',
            remedy: 'Write: title One guest page fault.',
          });
        return { kind: 'title', text, line };
      }
      case 'about':
        return { kind: 'about', text: cursor.text('Write: about "What one will understand."'), line };
      case 'minutes':
        return { kind: 'minutes', minutes: cursor.small('the minutes', { min: 1, max: 120 }), line };
      case 'machine':
      case 'policy':
        return this.settings(word, cursor, line);
      case 'let':
        this.name(cursor);
        return undefined;
      case 'slot':
        return {
          kind: 'slot',
          gpa: cursor.number('the address of the slot'),
          bytes: cursor.number('its size'),
          line,
        };
      case 'space':
        return readSpace(cursor, line);
      case 'map':
        return { kind: 'map', change: readChange(cursor, { of: 'map' }), line };
      case 'entry': {
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
        return { kind: 'entry', gpa, bytes, value, line };
      }
      case 'given':
      case 'begin':
        return { kind: word, line };
      case 'note':
        return readNote(cursor, line);
      case 'expect':
        return { kind: 'expect', expectation: readExpectation(cursor), when: this.when(cursor), line };
      case 'try': {
        const label = cursor.text('Write: try "Update instead" gpte-write=update.');
        return { kind: 'try', label, choices: this.choices(cursor), line };
      }
      case 'flip':
      case 'host':
      case 'v0':
        return undefined;
    }
  }

  private settings(where: 'machine' | 'policy', cursor: Cursor, line: Line): Statement {
    let choices: SettingChoices = {};
    if (where === 'machine' && !cursor.atPair()) {
      const place = cursor.peek();
      const text = cursor.word('a machine', 'Write: machine kvm-2007.').text;
      choices = {
        machine: checked(cursor, { setting: settingOf('machine') as Setting, value: text, place }),
      };
    }
    choices = { ...choices, ...this.choices(cursor, where) };
    return { kind: 'settings', choices, line };
  }

  private choices(cursor: Cursor, where?: 'machine' | 'policy'): SettingChoices {
    const choices: Record<string, string> = {};
    while (cursor.atPair()) {
      const name = cursor.next();
      cursor.equals();
      const place = cursor.next();
      const setting = settingOf(name?.text ?? '');
      if (setting === undefined || (where !== undefined && setting.where !== where)) {
        const names = SETTINGS.filter((s) => where === undefined || s.where === where).map(
          (s) => s.name as string,
        );
        const near = nearest(name?.text ?? '', names);
        cursor.note(name, {
          message: `${JSON.stringify(name?.text)} is no ${where ?? 'machine or policy'} setting`,
          remedy: near === undefined ? `Use one of: ${names.join(', ')}.` : `Did you mean ${near}?`,
          ...(near === undefined ? {} : { fix: near }),
        });
        continue;
      }
      choices[setting.name] = checked(cursor, { setting, value: place?.text ?? '', place });
    }
    return choices;
  }

  private when(cursor: Cursor): SettingChoices {
    if (!cursor.take('when')) return {};
    if (!cursor.atPair())
      cursor.fail(cursor.peek(), { message: '"when" needs a setting', remedy: 'Write: when flush=never.' });
    return this.choices(cursor);
  }

  private name(cursor: Cursor): void {
    const name = cursor.word('a name', 'Write: let K = 0xffff880000013000.');
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name.text) || this.names.has(name.text)) {
      cursor.fail(name, {
        message: this.names.has(name.text)
          ? `${name.text} is named already`
          : `${JSON.stringify(name.text)} is no name`,
        remedy: 'Choose another name of letters, digits and _.',
      });
    }
    cursor.equals();
    this.names.set(name.text, cursor.number('the value'));
  }

  private operation(line: Line): OperationStatement {
    const cursor = this.cursor(line);
    const vcpu = readVcpu(cursor);
    const privilege =
      cursor.peek()?.text === 'cpuid'
        ? 'kernel'
        : cursor.oneOf(['user', 'kernel'], 'who acts, user or kernel');
    const action = readAction(cursor, { privilege });
    cursor.end();
    const next = this.lines[this.at];
    const blockFollows = next?.tokens[0]?.text === 'on' && next.indent > line.indent;
    if (!blockFollows) return { vcpu, privilege, action, line };
    this.at += 1;
    if (action.kind !== 'access' && action.kind !== 'set-pte') {
      this.cursor(next).note(next.tokens[0], {
        message: 'Only a memory access can fault',
        remedy: 'Remove the "on" block.',
      });
    }
    const handler = this.handler(next, vcpu);
    return { vcpu, privilege, action, line, handler };
  }

  private handler(head: Line, vcpu: number): HandlerBlock {
    const cursor = this.cursor(head);
    this.guard(() => {
      cursor.next();
      cursor.oneOf(['#PF'], 'the fault #PF');
      cursor.end();
    });
    const operations: OperationStatement[] = [];
    let then: 'retry' | 'skip' | undefined;
    let lastLine = head.number;
    for (
      let line = this.lines[this.at];
      line !== undefined && line.indent > head.indent;
      line = this.lines[this.at]
    ) {
      this.at += 1;
      lastLine = line.number;
      const first = line.tokens[0]?.text;
      if (then !== undefined) {
        this.cursor(line).note(line.tokens[0], {
          message: `The handler has ended with ${then}`,
          remedy: 'Move this line above it.',
        });
      } else if (first === 'retry' || first === 'skip') then = first;
      else this.guard(() => operations.push(this.handlerOperation(line, vcpu)));
    }
    if (then === undefined) {
      cursor.note(head.tokens[0], {
        message: 'The handler does not say how it ends',
        remedy: 'End the block with retry or skip.',
      });
    }
    return { operations, then: then ?? 'skip', lastLine };
  }

  private handlerOperation(line: Line, vcpu: number): OperationStatement {
    if (/^v[0-9]+$/.test(line.tokens[0]?.text ?? '')) return this.operation(line);
    const cursor = this.cursor(line);
    const action = readAction(cursor, { privilege: 'kernel' });
    cursor.end();
    return { vcpu, privilege: 'kernel', action, line };
  }
}

function checked(
  cursor: Cursor,
  given: { setting: Setting; value: string; place: { from: number; to: number } | undefined },
): string {
  const { setting, value, place } = given;
  if (settingAccepts(setting, value)) return value;
  const values = setting.values.map((choice) => choice.value);
  const near = nearest(value, values);
  cursor.note(place, {
    message: `${setting.name}=${value} is not known`,
    remedy: near === undefined ? `Use one of: ${values.join(', ')}.` : `Did you mean ${near}?`,
    ...(near === undefined ? {} : { fix: near }),
  });
  return setting.values[0].value;
}

function readSpace(cursor: Cursor, line: Line): Statement {
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

function readNote(cursor: Cursor, line: Line): Statement {
  if (!cursor.take('at')) return { kind: 'note', text: cursor.text('Write: note "text".'), line };
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
  return { kind: 'note', text, at, line };
}

/** `entry 0x100ff8 = 0x21067`, or half a word: `bytes=4`. */
function readEntryBytes(cursor: Cursor): 4 | 8 {
  if (!cursor.atPair()) return 8;
  cursor.oneOf(['bytes'], 'bytes=4');
  cursor.equals();
  return cursor.oneOf(['4', '8'], 'a size of 4 or 8') === '4' ? 4 : 8;
}

const CLAIMS = ['violation', 'harm', 'fault', 'host-fault'] as const;

function readExpectation(cursor: Cursor): Expectation {
  if (cursor.atPair()) return readClaims(cursor);
  if (cursor.take('no'))
    return { kind: `no-${cursor.oneOf(CLAIMS, 'violation, harm, fault or host-fault')}` };
  const claim = cursor.oneOf([...CLAIMS, 'no'], 'a counter, violation, harm, fault, host-fault or no');
  switch (claim) {
    case 'harm':
      return {
        kind: 'harm',
        harm: cursor.oneOf(['stale-read', 'stale-write', 'lost-write'], 'a kind of harm'),
      };
    case 'fault':
    case 'host-fault':
      return { kind: claim };
    case 'violation':
    case 'no':
      return { kind: 'violation', rule: cursor.word('a rule', 'Write: expect violation INV-6.').text };
  }
}

/** `read=0x1`, `fault=0x5`, `host-fault=0x181`, `physical=0x21010`: about the last access; one a line. */
function readResult(cursor: Cursor): Expectation | undefined {
  const word = cursor.peek()?.text;
  if (word !== 'read' && word !== 'fault' && word !== 'host-fault' && word !== 'physical') return undefined;
  cursor.next();
  cursor.equals();
  if (word === 'read') return { kind: word, value: cursor.number('the value') };
  if (word === 'physical') return { kind: word, address: cursor.number('a physical address') };
  return { kind: word, code: cursor.number('the code of the fault') };
}

function readClaims(cursor: Cursor): Expectation {
  const result = readResult(cursor);
  if (result !== undefined) return result;
  const counters: { name: string; vcpu?: number; value: number }[] = [];
  while (cursor.atPair()) {
    const token = cursor.next();
    const [name = '', vcpu] = (token?.text ?? '').split('@');
    if (!isCounterName(name)) {
      const near = nearest(
        name,
        COUNTERS.map((counter) => counter.name),
      );
      cursor.note(token, {
        message: `${JSON.stringify(name)} is no counter`,
        remedy:
          near === undefined
            ? `Use one of: ${COUNTERS.map((c) => c.name).join(', ')}.`
            : `Did you mean ${near}?`,
        ...(near === undefined ? {} : { fix: near }),
      });
    }
    cursor.equals();
    const value = cursor.small('the count', { min: 0, max: BOUNDS.stepsPerRun * 100 });
    counters.push(vcpu === undefined ? { name, value } : { name, vcpu: Number(vcpu) || 0, value });
  }
  return { kind: 'counters', counters };
}
