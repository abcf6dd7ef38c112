/**
 * From a scenario's text to a program: settings, guest memory, operations; and beside it what the author says about
 * it: notes, expectations, things to try. Settings given by the caller (a link, the command line, a switch on the
 * screen) win over the text.
 */
import { BOUNDS } from '../core/bounds.ts';
import { DEFAULT_SETTINGS, settingAccepts, settingOf, type Settings } from '../core/settings.ts';
import { coverageOf, indexAt, isCanonical } from '../core/hardware/x86-entry.ts';
import { gfn, gva, vcpuId } from '../core/quantities.ts';
import type { Operation, PlannedOperation, Program, Slot } from '../core/operations/operation.ts';
import type {
  EntryChange,
  GuestAction,
  Line,
  OperationStatement,
  Problem,
  SettingChoices,
  Span,
  Statement,
} from './ast.ts';
import { entryValue, GuestTables, MAIN_SPACE } from './guest-tables.ts';
import { printLines, readLines } from './lines.ts';
import { remarksOf, type Remarks, type Section } from './remarks.ts';
import { interpret } from './statements.ts';

export interface Plan extends Remarks {
  readonly title: string;
  /** What one will understand. */
  readonly about?: string;
  /** How long it takes to go through. */
  readonly minutes?: number;
  readonly program: Program;
  /** Settings as the text has them, without the caller's. */
  readonly ownSettings: Settings;
  /** Names that the text gives to addresses. */
  readonly names: ReadonlyMap<string, bigint>;
}

export type PlanResult =
  | { readonly kind: 'ok'; readonly plan: Plan }
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] };

export function planScenario(text: string, overrides: SettingChoices = {}): PlanResult {
  if (text.length > BOUNDS.scenarioBytes) {
    return {
      kind: 'problems',
      problems: [
        placeless(`The text is longer than ${String(BOUNDS.scenarioBytes)} characters`, 'Shorten it.'),
      ],
    };
  }
  const { statements, problems, names } = interpret(readLines(text));
  const planner = new Planner({ statements, names }, [...problems, ...checkOverrides(overrides)]);
  return planner.plan(overrides);
}

/** What is wrong with a text; nothing, when it can run. */
export function checkScenario(text: string): readonly Problem[] {
  const result = planScenario(text);
  return result.kind === 'ok' ? [] : result.problems;
}

/** The same text with regular white space. */
export const formatScenario = (text: string): string => printLines(readLines(text));

const placeless = (message: string, remedy: string): Problem => ({
  line: 0,
  column: 0,
  span: { from: 0, to: 0 },
  message,
  remedy,
});

function checkOverrides(overrides: SettingChoices): readonly Problem[] {
  return Object.entries(overrides).flatMap(([name, value]) => {
    const setting = settingOf(name);
    if (setting === undefined)
      return [placeless(`There is no setting ${JSON.stringify(name)}`, 'Leave it out.')];
    if (settingAccepts(setting, value)) return [];
    const values = setting.values.map((choice) => choice.value).join(', ');
    return [placeless(`${name}=${value} is not known`, `Use one of: ${values}.`)];
  });
}

class Planner {
  private readonly statements: readonly Statement[];
  private readonly problems: Problem[];
  private readonly tables: GuestTables;
  private readonly slots: Slot[] = [];
  private readonly names: ReadonlyMap<string, bigint>;
  private space = MAIN_SPACE;

  constructor(
    source: { statements: readonly Statement[]; names: ReadonlyMap<string, bigint> },
    problems: readonly Problem[],
  ) {
    const { statements } = source;
    this.statements = statements;
    this.names = source.names;
    this.problems = [...problems];
    this.tables = new GuestTables(namedFrames(statements));
  }

  plan(overrides: SettingChoices): PlanResult {
    const ownSettings = this.settings();
    this.layOut();
    this.checkSlots();
    const operations = this.operations();
    if (this.problems.length > 0) return { kind: 'problems', problems: inOrder(this.problems) };
    const root = this.tables.ensure({ space: MAIN_SPACE, level: 4, gva: 0n });
    const title = this.statements.find((statement) => statement.kind === 'title');
    const about = this.statements.find((statement) => statement.kind === 'about');
    const minutes = this.statements.find((statement) => statement.kind === 'minutes');
    return {
      kind: 'ok',
      plan: {
        title: title?.text ?? 'Untitled',
        ...(about === undefined ? {} : { about: about.text }),
        ...(minutes === undefined ? {} : { minutes: minutes.minutes }),
        ownSettings,
        names: this.names,
        ...remarksOf(this.statements),
        program: {
          settings: { ...ownSettings, ...overrides },
          slots: this.slots,
          memory: this.tables.memory(),
          tables: this.tables.all(),
          root: root.gfn,
          ...operations,
        },
      },
    };
  }

