/**
 * Runs a program while the naive model of correct TLBs looks on. What it is told is read off the machine's own interface:
 * accesses, faults and invalidations as the engine is asked for them, stores as memory changes.
 */
import type { Engine, Translated } from '../core/engine.ts';
import { engineOf } from '../core/operations/engines.ts';
import type { AccessOperation, Program, RunPlan } from '../core/operations/operation.ts';
import { Recorder, type OperationRecord } from '../core/operations/recorder.ts';
import type { Machine } from '../core/machine/machine.ts';
import type { Work } from '../core/machine/sections.ts';
import { FIRST_GUEST_PFN, FIRST_SHADOW_PFN, World } from '../core/machine/world.ts';
import { wordOf } from '../core/quantities.ts';
import { vcpusOf } from '../core/settings.ts';
import { CorrectTlbs } from './naive/correct-tlbs.ts';
import type { Registers } from './naive/whole-path.ts';

/** Where the shadow MMU of 2006 and 2007 differs from a processor; native-agreement.prop.test.ts pins each. */
const DEVIATIONS_2007 = { refusesOnTheWay: true, kernelWritesStay: true, largePagesStayDirty: true };

export interface Watched {
  /** What no correct TLB explains. */
  readonly complaints: readonly string[];
  /** Rules that the audit found broken, and kinds of harm. */
  readonly violations: readonly string[];
  readonly harms: readonly string[];
  /** Why the run ended early. */
  readonly stop: string | undefined;
  /** Accesses that only a translation of an earlier moment explains. */
  readonly stale: number;
  readonly operations: readonly OperationRecord[];
}

const FIRST_GUEST_WORD = wordOf(FIRST_GUEST_PFN, 0);
const FIRST_SHADOW_WORD = wordOf(FIRST_SHADOW_PFN, 0);
const GUEST_BASE = BigInt(FIRST_GUEST_PFN) << 12n;
const KINDS = { read: 'r', write: 'w', execute: 'x' } as const;

export function watch(program: Program): Watched {
  const watcher = new Watcher(program);
  const { recorder, tlbs } = watcher.run();
  return {
    complaints: [...tlbs.complaints, ...endless(recorder.operations)],
    ...brokenIn(recorder),
    stale: tlbs.stale,
  };
}

/** What the machine itself found broken in a run, beside what happened. */
export function brokenIn({
  machine,
  operations,
  stop,
}: Recorder): Pick<Watched, 'violations' | 'harms' | 'stop' | 'operations'> {
  const { tables } = machine.world;
  return {
    violations: [...new Set([...tables.violation.values()].map(({ rule }) => rule))],
    harms: [...new Set([...tables.harm.values()].map(({ kind }) => kind as string))],
    stop: stop?.message,
    operations,
  };
}

/** Accesses that neither went through nor ended in a fault that the guest saw. */
const endless = (operations: readonly OperationRecord[]): readonly string[] =>
  operations
    .filter(({ result }) => result?.completed === false && result.faults.length === 0)
    .map(({ text }) => `${text}: never ends`);

/** Everything that went wrong in a run, as lines. */
export const wrongs = ({ complaints, violations, harms, stop }: Watched): readonly string[] => [
  ...complaints,
  ...violations.map((rule) => `violation ${rule}`),
  ...harms.map((kind) => `harm ${kind}`),
  ...(stop === undefined ? [] : [stop]),
];

class Watcher {
  readonly #recorder: Recorder;
  /** Stores of the operation that runs, of whoever acts in the middle of it, and of its handlers. */
  #stores: readonly AccessOperation[] = [];
  #tlbs: CorrectTlbs | undefined;
  #aside = 0;

  constructor(program: Program) {
    const engine = this.#watching(engineOf(program.settings));
    this.#recorder = new Recorder(program, { record: false, engine });
  }

