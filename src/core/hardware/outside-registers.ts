/**
 * Registers that only a bit flip from outside changes in a scenario, where a debugger would: those of arm64, and the
 * root entries that PAE paging keeps. Each by its name in a scenario, with its place among the machine's registers.
 */
import type { Settings } from '../settings.ts';
import type { ArmRegister } from './arm-registers.ts';

export const PDPTE_REGISTERS = ['pdpte0', 'pdpte1', 'pdpte2', 'pdpte3'] as const;
export type OutsideRegister = ArmRegister | (typeof PDPTE_REGISTERS)[number];

const STAGE_1: readonly ArmRegister[] = ['sctlr_el1', 'tcr_el1', 'ttbr0_el1', 'pan'];
const STAGE_2: readonly ArmRegister[] = ['hcr_el2', 'vtcr_el2', 'vttbr_el2'];
export const OUTSIDE_REGISTERS: readonly OutsideRegister[] = [...STAGE_1, ...STAGE_2, ...PDPTE_REGISTERS];

/** Those of this machine. Under AMD's nesting the walk reads the root entries of PAE from memory. */
export function outsideRegisters({ machine, cpu, guest }: Settings): readonly OutsideRegister[] {
  const nested = machine === 'two-stage';
  if (!nested && machine !== 'native') return [];
  if (cpu === 'arm64') return nested ? [...STAGE_1, ...STAGE_2] : STAGE_1;
  return guest === 'pae' && !(nested && cpu === 'svm') ? PDPTE_REGISTERS : [];
}

/** Bits that the register has. */
export const widthOf = (register: OutsideRegister): number => (register === 'pan' ? 1 : 64);

const ASID_BIT = 48;

/** Where a bit is kept: the machine calls the root of the guest's tables CR3, and keeps an ASID apart from it. */
export function placeOfBit(register: OutsideRegister, bit: number): { name: string; bit: number } {
  if (register === 'ttbr0_el1')
    return bit < ASID_BIT ? { name: 'cr3', bit } : { name: 'ttbr0_asid', bit: bit - ASID_BIT };
  return { name: register.replace('pdpte', 'pdptr'), bit };
}

/** The register whole, from what `read` gives by the machine's names. */
export function valueOf(register: OutsideRegister, read: (name: string) => bigint): bigint {
  if (register === 'ttbr0_el1') return (read('ttbr0_asid') << BigInt(ASID_BIT)) | read('cr3');
  return read(placeOfBit(register, 0).name);
}
