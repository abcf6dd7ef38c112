import { describe, expect, test } from 'vitest';
import { Machine } from '../machine/machine.ts';
import type { CacheTag, TlbEntry, VcpuState } from '../machine/tables.ts';
import { pfn } from '../quantities.ts';
import { DEFAULT_SETTINGS, type Settings } from '../settings.ts';
import { flushRemoteTlbs, serviceRequests } from './remote-flush.ts';

const tagOf = (vcpu: number): CacheTag => ({ asid: vcpu + 1, pcid: 0, root: 0 });

function entry(vcpu: number, tag: CacheTag): TlbEntry {
  return {
    vcpu,
    serial: 1,
    kind: 'linear',
    ...tag,
    vpn: 5,
    pageBits: 12,
    pfn: pfn(0x10020),
    readable: true,
    writable: true,
    user: true,
    executable: true,
    userExecutable: true,
    global: false,
    dirty: true,
    protectionKey: 0,
    filledFrom: [],
    filledValues: [],
    filledUnder: '',
    used: 0,
  };
}

function machineWith(cpu: string, modes: readonly VcpuState['mode'][]): Machine {
  const settings: Settings = { ...DEFAULT_SETTINGS, cpu };
  const m = new Machine({ settings });
  m.step('begin', {});
  modes.forEach((mode, vcpu) => {
    m.set('vcpu', vcpu, { mode, exitSerial: 0 });
    m.set('tlb', `${String(vcpu)}:1`, entry(vcpu, tagOf(vcpu)));
  });
  return m;
}

const total = (m: Machine, name: string): number =>
  [...m.world.tables.counter].reduce(
    (sum, [key, value]) => (key.startsWith(`${name}@`) ? sum + value : sum),
    0,
  );

describe('a flush of all vCPUs', () => {
  test('B-5: one in the guest, one halted, one in user space: one IPI, three requests, three flushes at entry', () => {
    const m = machineWith('svm', ['guest', 'halted', 'user space']);
    m.vcpu = 3;
    flushRemoteTlbs(m, tagOf);
    expect([...m.world.tables.request.keys()]).toEqual([0, 1, 2]);
    expect(
      ['ipis', 'remote_tlb_flush_requests', 'remote_tlb_flush', 'tlb_flush'].map((name) => total(m, name)),
    ).toEqual([1, 1, 1, 0]);
    expect(m.get('vcpu', 0)?.mode).toBe('hypervisor');
    for (const vcpu of [0, 1, 2]) {
      m.vcpu = vcpu;
      serviceRequests(m, tagOf);
      serviceRequests(m, tagOf);
    }
    expect(total(m, 'tlb_flush')).toBe(3);
    expect(m.world.tables.request.size).toBe(0);
    expect(m.world.tables.tlb.size).toBe(0);
  });

  test('nobody in the guest: requests, but no IPI and no remote flush counted', () => {
    const m = machineWith('svm', ['halted', 'user space']);
    m.vcpu = 2;
    flushRemoteTlbs(m, tagOf);
    expect([total(m, 'remote_tlb_flush_requests'), total(m, 'remote_tlb_flush'), total(m, 'ipis')]).toEqual([
      1, 0, 0,
    ]);
    expect(m.world.tables.tlb.size).toBe(2);
  });

  test('the vCPU that flushes does not interrupt itself', () => {
    const m = machineWith('svm', ['guest']);
    flushRemoteTlbs(m, tagOf);
    expect(total(m, 'ipis')).toBe(0);
    expect(m.get('request', 0)).toEqual(['TLB_FLUSH']);
  });

  test('with VPID only the entries of the own VPID go', () => {
    const m = machineWith('vmx-vpid', ['halted', 'halted']);
    flushRemoteTlbs(m, tagOf);
    serviceRequests(m, tagOf);
    expect([...m.world.tables.tlb.keys()]).toEqual(['1:1']);
  });

  test('arm64 broadcasts: no request, no IPI, gone everywhere at once', () => {
    const m = machineWith('arm64', ['guest', 'guest']);
    flushRemoteTlbs(m, () => tagOf(0));
    expect(m.world.tables.request.size).toBe(0);
    expect(total(m, 'ipis')).toBe(0);
    expect([...m.world.tables.tlb.keys()]).toEqual(['1:1']);
  });
});
