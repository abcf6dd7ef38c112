/** The address that a step is about, cut into its index fields. */
import { indexAt, TABLE_NAMES_BY_LEVEL } from '../core/hardware/x86-entry.ts';
import type { StepView, Timeline } from '../timeline/timeline.ts';

export interface AddressField {
  readonly label: string;
  readonly digits: string;
  readonly level: number | undefined;
  readonly lit: boolean;
}

export interface AddressStrip {
  readonly gva: bigint;
  /** Who translates it: `the hypervisor`. */
  readonly by: string;
  readonly fields: readonly AddressField[];
}

const GUEST_LEVELS = 4;

/** The address of the innermost call or step that has one. */
export function addressAt(timeline: Timeline, step: StepView | undefined): AddressStrip | undefined {
  if (step === undefined) return undefined;
  const calls = timeline.calls(step.index);
  const own = step.facts['gva'];
  const inner = calls.findLast((call) => typeof call.facts['gva'] === 'bigint')?.facts['gva'];
  const operation = timeline.operationAt(step.index);
  const planned =
    operation === undefined
      ? undefined
      : timeline.program[operation.section === 'given' ? 'given' : 'body'][operation.number - 1]?.operation;
  const fallback = planned !== undefined && 'gva' in planned ? planned.gva : undefined;
  const gva = typeof own === 'bigint' ? own : typeof inner === 'bigint' ? inner : fallback;
  if (gva === undefined || gva === 0n) return undefined;
  // A step of the second stage has a level of the host's tables, which another address is cut for.
  const level = step.kind.startsWith('host-') ? undefined : step.facts['level'];
  return { gva, by: walker(step), fields: fieldsOf(gva, typeof level === 'number' ? level : undefined) };
}

function walker(step: StepView): string {
  if (step.actor === 'kvm') return 'the hypervisor';
  return step.actor === 'guest' ? 'the guest' : 'the processor';
}

function fieldsOf(gva: bigint, lit: number | undefined): readonly AddressField[] {
  const levels = [4, 3, 2, 1].slice(4 - GUEST_LEVELS);
  return [
    { label: '63–48', digits: (gva >> 48n).toString(16).padStart(4, '0'), level: undefined, lit: false },
    ...levels.map((level) => ({
      label: TABLE_NAMES_BY_LEVEL[level] ?? '',
      digits: indexAt(gva, level).toString(16).padStart(3, '0'),
      level,
      lit: level === lit,
    })),
    { label: 'offset', digits: (gva & 0xfffn).toString(16).padStart(3, '0'), level: undefined, lit: false },
  ];
}
