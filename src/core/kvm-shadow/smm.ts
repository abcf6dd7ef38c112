/**
 * System Management Mode: an interrupt that the guest's kernel cannot see takes the vCPU to firmware, which has memory
 * slots of its own. What matters here is the switch: another address space, paging off, and so other roots. Where the
 * registers are kept in memory (the save-state area) is left out: they are kept beside the vCPU. Source: the reference,
 * D.1, D.12, F.4; what CR0, CR4 and EFER become, the architecture.
 */
import { CR0_PG } from '../hardware/registers.ts';
import type { Machine } from '../machine/machine.ts';
import { fetchInstruction } from './emulate.ts';
import { loadPdptrsOfPae, resetContext } from './registers.ts';
import { isInSmm } from './vm.ts';

const SAVED = ['cr0', 'cr3', 'cr4', 'efer'] as const;
const CR0_PE = 1n;
const CR0_EM = 1n << 2n;
const CR0_TS = 1n << 3n;
const OFF_IN_SMM = CR0_PE | CR0_EM | CR0_TS | CR0_PG;

/** Where a register waits while the vCPU is in System Management Mode. */
const savedName = (register: string): string => `smm_${register}`;
const place = (m: Machine, names: (register: string) => string) => ({
  cr0: m.reg(names('cr0')),
  cr3: m.reg(names('cr3')),
  cr4: m.reg(names('cr4')),
  efer: m.reg(names('efer')),
});

/** `enter_smm`. An SMI that comes in System Management Mode has to wait; that it comes later is left out. */
export function enterSmm(m: Machine): void {
  if (isInSmm(m)) {
    m.step('smm-refuse', { inSmm: true });
    return;
  }
  m.call('enter_smm', {}, () => {
    const now = place(m, (register) => register);
    m.step('smm-enter', now);
    for (const register of SAVED) m.setReg(savedName(register), now[register]);
    m.setReg('smm', 1n);
    m.setReg('cr0', now.cr0 & ~OFF_IN_SMM);
    m.setReg('cr4', 0n);
    m.setReg('efer', 0n);
    resetContext(m);
  });
}

/** `emulator_leave_smm`, `leave_smm` for short: the instruction RSM. */
export function leaveSmm(m: Machine): void {
  fetchInstruction(m, false);
  m.step('emulate-begin', { gva: m.reg('rip') });
  m.count('insn_emulation');
  if (!isInSmm(m)) {
    m.step('smm-refuse', { inSmm: false });
    return;
  }
  m.call('leave_smm', {}, () => {
    const saved = place(m, savedName);
    m.step('smm-leave', saved);
    for (const register of SAVED) m.setReg(register, saved[register]);
    m.setReg('smm', 0n);
    loadPdptrsOfPae(m);
    resetContext(m);
  });
}
