/**
 * Runs a program while the naive model of correct TLBs looks on. What it is told is read off the machine's own interface:
 * accesses, faults and invalidations as the engine is asked for them, stores as memory changes.
 */
import type { Engine, Translated } from '../core/engine.ts';
import { engineOf } from '../core/operations/engines.ts';
import type { AccessOperation, Program, RunPlan } from '../core/operations/operation.ts';
import { Recorder, type OperationRecord } from '../core/operations/recorder.ts';
import type { Machine } from '../core/machine/machine.ts';
import { isMmio, mmioEntryOf } from '../core/kvm-shadow/spte.ts';
import { isVisible, slotAt } from '../core/kvm-shadow/vm.ts';
import type { Work } from '../core/machine/sections.ts';
import type { HostPage } from '../core/machine/tables-today.ts';
import { FIRST_GUEST_PFN, FIRST_SHADOW_PFN, World } from '../core/machine/world.ts';
import { wordOf } from '../core/quantities.ts';
import { vcpusOf, type Settings } from '../core/settings.ts';
import { FIXED, MovingMemory, type Effect } from './host-view.ts';
import { LogLaw } from './log-law.ts';
import { CorrectTlbs, type Found } from './naive/correct-tlbs.ts';
import type { Deviations } from './naive/deviations.ts';
import type { Registers } from './naive/whole-path.ts';

/** Where the shadow MMU of 2006 and 2007 differs from a processor; native-agreement.prop.test.ts pins each. */
const DEVIATIONS_2007 = { refusesOnTheWay: true, kernelWritesStay: true, largePagesStayDirty: true };
/** The same for a KVM of today; audit/today/audit.prop.test.ts pins it. */
const DEVIATIONS_TODAY = { absentFaultsKeep: true };

const deviationsOf = ({ machine }: Settings): Partial<Deviations> => {
  if (machine === 'kvm-2007') return DEVIATIONS_2007;
  return machine === 'kvm-shadow' ? DEVIATIONS_TODAY : {};
};

/** Counters by which a program can show what it costs. */
export const COSTS = ['mmio_stale', 'mmio_exits'] as const;
export type Cost = (typeof COSTS)[number];

export interface Watched {
  /** What no correct TLB explains, and what is missing in a dirty log. */
  readonly complaints: readonly string[];
  /** Rules that the audit found broken, and kinds of harm. */
  readonly violations: readonly string[];
  readonly harms: readonly string[];
  /** Why the run ended early. */
  readonly stop: string | undefined;
  /** Accesses that only a translation of an earlier moment explains. */
  readonly stale: number;
  /**
   * A mark for a device was brought up to date where a slot lies by now: what today's KVM does when it brings a table into
   * step (reference D.7), though no such mark should be (F.6). audit/today/host.prop.test.ts pins it.
   */
  readonly marksRenewed: boolean;
  /** Of all vCPUs together. */
  readonly costs: Readonly<Record<Cost, number>>;
  readonly operations: readonly OperationRecord[];
}

const FIRST_GUEST_WORD = wordOf(FIRST_GUEST_PFN, 0);
const FIRST_SHADOW_WORD = wordOf(FIRST_SHADOW_PFN, 0);
const GUEST_BASE = BigInt(FIRST_GUEST_PFN) << 12n;
const KINDS = { read: 'r', write: 'w', execute: 'x' } as const;

export function watch(program: Program): Watched {
  const watcher = new Watcher(program);
  const { recorder, tlbs, log } = watcher.run();
  return {
    complaints: [...tlbs.complaints, ...log.complaints, ...endless(recorder.operations)],
    ...brokenIn(recorder),
    stale: tlbs.stale,
    marksRenewed: watcher.marksRenewed,
  };
}

