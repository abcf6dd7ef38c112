/**
 * The audit: at the points where invariants must hold, finds what is false, names the step since which it has been,
 * and keeps it as a violation. INV-6 is about obligations: an owed flush that is past due while a TLB entry still
 * grants more than the tables.
 */
import { must } from '../assert.ts';
import { slotOfGfn } from '../kvm/memslots.ts';
import type { Machine } from '../machine/machine.ts';
import { idText, type AuditPoint, type TlbEntry, type Violation } from '../machine/tables.ts';
import { frameOfWord, type Pfn } from '../quantities.ts';
import type { PagingRegisters } from '../hardware/registers.ts';
import { grantsMoreThanTables } from '../hardware/tlb.ts';
import type { Falsity } from './falsity.ts';
import { judgingOf, type Judging } from './judging.ts';
import { suspectedFlush } from './suspects.ts';

const judging = (m: Machine): Judging => must(judgingOf(m.settings), 'a machine that is judged');

interface Finding {
  readonly rule: string;
  readonly subject: string;
  readonly cause: number;
  readonly bug?: string;
}

export function audit(m: Machine, point: AuditPoint, frame?: Pfn): void {
  if (point === 'free') {
    if (frame !== undefined) auditFreed(m, frame);
    return;
  }
  // Who enters the guest while another holds the lock finds tables half changed, and flushes that are not due yet.
  if (judging(m).isHalfDone(m)) return;
  if (point === 'entry') callOverdue(m, [m.vcpu]);
  // The others that run the guest while the lock is released use what they have.
  if (point === 'unlock') callOverdue(m, runningOthers(m));
  const scanned = mattersToScan(m);
  const flushes = m.world.tables.owed.size > 0 || openViolations(m, 'INV-6').length > 0;
  if (!scanned && !flushes) return;
  const findings = [
    ...(scanned
      ? judging(m)
          .scan(m.world)
          .map((falsity) => nameCause(m, falsity))
      : []),
    ...overdueFlushes(m),
  ];
  const covered = (rule: string): boolean => rule === 'INV-6' || (scanned && rule !== 'INV-14');
  m.amendLastStep(() => {
    record(m, findings, point);
    mend(m, findings, covered);
  });
}

/**
 * A frame is about to be given back, in the middle of the hypervisor's work: only what is about this frame must hold
 * here, and what is false elsewhere may be so for good reason.
 */
function auditFreed(m: Machine, frame: Pfn): void {
  callOverdue(m, runningOthers(m), (word) => frameOfWord(word) === frame);
  const findings = [
    ...judging(m)
      .scanFreed(m.world, frame)
      .map((falsity) => nameCause(m, falsity)),
    ...overdueFlushes(m),
  ];
  if (findings.length === 0) return;
  m.amendLastStep(() => {
    record(m, findings, 'free');
  });
}

/** Whether something has changed that the scan reads; forgets what has changed. Data frames do not matter to it. */
function mattersToScan(m: Machine): boolean {
  const { frames, registers, tables } = m.changed;
  const { scannedTables, scannedRegisters, scansFrames } = judging(m);
  const matters =
    scannedTables.some((table) => tables.has(table)) ||
    scannedRegisters.some((register) => registers.has(register)) ||
    (frames.size > 0 && scansFrames(m.world, frames));
  frames.clear();
  registers.clear();
  tables.clear();
  return matters;
}

/** Adds a violation that an operation itself has seen. */
export function reportViolation(m: Machine, finding: Finding, point: AuditPoint): void {
  m.amendLastStep(() => {
    record(m, [finding], point);
  });
}

const openViolations = (m: Machine, rule?: string): readonly Violation[] =>
  [...m.world.tables.violation.values()].filter(
    (v) => v.mended !== true && (rule === undefined || v.rule === rule),
  );

function record(m: Machine, findings: readonly Finding[], point: AuditPoint): void {
  const known = new Set(openViolations(m).map((violation) => `${violation.rule} ${violation.subject}`));
  for (const finding of findings) {
    if (known.has(`${finding.rule} ${finding.subject}`)) continue;
    known.add(`${finding.rule} ${finding.subject}`);
    const serial = m.serial('violation');
    m.set('violation', serial, Object.freeze({ serial, point, ...finding }));
  }
}

function mend(m: Machine, findings: readonly Finding[], covered: (rule: string) => boolean): void {
  for (const violation of openViolations(m)) {
    if (!covered(violation.rule)) continue;
    if (findings.some((f) => f.rule === violation.rule && f.subject === violation.subject)) continue;
    m.set('violation', violation.serial, Object.freeze({ ...violation, mended: true }));
  }
}

