/** `kvm_page_fault`: a fault on its way through the kernel. Source: the reference, D.1. */
import type { Machine } from '../machine/machine.ts';
import type { Pfn } from '../quantities.ts';
import { hasBug } from './bugs.ts';
import { leftOut, rememberMmio } from './mmio-entry.ts';
import { pageOf } from './host-memory.ts';
import type { PfResult } from './set-spte.ts';
import { ownSlotAt, vmOf, type SlotAt } from './vm.ts';

export interface Fault {
  readonly gva: bigint;
  readonly errorCode: number;
  readonly write: boolean;
  readonly exec: boolean;
  readonly user: boolean;
  readonly present: boolean;
  readonly rsvd: boolean;
  gfn: number;
  /** Largest level that the guest's own page allows. */
  maxLevel: number;
  /** Level that could be mapped, and that is mapped. */
  reqLevel: number;
  goalLevel: number;
  hugeDisallowed: boolean;
  /** Frame and slot behind the guest frame; absent for a device. */
  backing?: { readonly at: SlotAt; pfn: Pfn; readonly hostWritable: boolean };
  /** `mmu_invalidate_seq` when the frame was looked up. */
  seq: number;
  /** The guest writes one of the tables that lead to the address. */
  writesTable: boolean;
}

/** Level 3 is 1 GiB: `KVM_MAX_HUGEPAGE_LEVEL`. */
export const MAX_LEVEL = 3;

/**
 * `kvm_faultin_pfn`: the host frame behind the fault's guest frame, or that there is none: a device. Anything but
 * `continue` ends the fault.
 */
export function faultinPfn(m: Machine, fault: Fault, access: number): PfResult | 'continue' {
  return m.call('kvm_faultin_pfn', { gfn: fault.gfn }, () => {
    fault.seq = vmOf(m).invalidateSeq;
    const at = ownSlotAt(m, fault.gfn);
    if (at?.slot.invalid === true) {
      m.step('pfn-none', { gfn: fault.gfn, why: 'being deleted' });
      return 'retry';
    }
    if (at === undefined) {
      m.step('pfn-none', { gfn: fault.gfn, why: 'no slot' });
      m.preempt('kvm_faultin_pfn/no-slot');
      rememberMmio(m, { gva: fault.gva, gfn: fault.gfn, access });
      // Without marks for devices there is no use in building tables: the emulator is called at once.
      return leftOut(m, 'entries') ? 'emulate' : 'continue';
    }
    const found = pageOf(m, at, { frame: fault.gfn, write: fault.write, mayWait: true });
    if (found.kind !== 'page') {
      m.step('pfn-none', { gfn: fault.gfn, why: found.kind });
      return 'emulate';
    }
    fault.backing = { at, pfn: found.pfn, hostWritable: found.writable };
    m.step('pfn-found', { gfn: fault.gfn, pfn: found.pfn, writable: found.writable, seq: fault.seq });
    m.preempt('kvm_faultin_pfn/after');
    return 'continue';
  });
}

/** `is_page_fault_stale`: the root is obsolete, or the host has changed its tables since. */
export function isStale(m: Machine, fault: Fault): boolean {
  const { invalidateSeq, invalidating } = vmOf(m);
  const obsolete = (m.get('request', m.vcpu) ?? []).includes('MMU_FREE_OBSOLETE_ROOTS');
  const goingOn = invalidating > 0 && !hasBug(m, 'I-B2');
  const happened = invalidateSeq !== fault.seq && !hasBug(m, 'I-B1');
  const stale = obsolete || (fault.backing !== undefined && (goingOn || happened));
  m.step('stale-check', { seq: fault.seq, now: invalidateSeq, stale });
  return stale;
}