  run(): { recorder: Recorder; tlbs: CorrectTlbs } {
    const recorder = this.#recorder;
    const { machine, program } = recorder;
    recorder.advance();
    const start = new World(machine.world);
    const like2007 = program.settings.machine === 'kvm-2007';
    const tlbs = new CorrectTlbs(
      {
        memory: (at) => start.word(FIRST_GUEST_WORD + Number(at >> 3n)),
        end: BigInt(Math.max(...program.slots.map((slot) => slot.firstGfn + slot.frames))) << 12n,
        registers: vcpusOf(program.settings).map((vcpu) => registersOf(machine, vcpu)),
      },
      like2007 ? DEVIATIONS_2007 : undefined,
    );
    this.#tlbs = tlbs;
    this.#watchMemory(machine);
    const planned = [...program.given, ...program.body];
    while (!recorder.done) {
      this.#stores = accessesIn(planned[recorder.position - 1]);
      recorder.advance();
    }
    if (recorder.stop === undefined) tlbs.end();
    return { recorder, tlbs };
  }

  /** Changes that a look aside takes back are none. */
  #watchMemory(machine: Machine): void {
    const look = machine.lookAside.bind(machine);
    machine.lookAside = (body) => {
      this.#aside += 1;
      try {
        return look(body);
      } finally {
        this.#aside -= 1;
      }
    };
    const set = machine.set.bind(machine) as (...change: unknown[]) => void;
    machine.set = (table, key, value) => {
      const guest = table === 'word' && Number(key) >= FIRST_GUEST_WORD && Number(key) < FIRST_SHADOW_WORD;
      if (guest && this.#aside === 0)
        this.#tlbs?.changed(machine.vcpu, BigInt(Number(key) - FIRST_GUEST_WORD) << 3n, value as bigint);
      set(table, key, value);
    };
  }

  #watching(engine: Engine): Engine {
    return {
      ...engine,
      translate: (m, request) => {
        this.#begin(m, request);
        const found = engine.translate(m, request);
        if (found.kind === 'ok') this.#tlbs?.reached(m.vcpu, found.address - GUEST_BASE);
        return found;
      },
      pageFault: (m, fault) =>
        after(engine.pageFault(m, fault), (result) => {
          if (result.kind === 'inject') this.#tlbs?.faulted(m.vcpu, result.errorCode);
          if (result.kind === 'emulated') this.#tlbs?.emulated(m.vcpu);
        }),
      invlpg: (m, gva) => {
        engine.invlpg(m, gva);
        this.#tlbs?.invalidate(m.vcpu, gva);
      },
      writeRegister: (m, write) =>
        after(engine.writeRegister(m, write), (done) => {
          if (done) this.#tlbs?.loaded(m.vcpu, write.register, registersOf(m, m.vcpu));
        }),
    };
  }

  #begin(m: Machine, { gva: va, access, user }: Translated): void {
    const stores = this.#stores.filter(
      (own) =>
        own.vcpu === m.vcpu && own.gva === va && own.access === access && (own.privilege === 'user') === user,
    );
    this.#tlbs?.begin(m.vcpu, { va, access: KINDS[access], user, stores });
  }
}

function accessesIn(planned: RunPlan | undefined): readonly AccessOperation[] {
  if (planned === undefined) return [];
  const { operation, meanwhile = [] } = planned;
  const others = meanwhile.flatMap((plan) => plan.operations.flatMap(accessesIn));
  if (operation.kind !== 'access') return others;
  return [operation, ...others, ...(operation.onFault?.operations.flatMap(accessesIn) ?? [])];
}

const after = <R>(work: Work<R>, then: (result: R) => void): Work<R> => ({
  ...work,
  body: () => {
    const result = work.body();
    then(result);
    return result;
  },
});

function registersOf(m: Machine, vcpu: number): Registers {
  const named = (name: string): bigint => m.get('reg', `${String(vcpu)}.${name}`) ?? 0n;
  return { cr0: named('cr0'), cr3: named('cr3'), cr4: named('cr4'), efer: named('efer') };
}
