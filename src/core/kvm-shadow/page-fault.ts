/** `kvm_mmu_page_fault` and the handlers behind it. Source: the reference, D.2, D.3, D.9, D.12. */
import type { FaultRequest, FaultResult } from '../engine.ts';
import type { Machine } from '../machine/machine.ts';
import { directMap } from './direct-map.ts';
import { emulate } from './emulate.ts';
import { faultinPfn, isStale, MAX_LEVEL, type Fault } from './fault.ts';
import { fetchPath } from './fetch.ts';
import { walkAddr } from './guest-walk.ts';
import { inject } from './inject.ts';
import { handleMmio } from './mmio.ts';
import { pageOfEntry } from './page.ts';
import { PFERR } from './permissions.ts';
import { ACC_EXEC, ACC_USER, ACC_WRITE, isDirect, levelOfRole, roleField } from './role.ts';
import { makeRoom } from './room.ts';
import type { PfResult } from './set-spte.ts';
import { clearFlood } from './shadow-page.ts';
import { shadowPath } from './shadow-walk.ts';
import { isLast, isMmuWritable, isPresent, isWritable, SPTE_W, SPTE_U, SPTE_NX } from './spte.ts';
import { isTracked, markDirty, ownSlotAt, vmOf } from './vm.ts';

/** How a handler ends: as the kernel says it, or with a fault for the guest. */
type Handled = PfResult | { readonly kind: 'inject'; readonly errorCode: number };

export function pageFault(m: Machine, request: FaultRequest): FaultResult {
  const { gva, errorCode } = request;
  return m.call('kvm_mmu_page_fault', { gva, errorCode }, () => {
    m.step('fault-report', { gva, errorCode });
    const fault = faultOf(request);
    let result: Handled = 'invalid';
    if (fault.rsvd) {
      result = handleMmio(m, gva);
      if (result === 'emulate') return emulate(m, request);
    }
    if (result === 'invalid') {
      m.amendLastStep(() => {
        m.count('pf_taken');
      });
      result = handle(m, fault);
      count(m, result);
    }
    if (typeof result === 'object') return result;
    if (result === 'emulate') return emulate(m, request);
    return result === 'retry' ? comeBack(m) : { kind: 'resume' };
  });
}

/** The guest comes back with the same fault, at once: and again, until what stands in its way is over. */
function comeBack(m: Machine): FaultResult {
  m.amendLastStep(() => {
    m.count('fault_retries');
  });
  const isGoing = (): boolean => [...m.world.tables.slot.values()].some(({ invalid }) => invalid === true);
  const isChanging = (): boolean => vmOf(m).invalidating > 0;
  if (isGoing())
    return { kind: 'resume', waits: { why: 'the memory slot is being deleted', still: isGoing } };
  if (isChanging())
    return { kind: 'resume', waits: { why: 'the host is changing its tables', still: isChanging } };
  return { kind: 'resume' };
}

const faultOf = ({ gva, errorCode, access, user }: FaultRequest): Fault => ({
  gva,
  errorCode,
  write: access === 'write',
  exec: access === 'execute',
  user,
  present: (errorCode & PFERR.present) !== 0,
  rsvd: (errorCode & PFERR.rsvd) !== 0,
  gfn: 0,
  maxLevel: MAX_LEVEL,
  reqLevel: 1,
  goalLevel: 1,
  hugeDisallowed: false,
  seq: 0,
  writesTable: false,
});

const COUNTED: Readonly<Record<PfResult, 'pf_fixed' | 'pf_emulate' | 'pf_spurious' | undefined>> = {
  fixed: 'pf_fixed',
  emulate: 'pf_emulate',
  spurious: 'pf_spurious',
  retry: undefined,
  invalid: undefined,
};

function count(m: Machine, result: Handled): void {
  const counter = typeof result === 'object' ? undefined : COUNTED[result];
  if (counter === undefined) return;
  m.amendLastStep(() => {
    m.count(counter);
  });
}

const handle = (m: Machine, fault: Fault): Handled =>
  isDirect(m.must('mmu', m.vcpu).rootRole) ? nonpaging(m, fault) : paging(m, fault);

