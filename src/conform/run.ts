/** Runs a recorded scenario through the model, and compares after every step. */
import type { Machine } from '../core/machine/machine.ts';
import { compareEvents } from './events.ts';
import { RecordedRun, type RanStep } from './recorded-run.ts';
import { wordAt } from './recorded-vm.ts';
import type { ObservedStep, Recording } from './recording.ts';
import { readTrace, type TracedStep } from './trace-text.ts';
import { compareState, Renaming, type Difference } from './state.ts';

/** Number of the register in which a recorded program reads. */
const RBX = 3;

export interface StepResult {
  readonly step: number;
  readonly op: string;
  readonly differences: readonly Difference[];
  /** First and last micro-step of the model, exclusive. */
  readonly first: number;
  readonly end: number;
}

export class ConformRun {
  private readonly recorded: RecordedRun;
  private readonly m: Machine;
  private readonly recording: Recording;
  private readonly renaming = new Renaming();
  private words = new Map<number, bigint>();
  private counters = new Map<string, number>();
  private readonly traced: ReadonlyMap<number, TracedStep>;

  constructor(recording: Recording) {
    this.recording = recording;
    this.recorded = new RecordedRun(recording.scenario);
    this.m = this.recorded.m;
    this.words = this.tableWords();
    this.traced = readTrace(recording.trace);
  }

  /** All steps; stops after the first that ends in an error of the model. */
  run(): readonly StepResult[] {
    const results: StepResult[] = [];
    for (const step of this.recording.scenario.steps) {
      const first = this.m.steps;
      let differences: readonly Difference[];
      try {
        differences = this.compare(this.recorded.advance());
      } catch (error) {
        differences = [{ what: 'the model', expected: 'goes on', got: String(error) }];
      }
      results.push({ step: step.step, op: step.op, differences, first, end: this.m.steps });
      if (differences.some(({ what }) => what === 'the model')) break;
    }
    return results;
  }

  private compare(ran: RanStep): readonly Difference[] {
    const { m, recording } = this;
    const { step, first, end } = ran;
    const observed = recording.observed.steps[step.step];
    const traced = this.traced.get(step.step);
    const state = recording.state.steps.find((of) => of.step === step.step)?.state;
    if (observed === undefined || state === undefined)
      return [{ what: 'the recording', expected: 'a state', got: 'none' }];
    return [
      ...this.compareSeen(ran, observed),
      ...compareState(m, state, this.renaming),
      ...(traced === undefined
        ? []
        : compareEvents(m, { traced, vcpus: recording.scenario.vcpus.length, first, end })),
    ];
  }

  private compareSeen(ran: RanStep, observed: ObservedStep): readonly Difference[] {
    const { step, faults, dirty = [] } = ran;
    const differences: Difference[] = [];
    const same = (what: string, expected: string, got: string): void => {
      if (expected !== got) differences.push({ what, expected, got });
    };
    if (observed.value !== undefined && step.op === 'read') {
      // The recorder takes the whole register.
      same('value', observed.value, hex(this.recorded.register(step.vcpu, RBX)));
    }
    same(
      'guest faults',
      (observed.guest_faults ?? []).map((f) => `${f.cr2} ${f.error_code} ${f.rip}`).join(', '),
      faults.map((f) => `${hex(f.cr2)} ${hex(f.errorCode)} ${hex(f.rip)}`).join(', '),
    );
    same(
      'device accesses',
      (observed.mmio ?? []).map((a) => `${a.gpa} ${String(a.len)} ${String(a.write)} ${a.value}`).join(', '),
      this.deviceAccesses(ran).join(', '),
    );
    same('dirty log', (observed.dirty_gfns ?? []).join(' '), dirty.map(hex).join(' '));
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

  private deviceAccesses({ first, end }: RanStep): readonly string[] {
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
