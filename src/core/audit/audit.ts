/**
 * The audit: at the points where invariants must hold, finds what is false, names the step since which it has been,
 * and keeps it as a violation. INV-6 is about obligations: an owed flush that is past due while a TLB entry still
 * grants more than the tables.
 */
import { hasMistake } from '../flush-settings.ts';
import type { ShippedBug } from '../settings.ts';
import type { AuditPoint, Machine } from '../machine/machine.ts';
import { idText, type TableName, type Violation } from '../machine/tables.ts';
import { FIRST_SHADOW_PFN } from '../machine/world.ts';
import { ROOT_REGISTERS } from '../kvm/context-2007.ts';
import { hasBug } from '../kvm/era-2007.ts';
import { gfnOfPfn } from '../kvm/memslots.ts';
import { shadowPagesOf } from '../kvm/shadow-page.ts';
import type { Pfn } from '../quantities.ts';
import type { PagingRegisters } from '../hardware/registers.ts';
import { grantsMoreThanTables } from '../hardware/tlb.ts';
import { hardwareRegisters } from '../kvm/kvm-2007.ts';
import { derivesFrom, usableEntries } from '../kvm/vendor.ts';
import { scan, type Falsity } from './scan.ts';
import type { OwedFlush } from '../machine/tables.ts';

/** Tables and registers that the scan reads: while none of them changes, nothing that it says changes. */
const SCANNED_TABLES: readonly TableName[] = ['sp', 'rmap', 'rnode', 'pnode'];
const SCANNED_REGISTERS: readonly string[] = ['cr0', 'efer', ...ROOT_REGISTERS];

interface Finding {
  readonly rule: string;
  readonly subject: string;
  readonly cause: number;
  readonly bug?: string;
}

export function audit(m: Machine, point: AuditPoint): void {
  // While another vCPU holds the lock, what it is about is in flight; what it owes this one is due when it lets go.
  if (point === 'entry' && m.lockHolder !== undefined && m.lockHolder !== m.vcpu) return;
  if (point === 'entry') callOverdue(m, [m.vcpu]);
  // The others that run the guest while the lock is released use what they have.
  if (point === 'unlock') callOverdue(m, runningOthers(m));
  const scanned = mattersToScan(m);
  const flushes = m.world.tables.owed.size > 0 || openViolations(m, 'INV-6').length > 0;
  if (!scanned && !flushes) return;
  const findings = [
    ...(scanned ? scan(m.world).map((falsity) => nameCause(m, falsity)) : []),
    ...overdueFlushes(m),
  ];
  const covered = (rule: string): boolean => rule === 'INV-6' || (scanned && rule !== 'INV-14');
  m.amendLastStep(() => {
    record(m, findings, point);
    mend(m, findings, covered);
  });
}

/** Whether something has changed that the scan reads; forgets what has changed. Data frames do not matter to it. */
function mattersToScan(m: Machine): boolean {
  const { frames, registers, tables } = m.changed;
  const matters =
    SCANNED_TABLES.some((table) => tables.has(table)) ||
    SCANNED_REGISTERS.some((register) => registers.has(register)) ||
    [...frames].some((frame) => frame >= FIRST_SHADOW_PFN || isShadowedFrame(m, frame));
  frames.clear();
  registers.clear();
  tables.clear();
  return matters;
}

function isShadowedFrame(m: Machine, frame: Pfn): boolean {
  const gfn = gfnOfPfn(frame);
  return gfn !== undefined && shadowPagesOf(m.world, gfn).length > 0;
}

/** A bit has changed from outside, in the step marked last: what breaks from now on may go back to it. */
export const noteFlip = (m: Machine): void => {
  m.serial('flip');
};
export const isFlipped = (world: Machine['world']): boolean => (world.get('serial', 'flip') ?? 0) > 0;

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
  const bug = bugOf(m, falsity.rule);
  const finding = { rule: falsity.rule, subject, cause: lastStepAmong(m, falsity.decidedBy) };
  return bug === undefined ? finding : { ...finding, bug };
}

/** The step of the latest change among the words that decide a rule. */
function lastStepAmong(m: Machine, words: readonly number[]): number {
  const { journal } = m;
  if (journal === undefined) return m.steps - 1;
  const steps = words.map((word) => {
    const change = journal.lastChange('word', word);
    return change === undefined ? 0 : journal.stepOfChange(change);
  });
  return steps.length === 0 ? m.steps - 1 : Math.max(...steps);
}

