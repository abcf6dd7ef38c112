/** What every hypervisor model offers, so that one scenario runs under any that fits. */
import type { Machine } from '../machine/machine.ts';
import type { AccessRequest } from '../hardware/fault.ts';
import type { PagingRegisters } from '../hardware/registers.ts';

export interface FaultRequest extends AccessRequest {
  readonly gva: bigint;
  /** As the hardware reported it. */
  readonly errorCode: number;
  /** What the faulting instruction stores, should it have to be emulated. */
  readonly store: { readonly value: bigint; readonly bytes: number };
}

export type FaultResult =
  /** The guest tries the same instruction again. */
  | { readonly kind: 'resume' }
  /** The hypervisor ran the instruction; `value` is what a read got. */
  | { readonly kind: 'emulated'; readonly value: bigint }
  /** The fault belongs to the guest. */
  | { readonly kind: 'inject'; readonly errorCode: number };

export type ControlRegisterName = 'cr0' | 'cr3' | 'cr4' | 'efer';

export interface Engine {
  /** Creates the vCPU's paging context and enters the guest; inside a step of the caller's own. */
  start(m: Machine): void;
  /** Registers by which the processor walks while the guest runs. */
  hardwareRegisters(m: Machine): PagingRegisters;
  /** Tag of TLB entries now. */
  tlbTag(m: Machine): number;
  /** The word of the shadow entry of `level` that serves an address, where the tables reach so far. */
  shadowEntry(m: Machine, of: { gva: bigint; level: number }): number | undefined;
  /** From VM exit to VM entry. */
  pageFault(m: Machine, fault: FaultRequest): FaultResult;
  /** From VM exit to VM entry; false when the guest gets #GP instead. */
  writeRegister(m: Machine, register: ControlRegisterName, value: bigint): boolean;
  /** An exit that changes nothing in the MMU. */
  trivialExit(m: Machine, reason: 'cpuid'): void;
}
