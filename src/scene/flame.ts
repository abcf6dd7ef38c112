/** The timeline as blocks and marks: operations, nested calls, and what stands out. */
import type { StepKind } from '../core/machine/steps.ts';
import { auditHistory } from '../timeline/audit-history.ts';
import { operationLabel, type Timeline } from '../timeline/timeline.ts';

export interface Block {
  readonly id: string;
  readonly label: string;
  /** Positions: the block covers steps first .. end-1. */
  readonly first: number;
  readonly end: number;
  /** 0 is an operation; calls nest below it. */
  readonly depth: number;
}

/** What a vCPU does, in its lane. */
export interface LaneBlock extends Block {
  readonly vcpu: number;
}

export interface Mark {
  readonly step: number;
  readonly letter: string;
  readonly kind: 'exit' | 'fault' | 'write-protect' | 'flush' | 'inject' | 'broken' | 'harm';
  readonly meaning: string;
  /** Pixels to the side, where two signs belong to one step. */
  readonly shift?: number;
}

const MARKS: Partial<Readonly<Record<StepKind, Omit<Mark, 'step'>>>> = {
  'vm-exit': { letter: 'E', kind: 'exit', meaning: 'VM exit' },
  'write-protect': { letter: 'W', kind: 'write-protect', meaning: 'write-protect' },
  'leaf-protect': { letter: 'W', kind: 'write-protect', meaning: 'write-protect' },
  flush: { letter: 'F', kind: 'flush', meaning: 'flush' },
  'request-set': { letter: 'R', kind: 'flush', meaning: 'flush of another vCPU asked for' },
  'flush-remote': { letter: 'F', kind: 'flush', meaning: 'flush of all vCPUs' },
  inject: { letter: 'I', kind: 'inject', meaning: 'fault injected' },
};

/** Marks of the steps `from` .. `to`-1; what went wrong comes last, so that it is drawn over the rest. */
export function marksOf(timeline: Timeline, from: number, to: number): readonly Mark[] {
  const marks: Mark[] = [];
  for (let step = from; step < to && marks.length < 2000; step += 1) {
    const mark = markAt(timeline, step);
    if (mark !== undefined) marks.push({ step, ...mark });
  }
  return [...marks, ...alarmMarks(timeline).filter(({ step }) => step >= from && step < to)];
}

/** A flush that no entry of its TLB needed has a small letter. */
function markAt(timeline: Timeline, step: number): Omit<Mark, 'step'> | undefined {
  const kind = timeline.journal.kind(step);
  const mark = MARKS[kind];
  const judged = kind === 'flush' || kind === 'request-set';
  if (mark === undefined || !judged || timeline.step(step).facts['needless'] !== true) return mark;
  return { ...mark, letter: mark.letter.toLowerCase(), meaning: `needless ${mark.meaning}` };
}

/** One mark for each step in which rules were found broken, or harm was done. */
function alarmMarks(timeline: Timeline): readonly Mark[] {
  const { broken, harm } = auditHistory(timeline);
  const rules = new Map<number, Set<string>>();
  for (const { found, violation } of broken)
    rules.set(found, (rules.get(found) ?? new Set()).add(violation.rule));
  const harmed = new Set(harm.map(({ step }) => step));
  return [
    ...[...rules].map(([step, names]) => ({
      step,
      letter: 'B',
      kind: 'broken' as const,
      meaning: `found broken: ${[...names].join(', ')}`,
      ...(harmed.has(step) ? { shift: -HALF_A_SIGN } : {}),
    })),
    ...[...harmed].map((step) => ({
      step,
      letter: 'H',
      kind: 'harm' as const,
      meaning: 'harm',
      ...(rules.has(step) ? { shift: HALF_A_SIGN } : {}),
    })),
  ];
}

const HALF_A_SIGN = 9;

/** Operations, and what other vCPUs do in the middle of them. */
export const operationBlocks = (timeline: Timeline): readonly LaneBlock[] =>
  timeline.operations
    .filter((operation) => operation.section === 'body')
    .flatMap((operation) => {
      const block = {
        id: operationLabel(operation),
        label: operation.text,
        first: operation.firstStep,
        end: operation.endStep,
        depth: 0,
        vcpu: operation.vcpu,
      };
      return [block, ...meanwhileBlocks(timeline, block)];
    });

/** Steps in a row that another vCPU makes. */
function meanwhileBlocks({ journal }: Timeline, operation: LaneBlock): readonly LaneBlock[] {
  const blocks: LaneBlock[] = [];
  for (let step = operation.first; step < operation.end; step += 1) {
    const vcpu = journal.vcpu(step);
    const last = blocks.at(-1);
    if (vcpu === operation.vcpu) continue;
    if (last?.vcpu === vcpu && last.end === step) blocks[blocks.length - 1] = { ...last, end: step + 1 };
    else
      blocks.push({
        id: `${operation.id} ${String(step)}`,
        label: `vCPU ${String(vcpu)} meanwhile`,
        first: step,
        end: step + 1,
        depth: 0,
        vcpu,
      });
  }
  return blocks;
}

/** Calls inside the steps `from` .. `to`-1, down to a depth. */
export function callBlocks(
  timeline: Timeline,
  range: { from: number; to: number; depth: number },
): readonly Block[] {
  const seen = new Map<number, Block>();
  for (let step = range.from; step < range.to && seen.size < 1000; step += 1) {
    timeline.calls(step).forEach((call, depth) => {
      if (depth === 0 || depth > range.depth || seen.has(call.span)) return;
      const label =
        call.name === 'VM exit'
          ? `VM exit, ${String(call.facts['reason'])}`
          : call.name === 'operation'
            ? 'guest kernel'
            : call.name;
      seen.set(call.span, { id: `c${String(call.span)}`, label, first: call.first, end: call.end, depth });
    });
  }
  return [...seen.values()];
}
