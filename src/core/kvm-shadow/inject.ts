/** A page fault that belongs to the guest. Source: the reference, D.3. */
import type { FaultResult } from '../engine.ts';
import type { Machine } from '../machine/machine.ts';
import { invalidateAddress } from './invalidate.ts';
import { PFERR } from './permissions.ts';

/**
 * `kvm_inject_emulated_page_fault`: where the fault is about rights, what the TLB and the shadow have for the address goes
 * first, or the access would fault for ever.
 */
export function inject(m: Machine, of: { gva: bigint; errorCode: number }): FaultResult {
  return m.call('inject_page_fault', of, () => {
    if ((of.errorCode & PFERR.present) !== 0 && (of.errorCode & PFERR.rsvd) === 0)
      invalidateAddress(m, of.gva, { roots: 'current' });
    m.step('inject', of);
    m.setReg('cr2', of.gva);
    m.count('injected');
    m.count('pf_guest');
    return { kind: 'inject', errorCode: of.errorCode };
  });
}
