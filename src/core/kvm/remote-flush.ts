/**
 * Flushing the TLBs of every vCPU (`kvm_flush_remote_tlbs` of a present-day KVM): a request for each, an
 * interrupt for those that run the guest now, and the wait until they have left it. A vCPU outside the guest needs no
 * interrupt: it sees the request before it enters. On arm64 the processor broadcasts the invalidation instead.
 *
 * The wait matters twice: tables about to be freed must not be walked any more, and nobody may go on writing through an
 * old entry.
 */
import { must } from '../assert.ts';
import { hasMistake } from '../flush-settings.ts';
import {
  countSwept,
  invalidationOf,
  SWEEP_OF_WORLD_SWITCH,
  sweepCaches,
  type Sweep,
} from '../hardware/invalidate.ts';
import type { InvalidationName } from '../hardware/invalidations.ts';
import type { Machine } from '../machine/machine.ts';
import type { CacheTag } from '../machine/tables.ts';

/** The tags of a vCPU's entries: what a flush of its own contexts is aimed at. */
export type TagOf = (vcpu: number) => CacheTag;

/** Called by the vCPU that changed the tables, or by a host thread on its behalf. */
export function flushRemoteTlbs(m: Machine, tagOf: TagOf): void {
  m.call('kvm_flush_remote_tlbs', {}, () => {
    m.step('remote-flush', { broadcast: m.settings.cpu === 'arm64' });
    m.count('remote_tlb_flush_requests');
    if (m.settings.cpu === 'arm64') {
      broadcast(m, tagOf(m.vcpu));
      return;
    }
    const vcpus = [...m.world.tables.vcpu.keys()].sort((a, b) => a - b);
    const kicked = vcpus.filter((vcpu) => request(m, vcpu) && vcpu !== m.vcpu);
    if (kicked.length === 0) return;
    m.step('ipi-send', { count: kicked.length });
    m.count('ipis', kicked.length);
    for (const vcpu of kicked) leaveGuest(m, vcpu);
    m.step('ipi-wait', { count: kicked.length });
    m.count('remote_tlb_flush');
  });
}

/** Tables are written before the mode is looked at, and the request set before: so no vCPU can enter in between unseen. */
function request(m: Machine, vcpu: number): boolean {
  const { mode } = m.must('vcpu', vcpu);
  m.step('request-set', { vcpu, request: 'TLB_FLUSH', kick: mode === 'guest', needless: false });
  m.set('request', vcpu, Object.freeze(['TLB_FLUSH']));
  return mode === 'guest';
}

function leaveGuest(m: Machine, vcpu: number): void {
  const sender = m.vcpu;
  m.vcpu = vcpu;
  const state = m.must('vcpu', vcpu);
  const exitSerial = state.exitSerial + 1;
  const sweep = m.settings.cpu === 'vmx-novpid' ? SWEEP_OF_WORLD_SWITCH : undefined;
  const dropped = sweep === undefined ? 0 : countSwept(m, sweep);
  m.step('vm-exit', { reason: 'IPI', gva: 0n, errorCode: 0, dropped });
  m.set('vcpu', vcpu, Object.freeze({ mode: 'hypervisor', exit: 'IPI', exitSerial }));
  m.count('exits');
  if (sweep !== undefined) sweepCaches(m, sweep);
  m.vcpu = sender;
}

/** What a vCPU does before it enters the guest: it looks at its requests and carries them out. */
export function serviceRequests(m: Machine, tagOf: TagOf): void {
  const pending = m.get('request', m.vcpu);
  if (pending === undefined) return;
  const { by, ...sweep } = vendorFlush(m, tagOf(m.vcpu));
  m.step('request-serve', { request: pending.join(' '), by, dropped: countSwept(m, sweep) });
  m.set('request', m.vcpu, undefined);
  sweepCaches(m, sweep);
  m.count('tlb_flush');
}

/** A flush of all contexts of the vCPU: by ASID, by VPID, of all EPT contexts, or by the entry itself. */
function vendorFlush(m: Machine, tag: CacheTag): Sweep & { readonly by: string } {
  const { cpu } = m.settings;
  if (cpu === 'svm') return { ...sweepBy('tlb-control-asid', tag), by: 'TLB_CONTROL' };
  if (tag.root !== 0 && !hasMistake(m, 'B-B3')) return { ...sweepBy('invept-all', tag), by: 'INVEPT' };
  return cpu === 'vmx-vpid'
    ? { ...sweepBy('invvpid-single', tag), by: 'INVVPID' }
    : { ...SWEEP_OF_WORLD_SWITCH, by: 'the entry itself' };
}

function sweepBy(name: InvalidationName, tag: CacheTag): Sweep {
  const { drops, dropsTable } = must(invalidationOf(name), name);
  const target = { address: 0n, tag: tag.asid };
  return {
    drops: (entry) => drops(entry, tag, target),
    dropsTable: (entry) => dropsTable(entry, tag, target),
  };
}

function broadcast(m: Machine, tag: CacheTag): void {
  const sweep = sweepBy('tlbi-vmalls12e1is', tag);
  m.amendLastStep(() => {
    sweepCaches(m, sweep, true);
  });
}
