/**
 * Runs a recorded scenario through the model: makes the machine, and one recorded step after the other. It needs nothing
 * but `scenario.json`; what the kernel did is compared elsewhere.
 */
import { must } from '../core/assert.ts';
import { isGauge } from '../core/counters.ts';
import { kvmShadow, startVcpu } from '../core/kvm-shadow/kvm-shadow.ts';
import { collapsePages, dropPages, protectPages } from '../core/kvm-shadow/host-operations.ts';
import { clearDirtyLog, getDirtyLog, setMemslot } from '../core/kvm-shadow/memslots.ts';
import type { Machine } from '../core/machine/machine.ts';
import { gfn, type Gfn } from '../core/quantities.ts';
import { GuestCpu } from './guest-cpu.ts';
import { GuestMemory, work } from './guest-memory.ts';
import { recordedVm, type RecordedVmOptions } from './recorded-vm.ts';
import type { RecordedScenario, RecordedStep } from './recording.ts';

/** Why no machine of ours can run a recorded scenario yet; undefined where one can. */
export function cannotRun({ module_params }: RecordedScenario): string | undefined {
  return module_params['npt'] === 'N'
    ? undefined
    : 'nested paging, for which there is no engine yet (machine kvm-tdp)';
}

/** What a recorded step came to. */
export interface RanStep {
  readonly step: RecordedStep;
  /** First and last micro-step of the model, exclusive. */
  readonly first: number;
  readonly end: number;
  /** Page faults that the guest has taken, in order. */
  readonly faults: Seen['faults'];
  /** What a fetch of the dirty log gave. */
  readonly dirty?: readonly Gfn[];
}

/** Ports that the recorded programs write. */
const MARK = 0x50;
const MARK_FAULT = 0x51;
const FINISHED = 0x53;

interface Seen {
  faults: { cr2: bigint; errorCode: number; rip: bigint }[];
  dirty: readonly Gfn[] | undefined;
}

interface Running {
  readonly cpu: GuestCpu;
  spinning: boolean;
}

export class RecordedRun {
  readonly m: Machine;
  /** Number of steps before the first recorded one; counters start there. */
  readonly beginStep: number;
  private readonly scenario: RecordedScenario;
  private readonly running = new Map<number, Running>();
  private seen: Seen = { faults: [], dirty: undefined };
  private next = 0;

  constructor(scenario: RecordedScenario, options?: RecordedVmOptions) {
    this.scenario = scenario;
    this.m = recordedVm(scenario, options);
    // A vCPU that goes round in a loop serves what it is asked as soon as it is interrupted.
    this.m.preemption = (point) => point === 'kvm_make_all_cpus_request/kicked' && this.serveSpinning();
    this.begin();
    this.beginStep = this.m.steps;
  }

  get done(): boolean {
    return this.next >= this.scenario.steps.length;
  }

  /** Runs the next recorded step, as one operation. */
  advance(): RanStep {
    const { m } = this;
    const step = must(this.scenario.steps[this.next], 'a recorded step');
    this.next += 1;
    const first = m.steps;
    m.call('operation', { index: this.next }, () => {
      this.runStep(step);
      m.point('op');
    });
    const { faults, dirty } = this.seen;
    return { step, first, end: m.steps, faults, ...(dirty === undefined ? {} : { dirty }) };
  }

  /** A general register of a vCPU, by its number. */
  register(vcpu: number, number: number): bigint {
    return this.running.get(vcpu)?.cpu.regs[number] ?? 0n;
  }

  /** Counters and step numbers start here. */
  private begin(): void {
    const { m } = this;
    m.call('operation', { index: 0 }, () => {
      m.step('begin', {});
      for (const key of [...m.world.tables.counter.keys()])
        if (!isGauge(key.split('@')[0] ?? '')) m.set('counter', key, undefined);
    });
  }

  private runStep(step: RecordedStep): void {
    const { m } = this;
    this.seen = { faults: [], dirty: undefined };
    const running = this.running.get(step.vcpu) ?? this.startCpu(step.vcpu);
    if (step.op.startsWith('host_')) this.hostOperation(step);
    this.resume(step.vcpu, running);
    for (const [vcpu, other] of this.running) {
      m.vcpu = vcpu;
      if (!other.spinning) continue;
      if (vcpu !== step.vcpu) this.resume(vcpu, other);
    }
  }

  private serveSpinning(): boolean {
    const { m } = this;
    const outer = { vcpu: m.vcpu, place: m.place };
    let served = false;
    for (const [vcpu, { spinning }] of this.running) {
      if (!spinning || vcpu === outer.vcpu || m.get('request', vcpu) === undefined) continue;
      m.vcpu = vcpu;
      kvmShadow.leave(m, 'user-space');
      kvmShadow.enter(m);
      served = true;
    }
    m.vcpu = outer.vcpu;
    m.place = outer.place;
    return served;
  }

