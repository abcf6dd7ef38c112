/** What machines without KVM stand on: where memory lies, and which tags cached translations get. */
import type { Machine } from '../machine/machine.ts';
import type { CacheTag } from '../machine/tables.ts';
import { FIRST_GUEST_PFN } from '../machine/world.ts';
import { ARM_WALK_REGISTERS, vmidOf } from './arm-registers.ts';
import { HOST_ROOT, hostKindOf } from './host-tables.ts';
import { currentPcid, isArm } from './registers.ts';

export const isNested = (m: Machine): boolean => m.settings.machine === 'two-stage';

/** Where the memory that a system without hypervisor calls physical address 0 lies in the model's memory. */
export const NATIVE_BASE = BigInt(FIRST_GUEST_PFN) << 12n;
const ROOT_FRAME = Number(HOST_ROOT >> 12n);
/** The number of the one virtual machine, or virtual processor, where the processor keeps such numbers. */
const OWN_NUMBER = 1;

const ownNumber = (m: Machine): number => (isArm(m.settings) ? vmidOf(m) : OWN_NUMBER);

/** Whose translations the processor uses now. */
export function tagOf(m: Machine): CacheTag {
  const pcid = currentPcid(m);
  if (!isNested(m)) return { asid: 0, pcid, root: 0 };
  return { asid: m.settings.cpu === 'vmx-novpid' ? 0 : ownNumber(m), pcid, root: ROOT_FRAME };
}

/** EPT's own translations carry the tables that they came from, and nothing of the guest. */
export const stageTag = (m: Machine): CacheTag => ({
  asid: hostKindOf(m.settings) === 'ept' ? 0 : ownNumber(m),
  pcid: 0,
  root: ROOT_FRAME,
});

const X86_WALK_REGISTERS = ['cr0', 'cr3', 'cr4', 'efer', 'pdptr0', 'pdptr1', 'pdptr2', 'pdptr3'];
const textOf = (m: Machine, names: readonly string[]): string =>
  names.map((name) => m.reg(name).toString(16)).join(' ');

/** The registers that say where and how a walk goes, as text. */
export const registersText = (m: Machine): string =>
  textOf(m, isArm(m.settings) ? ARM_WALK_REGISTERS : X86_WALK_REGISTERS);

/** The same of the second stage: x86's has none that a scenario changes. */
export const hostRegistersText = (m: Machine): string =>
  isArm(m.settings) ? textOf(m, ['vtcr_el2', 'vttbr_el2']) : '';
