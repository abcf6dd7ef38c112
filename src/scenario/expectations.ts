/** Checks what an author expects against what the model did. */
import { hex, type Gfn } from '../core/quantities.ts';
import { COUNTERS } from '../core/counters.ts';
import type { AccessResult } from '../core/operations/access.ts';
import type { OperationRecord } from '../core/operations/recorder.ts';
import type { Timeline } from '../timeline/timeline.ts';
import type { Expectation } from './ast.ts';
import type { PlannedExpectation } from './remarks.ts';

export interface ExpectationResult {
  readonly line: number;
  readonly text: string;
  readonly passed: boolean;
  /** What the model did instead. */
  readonly got?: string;
}

/** What a plan expects of its run, each judged at its place. Moves the timeline and puts it back. */
export function judge(
  timeline: Timeline,
  expectations: readonly PlannedExpectation[],
): readonly ExpectationResult[] {
  const position = timeline.position;
  const results = expectations.map((planned) => judgeOne(timeline, planned));
  timeline.seek(position);
  return results;
}

function judgeOne(timeline: Timeline, planned: PlannedExpectation): ExpectationResult {
  const { line, text } = planned;
  const before = timeline.operations.filter(
    (o) => o.section === planned.section && o.number <= planned.after,
  );
  const last = before.at(-1);
  const ran = planned.after === 0 || last?.number === planned.after;
  if (!ran)
    return {
      line,
      text,
      passed: false,
      got: `the run ended before this line: ${timeline.stop?.message ?? ''}`,
    };
  timeline.seek(last?.endStep ?? timeline.begin);
  const got = failure(timeline, planned.expectation, before);
  return got === undefined ? { line, text, passed: true } : { line, text, passed: false, got };
}

/** What was found instead, or undefined where the expectation holds. */
function failure(
  timeline: Timeline,
  expectation: Expectation,
  before: readonly OperationRecord[],
): string | undefined {
  const { tables } = timeline.world;
  switch (expectation.kind) {
    case 'counters': {
      const wrong = expectation.counters.filter(
        ({ name, vcpu, value }) => counter(timeline, name, vcpu) !== value,
      );
      return wrong.length === 0
        ? undefined
        : wrong.map(({ name, vcpu }) => `${name}=${String(counter(timeline, name, vcpu))}`).join(' ');
    }
    case 'violation': {
      const rules = [...tables.violation.values()].map((violation) => violation.rule);
      return rules.includes(expectation.rule)
        ? undefined
        : rules.length === 0
          ? 'no violation'
          : rules.join(', ');
    }
    case 'no-violation': {
      const found = [...tables.violation.values()];
      return found.length === 0 ? undefined : found.map((violation) => violation.rule).join(', ');
    }
    case 'harm': {
      const kinds = [...tables.harm.values()].map((harm) => harm.kind as string);
      return kinds.includes(expectation.harm) ? undefined : kinds.length === 0 ? 'no harm' : kinds.join(', ');
    }
    case 'no-harm': {
      const kinds = [...tables.harm.values()].map((harm) => harm.kind);
      return kinds.length === 0 ? undefined : kinds.join(', ');
    }
    case 'fault':
    case 'no-fault':
    case 'host-fault':
    case 'no-host-fault':
    case 'physical':
      return failureOfAccess(
        expectation,
        before.findLast((operation) => operation.result !== undefined)?.result,
      );
    case 'dirty':
      return failureOfLog(
        expectation.frames,
        before.findLast((operation) => operation.dirty !== undefined)?.dirty,
      );
    case 'read': {
      const value = before.findLast((operation) => operation.result?.value !== undefined)?.result?.value;
      return value === expectation.value
        ? undefined
        : value === undefined
          ? 'nothing was read'
          : `read=${hex(value)}`;
    }
  }
}

function failureOfLog(wanted: readonly bigint[], got: readonly Gfn[] | undefined): string | undefined {
  if (got === undefined) return 'no log was fetched';
  const named = new Set(wanted.map(Number));
  if (named.size === got.length && got.every((frame) => named.has(frame))) return undefined;
  return got.length === 0 ? 'no dirty' : `dirty=${got.map((frame) => hex(frame)).join(',')}`;
}

/** What the last access did instead, or undefined where it did as expected. */
function failureOfAccess(
  expectation: Extract<Expectation, { kind: `${string}fault` | 'physical' }>,
  result: AccessResult | undefined,
): string | undefined {
  if (result === undefined) return 'no access';
  const guest = result.faults.at(-1);
  switch (expectation.kind) {
    case 'fault':
      return failureOfFault('fault', guest === undefined ? undefined : BigInt(guest.errorCode), expectation);
    case 'host-fault':
      return failureOfFault('host-fault', result.hostFault?.code, expectation);
    case 'no-fault':
      return guest === undefined ? undefined : `fault=${hex(guest.errorCode)}`;
    case 'no-host-fault':
      return result.hostFault === undefined ? undefined : `host-fault=${hex(result.hostFault.code)}`;
    case 'physical': {
      const reached = result.physical;
      if (reached === expectation.address) return undefined;
      return reached === undefined ? 'the access reached no memory' : `physical=${hex(reached)}`;
    }
  }
}

function failureOfFault(
  word: 'fault' | 'host-fault',
  found: bigint | undefined,
  wanted: { readonly code?: bigint },
): string | undefined {
  if (found === undefined) return `no ${word}`;
  return wanted.code === undefined || wanted.code === found ? undefined : `${word}=${hex(found)}`;
}

/** A counter at the timeline's position; without a vCPU the sum over all. */
export function counter(timeline: Timeline, name: string, vcpu?: number): number {
  if (vcpu !== undefined) return timeline.world.get('counter', `${name}@${String(vcpu)}`) ?? 0;
  let sum = 0;
  for (const [key, value] of timeline.world.tables.counter) if (key.startsWith(`${name}@`)) sum += value;
  return sum;
}

/** All counters, zeros too. */
export const allCounters = (timeline: Timeline): Readonly<Record<string, number>> =>
  Object.fromEntries(COUNTERS.map(({ name }) => [name, counter(timeline, name)]));
