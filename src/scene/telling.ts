/** What the sentences about steps share: what they depend on, and how numbers and tables are named. */
import { TABLE_NAMES_BY_LEVEL } from '../core/hardware/x86-entry.ts';
import type { StepFacts, StepKind } from '../core/machine/steps.ts';
import { FIRST_GUEST_PFN, FIRST_SHADOW_PFN } from '../core/machine/world.ts';

export interface Sentence {
  readonly what: string;
  readonly why: string;
}

/** What the words of a step depend on beside its facts: whose tables the processor walks. */
export interface Told {
  /** The processor walks shadow tables that a hypervisor made. */
  readonly shadow: boolean;
  /** Arm numbers its tables, x86 names them. */
  readonly arm: boolean;
}

export type Teller<K extends StepKind> = (facts: StepFacts<K>, told: Told) => Sentence;

export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
export const table = (level: number): string => TABLE_NAMES_BY_LEVEL[level] ?? `level ${String(level)}`;
export const at = (level: number, index: number): string =>
  `${table(level)}[${index.toString(16).padStart(3, '0')}]`;
/** A shadow page by its number. */
export const sp = (serial: number): string => `sp ${String(serial)}`;
export const entryText = (entry: bigint): string => (entry === 0n ? 'empty' : hex(entry));
export const indexText = (index: number): string => `[${index.toString(16).padStart(3, '0')}]`;
export const tableOn = (level: number, { arm }: Told): string =>
  arm ? `level ${String(level)}` : table(level);
export const slotOn = (level: number, index: number, told: Told): string =>
  told.arm ? `level ${String(level)} [${index.toString(16).padStart(3, '0')}]` : at(level, index);
export const plural = (count: number, one: string, many: string): string =>
  `${count === 0 ? 'no' : String(count)} ${count === 1 ? one : many}`;

/** A host frame as people know it: guest frame, or shadow table. */
export function frameName(pfn: number): string {
  if (pfn >= FIRST_SHADOW_PFN) return `shadow frame ${hex(pfn)}`;
  return pfn >= FIRST_GUEST_PFN ? `guest frame ${hex(pfn - FIRST_GUEST_PFN)}` : `frame ${hex(pfn)}`;
}
