/**
 * The system registers of an arm64 machine without KVM: what they hold when a scenario begins, and what a walk makes of
 * them. TTBR0_EL1 is kept as CR3 is on x86, its ASID apart.
 */
import {
  stage1Of,
  stage2Of,
  type ArmRegister,
  type ArmRegisters,
  type ArmStage,
} from '../hardware/arm-registers.ts';
import type { Machine } from '../machine/machine.ts';
import type { Settings } from '../settings.ts';
import { armHostFormat, HOST_ROOT } from './host-tables.ts';

/** A machine, or a world that is looked at: a register that was never set holds 0. */
export type Registers = Pick<Machine, 'reg'>;

export const ARM_INPUT_BITS: Readonly<Record<string, number>> = { '4-level': 48, '3-level': 39 };
export const ARM_OUTPUT_BITS = 48;

const SCTLR_M = 1n;
const HCR_VM = 1n;
/** PS and IPS: 48 bits. */
const SIZE_48 = 5n;
const TCR_AS = 1n << 36n;
const TCR_HA = 1n << 39n;
const VTCR_HA = 1n << 21n;
const ONLY_VMID = 1n;
const VMID_BIT = 48n;
const VMID_BITS = 0xffn;

/** Stage 1 on unless the guest does not page, and stage 2 where there is a hypervisor: 4 KiB, hardware access flag. */
export function armStartRegisters(settings: Settings): Readonly<Partial<Record<ArmRegister, bigint>>> {
  const inputBits = ARM_INPUT_BITS[settings.guest];
  const stage1 = {
    sctlr_el1: inputBits === undefined ? 0n : SCTLR_M,
    tcr_el1: BigInt(64 - (inputBits ?? ARM_OUTPUT_BITS)) | (SIZE_48 << 32n) | TCR_AS | TCR_HA,
  };
  if (settings.machine !== 'two-stage') return stage1;
  const { inputBits: ipaBits, startLevel } = armHostFormat(settings);
  return {
    ...stage1,
    hcr_el2: HCR_VM,
    vtcr_el2: BigInt(64 - ipaBits) | (BigInt(2 - startLevel) << 6n) | (SIZE_48 << 16n) | VTCR_HA,
    vttbr_el2: (ONLY_VMID << VMID_BIT) | HOST_ROOT,
  };
}

/** How the processor walks stage 1 now. */
export function armRegisters(m: Registers): ArmRegisters {
  const stage1 = stage1Of({ tcr: m.reg('tcr_el1'), ttbr0: m.reg('cr3'), sctlr: m.reg('sctlr_el1') });
  return { ...(stage1 === undefined ? {} : { stage1 }), pan: m.reg('pan') === 1n };
}

/** How it walks stage 2 now; undefined while that is off. */
export function armHostStage(m: Registers): ArmStage | undefined {
  if ((m.reg('hcr_el2') & HCR_VM) === 0n) return undefined;
  return stage2Of({ vtcr: m.reg('vtcr_el2'), vttbr: m.reg('vttbr_el2') });
}

/** Number of the virtual machine. */
export const vmidOf = (m: Registers): number => Number((m.reg('vttbr_el2') >> VMID_BIT) & VMID_BITS);

/** Stage 1's ASID: 16 bits, or the lower 8. */
export const asidOf = (m: Registers): number =>
  Number(m.reg('ttbr0_asid') & ((m.reg('tcr_el1') & TCR_AS) === 0n ? 0xffn : 0xffffn));

/** The registers that decide how a walk goes. */
export const ARM_WALK_REGISTERS = ['sctlr_el1', 'tcr_el1', 'cr3', 'hcr_el2', 'vtcr_el2', 'vttbr_el2'];