  private problem(place: { line: Line; span?: Span }, said: { message: string; remedy: string }): void {
    const span = place.span ?? {
      from: place.line.tokens[0]?.from ?? place.line.from,
      to: place.line.tokens.at(-1)?.to ?? place.line.to,
    };
    this.problems.push({ line: place.line.number, column: span.from - place.line.from + 1, span, ...said });
  }

  private settings(): Settings {
    return this.statements.reduce<Settings>(
      (settings, statement) =>
        statement.kind === 'settings' ? { ...settings, ...statement.choices } : settings,
      DEFAULT_SETTINGS,
    );
  }

  /** Two passes over the map lines: frames first, so that `table-of` may name a table that a later line makes. */
  private layOut(): void {
    for (const pass of ['frames', 'entries'] as const) {
      this.space = MAIN_SPACE;
      for (const statement of this.statements) this.layOutOne(statement, pass);
    }
    for (const statement of this.statements) {
      if (statement.kind !== 'space' || statement.kernelOf === undefined) continue;
      const from = this.tables.find({ space: statement.kernelOf, level: 4, gva: 0n });
      if (from === undefined) {
        this.problem(statement, {
          message: `There is no address space ${statement.kernelOf}`,
          remedy: 'Write kernel=main.',
        });
      } else this.tables.shareKernel(from, this.tables.ensure({ space: statement.name, level: 4, gva: 0n }));
    }
  }

  private layOutOne(statement: Statement, pass: 'frames' | 'entries'): void {
    if (statement.kind === 'space') {
      this.space = statement.name;
      if (pass === 'frames') this.tables.ensure({ space: this.space, level: 4, gva: 0n });
    } else if (statement.kind === 'map' && pass === 'frames') {
      if (!this.checkAddress(statement.change.gva, statement.line)) return;
      this.tables.ensure({
        space: this.space,
        level: statement.change.target.kind === 'absent' ? statement.change.level : 1,
        gva: statement.change.gva,
      });
    } else if (statement.kind === 'map') this.mapEntry(statement.change, statement.line);
    else if (statement.kind === 'slot' && pass === 'frames') this.addSlot(statement);
    else if (statement.kind === 'entry' && pass === 'entries') this.rawEntry(statement);
  }

  private checkAddress(address: bigint, line: Line): boolean {
    if (isCanonical(address, '4-level')) return true;
    this.problem(
      { line },
      {
        message: `0x${address.toString(16)} is not canonical: bits 63 to 47 are not all equal`,
        remedy: 'Use an address below 0x800000000000 or from 0xffff800000000000 up.',
      },
    );
    return false;
  }

  private mapEntry(change: EntryChange, line: Line): void {
    if (!isCanonical(change.gva, '4-level')) return;
    const value = this.valueOf(change, line, this.space);
    if (value === undefined) return;
    const table = this.tables.ensure({ space: this.space, level: change.level, gva: change.gva });
    const index = indexAt(change.gva, change.level);
    const known = this.tables.wordAt(table.gfn, index);
    if (known !== undefined && known !== value && change.level === 1) {
      this.problem(
        { line },
        {
          message: `This address is mapped by a line above, and otherwise (0x${known.toString(16)} there, 0x${value.toString(16)} here)`,
          remedy: 'Keep one of the two lines.',
        },
      );
      return;
    }
    this.tables.setWord({ gfn: table.gfn, index, value });
  }

  /** The 8 bytes that a change stores. */
  private valueOf(change: EntryChange, line: Line, space: string): bigint | undefined {
    const { target, flags } = change;
    switch (target.kind) {
      case 'absent':
        return 0n;
      case 'gfn':
        return entryValue(target.gfn, flags);
      case 'table': {
        const child = this.tables.find({ space, level: change.level - 1, gva: change.gva });
        if (child !== undefined) return entryValue(child.gfn, flags);
        this.problem(
          { line },
          {
            message: 'No map line makes a table below this entry',
            remedy: 'Map an address of that range first.',
          },
        );
        return undefined;
      }
      case 'table-of': {
        const table = this.tables.find({
          space: target.space === '' ? space : target.space,
          level: target.level,
          gva: target.gva,
        });
        if (table !== undefined) return entryValue(table.gfn, flags);
        this.problem(
          { line },
          {
            message: `No map line makes a table of level ${String(target.level)} for 0x${target.gva.toString(16)}`,
            remedy: `Add: map 0x${target.gva.toString(16)} -> absent.`,
          },
        );
        return undefined;
      }
    }
  }

