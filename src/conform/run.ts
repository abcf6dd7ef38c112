/** Runs a recorded scenario through the model, and compares after every step. */
import { kvmShadow, startVcpu } from '../core/kvm-shadow/kvm-shadow.ts';
import { collapsePages, dropPages, protectPages } from '../core/kvm-shadow/host-operations.ts';
import { clearDirtyLog, getDirtyLog, setMemslot } from '../core/kvm-shadow/memslots.ts';
import type { Machine } from '../core/machine/machine.ts';
import { gfn } from '../core/quantities.ts';
import { compareEvents } from './events.ts';
import { GuestCpu } from './guest-cpu.ts';
import { GuestMemory, work } from './guest-memory.ts';
import { recordedVm, wordAt, type Onlookers } from './recorded-vm.ts';
import type { ObservedStep, RecordedScenario, RecordedStep, Recording } from './recording.ts';
import { readTrace, type TracedStep } from './trace-text.ts';
import { compareState, Renaming, type Difference } from './state.ts';

/** Why no machine of ours can run a recorded scenario yet; undefined where one can. */
export function cannotRun({ module_params }: RecordedScenario): string | undefined {
  return module_params['npt'] === 'N'
    ? undefined
    : 'nested paging, for which there is no engine yet (machine kvm-tdp)';
}

export interface StepResult {
  readonly step: number;
  readonly op: string;
  readonly differences: readonly Difference[];
  /** First and last micro-step of the model, exclusive. */
  readonly first: number;
  readonly end: number;
}

/** Ports that the recorded programs write. */
const MARK = 0x50;
const RBX = 3;
const MARK_FAULT = 0x51;
const FINISHED = 0x53;

interface Seen {
  faults: { cr2: bigint; errorCode: number; rip: bigint }[];
  dirty: readonly number[] | undefined;
}

interface Running {
  readonly cpu: GuestCpu;
  spinning: boolean;
}

export class ConformRun {
  readonly m: Machine;
  private readonly recording: Recording;
  private readonly renaming = new Renaming();
  private readonly running = new Map<number, Running>();
  private seen: Seen = { faults: [], dirty: undefined };
  private words = new Map<number, bigint>();
  private counters = new Map<string, number>();
  private readonly traced: ReadonlyMap<number, TracedStep>;

  constructor(recording: Recording, onlookers?: Onlookers) {
    this.recording = recording;
    this.m = recordedVm(recording.scenario, onlookers);
    this.words = this.tableWords();
    this.traced = readTrace(recording.trace);
    // A vCPU that goes round in a loop serves what it is asked as soon as it is interrupted.
    this.m.preemption = (point) => point === 'kvm_make_all_cpus_request/kicked' && this.serveSpinning();
  }

  /** All steps, with nothing compared; the model has to go on to the end. */
  replay(after: (step: RecordedStep) => void): void {
    for (const step of this.recording.scenario.steps) {
      this.runStep(step);
      after(step);
    }
  }