/** What the machine itself found broken in a run, beside what happened, and what it cost. */
export function brokenIn({
  machine,
  operations,
  stop,
}: Recorder): Pick<Watched, 'violations' | 'harms' | 'stop' | 'costs' | 'operations'> {
  const { tables } = machine.world;
  const total = (cost: Cost): number =>
    [...tables.counter]
      .filter(([name]) => name.startsWith(`${cost}@`))
      .reduce((sum, [, count]) => sum + count, 0);
  return {
    violations: [...new Set([...tables.violation.values()].map(({ rule }) => rule))],
    harms: [...new Set([...tables.harm.values()].map(({ kind }) => kind as string))],
    stop: stop?.message,
    costs: { mmio_stale: total('mmio_stale'), mmio_exits: total('mmio_exits') },
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
  marksRenewed = false;
  readonly #log = new LogLaw();
  /** Where guest memory lies; of a KVM of today that changes. */
  readonly #moving: MovingMemory | undefined;

  constructor(program: Program) {
    this.#moving = program.settings.machine === 'kvm-shadow' ? new MovingMemory(program) : undefined;
    const engine = this.#watching(engineOf(program.settings));
    this.#recorder = new Recorder(program, { record: false, engine });
  }

  run(): { recorder: Recorder; tlbs: CorrectTlbs; log: LogLaw } {
    const recorder = this.#recorder;
    const { machine, program } = recorder;
    recorder.advance();
    const start = new World(machine.world);
    for (const [hva, page] of start.tables.hostPage) this.#moving?.pageChanged(hva, page);
    const tlbs = new CorrectTlbs(
      {
        memory: (at) => start.word(FIRST_GUEST_WORD + Number(at >> 3n)),
        end: BigInt(Math.max(...program.slots.map((slot) => slot.firstGfn + slot.frames))) << 12n,
        registers: vcpusOf(program.settings).map((vcpu) => registersOf(machine, vcpu)),
      },
      deviationsOf(program.settings),
    );
    this.#tlbs = tlbs;
    if (this.#moving !== undefined) tlbs.lies(this.#moving.ground());
    this.#watchMemory(machine);
    const planned = [...program.given, ...program.body];
    while (!recorder.done) {
      this.#stores = accessesIn(planned[recorder.position - 1]);
      recorder.advance();
    }
    if (recorder.stop === undefined) tlbs.end();
    return { recorder, tlbs, log: this.#log };
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
      if (this.#aside === 0) {
        if (table === 'word') this.#wordChanged(machine, Number(key), value as bigint | undefined);
        else if (table === 'hostPage')
          this.#heed(this.#moving?.pageChanged(Number(key), value as HostPage | undefined));
        else if (table === 'slot') {
          if (value === undefined) this.#log.restart(Number(key));
          this.#heed(this.#moving?.slotChanged(Number(key), value !== undefined));
        }
      }
      set(table, key, value);
    };
  }

  #wordChanged(machine: Machine, word: number, value: bigint | undefined): void {
    if (word >= FIRST_SHADOW_WORD && this.#moving !== undefined && isMmio(value ?? 0n)) {
      const now = machine.world.get('vm', 'kvm')?.updating === false;
      // No generated guest enters System Management Mode.
      const covered = isVisible(slotAt(machine.world, mmioEntryOf(value ?? 0n).gfn, 0));
      this.marksRenewed ||= now && covered;
    }
    if (word < FIRST_GUEST_WORD || word >= FIRST_SHADOW_WORD || value === undefined) return;
    for (const gpa of (this.#moving ?? FIXED).gpasOf(word)) {
      const gfn = Number(gpa >> 12n);
      for (const [id, slot] of machine.world.tables.slot)
        if (slot.logged === true && gfn >= slot.firstGfn && gfn < slot.firstGfn + slot.frames)
          this.#log.wrote(id, gfn);
      this.#tlbs?.changed(machine.vcpu, gpa, value);
    }
  }

  #heed(effect: Effect = {}): void {
    if (effect.wiped !== undefined) this.#tlbs?.wiped(effect.wiped);
    if (effect.ground !== undefined) this.#tlbs?.lies(effect.ground);
  }

  #watching(engine: Engine): Engine {
    return {
      ...engine,
      translate: (m, request) => {
        this.#begin(m, request);
        const found = engine.translate(m, request);
        if (found.kind === 'ok') this.#tlbs?.reached(m.vcpu, this.#placeOf(m, found.address));
        return found;
      },
      pageFault: (m, fault) =>
        after(engine.pageFault(m, fault), (result) => {
          if (result.kind === 'inject') this.#tlbs?.faulted(m.vcpu, result.errorCode);
          if (result.kind === 'emulated')
            this.#tlbs?.emulated(m.vcpu, { value: result.value, bytes: fault.store.bytes });
        }),
      invlpg: (m, gva) => {
        engine.invlpg(m, gva);
        this.#tlbs?.invalidate(m.vcpu, gva);
      },
      writeRegister: (m, write) =>
        after(engine.writeRegister(m, write), (done) => {
          if (done) this.#tlbs?.loaded(m.vcpu, write.register, registersOf(m, m.vcpu));
        }),
      setLogging: (m, slot, on) =>
        around(engine.setLogging(m, slot, on), (body) => {
          body();
          this.#log.restart(slot);
        }),
      fetchLog: (m, slot) =>
        around(engine.fetchLog(m, slot), (body) => {
          const apart = m.settings.machine === 'kvm-shadow' && m.settings['log-clear'] !== 'with-fetch';
          return this.#log.fetched(slot, body, !apart);
        }),
      clearLog: (m, operation) =>
        around(engine.clearLog(m, operation), (body) => {
          const { slot, frames } = operation;
          const within = (gfn: number): boolean =>
            frames === undefined || (gfn >= frames.first && gfn < frames.first + frames.count);
          this.#log.cleared(slot, body, within);
        }),
    };
  }

  /** What an access has come to, as the naive model is told: an address of the guest's, where it has a fixed one. */
  #placeOf(m: Machine, address: bigint): bigint | Found {
    const moving = this.#moving;
    if (moving === undefined) return address - GUEST_BASE;
    const word = Number(address >> 3n);
    const gpas = new Set(moving.gpasOf(word));
    const name = gpas.size === 0 ? 'what is no page of the guest any more' : [...gpas].map(hex).join(' or ');
    return { isAt: (gpa) => gpas.has((gpa >> 3n) << 3n), name, holds: m.word(word) };
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

const hex = (value: bigint): string => `0x${value.toString(16)}`;

const around = <R>(work: Work<R>, body: (inner: () => R) => R): Work<R> => ({
  ...work,
  body: () => body(work.body),
});

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
