/** `vcpu_enter_guest`: what has to be done before the guest runs, in its order. Source: the reference, D.10, D.11. */
import type { Machine } from '../machine/machine.ts';
import { flushOwn, takeRequest, type Request } from './flush.ts';
import { freeObsoleteRoots, loadMmu, mmuOf, syncPrevRoots, syncRoots } from './roots.ts';

export function beforeEntry(m: Machine): void {
  if (takeRequest(m, 'MMU_FREE_OBSOLETE_ROOTS')) freeObsoleteRoots(m);
  if (takeRequest(m, 'MMU_SYNC')) syncRoots(m);
  takeRequest(m, 'LOAD_MMU_PGD');
  if (takeRequest(m, 'TLB_FLUSH')) {
    flush(m, 'all');
    takeRequest(m, 'TLB_FLUSH_CURRENT');
  }
  if (takeRequest(m, 'TLB_FLUSH_CURRENT')) flush(m, 'current');
  if (takeRequest(m, 'TLB_FLUSH_GUEST')) flushForGuest(m);
  if (mmuOf(m).root.hpa === undefined) loadMmu(m);
  if (hasRequest(m, 'MMU_FREE_OBSOLETE_ROOTS') || hasRequest(m, 'TLB_FLUSH')) beforeEntry(m);
}

const hasRequest = (m: Machine, request: Request): boolean =>
  (m.get('request', m.vcpu) ?? []).includes(request);

function flush(m: Machine, how: 'all' | 'current' | 'guest'): void {
  flushOwn(m, how);
  m.count('tlb_flush');
}

/** `kvm_vcpu_flush_tlb_guest`: for the guest this is INVPCID of all, so its tables are read anew too. */
function flushForGuest(m: Machine): void {
  syncRoots(m);
  syncPrevRoots(m);
  flush(m, 'guest');
}
