/** Leaving the guest: by itself, or because another vCPU asks. */
import type { Machine } from '../machine/machine.ts';
import type { ExitReason } from '../machine/tables.ts';

/** Leaves the guest. */
export function vmExit(m: Machine, exit: { reason: ExitReason; gva?: bigint; errorCode?: number }): void {
  const { reason, gva = 0n, errorCode = 0 } = exit;
  const exitSerial = m.must('vcpu', m.vcpu).exitSerial + 1;
  m.step('vm-exit', { reason, gva, errorCode, dropped: 0 });
  m.set('vcpu', m.vcpu, Object.freeze({ mode: 'hypervisor', exit: reason, exitSerial }));
  m.count('exits');
}

/** An interrupt takes a vCPU out of the guest. It looks at its requests before it runs the guest again. */
export function interrupt(m: Machine, vcpu: number): void {
  const sender = m.vcpu;
  m.vcpu = vcpu;
  vmExit(m, { reason: 'IPI' });
  m.vcpu = sender;
}