/** The shadow paging handler. */
function paging(m: Machine, fault: Fault): Handled {
  return m.call('page_fault', { gva: fault.gva, errorCode: fault.errorCode }, () => {
    const walk = walkAddr(m, { gva: fault.gva, code: fault.errorCode & ~PFERR.rsvd });
    if (walk.kind === 'fault') {
      const injected = inject(m, { gva: fault.gva, errorCode: walk.errorCode });
      return injected.kind === 'inject' ? injected : 'retry';
    }
    fault.gfn = walk.gfn;
    fault.maxLevel = walk.level;
    if (isTrackedWrite(m, fault)) {
      clearFloodOnPath(m, fault.gva);
      return 'emulate';
    }
    const found = faultinPfn(m, fault, walk.access);
    if (found !== 'continue') return found;
    walk.access = accessForKernelWrite(m, fault, walk.access);
    return m.underLock(() => {
      if (isStale(m, fault)) return 'retry';
      makeRoom(m);
      return fetchPath(m, walk, fault);
    });
  });
}

/** `page_fault_handle_page_track`: a write to a table above level 1 is emulated at once. */
function isTrackedWrite(m: Machine, fault: Fault): boolean {
  if (fault.rsvd || !fault.present || !fault.write) return false;
  const tracked = isTracked(m, fault.gfn);
  m.step('track-check', { gfn: fault.gfn, tracked });
  return tracked;
}

/** `shadow_page_table_clear_flood`: the tables on the way to the faulting address. */
function clearFloodOnPath(m: Machine, gva: bigint): void {
  for (const { word } of shadowPath(m, gva)) clearFlood(m, pageOfEntry(m.world, word).serial);
}

/**
 * CR0.WP clear: the guest's kernel may write a page that its entry makes read-only. The hardware runs with WP set, so
 * the leaf gets W for the kernel and loses U until user mode asks again.
 */
function accessForKernelWrite(m: Machine, fault: Fault, access: number): number {
  const { cpuRole } = m.must('mmu', m.vcpu);
  const wp = roleField(cpuRole.base, 'cr0_wp') === 1;
  if (!fault.write || (access & ACC_WRITE) !== 0 || wp || fault.user || fault.backing === undefined)
    return access;
  const kernel = (access | ACC_WRITE) & ~ACC_USER;
  return (cpuRole.ext & SMEP) === 0 ? kernel : kernel & ~ACC_EXEC;
}
const SMEP = 1 << 5;

/** A guest without paging: its addresses are guest physical, its pages direct. */
function nonpaging(m: Machine, fault: Fault): Handled {
  return m.call('nonpaging_page_fault', { gva: fault.gva }, () => {
    fault.gfn = Number((fault.gva & 0xffff_ffffn) >> 12n);
    fault.maxLevel = 2;
    if (isTrackedWrite(m, fault)) return 'emulate';
    const fast = fastFix(m, fault);
    if (fast !== 'invalid') return fast;
    const found = faultinPfn(m, fault, 7);
    if (found !== 'continue') return found;
    return m.underLock(() => {
      if (isStale(m, fault)) return 'retry';
      makeRoom(m);
      return directMap(m, fault);
    });
  });
}

/** `fast_page_fault`: only direct pages, without the lock: a write right that only the log took is given back. */
function fastFix(m: Machine, fault: Fault): PfResult {
  if (fault.rsvd || !fault.present || !fault.write) return 'invalid';
  return m.call('fast_page_fault', { gva: fault.gva }, () => {
    const last = shadowPath(m, fault.gva).at(-1);
    const entry = last === undefined ? 0n : m.word(last.word);
    const level = last === undefined ? 1 : levelOfRole(pageOfEntry(m.world, last.word).role);
    if (last === undefined || !isPresent(entry) || !isLast(entry, level)) return 'invalid';
    if (isAllowed(fault, entry)) return ended(m, fault, { entry, result: 'spurious' });
    const logged = ownSlotAt(m, fault.gfn)?.slot.logged === true;
    if (!isMmuWritable(entry) || (level > 1 && logged)) return ended(m, fault, { entry, result: 'invalid' });
    const fixed = entry | SPTE_W;
    m.step('fast-fix', { gfn: fault.gfn, entry: fixed, result: 'fixed' }, [last.word]);
    m.set('word', last.word, fixed);
    m.count('pf_fast');
    markDirty(m, fault.gfn);
    return 'fixed';
  });
}

function ended(m: Machine, fault: Fault, of: { entry: bigint; result: 'spurious' | 'invalid' }): PfResult {
  m.step('fast-fix', { gfn: fault.gfn, ...of });
  if (of.result === 'spurious') m.count('pf_fast');
  return of.result;
}

/** `is_access_allowed`. */
function isAllowed(fault: Fault, entry: bigint): boolean {
  if (fault.exec) return (entry & SPTE_NX) === 0n;
  if (fault.write) return isWritable(entry);
  return !fault.user || (entry & SPTE_U) !== 0n;
}
