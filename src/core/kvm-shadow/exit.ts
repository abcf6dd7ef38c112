/** A vCPU leaves the guest: by itself, or because another asks it to. */
import type { Machine } from '../machine/machine.ts';
import type { ExitReason } from '../machine/tables.ts';

export interface Exit {
  readonly reason: ExitReason;
  readonly gva?: bigint;
  readonly errorCode?: number;
}

export function leaveGuest(m: Machine, { reason, gva = 0n, errorCode = 0 }: Exit): void {
  const exitSerial = m.must('vcpu', m.vcpu).exitSerial + 1;
  m.step('vm-exit', { reason, gva, errorCode, dropped: 0 });
  m.set('vcpu', m.vcpu, Object.freeze({ mode: 'hypervisor', exit: reason, exitSerial }));
  m.count('exits');
}

/** An interrupt makes a vCPU leave the guest; it serves what it is asked before it goes on. */
export function interrupt(m: Machine, vcpu: number): void {
  const sender = m.vcpu;
  m.vcpu = vcpu;
  leaveGuest(m, { reason: 'IPI' });
  m.vcpu = sender;
}
