/**
 * The audit at the cursor: how each rule stands, which flushes are owed, what the kernel's own checks say; and in the
 * whole run, everything that broke or did harm. Facts for a panel, and the names of the things that they are about.
 */
import { complaints, kernelAuditOf, kernelAudits, type KernelAudits } from '../core/audit/kernel-audits.ts';
import { judgingOf, type Judging } from '../core/audit/judging.ts';
import { rulesOf } from '../core/audit/rules-of.ts';
import type { RuleSpec } from '../core/audit/rules.ts';
import { frameOfSubject } from '../core/audit/slots-and-log.ts';
import type { OwedFlush, Violation } from '../core/machine/tables.ts';
import type { Settings } from '../core/settings.ts';
import { wordOf, pfn } from '../core/quantities.ts';
import { flushesDue, type AuditHistory, type BrokenRule, type HarmDone } from '../timeline/audit-history.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { addressText, type Names } from './inspected.ts';
import { rowId, type Show } from './parts.ts';

/**
 * How a rule stands: `coming` is false for good, but not found yet; `in flight` may be false for good reason, and is
 * where `isFalse`.
 */
export type RuleStanding = 'broken' | 'coming' | 'in flight' | 'mended' | 'holds' | 'not applicable';

export interface RuleView {
  readonly id: string;
  readonly words: string;
  readonly spec: RuleSpec;
  readonly standing: RuleStanding;
  readonly isFalse: boolean;
  /** What the standing is about: broken now, about to be found, or mended before; the latest first. */
  readonly cases: readonly BrokenRule[];
}

/** Whether anything of this machine is audited: only a hypervisor that keeps tables of its own is. */
export const isAudited = (settings: Settings): boolean => judgingOf(settings) !== undefined;

/** What is wrong comes first, so that nobody has to look for it. */
const isWrong = ({ standing }: RuleView): number => Number(standing === 'broken' || standing === 'coming');

const isAtWork = ({ world }: Timeline): boolean =>
  [...world.tables.vcpu.values()].some(({ mode }) => mode === 'hypervisor');

/** Every rule of the machine, at the position of the timeline; those of 2007 where none applies. */
export function ruleViews(timeline: Timeline, history: AuditHistory): readonly RuleView[] {
  const judging = judgingOf(timeline.program.settings);
  if (judging === undefined)
    return Object.entries(rulesOf(timeline.program.settings)).map(([id, spec]) => ({
      id,
      words: spec.words,
      spec,
      standing: 'not applicable',
      isFalse: false,
      cases: [],
    }));
  return standings(timeline, history, judging).sort((a, b) => isWrong(b) - isWrong(a));
}

function standings(timeline: Timeline, { broken }: AuditHistory, { scan }: Judging): RuleView[] {
  const { world, position, program } = timeline;
  const atWork = isAtWork(timeline);
  const falseNow = new Set(scan(world).map(({ rule }) => rule));
  if (world.tables.owed.size > 0) falseNow.add('INV-6');
  return Object.entries(rulesOf(program.settings)).map(([id, spec]) => {
    const own = broken.filter(({ violation }) => violation.rule === id);
    const open = own.filter(({ found, mended }) => found < position && (mended ?? position) >= position);
    const coming = own.filter(({ cause, found }) => cause < position && found >= position);
    const mended = own.filter((rule) => (rule.mended ?? position) < position);
    const isFalse = falseNow.has(id);
    const [standing, cases]: [RuleStanding, readonly BrokenRule[]] =
      open.length > 0
        ? ['broken', open]
        : coming.length > 0
          ? ['coming', coming]
          : atWork || isFalse
            ? ['in flight', []]
            : mended.length > 0
              ? ['mended', mended]
              : ['holds', []];
    return { id, words: spec.words, spec, standing, isFalse, cases: [...cases].reverse() };
  });
}

export interface KernelView {
  readonly audits: KernelAudits;
  readonly complains: ReturnType<typeof complaints>;
  /** Why a complaint need not mean a bug: the hypervisor is in the middle of something. */
  readonly atWork: boolean;
  readonly finds: (violation: Violation) => ReturnType<typeof kernelAuditOf>;
}

