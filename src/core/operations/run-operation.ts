/**
 * Runs one operation of a scenario: as sections of the vCPU that acts, with what other vCPUs do at the preemption points
 * on the way.
 */
import { must } from '../assert.ts';
import { wordOf } from '../quantities.ts';
import { noteFlip } from '../audit/suspects.ts';
import { dropsTranslations, forgetHeld } from '../audit/harm.ts';
import type { Engine, Phase, RegisterWrite } from '../engine.ts';
import type { Machine } from '../machine/machine.ts';
import type { PreemptionPoint } from '../machine/preemption.ts';
import { freely, Sections, sectionsOf, type Section } from '../machine/sections.ts';
import { hostFrameOf } from '../machine/world.ts';
import { accessSections, type AccessResult } from './access.ts';
import { engineOf } from './engines.ts';
import type {
  DirtyFrames,
  FlipOperation,
  LogOperation,
  Meanwhile,
  Operation,
  PlannedOperation,
  RunPlan,
} from './operation.ts';

/** What came out of an operation, where anything can. */
export interface Outcome {
  /** Of an access. */
  readonly result?: AccessResult;
  /** What a fetch of the dirty log gave. */
  readonly dirty?: DirtyFrames;
}

/** Runs one operation of a scenario, and what other vCPUs do in the middle of it. Gives what the guest saw. */
export function runOperation(m: Machine, planned: RunPlan, engine: Engine = engineOf(m.settings)): Outcome {
  const { operation, meanwhile = [] } = planned;
  m.vcpu = operation.vcpu;
  const sections = new Sections(m);
  const waiting = [...meanwhile];
  const visits = new Map<PreemptionPoint, number>();
  m.preemption =
    waiting.length === 0
      ? undefined
      : (point) => {
          const visit = (visits.get(point) ?? 0) + 1;
          visits.set(point, visit);
          const due = waiting.filter((plan) => plan.point === point && plan.visit === visit);
          for (const plan of due) {
            waiting.splice(waiting.indexOf(plan), 1);
            actMeanwhile({ m, engine }, sections, plan);
          }
          return due.length > 0;
        };
  let outcome: Outcome = {};
  try {
    sections.run(
      operationSections({ m, engine }, operation, (seen) => {
        outcome = seen;
        return undefined;
      }),
    );
  } finally {
    m.preemption = undefined;
  }
  for (const { point } of waiting) m.step('point-missed', { point });
  return outcome;
}

/** Each of the operations begins where the point is reached, and goes on later if it has to wait for the lock. */
function actMeanwhile(by: By, sections: Sections, { operations }: Meanwhile): void {
  const { m } = by;
  const outer = m.vcpu;
  operations.forEach(({ operation }, index) => {
    m.vcpu = operation.vcpu;
    const call = m.open('operation', { index: index + 1 });
    sections.run(
      operationSections(by, operation, () => {
        m.close(call);
        return undefined;
      }),
    );
    if (call.span >= 0) m.place = call.parent;
  });
  m.vcpu = outer;
}

/** Who runs it. */
interface By {
  readonly m: Machine;
  readonly engine: Engine;
}

type Then = (seen: Outcome) => Section | undefined;

/** An operation as sections. Only what leaves the guest has more than one. */
function operationSections(by: By, operation: Operation, then: Then): Section {
  const { m, engine } = by;
  switch (operation.kind) {
    case 'access':
      return accessSections(m, operation, {
        context: {
          engine,
          handlerSections: (handler, after) => handlerSections(by, handler.operations, after),
        },
        then: (result) => then({ result }),
      });
    case 'load-cr3': {
      const { root, pcid, keep } = operation;
      const value = BigInt(root) << 12n;
      const more = { ...(pcid === undefined ? {} : { pcid }), ...(keep === undefined ? {} : { keep }) };
      return registerSections(by, () => ({ register: 'cr3', value, ...more }), then);
    }
    case 'set-register':
      return registerSections(
        by,
        () => {
          const { register, mask } = operation;
          return { register, value: (m.reg(register) & ~mask) | operation.value };
        },
        then,
      );
    case 'cpuid':
    case 'smi':
    case 'rsm':
      return toGuest(by, () => {
        engine.enter(m);
        return sectionsOf(engine.trivialExit(m, operation.kind), () => then({}));
      });
    case 'log':
      return logSections(by, operation, then);
    case 'slot':
      return phaseSections(by, engine.changeSlot(m, operation), () => then({}));
    case 'invlpg':
    case 'host-memory':
      return {
        ...freely(() => {
          actAtOnce(by, operation);
          return then({});
        }),
        takesLock: () => engine.takesLock?.(m, operation.kind === 'invlpg' ? 'invlpg' : 'host') === true,
      };
    case 'enter':
      return toGuest(by, () => {
        actAtOnce(by, operation);
        return then({});
      });
    case 'invalidate':
    case 'set-host-entry':
    case 'flip':
    case 'leave':
    case 'flush-all':
      return freely(() => {
        actAtOnce(by, operation);
        return then({});
      });
  }
}

