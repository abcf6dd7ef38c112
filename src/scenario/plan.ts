/**
 * From a scenario's text to a program: settings, guest memory, operations; and beside it what the author says about
 * it: notes, expectations, things to try. Settings given by the caller (a link, the command line, a switch on the
 * screen) win over the text.
 */
import { BOUNDS } from '../core/bounds.ts';
import { gfn } from '../core/quantities.ts';
import type { PlannedOperation, Program, Slot } from '../core/operations/operation.ts';
import { completeSettings, DEFAULT_SETTINGS, misfit, type Settings } from '../core/settings.ts';
import type {
  EntryChange,
  Line,
  OperationStatement,
  OwnChoice,
  Problem,
  SettingChoices,
  SlotStatement,
  Statement,
} from './ast.ts';
import { checkAddress, levelOfChange, valueOfChange, type Ground } from './entries.ts';
import { GuestTables, MAIN_SPACE } from './guest-tables.ts';
import { isIn, linesLeftOut, type Chosen } from './conditions.ts';
import { printLines, readLines } from './lines.ts';
import {
  checkOverrides,
  checkRun,
  checkSettings,
  choicesIn,
  placeless,
  settingsOfRun,
  type Report,
} from './machine-check.ts';
import { isToday, pagingOff } from './machine-words.ts';
import { picksOf } from './own-choices.ts';
import { OperationPlanner } from './plan-operations.ts';
import { slotOf } from './slots.ts';
import { remarksOf, type Remarks, type Section } from './remarks.ts';
import { interpret, type Interpretation } from './statements.ts';

export interface Plan extends Remarks {
  readonly title: string;
  /** What one will understand. */
  readonly about?: string;
  /** How long it takes to go through. */
  readonly minutes?: number;
  readonly program: Program;
  /** What the text chooses. */
  readonly ownChoices: SettingChoices;
  /** Settings as the text has them, without the caller's. */
  readonly ownSettings: Settings;
  /** Names that the text gives to addresses. */
  readonly names: ReadonlyMap<string, bigint>;
  /** What the text offers to choose beside the settings, and what is chosen. */
  readonly choices: readonly OwnChoice[];
  readonly picks: Chosen['picks'];
  /** Lines of the text that are for other runs. */
  readonly leftOut: ReadonlySet<number>;
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
  const { problems, ...source } = interpret(readLines(text));
  const wrong = checkOverrides(overrides);
  const planner = new Planner(source, wrong.length === 0 ? overrides : {});
  return planner.plan([...problems, ...wrong]);
}

/** What a text offers to choose beside the settings. */
export const ownChoicesIn = (text: string): readonly OwnChoice[] => interpret(readLines(text)).choices;

/** What is wrong with a text; nothing, when it can run. */
export function checkScenario(text: string): readonly Problem[] {
  const result = planScenario(text);
  return result.kind === 'ok' ? [] : result.problems;
}

/** The same text with regular white space. */
export const formatScenario = (text: string): string => printLines(readLines(text));

class Planner {
  private readonly source: Omit<Interpretation, 'problems'>;
  /** Of the text those that the run has. */
  private readonly statements: readonly Statement[];
  private readonly problems: Problem[] = [];
  private readonly ownChoices: SettingChoices;
  private readonly ownSettings: Settings;
  readonly settings: Settings;
  private readonly tables: GuestTables;
  private readonly ground: Ground;
  private readonly slots: Slot[] = [];
  private readonly chosen: Chosen;
  private space = MAIN_SPACE;

  constructor(source: Omit<Interpretation, 'problems'>, overrides: SettingChoices) {
    this.source = source;
    this.ownChoices = choicesIn(source.statements);
    this.ownSettings = completeSettings(this.ownChoices);
    this.settings = settingsOfRun(this.ownChoices, overrides);
    this.chosen = { settings: this.settings, picks: picksOf(source.choices, overrides) };
    this.statements = source.statements.filter((statement) => isIn(statement, this.chosen));
    const fitting = misfit(this.settings) === undefined ? this.settings : DEFAULT_SETTINGS;
    this.tables = new GuestTables(fitting, namedFrames(this.statements));
    this.ground = { settings: this.settings, tables: this.tables, report: this.report };
  }