  private addSlot(statement: Extract<Statement, { kind: 'slot' }>): void {
    const { gpa, bytes, line } = statement;
    if (gpa % 4096n !== 0n || bytes % 4096n !== 0n || bytes === 0n) {
      this.problem(
        { line },
        {
          message: 'A slot is made of whole pages of 4096 bytes',
          remedy: 'Write for example: slot 0x0 64M.',
        },
      );
    } else if (gpa + bytes > 1n << 28n) {
      this.problem(
        { line },
        { message: 'Guest memory ends at 256M on this machine', remedy: 'Make the slot smaller.' },
      );
    } else this.slots.push({ firstGfn: gfn(Number(gpa >> 12n)), frames: Number(bytes >> 12n) });
  }

  private rawEntry(statement: Extract<Statement, { kind: 'entry' }>): void {
    const { gpa, value, line } = statement;
    if (gpa % 8n !== 0n || gpa >= 1n << 28n) {
      this.problem(
        { line },
        { message: 'An entry lies at a multiple of 8, below 256M', remedy: 'Correct the address.' },
      );
      return;
    }
    this.tables.setWord({ gfn: Number(gpa >> 12n), index: Number((gpa & 0xfffn) >> 3n), value });
  }

  private checkSlots(): void {
    if (this.slots.length === 0 && !this.statements.some((statement) => statement.kind === 'slot')) {
      this.problems.push(placeless('The guest has no memory', 'Add the line: slot 0x0 64M.'));
      return;
    }
    const outside = this.tables
      .all()
      .find((table) => !this.slots.some((s) => table.gfn >= s.firstGfn && table.gfn < s.firstGfn + s.frames));
    if (outside !== undefined && this.slots.length > 0) {
      this.problems.push(
        placeless(
          `The guest's page tables start at frame 0x10, but frame 0x${outside.gfn.toString(16)} is in no slot`,
          'Make the slot larger.',
        ),
      );
    }
  }

  private operations(): { given: PlannedOperation[]; body: PlannedOperation[] } {
    const sections: Record<Section, PlannedOperation[]> = { given: [], body: [] };
    let section: Section | undefined;
    for (const statement of this.statements) {
      if (statement.kind === 'given') section = 'given';
      else if (statement.kind === 'begin') section = 'body';
      else if (statement.kind === 'operation') {
        if (section === undefined) {
          this.problem(statement, {
            message: 'An operation stands before given and begin',
            remedy: 'Put the line begin above it.',
          });
          section = 'body';
        }
        const planned = this.plannedOperation(statement.operation);
        if (planned !== undefined) sections[section].push(planned);
      }
    }
    if (section !== 'body')
      this.problems.push(
        placeless('The scenario has no begin', 'Add the line begin before the operations to watch.'),
      );
    else if (sections.body.length === 0 && this.problems.length === 0) {
      this.problems.push(
        placeless('Nothing happens after begin', 'Add an operation, for example: v0 user read 0x1000.'),
      );
    }
    return sections;
  }

  private plannedOperation(statement: OperationStatement): PlannedOperation | undefined {
    const operation = this.operationOf(statement);
    if (operation === undefined) return undefined;
    const { line, handler } = statement;
    const text = line.tokens
      .map((token, index) => (index === 0 || token.glued ? '' : ' ') + token.text)
      .join('');
    return { operation, text, line: line.number, lastLine: handler?.lastLine ?? line.number };
  }