type AtOnce = Exclude<
  Operation,
  { kind: 'access' | 'load-cr3' | 'set-register' | 'cpuid' | 'smi' | 'rsm' | 'log' | 'slot' }
>;

/** What needs no exit: the guest does it itself, or nobody in the guest hears of it. */
function actAtOnce({ m, engine }: By, operation: AtOnce): void {
  switch (operation.kind) {
    case 'invlpg':
      engine.enter(m);
      engine.invlpg(m, operation.gva);
      if (engine.judged)
        m.amendLastStep(() => {
          forgetHeld(m, operation.gva);
        });
      break;
    case 'invalidate':
      engine.invalidate(m, operation);
      break;
    case 'set-host-entry':
      engine.setHostEntry(m, operation);
      break;
    case 'flip':
      flip({ m, engine }, operation);
      break;
    case 'leave':
      engine.leave(m, operation.how);
      break;
    case 'enter':
      engine.enter(m);
      break;
    case 'flush-all':
      engine.flushAll(m);
      break;
    case 'host-memory':
      engine.changeMemory(m, operation);
      break;
  }
}

/** The guest does something; before that its vCPU may have to enter it. */
const toGuest = ({ m, engine }: By, run: Section['run']): Section => ({
  ...freely(run),
  takesLock: () => engine.takesLock?.(m, 'entry') === true,
});

function phaseSections(by: By, [phase, ...rest]: readonly Phase[], then: Section['run']): Section {
  if (phase === undefined) return freely(then);
  const { waits, body } = phase;
  const section: Section = {
    ...freely(() => {
      body();
      return phaseSections(by, rest, then);
    }),
    takesLock: () => by.engine.takesLock?.(by.m, 'host') === true,
  };
  return waits === undefined ? section : { ...section, waits };
}

function logSections(by: By, operation: LogOperation, then: Then): Section {
  const { m, engine } = by;
  const { slot, does } = operation;
  return toGuest(by, () => {
    engine.enter(m);
    if (does === 'clear') return sectionsOf(engine.clearLog(m, operation), () => then({}));
    return does === 'fetch'
      ? sectionsOf(engine.fetchLog(m, slot), (dirty) => then({ dirty }))
      : sectionsOf(engine.setLogging(m, slot, does === 'begin'), () => then({}));
  });
}

function handlerSections(
  by: By,
  operations: readonly PlannedOperation[],
  then: Section['run'],
  index = 0,
): Section {
  const planned = operations[index];
  if (planned === undefined) return freely(then);
  return freely(() => {
    const call = by.m.open('operation', { index: index + 1 });
    return operationSections(by, planned.operation, () => {
      by.m.close(call);
      return handlerSections(by, operations, then, index + 1);
    });
  });
}

function registerSections(by: By, writeNow: () => RegisterWrite, then: Then): Section {
  const { m, engine } = by;
  return toGuest(by, () => {
    engine.enter(m);
    const write = writeNow();
    const before = m.reg(write.register);
    return sectionsOf(engine.writeRegister(m, write), (done) => {
      if (!done) m.step('guest-gp', {});
      else if (engine.judged && dropsTranslations(write, before))
        m.amendLastStep(() => {
          forgetHeld(m);
        });
      return then({});
    });
  });
}

function flip({ m, engine }: By, operation: FlipOperation): void {
  const { bit } = operation;
  if (operation.place === 'register') {
    flipRegister({ m, engine }, operation);
    return;
  }
  const word =
    operation.place === 'guest'
      ? wordOf(hostFrameOf(operation.gfn), operation.index)
      : engine.flipped(m, operation);
  if (word === undefined) {
    m.step('outside-nothing', aimOf(operation));
    return;
  }
  const after = m.word(word) ^ (1n << BigInt(bit));
  const set = ((after >> BigInt(bit)) & 1n) === 1n;
  if (operation.place === 'guest')
    m.step('outside-flip', { gpa: (BigInt(operation.gfn) << 12n) + BigInt(operation.index * 8), bit, set });
  else m.step('outside-flip-shadow', { ...aimOf(operation), bit, set });
  m.set('word', word, after);
  noteFlip(m);
}

function flipRegister({ m, engine }: By, operation: Extract<FlipOperation, { place: 'register' }>): void {
  const { register, bit } = operation;
  const { name, bit: at } = must(engine.flippedRegister(m, operation), 'a register');
  const after = m.reg(name) ^ (1n << BigInt(at));
  m.step('outside-flip-register', { register, bit, set: ((after >> BigInt(at)) & 1n) === 1n });
  m.setReg(name, after);
  noteFlip(m);
}

/** The address and level of an entry in tables that the hypervisor made. */
function aimOf(operation: Exclude<FlipOperation, { place: 'register' }>): { gva: bigint; level: number } {
  if (operation.place === 'shadow') return { gva: operation.gva, level: operation.level };
  if (operation.place === 'host') return { gva: operation.gpa, level: operation.level };
  return { gva: BigInt(operation.gfn) << 12n, level: 0 };
}