  /** All steps; stops after the first that ends in an error of the model. */
  run(): readonly StepResult[] {
    const results: StepResult[] = [];
    for (const step of this.recording.scenario.steps) {
      const first = results.length === 0 ? 0 : this.m.steps;
      let differences: readonly Difference[];
      try {
        this.runStep(step);
        differences = this.compare(step, { first, end: this.m.steps });
      } catch (error) {
        differences = [{ what: 'the model', expected: 'goes on', got: String(error) }];
      }
      results.push({ step: step.step, op: step.op, differences, first, end: this.m.steps });
      if (differences.some(({ what }) => what === 'the model')) break;
    }
    return results;
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
    const { m, recording } = this;
    const start = recording.scenario.vcpus[vcpu];
    if (start === undefined) throw new Error(`the scenario has no vCPU ${String(vcpu)}`);
    startVcpu(m, vcpu, { enter: false });
    const long = recording.scenario.mode === 'long64';
    const window = long
      ? 0xffff_8000_0000_0000n
      : recording.scenario.mode === 'nonpaging32'
        ? 0n
        : 0xc000_0000n;
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
    const { m, recording } = this;
    m.vcpu = step.vcpu;
    const id = step.slot ?? 0;
    const record = recording.scenario.memslots.find(({ slot }) => slot === id);
    const range = (): { hva: number; pages: number } => {
      const gpa = BigInt(step.gpa ?? '0');
      const memory = recording.scenario.memslots.find(
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
    const record = this.recording.scenario.memslots.find(({ slot }) => slot === id);
    if (record === undefined) throw new Error(`the scenario has no slot ${String(id)}`);
    return Object.freeze({
      firstGfn: gfn(Number(BigInt(record.gpa) >> 12n)),
      frames: Number(BigInt(record.size) >> 12n),
      hva: Number(BigInt(record.hva) >> 12n),
      ...((flags & 1) === 0 ? {} : { logged: true as const }),
      ...((flags & 2) === 0 ? {} : { readonly: true as const }),
    });
  }

  private compare(step: RecordedStep, extent: { first: number; end: number }): readonly Difference[] {
    const { m, recording } = this;
    const observed = recording.observed.steps[step.step];
    const traced = this.traced.get(step.step);
    const state = recording.state.steps.find((of) => of.step === step.step)?.state;
    if (observed === undefined || state === undefined)
      return [{ what: 'the recording', expected: 'a state', got: 'none' }];
    return [
      ...this.compareSeen(step, observed, extent),
      ...compareState(m, state, this.renaming),
      ...(traced === undefined
        ? []
        : compareEvents(m, { traced, vcpus: recording.scenario.vcpus.length, ...extent })),
    ];
  }

  private compareSeen(
    step: RecordedStep,
    observed: ObservedStep,
    extent: { first: number; end: number },
  ): readonly Difference[] {
    const differences: Difference[] = [];
    const same = (what: string, expected: string, got: string): void => {
      if (expected !== got) differences.push({ what, expected, got });
    };
    if (observed.value !== undefined && step.op === 'read') {
      // The recorder takes the whole register.
      same('value', observed.value, hex(this.running.get(step.vcpu)?.cpu.regs[RBX] ?? 0n));
    }
    same(
      'guest faults',
      (observed.guest_faults ?? []).map((f) => `${f.cr2} ${f.error_code} ${f.rip}`).join(', '),
      this.seen.faults.map((f) => `${hex(f.cr2)} ${hex(f.errorCode)} ${hex(f.rip)}`).join(', '),
    );
    same(
      'device accesses',
      (observed.mmio ?? []).map((a) => `${a.gpa} ${String(a.len)} ${String(a.write)} ${a.value}`).join(', '),
      this.deviceAccesses(extent).join(', '),
    );
    same('dirty log', (observed.dirty_gfns ?? []).join(' '), (this.seen.dirty ?? []).map(hex).join(' '));
    const words = this.tableWords();
    same(
      'guest tables',
      observed.guest_pt_changes
        .map((c) => `${c.gpa} ${c.old}->${c.new}`)
        .sort()
        .join(', '),
      this.changedEntries(words).sort().join(', '),
    );
    this.words = words;
    this.compareCounters(observed, same);
    return differences;
  }

  private deviceAccesses({ first, end }: { first: number; end: number }): readonly string[] {
    const { journal } = this.m;
    const found: string[] = [];
    for (let at = first; at < end; at += 1) {
      if (journal?.kind(at) !== 'device-access') continue;
      const { gpa, value, bytes, write } = journal.factsOf(at);
      found.push(`${hex(gpa as bigint)} ${String(bytes)} ${String(write)} ${hex(value as bigint)}`);
    }
    return found;
  }

  private tableWords(): Map<number, bigint> {
    const words = new Map<number, bigint>();
    for (const { gpa } of this.recording.scenario.tables)
      for (let at = 0; at < 512; at += 1) {
        const address = BigInt(gpa) + BigInt(at * 8);
        words.set(Number(address), this.m.word(wordAt(this.m, this.recording.scenario, address)));
      }
    return words;
  }

  private changedEntries(now: ReadonlyMap<number, bigint>): string[] {
    const changed: string[] = [];
    const bytes = this.recording.scenario.pte_bytes;
    for (const [gpa, value] of now) {
      const before = this.words.get(gpa) ?? 0n;
      if (before === value) continue;
      for (let at = 0; at < 8; at += bytes) {
        const cut = (word: bigint): bigint => (word >> BigInt(at * 8)) & ((1n << BigInt(bytes * 8)) - 1n);
        if (cut(before) !== cut(value))
          changed.push(`${hex(gpa + at)} ${hex(cut(before))}->${hex(cut(value))}`);
      }
    }
    return changed;
  }

  /**
   * A remote flush is counted when it had to interrupt a vCPU. One that goes round in a loop leaves the guest by itself
   * for each of the host's own interrupts, and whether it was in the guest just then is chance in the recording: at most
   * as often as the trace has such interrupts of vCPUs other than the step's own.
   */
  private chanceAt(number: number): number {
    const own = this.recording.scenario.steps[number]?.vcpu;
    const interrupts = this.traced.get(number)?.interrupts ?? new Map<number, number>();
    return [...interrupts].reduce((sum, [vcpu, count]) => (vcpu === own ? sum : sum + count), 0);
  }

  private compareCounters(
    observed: ObservedStep,
    same: (what: string, expected: string, got: string) => void,
  ): void {
    const now = new Map<string, number>(this.m.world.tables.counter);
    const names = new Set([...now.keys()].map((key) => key.slice(0, key.indexOf('@'))));
    const grown = (name: string, vcpu: number): number => {
      const key = `${name}@${String(vcpu)}`;
      return (now.get(key) ?? 0) - (this.counters.get(key) ?? 0);
    };
    const all = observed.vcpu_stats.map((_stats, vcpu) => vcpu);
    for (const name of new Set([...names, ...Object.keys(observed.vm_stats)]))
      if (VM_COUNTERS.has(name)) {
        const expected = observed.vm_stats[name] ?? 0;
        const got = all.reduce((sum, vcpu) => sum + grown(name, vcpu), 0);
        const chance = name === 'remote_tlb_flush' ? this.chanceAt(observed.step) : 0;
        if (got < expected || got > expected + chance) same(name, String(expected), String(got));
      }
    for (const [vcpu, stats] of observed.vcpu_stats.entries())
      for (const name of VCPU_COUNTERS)
        same(`${name} of vcpu ${String(vcpu)}`, String(stats[name] ?? 0), String(grown(name, vcpu)));
    this.counters = now;
  }
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

const VM_COUNTERS = new Set([
  'mmu_shadow_zapped',
  'mmu_pte_write',
  'mmu_pde_zapped',
  'mmu_flooded',
  'mmu_recycled',
  'mmu_cache_miss',
  'mmu_unsync',
  'pages_4k',
  'pages_2m',
  'pages_1g',
  'nx_lpage_splits',
  'max_mmu_rmap_size',
  'remote_tlb_flush',
  'remote_tlb_flush_requests',
] as readonly string[]);
const VCPU_COUNTERS = [
  'pf_taken',
  'pf_fixed',
  'pf_emulate',
  'pf_spurious',
  'pf_fast',
  'pf_guest',
  'pf_mmio_spte_created',
  'tlb_flush',
  'invlpg',
  'insn_emulation',
  'mmio_exits',
] as const;