/** Bugs that can break a rule, the likeliest first. */
const BUGS_OF_RULE: Readonly<Record<string, readonly ShippedBug[]>> = {
  'INV-1': ['C-B4', 'nonpaging-write'],
  'INV-2': ['C-B2'],
  'INV-3': ['nonpaging-write'],
  'INV-13': ['C-B5', 'nx-slip', 'C-B3', 'nonpaging-write'],
  'INV-14': ['C-B5'],
};

/** The shipped bug or broken policy to which a violation goes back, where it is one that can cause it. */
function bugOf(m: Machine, rule: string): string | undefined {
  if (isFlipped(m.world)) return 'flip';
  const overdue = [...m.world.tables.owed.values()].find((owed) => owed.overdue === true)?.bug;
  if (rule === 'INV-1' && overdue !== undefined) return overdue;
  return BUGS_OF_RULE[rule]?.find((bug) => hasBug(m, bug));
}

const runningOthers = (m: Machine): readonly number[] =>
  [...m.world.tables.vcpu]
    .filter(([vcpu, { mode }]) => vcpu !== m.vcpu && mode === 'guest')
    .map(([vcpu]) => vcpu);

/** These vCPUs run the guest: flushes that were due before and were not made are past due, where an entry still needs them. */
function callOverdue(m: Machine, vcpus: readonly number[]): void {
  for (const owed of [...m.world.tables.owed.values()]) {
    if (!vcpus.includes(owed.vcpu) || owed.overdue === true) continue;
    const needed = usableEntries(m, owed.vcpu).some((entry) => derivesFrom(entry, owed.words));
    m.amendLastStep(() => {
      if (needed) countFor(m, owed.vcpu);
      m.set(
        'owed',
        owed.serial,
        needed ? Object.freeze({ ...suspected(m, owed), overdue: true }) : undefined,
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

/** The wrong policy by which a flush that was asked for did not reach what it was for: of its own vCPU, or of another. */
function suspected(m: Machine, owed: OwedFlush): OwedFlush {
  if (owed.bug !== undefined) return owed;
  const { settings } = m;
  const wrong = [
    settings['flush-when'] === 'before' ? 'flush-when' : undefined,
    hasMistake(m, 'B-B4') ? 'B-B4' : undefined,
    hasMistake(m, 'B-B1') ? 'B-B1' : undefined,
    settings['flush-size'] === 'one-page' ? 'flush-size' : undefined,
  ].find((id) => id !== undefined);
  return wrong === undefined ? owed : { ...owed, bug: wrong };
}

function overdueFlushes(m: Machine): readonly Finding[] {
  return [...m.world.tables.owed.values()].flatMap((owed) => {
    if (owed.overdue !== true) return [];
    const registers = registersOf(m, owed.vcpu);
    const entry = usableEntries(m, owed.vcpu).find(
      (e) => derivesFrom(e, owed.words) && grantsMoreThanTables(m, e, registers),
    );
    if (entry === undefined) return [];
    const finding = {
      rule: 'INV-6',
      subject: `tlb:${String(entry.vcpu)}:${String(entry.serial)}`,
      cause: owed.cause,
    };
    return [owed.bug === undefined ? finding : { ...finding, bug: owed.bug }];
  });
}

/** How the processor of a vCPU walks its shadow tables. */
function registersOf(m: Machine, vcpu: number): PagingRegisters {
  const acting = m.vcpu;
  m.vcpu = vcpu;
  const registers = hardwareRegisters(m);
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

/** The rules in plain words. */
export const RULES: Readonly<Record<string, string>> = {
  'INV-1':
    "Every shadow entry leads where the guest's own entry leads now: to the frame behind it, or to the shadow of its table.",
  'INV-2': 'The reverse map lists exactly the shadow leaves that are present and writable.',
  'INV-3': 'No shadow leaf lets the guest write a frame that is shadowed as one of its page tables.',
  'INV-4': 'A shadow page knows exactly the entries that link to it.',
  'INV-5': 'A shadow page that is in use as a root is not freed.',
  'INV-6': 'No TLB entry allows more than the tables do once the flush for it was due.',
  'INV-13': "A shadow leaf grants no right that the guest's own tables refuse.",
  'INV-14': 'No access faults more than 8 times in a row without any table having changed.',
};