  plan(problems: readonly Problem[]): PlanResult {
    this.problems.push(...problems);
    checkSettings(this.source.statements, this.ownSettings, this.report);
    if (misfit(this.ownSettings) === undefined) this.problems.push(...checkRun(this.settings));
    // Tables of a guest that this machine does not have would only repeat the same trouble line by line.
    if (misfit(this.settings) !== undefined) return this.failure();
    this.layOut();
    this.checkSlots();
    const operations = this.operations();
    if (this.problems.length > 0) return this.failure();
    return { kind: 'ok', plan: this.made(operations) };
  }

  private failure(): PlanResult {
    return { kind: 'problems', problems: inOrder(this.problems) };
  }

  private made(operations: Pick<Program, 'given' | 'body'>): Plan {
    const root = this.tables.root(MAIN_SPACE);
    const title = this.statements.find((statement) => statement.kind === 'title');
    const about = this.statements.find((statement) => statement.kind === 'about');
    const minutes = this.statements.find((statement) => statement.kind === 'minutes');
    return {
      title: title?.text ?? 'Untitled',
      ...(about === undefined ? {} : { about: about.text }),
      ...(minutes === undefined ? {} : { minutes: minutes.minutes }),
      ownChoices: this.ownChoices,
      ownSettings: this.ownSettings,
      names: this.source.names,
      choices: this.source.choices,
      picks: this.chosen.picks,
      leftOut: linesLeftOut(this.source.statements, this.chosen),
      ...remarksOf(this.source.statements, this.chosen, this.ownSettings),
      program: {
        settings: this.settings,
        slots: this.slots,
        ...this.generation(),
        memory: this.tables.memory(),
        tables: this.tables.all(),
        root: root?.gfn ?? gfn(0),
        ...operations,
      },
    };
  }

  private generation(): Pick<Program, 'generation'> {
    const said = this.statements.find((statement) => statement.kind === 'generation');
    return said === undefined ? {} : { generation: said.generation };
  }

  readonly report: Report = (place, said) => {
    const span = place.span ?? {
      from: place.line.tokens[0]?.from ?? place.line.from,
      to: place.line.tokens.at(-1)?.to ?? place.line.to,
    };
    this.problems.push({
      line: place.line.number,
      column: span.from - place.line.from + 1,
      span: { from: span.from, to: span.to },
      ...said,
    });
  };

  /** Two passes over the map lines: frames first, so that `table-of` may name a table that a later line makes. */
  private layOut(): void {
    for (const pass of ['frames', 'entries'] as const) {
      this.space = MAIN_SPACE;
      for (const statement of this.statements) this.layOutOne(statement, pass);
    }
    for (const statement of this.statements) {
      if (statement.kind !== 'space' || statement.kernelOf === undefined) continue;
      const [from, to] = [this.tables.knownRoot(statement.kernelOf), this.tables.root(statement.name)];
      if (to === undefined) continue;
      if (from === undefined) {
        this.report(statement, {
          message: `There is no address space ${statement.kernelOf}`,
          remedy: 'Write kernel=main.',
        });
      } else this.tables.shareKernel(from, to);
    }
  }

  private layOutOne(statement: Statement, pass: 'frames' | 'entries'): void {
    if (statement.kind === 'space' || statement.kind === 'map') {
      const off = pagingOff(this.settings);
      if (off !== undefined && pass === 'frames') this.report(statement, off);
      if (off !== undefined) return;
    }
    if (statement.kind === 'space') {
      this.space = statement.name;
      if (pass === 'frames') this.tables.root(this.space);
    } else if (statement.kind === 'map' && pass === 'frames')
      this.makeTables(statement.change, statement.line);
    else if (statement.kind === 'map') this.mapEntry(statement.change, statement.line);
    else if (statement.kind === 'slot' && pass === 'frames') this.addSlot(statement);
    else if (statement.kind === 'generation' && pass === 'frames') this.checkGeneration(statement);
    else if (statement.kind === 'entry' && pass === 'entries') this.rawEntry(statement);
  }

  /** Lines that went through the first pass: the second says nothing about the others. */
  private readonly placed = new Set<Line>();