function nameCause(m: Machine, falsity: Falsity): Finding {
  const subject = typeof falsity.subject === 'number' ? idText('word', falsity.subject) : falsity.subject;
  const bug = judging(m).suspectOf(m, falsity.rule);
  const finding = { rule: falsity.rule, subject, cause: lastStepAmong(m, falsity) };
  return bug === undefined ? finding : { ...finding, bug };
}

/** The step of the latest change among what decides a rule. */
function lastStepAmong(m: Machine, { decidedBy, places = [], logOf }: Falsity): number {
  const { journal } = m;
  if (journal === undefined) return m.steps - 1;
  const slot = logOf === undefined ? undefined : slotOfGfn(m.world, logOf);
  const changes = [
    ...decidedBy.map((word) => journal.lastChange('word', word)),
    ...places.map(({ table, key }) => journal.lastChange(table, key)),
    ...(logOf === undefined
      ? []
      : [journal.lastChange('dirty', logOf), journal.lastChange('written', logOf)]),
    ...(slot === undefined ? [] : [journal.lastChange('slot', slot)]),
  ];
  const steps = changes.map((change) => (change === undefined ? 0 : journal.stepOfChange(change)));
  return steps.length === 0 ? m.steps - 1 : Math.max(...steps);
}

const runningOthers = (m: Machine): readonly number[] =>
  [...m.world.tables.vcpu]
    .filter(([vcpu, { mode }]) => vcpu !== m.vcpu && mode === 'guest')
    .map(([vcpu]) => vcpu);

const derivesFrom = (entry: TlbEntry, words: readonly number[]): boolean =>
  words.some((word) => entry.filledFrom.includes(word));

const anyWord = (): boolean => true;

/**
 * These vCPUs run the guest: flushes for these words that were due before and were not made are past due, where an entry
 * still needs them.
 */
function callOverdue(m: Machine, vcpus: readonly number[], about: (word: number) => boolean = anyWord): void {
  for (const owed of [...m.world.tables.owed.values()]) {
    if (owed.due !== 'entry' || !vcpus.includes(owed.vcpu) || owed.overdue === true) continue;
    if (!owed.words.some(about)) continue;
    // The log is asked for by another, who has not been told yet.
    if (owed.asker !== undefined && owed.asker !== m.vcpu && owed.vcpu !== m.vcpu) continue;
    const needed = judging(m)
      .usableEntries(m, owed.vcpu)
      .some((entry) => derivesFrom(entry, owed.words));
    m.amendLastStep(() => {
      if (needed) countFor(m, owed.vcpu);
      m.set(
        'owed',
        owed.serial,
        needed ? Object.freeze({ ...suspectedFlush(m, owed), overdue: true }) : undefined,
      );
    });
  }
}

/** A flush is missing on the vCPU that should have made it. */
function countFor(m: Machine, vcpu: number): void {
  const acting = m.vcpu;
  m.vcpu = vcpu;
  m.count('flushes_missing');
  m.vcpu = acting;
}

function overdueFlushes(m: Machine): readonly Finding[] {
  return [...m.world.tables.owed.values()].flatMap((owed) => {
    if (owed.overdue !== true) return [];
    const registers = registersOf(m, owed.vcpu);
    const entry = judging(m)
      .usableEntries(m, owed.vcpu)
      .find((e) => derivesFrom(e, owed.words) && grantsMoreThanTables(m, e, registers));
    if (entry === undefined) return [];
    const finding = {
      rule: 'INV-6',
      subject: `tlb:${String(entry.vcpu)}:${String(entry.serial)}`,
      cause: owed.cause,
    };
    return [owed.bug === undefined ? finding : { ...finding, bug: owed.bug }];
  });
}

/** How the processor of a vCPU walks the hypervisor's tables. */
function registersOf(m: Machine, vcpu: number): PagingRegisters {
  const acting = m.vcpu;
  m.vcpu = vcpu;
  const registers = judging(m).hardwareRegisters(m);
  m.vcpu = acting;
  return registers;
}

/** What the lamp shows. */
export type AuditState =
  | { readonly kind: 'holds' }
  | { readonly kind: 'in-flight' }
  | { readonly kind: 'broken'; readonly violations: readonly Violation[] };

/** Between two audit points rules may be false for good reason: while the hypervisor is at work. */
export function auditState(world: Machine['world']): AuditState {
  const violations = [...world.tables.violation.values()].filter((violation) => violation.mended !== true);
  if (violations.length > 0) return { kind: 'broken', violations };
  const atWork = [...world.tables.vcpu.values()].some((vcpu) => vcpu.mode === 'hypervisor');
  return { kind: atWork ? 'in-flight' : 'holds' };
}
