/**
 * The machine: the only hand that changes a world. Engines read through it, mark micro-steps, open spans and write;
 * every write belongs to the step marked last, and is journalled unless the machine looks aside.
 */
import { frameOfWord, type Pfn } from '../quantities.ts';
import { assert, must } from '../assert.ts';
import { BoundHit, BOUNDS } from '../bounds.ts';
import type { CounterName } from '../counters.ts';
import type { Settings } from '../settings.ts';
import type { AnyValue, Journal } from './journal.ts';
import type { PreemptionPoint } from './preemption.ts';
import type { CallFacts, CallName, StepFacts, StepKind } from './steps.ts';
import type { AuditPoint, TableKeys, TableName, TableValues } from './tables.ts';
import { World } from './world.ts';

interface Undo {
  readonly table: TableName;
  readonly key: number | string;
  readonly before: AnyValue;
}

export interface MachineOptions {
  readonly settings: Settings;
  /** Without a journal the machine computes the same and records nothing. */
  readonly journal?: Journal;
  readonly world?: World;
  readonly stepsPerRun?: number;
  /** Called where invariants must hold; at `free` with the frame that is about to be given back. */
  readonly audit?: Auditor;
  /** Called for each word of memory that is written, inside the step that writes it. */
  readonly wrote?: Witness;
}

/** Is told the word that is written, and what it read before. */
export type Witness = (m: Machine, frame: Pfn, written: { word: number; before: bigint }) => void;
export type Auditor = (m: Machine, point: AuditPoint, frame?: Pfn) => void;

/** Thrown where the modelled host kernel would stop itself (BUG_ON); the runner turns it into a statement about the run. */
export class HostStopped extends Error {
  readonly rule: string;
  constructor(rule: string) {
    super(`the host kernel stops: ${rule}`);
    this.name = 'HostStopped';
    this.rule = rule;
  }
}

/** Stands for a thread of the host, which is no vCPU's, where the holder of the lock is named. */
export const HOST_THREAD = -1;

export class Machine {
  readonly settings: Settings;
  readonly world: World;
  readonly journal: Journal | undefined;
  /** The vCPU that acts. */
  vcpu = 0;
  /** The vCPU that holds the hypervisor's lock, or HOST_THREAD; undefined while nobody does. */
  lockHolder: number | undefined;
  /** What has changed since the audit last looked: frames for words, names for registers, tables for all else. */
  readonly changed = { frames: new Set<Pfn>(), registers: new Set<string>(), tables: new Set<TableName>() };
  /** How often a word of memory has got another value: tells whether faults go round in a circle. */
  wordChanges = 0;
  /** The innermost open call; -1 outside of all. A vCPU that waits remembers it, and has it back when it goes on. */
  place = -1;
  /** What other vCPUs do at a preemption point; set while an operation runs that has such plans. */
  preemption: ((point: PreemptionPoint) => boolean) | undefined;
  private readonly openCalls: OpenCall[] = [];
  private stepOpen = false;
  private aside: Undo[] | undefined;
  private stepsInOperation = 0;
  private readonly stepsPerRun: number;
  private stepCount = 0;
  private readonly auditor: Auditor | undefined;
  private readonly wrote: MachineOptions['wrote'];
  private readonly counterKeys = new Map<CounterName, string>();

  constructor(options: MachineOptions) {
    this.settings = options.settings;
    this.world = options.world ?? new World();
    this.journal = options.journal;
    this.auditor = options.audit;
    this.wrote = options.wrote;
    this.stepsPerRun = options.stepsPerRun ?? BOUNDS.stepsPerRun;
  }

  /** Number of steps so far, journalled or not. */
  get steps(): number {
    return this.stepCount;
  }

  get<T extends TableName>(table: T, key: TableKeys[T]): TableValues[T] | undefined {
    return this.world.get(table, key);
  }

  must<T extends TableName>(table: T, key: TableKeys[T]): TableValues[T] {
    return must(this.world.get(table, key), `${table}:${String(key)}`);
  }

  reg(name: string): bigint {
    return this.world.get('reg', `${String(this.vcpu)}.${name}`) ?? 0n;
  }

  /** A word of host memory, by its number. */
  word(word: number): bigint {
    return this.world.word(word);
  }

  /** Marks a micro-step. Writes made until the next mark belong to it. */
  step<K extends StepKind>(kind: K, facts: StepFacts<K>, reads: readonly number[] = NO_READS): void {
    this.stepOpen = true;
    if (this.aside !== undefined) return;
    if (this.stepCount >= this.stepsPerRun) throw new BoundHit('stepsPerRun');
    if (this.stepsInOperation >= BOUNDS.stepsPerOperation) throw new BoundHit('stepsPerOperation');
    this.stepCount += 1;
    this.stepsInOperation += 1;
    if (this.journal === undefined) return;
    this.journal.addStep(kind, facts, this.place, this.vcpu);
    for (const word of reads) this.journal.addRead('word', word);
  }

  /** Says that the step marked last also read this place. */
  reads(table: TableName, key: number | string): void {
    if (this.aside === undefined) this.journal?.addRead(table, key);
  }