  private operationOf(statement: OperationStatement): Operation | undefined {
    const vcpu = vcpuId(statement.vcpu);
    const { action, line, privilege } = statement;
    const onFault =
      statement.handler === undefined
        ? undefined
        : {
            operations: statement.handler.operations.flatMap((own) => this.plannedOperation(own) ?? []),
            then: statement.handler.then,
          };
    switch (action.kind) {
      case 'access': {
        const access = {
          kind: 'access',
          vcpu,
          privilege,
          access: action.access,
          gva: gva(action.gva),
          bytes: action.bytes,
          value: action.value,
        } as const;
        return onFault === undefined ? access : { ...access, onFault };
      }
      case 'set-pte': {
        const store = this.entryStore(action.change, line);
        if (store === undefined) return undefined;
        const access = {
          kind: 'access',
          vcpu,
          privilege,
          access: 'write',
          gva: gva(store.gva),
          bytes: 8,
          value: store.value,
          setsEntryOf: gva(action.change.gva),
        } as const;
        return onFault === undefined ? access : { ...access, onFault };
      }
      case 'invlpg':
        return { kind: 'invlpg', vcpu, gva: gva(action.gva) };
      case 'load-cr3': {
        const root = this.tables.find({ space: action.space, level: 4, gva: 0n });
        if (root !== undefined) return { kind: 'load-cr3', vcpu, root: root.gfn };
        this.problem(
          { line },
          {
            message: `There is no address space ${action.space}`,
            remedy: `Add the line: space ${action.space} kernel=main.`,
          },
        );
        return undefined;
      }
      case 'load-cr3-gfn':
        return { kind: 'load-cr3', vcpu, root: gfn(action.gfn) };
      case 'set': {
        const { register, mask, value } = action;
        return { kind: 'set-register', vcpu, register, mask, value };
      }
      case 'cpuid':
        return { kind: 'cpuid', vcpu };
      case 'flip':
        return this.flip(action, line);
    }
  }

  private flip(action: Extract<GuestAction, { kind: 'flip' }>, line: Line): Operation | undefined {
    const vcpu = vcpuId(0);
    const { target, bit } = action;
    if (target.kind === 'guest') {
      return {
        kind: 'flip',
        vcpu,
        bit,
        place: 'guest',
        gfn: gfn(Number(target.gpa >> 12n)),
        index: Number((target.gpa & 0xfffn) >> 3n),
      };
    }
    if (!this.checkAddress(target.gva, line)) return undefined;
    return { kind: 'flip', vcpu, bit, place: 'shadow', gva: gva(target.gva), level: target.level };
  }

  /** Where the kernel stores, and what, to change an entry: through its own mapping of the table. */
  private entryStore(change: EntryChange, line: Line): { gva: bigint; value: bigint } | undefined {
    if (!this.checkAddress(change.gva, line)) return undefined;
    const table = this.tables.find({ space: MAIN_SPACE, level: change.level, gva: change.gva });
    const value = this.valueOf(change, line, MAIN_SPACE);
    if (table === undefined) {
      this.problem(
        { line },
        {
          message: 'No map line makes the table that holds this entry',
          remedy: `Add: map 0x${change.gva.toString(16)} -> absent.`,
        },
      );
      return undefined;
    }
    if (value === undefined) return undefined;
    const window = this.statements.find(
      (statement) =>
        statement.kind === 'map' &&
        statement.change.target.kind === 'table-of' &&
        this.namesTable(statement.change, table.gfn),
    );
    if (window?.kind === 'map')
      return {
        gva:
          window.change.gva -
          (window.change.gva % coverageOf(1)) +
          BigInt(indexAt(change.gva, change.level) * 8),
        value,
      };
    const example = (0xffff880000000000n + (BigInt(table.gfn) << 12n)).toString(16);
    this.problem(
      { line },
      {
        message: 'The kernel maps no window onto the table that holds this entry',
        remedy: `Add: map 0x${example} -> table-of 0x${change.gva.toString(16)}${change.level === 1 ? '' : ` level=${String(change.level)}`} rw kernel accessed dirty.`,
      },
    );
    return undefined;
  }

  private namesTable(change: EntryChange, frame: number): boolean {
    const { target } = change;
    if (target.kind !== 'table-of') return false;
    const space = target.space === '' ? MAIN_SPACE : target.space;
    return this.tables.find({ space, level: target.level, gva: target.gva })?.gfn === frame;
  }
}

/** Frames that lines name by number: no table may lie there. */
function namedFrames(statements: readonly Statement[]): readonly number[] {
  const ofChange = (change: EntryChange): number[] =>
    change.target.kind === 'gfn' ? [change.target.gfn] : [];
  const ofOperation = (operation: OperationStatement): number[] => [
    ...(operation.action.kind === 'set-pte' ? ofChange(operation.action.change) : []),
    ...(operation.handler?.operations.flatMap(ofOperation) ?? []),
  ];
  return statements.flatMap((statement) => {
    if (statement.kind === 'map') return ofChange(statement.change);
    return statement.kind === 'operation' ? ofOperation(statement.operation) : [];
  });
}

const inOrder = (problems: readonly Problem[]): readonly Problem[] =>
  [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
