/** The address that a step is about, cut into its index fields. */
import { contextIn, quadrantOf } from '../core/kvm/context-2007.ts';
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
  const planned = operation === undefined ? undefined : timeline.plannedOf(operation)?.operation;
  const fallback = planned !== undefined && 'gva' in planned ? planned.gva : undefined;
  const gva = typeof own === 'bigint' ? own : typeof inner === 'bigint' ? inner : fallback;
  if (gva === undefined || gva === 0n) return undefined;
  // A step of the second stage has a level of the host's tables, which another address is cut for.
  const level = step.kind.startsWith('host-') ? undefined : step.facts['level'];
  return { gva, by: walker(step), fields: fieldsOf(gva, cutFor(timeline, step), level) };
}

function walker(step: StepView): string {
  if (step.actor === 'kvm') return 'the hypervisor';
  return step.actor === 'guest' ? 'the guest' : 'the processor';
}

/** How the tables that a step is about cut an address: their mode, and whether a shadow stands for parts of them. */
interface Cut {
  readonly settings: Pick<Settings, 'cpu' | 'guest'>;
  /** Whether a part of an index chooses among the shadow pages of one table. */
  readonly quadrants: boolean;
}

/** Under KVM the guest's registers say how its tables are read; a guest with 32-bit addresses has a shadow of PAE. */
function cutFor({ world, program }: Timeline, { space, vcpu }: StepView): Cut {
  const { settings } = program;
  if (!settings.machine.startsWith('kvm-')) return { settings, quadrants: false };
  const { mode, shadowRootLevel } = contextIn(world, vcpu);
  const shadow = space === 'sPT' && shadowRootLevel === 3;
  return {
    settings: { cpu: settings.cpu, guest: shadow ? 'pae' : mode },
    quadrants: mode === '2-level' && !shadow,
  };
}

/** Where tables are read, the index in the table of that level is lit. */
const fieldsOf = (gva: bigint, { settings, quadrants }: Cut, lit: unknown): readonly AddressField[] =>
  addressParts(gva, settings).map((part) => ({
    ...part,
    label:
      quadrants && part.level !== undefined
        ? `${part.label}, q${String(quadrantOf(2, { gva, level: part.level }))}`
        : part.label,
    lit: part.level !== undefined && part.level === lit,
  }));
