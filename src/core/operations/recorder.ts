/**
 * Runs a program on a machine, operation by operation, and records where each begins and ends. Between two operations
 * the caller may do something else (draw a frame); nothing of the run lives outside the world, so a run can also go
 * on from the world before any operation.
 */
import { gfn, wordOf, type Gfn } from '../quantities.ts';
import { AssertionFailed, must } from '../assert.ts';
import { BoundHit } from '../bounds.ts';
import { isGauge } from '../counters.ts';
import { audit } from '../audit/audit.ts';
import { judgingOf } from '../audit/judging.ts';
import { isFlipped } from '../audit/suspects.ts';
import type { Engine } from '../engine.ts';
import { Journal } from '../machine/journal.ts';
import { HostStopped, Machine } from '../machine/machine.ts';
import { hostFrameOf, type World } from '../machine/world.ts';
import { vcpusOf } from '../settings.ts';
import type { AccessResult } from './access.ts';
import { engineOf } from './engines.ts';
import type { DirtyFrames, PlannedOperation, Program } from './operation.ts';
import { runOperation, type Outcome } from './run-operation.ts';

export type Section = 'setup' | 'given' | 'body';

/** Where an operation lies in the journal, and what the guest saw of it. */
export interface OperationRecord {
  readonly section: Section;
  /** From 1 in its section, as the text counts; the setup is 0. */
  readonly number: number;
  readonly text: string;
  /** The vCPU that acts. */
  readonly vcpu: number;
  readonly line: number;
  readonly lastLine: number;
  readonly firstStep: number;
  /** The step after its last. */
  readonly endStep: number;
  /** Absent where the operation is no access. */
  readonly result?: AccessResult;
  /** What a fetch of the dirty log gave. */
  readonly dirty?: DirtyFrames;
}

/** Why a run ended before its last operation. */
export type Stop =
  | { readonly kind: 'bound'; readonly bound: string; readonly message: string }
  | { readonly kind: 'host-stopped'; readonly message: string };

interface Queued {
  readonly section: Section;
  readonly number: number;
  readonly planned: PlannedOperation | undefined;
}

export interface RecorderOptions {
  /** Without a journal nothing is recorded: for measuring. */
  readonly record?: boolean;
  readonly stepsPerRun?: number;
  /** What runs the machine in place of its own engine: for tests that watch one. */
  readonly engine?: Engine;
  /** Called after each operation. */
  readonly checkpoint?: (machine: Machine) => void;
}

export class Recorder {
  readonly machine: Machine;
  readonly operations: OperationRecord[] = [];
  readonly program: Program;
  /** Number of steps before `begin`; counters start there. */
  beginStep = 0;
  stop: Stop | undefined;
  private readonly queue: readonly Queued[];
  private next = 0;
  private readonly engine: Engine;

  constructor(program: Program, options: RecorderOptions = {}, from?: { world: World; operation: number }) {
    this.program = program;
    this.engine = options.engine ?? engineOf(program.settings);
    const judging = this.engine.judged ? judgingOf(program.settings) : undefined;
    this.machine = new Machine({
      settings: program.settings,
      ...(judging === undefined ? {} : { audit, wrote: judging.witness }),
      ...(options.record === false ? {} : { journal: new Journal() }),
      ...(options.stepsPerRun === undefined ? {} : { stepsPerRun: options.stepsPerRun }),
      ...(from === undefined ? {} : { world: from.world }),
    });
    this.queue = [
      { section: 'setup', number: 0, planned: undefined },
      ...program.given.map((planned, index) => queued('given', planned, index)),
      ...program.body.map((planned, index) => queued('body', planned, index)),
    ];
    this.next = from?.operation ?? 0;
  }

  get done(): boolean {
    return this.stop !== undefined || this.next >= this.queue.length;
  }

  /** Index in the queue of the operation that runs next: 0 is the setup. */
  get position(): number {
    return this.next;
  }

