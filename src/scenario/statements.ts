/** From lines to statements: what each line means, and what is wrong with it, several problems at once. */
import type {
  HandlerBlock,
  Line,
  MeanwhileStatement,
  OperationStatement,
  OwnChoice,
  Problem,
  SettingTest,
  Statement,
} from './ast.ts';
import { isPreemptionPoint, PREEMPTION_NAMES, type PreemptionPoint } from '../core/machine/preemption.ts';
import { cutCondition, readSettings, readWhen } from './choices.ts';
import { readExpectation } from './claims.ts';
import { Cursor, LineFailed, nearest } from './cursor.ts';
import { BARE_VERBS, readAction, readChange, readFlip, readVcpu } from './guest-actions.ts';
import { readHost } from './invalidations.ts';
import { readOwnChoice } from './own-choices.ts';
import { readEntry, readNote, readSpace, readTitle, readTry } from './plain-lines.ts';

const VERSION = 1;
const WORDS = [
  'title',
  'about',
  'minutes',
  'machine',
  'policy',
  'choice',
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
const LATER = ['predict', 'goal', 'par', 'fork'];

export interface Interpretation {
  readonly statements: readonly Statement[];
  readonly problems: readonly Problem[];
  /** Names that `let` gives to numbers. */
  readonly names: ReadonlyMap<string, bigint>;
  /** What the text offers to choose, in its order. */
  readonly choices: readonly OwnChoice[];
}

export function interpret(lines: readonly Line[]): Interpretation {
  return new Interpreter(lines).run();
}

const isOperation = (head: string): boolean => head === 'flip' || head === 'host' || /^v[0-9]+$/.test(head);

const EXAMPLE_POINT: PreemptionPoint = 'rmap_write_protect/before-flush';

class Interpreter {
  private readonly problems: Problem[] = [];
  private readonly statements: Statement[] = [];
  private readonly names = new Map<string, bigint>();
  private readonly own = new Map<string, OwnChoice>();
  /** Operations of the section so far. */
  private operations = 0;
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
    const { statements, problems, names, own } = this;
    return { statements, problems, names, choices: [...own.values()] };
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
    const head = line.tokens[0];
    if (head === undefined) return;
    if (isOperation(head.text)) {
      this.operations += 1;
      const number = this.operations;
      const operation = this.operationOf(head.text, line);
      this.statements.push({ kind: 'operation', operation: { ...operation, number }, line });
      return;
    }
    const entry = head.text === 'map' || head.text === 'entry';
    const { said, when } = entry ? this.conditional(line) : { said: line, when: [] };
    const cursor = this.cursor(said);
    if (LATER.includes(head.text)) {
      cursor.fail(head, { message: `"${head.text}" is not in this version yet`, remedy: 'Remove the line.' });
    }
    if (head.text === 'at')
      cursor.fail(head, {
        message: '"at" says what another vCPU does in the middle of an operation',
        remedy: 'Put the line directly below that operation, and indent it.',
      });
    const word = cursor.oneOf(WORDS.slice(0, -1), 'a statement');
    const made = this.plain(word, cursor, { line, when });
    if (made !== undefined) this.statements.push(made);
    if (word !== 'title') cursor.end();
  }

  private operationOf(head: string, line: Line): OperationStatement {
    const { said, when } = this.conditional(line);
    const cursor = this.cursor(said);
    if (head === 'flip') return { ...readFlip(cursor, said), when };
    const plain = head === 'host' ? readHost(cursor, said) : this.oneOperation(cursor, said);
    return this.withBlocks({ ...plain, when });
  }

  /** What a line says, and under which condition, which stands last. */
  private conditional(line: Line): { said: Line; when: readonly SettingTest[] } {
    const { said, condition } = cutCondition(line);
    if (condition === undefined) return { said, when: [] };
    const cursor = this.cursor(condition);
    const when = readWhen(cursor, this.own);
    cursor.end();
    return { said, when };
  }

  private plain(
    word: (typeof WORDS)[number],
    cursor: Cursor,
    { line, when }: { line: Line; when: readonly SettingTest[] },
  ): Statement | undefined {
    switch (word) {
      case 'title':
        return readTitle(cursor, line);
      case 'about':
        return { kind: 'about', text: cursor.text('Write: about "What one will understand."'), line };
      case 'minutes':
        return { kind: 'minutes', minutes: cursor.small('the minutes', { min: 1, max: 120 }), line };
      case 'machine':
      case 'policy':
        return { kind: 'settings', choices: readSettings(word, cursor), line };
      case 'choice': {
        const choice = readOwnChoice(cursor, this.own);
        this.own.set(choice.name, choice);
        return { kind: 'choice', choice, line };
      }
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
        return { kind: 'map', change: readChange(cursor, { of: 'map' }), when, line };
      case 'entry':
        return readEntry(cursor, { line, when });
      case 'given':
      case 'begin':
        this.operations = 0;
        return { kind: word, line };
      case 'note':
        return readNote(cursor, line, this.own);
      case 'expect': {
        const expectation = readExpectation(cursor);
        return { kind: 'expect', expectation, when: readWhen(cursor, this.own), line };
      }
      case 'try':
        return readTry(cursor, line, this.own);
      case 'flip':
      case 'host':
      case 'v0':
        return undefined;
    }
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

  /** An operation with what is indented below it: the guest's own handler, and what other vCPUs do meanwhile. */
  private withBlocks(said: OperationStatement): OperationStatement {
    const { action, vcpu, line } = said;
    const [meanwhile, handlers]: [MeanwhileStatement[], HandlerBlock[]] = [[], []];
    for (let next = this.lines[this.at]; next !== undefined && next.indent > line.indent;) {
      const head = next.tokens[0];
      if (head?.text !== 'on' && head?.text !== 'at') break;
      this.at += 1;
      const block = next;
      if (head.text === 'at') this.guard(() => meanwhile.push(this.meanwhile(block, vcpu)));
      else {
        if (action.kind !== 'access' && action.kind !== 'set-pte')
          this.cursor(block).note(head, {
            message: 'Only a memory access can fault',
            remedy: 'Remove the "on" block.',
          });
        handlers.push(this.handler(block, vcpu));
      }
      next = this.lines[this.at];
    }
    const [handler] = handlers;
    return {
      ...said,
      ...(handler === undefined ? {} : { handler }),
      ...(meanwhile.length === 0 ? {} : { meanwhile }),
    };
  }

  /** An operation as one line says it, without what is indented below. */
  private oneOperation(cursor: Cursor, line: Line): OperationStatement {
    const vcpu = readVcpu(cursor);
    const bare: readonly string[] = BARE_VERBS;
    const privilege = bare.includes(cursor.peek()?.text ?? '')
      ? 'kernel'
      : cursor.oneOf(['user', 'kernel'], 'who acts, user or kernel');
    const action = readAction(cursor, { privilege });
    cursor.end();
    return { vcpu, privilege, action, line };
  }

  /** `at rmap_write_protect/before-flush: v1 kernel write ...` */
  private meanwhile(whole: Line, vcpu: number): MeanwhileStatement {
    const { said: line, when } = this.conditional(whole);
    const cursor = this.cursor(line);
    cursor.next();
    const token = cursor.word(
      'a point at which other vCPUs may act',
      `Write: at ${EXAMPLE_POINT}: v1 cpuid.`,
    );
    const [name = '', visit = '1'] = token.text.replace(/:$/, '').split('#');
    if (!isPreemptionPoint(name)) {
      const near = nearest(name, PREEMPTION_NAMES);
      cursor.fail(token, {
        message: `${JSON.stringify(name)} is no point at which other vCPUs may act`,
        remedy: near === undefined ? `Use one of: ${PREEMPTION_NAMES.join(', ')}.` : `Did you mean ${near}?`,
        ...(near === undefined ? {} : { fix: token.text.replace(name, near) }),
      });
    }
    if (!token.text.endsWith(':') || !/^[1-9][0-9]{0,3}$/.test(visit))
      cursor.fail(token, {
        message: `${JSON.stringify(token.text)} does not say when`,
        remedy: `Write: at ${name}: v1 ..., or at ${name}#2: v1 ... for the second time.`,
        fix: `${name}:`,
      });
    const actor = cursor.peek();
    const operation = { ...this.oneOperation(cursor, line), when };
    if (operation.vcpu === vcpu)
      cursor.note(actor, {
        message: `v${String(vcpu)} is in the middle of something itself`,
        remedy: `Let another vCPU act: v${String(vcpu === 0 ? 1 : 0)}.`,
      });
    return { point: name as PreemptionPoint, visit: Number(visit), operation };
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
    const { said: plain, when } = this.conditional(line);
    const cursor = this.cursor(plain);
    if (/^v[0-9]+$/.test(line.tokens[0]?.text ?? '')) {
      const said = this.withBlocks({ ...this.oneOperation(cursor, plain), when });
      const [meanwhile] = said.meanwhile ?? [];
      if (meanwhile !== undefined)
        this.cursor(meanwhile.operation.line).note(meanwhile.operation.line.tokens[0], {
          message: 'Other vCPUs act in the middle of a whole operation, not of a part of its handler',
          remedy: 'Put the line directly below the operation, above "on #PF".',
        });
      return said;
    }
    const action = readAction(cursor, { privilege: 'kernel' });
    cursor.end();
    return { vcpu, privilege: 'kernel', action, line: plain, when };
  }
}