/** The kernel's own checks, at the position of the timeline; the kernels of today have none. */
export function kernelView(timeline: Timeline): KernelView | undefined {
  const { world, program } = timeline;
  if (program.settings.machine !== 'kvm-2007') return undefined;
  const audits = kernelAudits(world, program.settings);
  return {
    audits,
    complains: complaints(audits),
    atWork: isAtWork(timeline),
    finds: (violation) => kernelAuditOf(audits, violation),
  };
}

/** Something that went wrong in a run. */
export type AuditEvent =
  /** Rules of one kind found broken in one step, whatever they are about. */
  | { readonly kind: 'broken'; readonly step: number; readonly rules: readonly [BrokenRule, ...BrokenRule[]] }
  | { readonly kind: 'harm'; readonly step: number; readonly done: HarmDone }
  | { readonly kind: 'stop'; readonly step: number; readonly message: string };

/** Everything that went wrong in a run, in order of steps. */
export function auditEvents(timeline: Timeline, { broken, harm }: AuditHistory): readonly AuditEvent[] {
  const events = new Map<string, AuditEvent>();
  for (const rule of broken) {
    const key = `${String(rule.found)} ${rule.violation.rule}`;
    const before = events.get(key);
    const rules = before?.kind === 'broken' ? ([...before.rules, rule] as const) : ([rule] as const);
    events.set(key, { kind: 'broken', step: rule.found, rules });
  }
  for (const done of harm)
    events.set(`harm ${String(done.harm.serial)}`, { kind: 'harm', step: done.step, done });
  if (timeline.stop?.kind === 'host-stopped')
    events.set('stop', { kind: 'stop', step: timeline.length - 1, message: timeline.stop.message });
  return [...events.values()].sort((a, b) => a.step - b.step);
}

/** Where a step lies in the numbers that a reader sees: from 1 at `begin`; undefined before. */
export const stepNumber = (timeline: Timeline, step: number): number | undefined =>
  step < timeline.begin ? undefined : step - timeline.begin + 1;

interface Naming {
  readonly timeline: Timeline;
  readonly show: Show;
  readonly names: Names;
}

/** What a violation is about, in words, and the row of the stage that shows it. */
export function subjectOf(subject: string, naming: Naming): { readonly text: string; readonly row?: string } {
  const word = wordNamed(subject);
  if (word !== undefined) return { text: entryName(word, naming), row: rowId(word) };
  const [kind, ...rest] = subject.split(':');
  const key = rest.join(':');
  if (kind === 'tlb') {
    const entry = naming.timeline.world.get('tlb', key);
    const about = entry === undefined ? '' : ` for ${addressText(BigInt(entry.vpn) << 12n, naming.names)}`;
    return { text: `TLB entry of vCPU ${rest[0] ?? ''}${about}`, row: subject };
  }
  const frame = frameOfSubject(subject);
  if (frame !== undefined) return { text: `guest frame 0x${frame.toString(16)}` };
  if (kind === 'rmap') return { text: 'the reverse maps, taken together' };
  return { text: kind === 'sp' ? `shadow page ${key}` : kind === 'vcpu' ? `vCPU ${key}` : subject };
}

export const entryName = (word: number, { timeline, show }: Naming): string =>
  show.entryIn(timeline, word)?.name ?? `word ${word.toString(16)}`;

/** The inverse of a word's id, `word:20003.022`. */
function wordNamed(subject: string): number | undefined {
  const [, frame, index] = /^word:([0-9a-f]+)\.([0-9a-f]{3})$/.exec(subject) ?? [];
  if (frame === undefined || index === undefined) return undefined;
  return wordOf(pfn(parseInt(frame, 16)), parseInt(index, 16));
}

export interface OwedView {
  readonly owed: OwedFlush;
  /** What must leave the TLB: translations made of these entries. */
  readonly entries: readonly string[];
  readonly overdueSince?: number;
}

/** Flushes that are owed at the position of the timeline. */
export const owedViews = (naming: Naming): readonly OwedView[] =>
  flushesDue(naming.timeline).map(({ owed, overdueSince }) => {
    const entries = owed.words.map((word) => entryName(word, naming));
    return overdueSince === undefined ? { owed, entries } : { owed, entries, overdueSince };
  });
