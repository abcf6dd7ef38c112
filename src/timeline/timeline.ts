/**
 * A timeline is the journal of one run with a world of its own, moved only by replaying the journal: seek to any
 * position, look at any step, its changes, its calls.
 *
 * A position is a number of steps: the world at position p has steps 0 .. p-1 behind it, and the step shown there is
 * step p-1. Checkpoints lie between operations, at least so many changes apart, so that any seek takes a frame.
 */
import { BOUNDS } from '../core/bounds.ts';
import { assert, must } from '../core/assert.ts';
import type { AnyValue, Journal, Place } from '../core/machine/journal.ts';
import type { Machine } from '../core/machine/machine.ts';
import {
  STEPS,
  type Actor,
  type CallName,
  type Space,
  type StepKind,
  type StepOp,
} from '../core/machine/steps.ts';
import { World } from '../core/machine/world.ts';
import { Recorder, type OperationRecord, type Stop } from '../core/operations/recorder.ts';
import type { PlannedOperation, Program } from '../core/operations/operation.ts';

export interface Change {
  readonly place: Place;
  /** For a memory word never written, what it reads. */
  readonly before: AnyValue;
  readonly after: AnyValue;
}

export type Facts = Readonly<Record<string, number | bigint | boolean | string>>;

export interface StepView {
  readonly index: number;
  readonly kind: StepKind;
  readonly actor: Actor;
  readonly op: StepOp;
  readonly space: Space;
  readonly vcpu: number;
  readonly facts: Facts;
  readonly reads: readonly Place[];
  readonly changes: readonly Change[];
  readonly span: number;
}

export interface CallView {
  readonly span: number;
  readonly name: CallName;
  readonly facts: Facts;
  readonly first: number;
  readonly end: number;
}

interface Checkpoint {
  readonly position: number;
  readonly world: World;
}

/** What has been recorded: by the recorder of programs, or by whoever else ran a machine with a journal. */
export interface Recorded {
  readonly machine: Pick<Machine, 'journal'>;
  readonly program: Program;
  readonly operations: readonly OperationRecord[];
  /** Number of steps before `begin`; counters start there. */
  readonly beginStep: number;
  readonly stop: Stop | undefined;
}

export class Timeline {
  readonly journal: Journal;
  readonly program: Program;
  readonly operations: readonly OperationRecord[];
  /** Position at which counters and step numbers start. */
  readonly begin: number;
  readonly stop: Stop | undefined;
  /** The world at `position`. Read only. */
  world: World;
  position: number;
  private readonly checkpoints: readonly Checkpoint[];

  constructor(recorded: Recorded, checkpoints: readonly Checkpoint[]) {
    this.journal = must(recorded.machine.journal, 'journal');
    this.program = recorded.program;
    this.operations = recorded.operations;
    this.begin = recorded.beginStep;
    this.stop = recorded.stop;
    this.checkpoints = checkpoints;
    this.world = new World();
    this.position = 0;
    this.seek(this.length);
  }

  /** Number of steps, the ones before `begin` included. */
  get length(): number {
    return this.journal.steps;
  }

  /** Moves the world to a position; the nearer of where it is and a checkpoint is the start. */
  seek(position: number): void {
    assert(position >= 0 && position <= this.length, 'a position lies on the timeline');
    const target = this.journal.changesBefore(position);
    const here = this.journal.changesBefore(this.position);
    const checkpoint = this.checkpoints.findLast((candidate) => candidate.position <= position);
    const from = checkpoint === undefined ? 0 : this.journal.changesBefore(checkpoint.position);
    if (Math.abs(target - here) > target - from) {
      this.world = new World(checkpoint?.world);
      this.replay(from, target);
    } else {
      this.replay(here, target);
    }
    this.position = position;
  }

  /** What the program asks for in an operation; nothing in the setup. */
  plannedOf({ section, line }: OperationRecord): PlannedOperation | undefined {
    return this.program[section === 'given' ? 'given' : 'body'].find((planned) => planned.line === line);
  }

  /** The kinds of steps that the run has. */
  kinds(): ReadonlySet<StepKind> {
    const kinds = new Set<StepKind>();
    for (let step = 0; step < this.journal.steps; step += 1) kinds.add(this.journal.kind(step));
    return kinds;
  }

  step(index: number): StepView {
    const kind = this.journal.kind(index);
    const { actor, op, space } = STEPS[kind];
    return {
      index,
      kind,
      actor,
      op,
      space,
      vcpu: this.journal.vcpu(index),
      facts: this.journal.factsOf(index),
      reads: this.journal.readsOf(index),
      changes: this.changes(index),
      span: this.journal.spanOf(index),
    };
  }

