/** The address that a step is about, cut into its index fields. */
import type { Settings } from '../core/settings.ts';
import { addressParts, type AddressPart } from '../scenario/addresses.ts';
import type { StepView, Timeline } from '../timeline/timeline.ts';

export interface AddressField extends AddressPart {
  readonly lit: boolean;
}

export interface AddressStrip {
  readonly gva: bigint;
  /** Who translates it: `the hypervisor`. */
  readonly by: string;
  readonly fields: readonly AddressField[];
}

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
  return { gva, by: walker(step), fields: fieldsOf(gva, timeline.program.settings, level) };
}

function walker(step: StepView): string {
  if (step.actor === 'kvm') return 'the hypervisor';
  return step.actor === 'guest' ? 'the guest' : 'the processor';
}

/** Where tables are read, the index in the table of that level is lit. */
const fieldsOf = (gva: bigint, settings: Settings, lit: unknown): readonly AddressField[] =>
  addressParts(gva, settings).map((part) => ({
    ...part,
    lit: part.level !== undefined && part.level === lit,
  }));