  /** Sets a value, or removes it with undefined. Only inside a step. */
  set<T extends TableName>(table: T, key: TableKeys[T], value: TableValues[T] | undefined): void {
    assert(this.stepOpen, 'a write belongs to a step');
    const before = this.world.get(table, key);
    const read = table === 'word' && this.wrote !== undefined ? this.world.word(Number(key)) : 0n;
    if (this.aside !== undefined) this.aside.push({ table, key, before });
    else this.journal?.addChange(table, key, before, value);
    this.world.put(table, key, value);
    if (this.aside === undefined) this.noteChange(table, key, read);
    if (table === 'word' && value !== before) this.wordChanges += 1;
  }

  private noteChange(table: TableName, key: number | string, before: bigint): void {
    if (table === 'word') {
      const frame = frameOfWord(Number(key));
      this.changed.frames.add(frame);
      this.wrote?.(this, frame, { word: Number(key), before });
    } else if (table === 'reg') this.changed.registers.add(String(key).slice(String(key).indexOf('.') + 1));
    else this.changed.tables.add(table);
  }

  setReg(name: string, value: bigint): void {
    this.set('reg', `${String(this.vcpu)}.${name}`, value);
  }

  count(counter: CounterName, by = 1): void {
    if (this.aside !== undefined) return;
    const key = this.vcpu === 0 ? this.counterKey(counter) : `${counter}@${String(this.vcpu)}`;
    this.set('counter', key, (this.world.get('counter', key) ?? 0) + by);
  }

  /** A serial number that is never used twice. */
  serial(name: string): number {
    const next = (this.world.get('serial', name) ?? 0) + 1;
    this.set('serial', name, next);
    return next;
  }

  /** Runs `body` inside a span named as the kernel names the function. */
  call<K extends CallName, R>(name: K, facts: CallFacts<K>, body: () => R): R {
    if (this.aside !== undefined || this.journal === undefined) return body();
    const parent = this.place;
    this.stepOpen = false;
    if (parent < 0) this.stepsInOperation = 0;
    this.place = this.journal.openSpan(name, facts, parent);
    try {
      return body();
    } finally {
      this.journal.closeSpan(this.place);
      this.place = parent;
      this.stepOpen = false;
    }
  }

  /** Opens a call that a later section ends: gives what `close` has to be told. */
  open<K extends CallName>(name: K, facts: CallFacts<K>): OpenCall {
    const parent = this.place;
    if (this.aside !== undefined || this.journal === undefined) return { span: -1, parent };
    this.stepOpen = false;
    if (parent < 0) this.stepsInOperation = 0;
    this.place = this.journal.openSpan(name, facts, parent);
    const call = { span: this.place, parent };
    this.openCalls.push(call);
    return call;
  }

  close(call: OpenCall): void {
    if (call.span < 0) return;
    this.journal?.closeSpan(call.span);
    this.openCalls.splice(this.openCalls.indexOf(call), 1);
    this.place = call.parent;
    this.stepOpen = false;
  }

  /** A run that ends in the middle of something: nothing stays open. */
  closeAll(): void {
    for (const call of [...this.openCalls].reverse()) this.close(call);
  }

  /** Other vCPUs may act here; gives whether any did. The points have names, so that a scenario can say what happens there. */
  preempt(point: PreemptionPoint): boolean {
    if (this.aside !== undefined || this.preemption === undefined) return false;
    const open = this.stepOpen;
    try {
      return this.preemption(point);
    } finally {
      this.stepOpen = open;
    }
  }

  /**
   * Runs `body` with the hypervisor's lock held, by the vCPU that acts or by a thread of the host. Whoever might take it so
   * does not begin while another holds it: see `takesLock` in sections.ts.
   */
  underLock<R>(body: () => R, holder: number = this.vcpu): R {
    const outer = this.lockHolder;
    this.lockHolder = outer ?? holder;
    try {
      return body();
    } finally {
      this.lockHolder = outer;
    }
  }

  /** Runs `body` without a trace: nothing is recorded, and every change is taken back at the end. */
  lookAside<R>(body: () => R): R {
    const outer = this.aside;
    const open = this.stepOpen;
    const undo: Undo[] = [];
    this.aside = undo;
    try {
      return body();
    } finally {
      for (const { table, key, before } of undo.reverse()) this.world.put(table, key, before);
      this.aside = outer;
      this.stepOpen = open;
    }
  }

  /** Says that the machine has come to a point where invariants must hold. */
  point(point: AuditPoint, frame?: Pfn): void {
    if (this.aside === undefined) this.auditor?.(this, point, frame);
  }

  /** Lets `body` write as part of the step marked last, although its call is over: for what an audit finds. */
  amendLastStep(body: () => void): void {
    const open = this.stepOpen;
    this.stepOpen = true;
    body();
    this.stepOpen = open;
  }

  /** For a run without a journal: an operation begins, the bound of steps counts anew. */
  beginOperation(): void {
    this.stepsInOperation = 0;
  }

  private counterKey(counter: CounterName): string {
    let key = this.counterKeys.get(counter);
    if (key === undefined) {
      key = `${counter}@0`;
      this.counterKeys.set(counter, key);
    }
    return key;
  }
}

/** A call that is open across sections. */
export interface OpenCall {
  readonly span: number;
  readonly parent: number;
}

const NO_READS: readonly number[] = [];
