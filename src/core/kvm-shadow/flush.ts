/**
 * Requests to vCPUs and flushes of TLBs. A remote flush asks every vCPU to flush before it runs the guest again, and
 * interrupts those that are in it. Source: the reference, B.6, and the order in which `vcpu_enter_guest` serves.
 */
import { countEntries, dropEntries, translates } from '../hardware/tlb.ts';
import type { Machine } from '../machine/machine.ts';
import { vcpusOf } from '../settings.ts';
import { interrupt } from './exit.ts';
import { payOwed } from './owed.ts';
import { patchVm, vmOf } from './vm.ts';

/** In the order in which they are served before an entry. */
export const REQUESTS = [
  'MMU_FREE_OBSOLETE_ROOTS',
  'MMU_SYNC',
  'LOAD_MMU_PGD',
  'TLB_FLUSH',
  'TLB_FLUSH_CURRENT',
  'TLB_FLUSH_GUEST',
] as const;
export type Request = (typeof REQUESTS)[number];

/** `kvm_make_request`, inside a step of its own. */
export function makeRequest(m: Machine, request: Request, vcpu: number = m.vcpu): void {
  m.step('request-make', { vcpu, request });
  const pending = m.get('request', vcpu) ?? [];
  if (!pending.includes(request)) m.set('request', vcpu, Object.freeze([...pending, request]));
}

/** `kvm_check_request`: gives whether it was pending, and takes it. */
export function takeRequest(m: Machine, request: Request): boolean {
  const pending = m.get('request', m.vcpu) ?? [];
  if (!pending.includes(request)) return false;
  m.step('request-take', { request });
  const left = pending.filter((other) => other !== request);
  m.set('request', m.vcpu, left.length === 0 ? undefined : Object.freeze(left));
  return true;
}

/**
 * `kvm_make_all_cpus_request`: gives whether any vCPU had to be interrupted. One whose own thread is here is not in the
 * guest; a thread of the host interrupts all that are.
 */
export function requestAll(m: Machine, request: Request): boolean {
  let kicked = false;
  for (const vcpu of vcpusOf(m.settings)) {
    makeRequest(m, request, vcpu);
    if (m.get('vcpu', vcpu)?.mode !== 'guest') continue;
    m.step('ipi-send', { count: 1 });
    m.count('ipis');
    kicked = true;
    m.preempt('kvm_make_all_cpus_request/kicked');
    // What it was asked it may have done already, and be in the guest again.
    if (isAsked(m, request, vcpu) && m.must('vcpu', vcpu).mode === 'guest') interrupt(m, vcpu);
  }
  return kicked;
}

const isAsked = (m: Machine, request: Request, vcpu: number): boolean =>
  (m.get('request', vcpu) ?? []).includes(request);

/** `kvm_flush_remote_tlbs`. */
export function flushRemote(m: Machine, why: string): void {
  const { tlbsDirty } = vmOf(m);
  m.step('flush-remote', { why });
  m.count('remote_tlb_flush_requests');
  if (requestAll(m, 'TLB_FLUSH')) m.amendLastStep(() => m.count('remote_tlb_flush'));
  // What was put off is done with this flush, unless more has come meanwhile.
  if (tlbsDirty !== undefined && tlbsDirty > 0 && vmOf(m).tlbsDirty === tlbsDirty)
    m.amendLastStep(() => {
      patchVm(m, { tlbsDirty: 0 });
    });
}

/** Empties what the vCPU's own entries hold: all, or those of one address. */
export function flushOwn(m: Machine, how: 'all' | 'current' | 'guest' | 'address', gva?: bigint): void {
  const asid = asidOf(m);
  const which = gva === undefined ? (entry: { asid: number }) => entry.asid === asid : translates(gva, asid);
  m.step('flush-own', { how, dropped: countEntries(m, which) });
  dropEntries(m, which);
  if (gva === undefined) payOwed(m);
}

/** The tag of the vCPU's entries: its own for ever; a flush empties them instead of changing it. */
export const asidOf = ({ vcpu }: Pick<Machine, 'vcpu'>): number => vcpu + 1;