  private startCpu(vcpu: number): Running {
    const { m, scenario } = this;
    const start = scenario.vcpus[vcpu];
    if (start === undefined) throw new Error(`the scenario has no vCPU ${String(vcpu)}`);
    startVcpu(m, vcpu, { enter: false });
    const long = scenario.mode === 'long64';
    const window = long ? 0xffff_8000_0000_0000n : scenario.mode === 'nonpaging32' ? 0n : 0xc000_0000n;
    const page = window + (vcpu === 0 ? 0x14000n : 0x17000n);
    const memory = new GuestMemory(m, vcpu);
    const cpu = new GuestCpu(
      {
        long,
        rip: BigInt(start.rip),
        rsp: BigInt(start.kernel_stack_top),
        gdt: page,
        idt: page + 0x200n,
        tss: page + 0x80n,
      },
      memory,
      {
        out: (port, value) => this.marked(vcpu, port, value),
        pageFault: (of) => this.seen.faults.push(of),
        setControl: (register, value) => {
          work(kvmShadow.writeRegister(m, { register, value }));
        },
        invlpg: (gva) => {
          kvmShadow.invlpg(m, gva);
        },
        spins: () => {
          const running = this.running.get(vcpu);
          if (running !== undefined) running.spinning = true;
          return true;
        },
      },
    );
    const running: Running = { cpu, spinning: false };
    this.running.set(vcpu, running);
    this.resume(vcpu, running);
    return running;
  }

  private resume(vcpu: number, running: Running): void {
    running.spinning = false;
    this.m.vcpu = vcpu;
    kvmShadow.enter(this.m);
    running.cpu.run();
  }

  /** The vCPU leaves for the recorder; false where it waits there for its next step. */
  private marked(vcpu: number, port: number, value: number): boolean {
    const { m } = this;
    m.vcpu = vcpu;
    kvmShadow.leave(m, 'user-space');
    const stops = port === FINISHED || (port === MARK && value >>> 16 === 0);
    if (!stops && port !== MARK && port !== MARK_FAULT)
      throw new Error(
        `assertion failed: the guest meets no exception but page faults: port ${port.toString(16)}`,
      );
    if (!stops) kvmShadow.enter(m);
    return !stops;
  }

  private hostOperation(step: RecordedStep): void {
    const { m, scenario } = this;
    m.vcpu = step.vcpu;
    const id = step.slot ?? 0;
    const record = scenario.memslots.find(({ slot }) => slot === id);
    const range = (): { hva: number; pages: number } => {
      const gpa = BigInt(step.gpa ?? '0');
      const memory = scenario.memslots.find(
        (slot) => gpa >= BigInt(slot.gpa) && gpa < BigInt(slot.gpa) + BigInt(slot.size),
      );
      const hva = BigInt(memory?.hva ?? '0') + gpa - BigInt(memory?.gpa ?? '0');
      return { hva: Number(hva >> 12n), pages: Number(BigInt(step.len ?? '0') >> 12n) };
    };
    switch (step.op) {
      case 'host_set_slot_flags': {
        setMemslot(m, { id, slot: this.slotWith(id, step.flags ?? 0) });
        return;
      }
      case 'host_add_slot': {
        setMemslot(m, { id, slot: this.slotWith(id, record?.flags ?? 0) });
        return;
      }
      case 'host_delete_slot': {
        setMemslot(m, { id });
        return;
      }
      case 'host_get_dirty_log':
        this.seen.dirty = getDirtyLog(m, { id, slot: m.must('slot', id) });
        return;
      case 'host_clear_dirty_log': {
        const { hva, pages } = range();
        const slot = m.must('slot', id);
        const first = slot.firstGfn + hva - (slot.hva ?? 0);
        const frames = Array.from({ length: pages }, (_, at) => gfn(first + at));
        clearDirtyLog(m, { id, slot }, frames);
        return;
      }
      case 'host_madvise_dontneed': {
        dropPages(m, range());
        return;
      }
      case 'host_mprotect_readonly': {
        protectPages(m, range(), false);
        return;
      }
      case 'host_mprotect_readwrite': {
        protectPages(m, range(), true);
        return;
      }
      case 'host_madvise_collapse': {
        collapsePages(m, range());
        return;
      }
      default:
        throw new Error(`the host operation ${step.op} is not known`);
    }
  }

  private slotWith(id: number, flags: number) {
    const record = this.scenario.memslots.find(({ slot }) => slot === id);
    if (record === undefined) throw new Error(`the scenario has no slot ${String(id)}`);
    return Object.freeze({
      firstGfn: gfn(Number(BigInt(record.gpa) >> 12n)),
      frames: Number(BigInt(record.size) >> 12n),
      hva: Number(BigInt(record.hva) >> 12n),
      ...((flags & 1) === 0 ? {} : { logged: true as const }),
      ...((flags & 2) === 0 ? {} : { readonly: true as const }),
    });
  }
}