  /** The tables down to the entry; down to the last for an entry that names a table by its address. */
  private makeTables(change: EntryChange, line: Line): void {
    if (!checkAddress(this.ground, change.gva, line)) return;
    const at = levelOfChange(this.ground, change, line);
    if (at === undefined) return;
    this.placed.add(line);
    const level = change.target.kind === 'table-of' ? this.tables.levels.at(-1)?.level : at.level;
    const { gva, fresh } = change;
    this.tables.ensure({ space: this.space, level: level ?? at.level, gva, fresh });
  }

  private mapEntry(change: EntryChange, line: Line): void {
    if (!this.placed.has(line)) return;
    const at = levelOfChange(this.ground, change, line);
    if (at === undefined) return;
    const value = valueOfChange(this.ground, change, { line, space: this.space, at });
    if (value === undefined) return;
    const table = this.tables.ensure({ space: this.space, level: at.level, gva: change.gva });
    const known = this.tables.knownEntry(table, change.gva);
    const names = change.target.kind === 'gfn' || this.tables.below(at.level) === undefined;
    if (known !== undefined && known !== value && names) {
      this.report(
        { line },
        {
          message: `This address is mapped by a line above, and otherwise (0x${known.toString(16)} there, 0x${value.toString(16)} here)`,
          remedy: 'Keep one of the two lines.',
        },
      );
      return;
    }
    this.tables.setEntry(table, change.gva, value);
  }

  private addSlot(statement: SlotStatement): void {
    const slot = slotOf(statement, this);
    if (slot !== undefined) this.slots.push(slot);
  }

  private checkGeneration(statement: Extract<Statement, { kind: 'generation' }>): void {
    const { generation, line } = statement;
    if (!isToday(this.settings))
      this.report(
        { line },
        {
          message: `Slot changes are not counted on machine ${this.settings.machine}`,
          remedy: 'Remove the line.',
        },
      );
    else if (generation % 2 !== 0)
      this.report(
        { line },
        {
          message: 'The generation of the usual address space is even: odd numbers are for SMM',
          remedy: `Write generation ${String(generation - 1)}.`,
        },
      );
  }

  private rawEntry(statement: Extract<Statement, { kind: 'entry' }>): void {
    const { gpa, bytes, value, line } = statement;
    if (gpa % BigInt(bytes) !== 0n || gpa >= 1n << 28n) {
      this.report(
        { line },
        {
          message: `An entry lies at a multiple of ${String(bytes)}, below 256M`,
          remedy: 'Correct the address.',
        },
      );
      return;
    }
    this.tables.setMemory({ gpa: Number(gpa), bytes, value });
  }

  private checkSlots(): void {
    if (this.slots.length === 0 && !this.statements.some((statement) => statement.kind === 'slot')) {
      this.problems.push(placeless('The guest has no memory', 'Add the line: slot 0x0 64M.'));
      return;
    }
    // Whoever lays out the guest's tables does so at the start, in memory that lies where it usually does.
    const usual = this.slots.filter(
      ({ absent, hva, smm }) => absent !== true && hva === undefined && smm !== true,
    );
    const outside = this.tables
      .all()
      .find((table) => !usual.some((s) => table.gfn >= s.firstGfn && table.gfn < s.firstGfn + s.frames));
    if (outside !== undefined && this.slots.length > 0) {
      this.problems.push(
        placeless(
          `The guest's page tables start at frame 0x10, but frame 0x${outside.gfn.toString(16)} is in no slot${this.slots.length > usual.length ? ' that is there from the start and has no hva=' : ''}`,
          'Make the slot larger.',
        ),
      );
    }
  }

  private operations(): { given: PlannedOperation[]; body: PlannedOperation[] } {
    const sections: Record<Section, PlannedOperation[]> = { given: [], body: [] };
    const planner = new OperationPlanner(this.ground, this.statements, this.chosen);
    let section: Section | undefined;
    for (const statement of this.statements) {
      if (statement.kind === 'given') section = 'given';
      else if (statement.kind === 'begin') section = 'body';
      else if (statement.kind === 'operation') {
        if (section === undefined) {
          this.report(statement, {
            message: 'An operation stands before given and begin',
            remedy: 'Put the line begin above it.',
          });
          section = 'body';
        }
        const planned = planner.planned(statement.operation);
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
}

/** Frames of 4 KiB that lines name by number: no table may lie there. */
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