  changes(index: number): readonly Change[] {
    const found: Change[] = [];
    const end = this.journal.changesBefore(index + 1);
    for (let change = this.journal.changesBefore(index); change < end; change += 1) {
      const place = this.journal.changedPlace(change);
      const [before, after] = [this.journal.valueBefore(change), this.journal.valueAfter(change)];
      const isWord = place.table === 'word';
      found.push({
        place,
        before: isWord && before === undefined ? this.world.untouched(Number(place.key)) : before,
        after: isWord && after === undefined ? this.world.untouched(Number(place.key)) : after,
      });
    }
    return found;
  }

  /** The calls around a step, outermost first. */
  calls(index: number): readonly CallView[] {
    const stack: CallView[] = [];
    for (
      let span: number | undefined = this.journal.spanOf(index);
      span !== undefined;
      span = this.journal.parentOf(span)
    ) {
      stack.unshift(this.call(span));
    }
    return stack;
  }

  call(span: number): CallView {
    return {
      span,
      name: this.journal.callName(span),
      facts: this.journal.spanFacts(span),
      ...this.journal.extent(span),
    };
  }

  /** The operation in which a step lies; `begin` itself lies in none. */
  operationAt(index: number): OperationRecord | undefined {
    let [low, high] = [0, this.operations.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.operations[middle]?.endStep ?? 0) <= index) low = middle + 1;
      else high = middle;
    }
    const found = this.operations[low];
    return found !== undefined && index >= found.firstStep ? found : undefined;
  }

  /** How a position is named in links: operation and step in it, `1.14`; `g2.5` for what `given` ran. */
  nameOf(position: number): string {
    const operation = position === 0 ? undefined : this.operationAt(position - 1);
    if (operation === undefined) return '0.0';
    return `${operationLabel(operation)}.${String(position - operation.firstStep)}`;
  }

  /** The position with that name, or undefined. */
  positionNamed(operation: string, step: number): number | undefined {
    if (operation === '0') return step === 0 ? this.begin : undefined;
    const found = this.operations.find((candidate) => operationLabel(candidate) === operation);
    if (found === undefined || step < 0 || step > found.endStep - found.firstStep) return undefined;
    return found.firstStep + step;
  }

  private replay(from: number, to: number): void {
    for (let change = from; change < to; change += 1) {
      const { table, key } = this.journal.changedPlace(change);
      this.world.put(table, key, this.journal.valueAfter(change));
    }
    for (let change = from - 1; change >= to; change -= 1) {
      const { table, key } = this.journal.changedPlace(change);
      this.world.put(table, key, this.journal.valueBefore(change));
    }
  }
}

export const operationLabel = (operation: OperationRecord): string =>
  operation.section === 'body' ? String(operation.number) : `g${String(operation.number)}`;

/** Runs a program to its end, or to a bound. */
export function record(program: Program): Timeline {
  const run = new RecordingRun(program);
  while (!run.done) run.advance();
  return run.timeline();
}

/** Copies of a world between operations, at least so many changes apart. */
export class Checkpoints {
  readonly taken: Checkpoint[] = [];
  private changes = 0;

  /** An operation has ended: takes a copy if it is time. */
  offer({ journal, world, steps }: Pick<Machine, 'journal' | 'world' | 'steps'>): void {
    const changes = journal?.changes ?? 0;
    if (changes - this.changes < Math.max(BOUNDS.changesPerCheckpoint, world.size())) return;
    this.changes = changes;
    this.taken.push({ position: steps, world: new World(world) });
  }
}

/** A run in progress: the caller advances it by operations, so that a page lives while a long one runs. */
export class RecordingRun {
  private readonly recorder: Recorder;
  private readonly checkpoints = new Checkpoints();

  /** `stepsPerRun`: a lower bound than the usual one. */
  constructor(program: Program, stepsPerRun?: number) {
    this.recorder = new Recorder(program, stepsPerRun === undefined ? {} : { stepsPerRun });
  }

  get done(): boolean {
    return this.recorder.done;
  }

  advance(): void {
    this.recorder.advance();
    this.checkpoints.offer(this.recorder.machine);
  }

  timeline(): Timeline {
    return new Timeline(this.recorder, this.checkpoints.taken);
  }

  /** The recorder's own world, to compare with the view's. */
  get recordedWorld(): World {
    return this.recorder.machine.world;
  }
}