  /** Runs one operation. */
  advance(): void {
    const { section, number, planned } = must(this.queue[this.next], 'operation');
    const firstStep = this.machine.steps;
    this.next += 1;
    let outcome: Outcome = {};
    try {
      outcome = this.machine.call('operation', { index: this.next - 1 }, () => this.run(section, planned));
    } catch (error) {
      this.machine.closeAll();
      this.stop = stopOf(this.machine, error);
    }
    const place = planned ?? { text: 'setup', line: 0, lastLine: 0 };
    const record = {
      section,
      number,
      text: place.text,
      vcpu: planned?.operation.vcpu ?? 0,
      line: place.line,
      lastLine: place.lastLine,
      firstStep,
      endStep: this.machine.steps,
    };
    this.operations.push({ ...record, ...outcome });
    const upcoming = this.queue[this.next];
    if (section !== 'body' && (upcoming === undefined || upcoming.section === 'body')) this.begin();
  }

  /** Runs to the end. */
  finish(): this {
    while (!this.done) this.advance();
    return this;
  }

  private run(section: Section, planned: PlannedOperation | undefined): Outcome {
    const m = this.machine;
    m.beginOperation();
    if (section === 'setup' || planned === undefined) {
      setUp(m, this.program);
      return {};
    }
    const outcome = runOperation(m, planned, this.engine);
    m.point('op');
    return outcome;
  }

  /** `begin`: counters and step numbers start here. */
  private begin(): void {
    const m = this.machine;
    m.call('operation', { index: 0 }, () => {
      m.step('begin', {});
      for (const key of [...m.world.tables.counter.keys()])
        if (!isGauge(key.split('@')[0] ?? '')) m.set('counter', key, undefined);
    });
    this.beginStep = m.steps;
  }
}

const queued = (section: Section, planned: PlannedOperation, index: number): Queued => ({
  section,
  number: planned.number ?? index + 1,
  planned,
});

/** After a bit flip the hypervisor's own assumptions may fail: then it is the modelled host that stops, not our code. */
export function stopOf(m: Machine, error: unknown): Stop {
  if (error instanceof BoundHit) return { kind: 'bound', bound: error.bound, message: error.message };
  if (error instanceof HostStopped) return { kind: 'host-stopped', message: error.message };
  if (error instanceof AssertionFailed && isFlipped(m.world)) {
    const message = `the host kernel stops: its tables were changed from outside, and it relies on them (${error.rule})`;
    return { kind: 'host-stopped', message };
  }
  throw error;
}

function setUp(m: Machine, program: Program): void {
  program.slots.forEach(({ absent, ...slot }, index) => {
    if (absent === true) return;
    m.step('setup-slot', { gfn: slot.firstGfn, frames: slot.frames });
    m.set('slot', index, Object.freeze(slot));
  });
  for (const [frame, words] of wordsByFrame(program)) {
    m.step('setup-memory', { gfn: frame });
    m.set('blank', hostFrameOf(frame), 1);
    for (const { index, value } of words) m.set('word', wordOf(hostFrameOf(frame), index), value);
  }
  const engine = engineOf(m.settings);
  m.step('setup-vcpu', { root: program.root });
  if (program.generation !== undefined) m.set('serial', 'slot-generation', program.generation);
  for (const vcpu of vcpusOf(m.settings)) {
    m.vcpu = vcpu;
    for (const [name, value] of Object.entries(engine.startRegisters(m.settings))) m.setReg(name, value);
    m.setReg('cr3', BigInt(program.root) << 12n);
  }
  m.vcpu = 0;
  engine.start(m);
  m.point('op');
}

function wordsByFrame(program: Program): Map<Gfn, { index: number; value: bigint }[]> {
  const frames = new Map<Gfn, { index: number; value: bigint }[]>();
  for (const table of program.tables) frames.set(gfn(table.gfn), []);
  for (const word of program.memory) {
    const words = frames.get(word.gfn);
    if (words === undefined) frames.set(word.gfn, [word]);
    else words.push(word);
  }
  return frames;
}
