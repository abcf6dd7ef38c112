/**
 * `fix_write_pf` and `fix_read_pf`: the shadow leaf exists, and the access still faulted because the hypervisor holds
 * a right down. Gives the right back where it may, or says that the store must be emulated.
 */
import { spte } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import type { AccessRequest } from '../hardware/fault.ts';
import { CR0_WP } from '../hardware/registers.ts';
import { PTE_P, PTE_U, PTE_W } from '../hardware/x86-entry.ts';
import { markPageDirty } from './dirty-log.ts';
import { hasBug } from './era-2007.ts';
import { entryNow, setGuestDirty, type GuestWalk } from './guest-walk.ts';
import { rmapAdd, rmapRemove } from './rmap.ts';
import { isShadowed, shadowPagesOf, unshadow } from './shadow-page.ts';
import { isMmio, isPresent, SPTE_SHADOW_USER, SPTE_SHADOW_WRITABLE } from './spte-2007.ts';

/** `write-to-table` asks the caller to emulate the store. */
export type FixResult = 'fixed' | 'not-fixed' | 'write-to-table';

interface Fault {
  readonly walk: GuestWalk;
  readonly request: AccessRequest;
  /** The shadow leaf. */
  readonly word: number;
}

export function fixWriteFault(m: Machine, fault: Fault): FixResult {
  return m.call('fix_write_pf', { gva: fault.walk.gva }, () => {
    const { walk, word, request } = fault;
    const entry = m.word(word);
    if ((entry & PTE_W) !== 0n) {
      m.step('spurious', { gfn: walk.gfn, device: isMmio(spte(entry)) }, [word]);
      return !request.user || (entry & PTE_U) !== 0n ? 'fixed' : 'not-fixed';
    }
    const refused = checkRights(m, fault);
    if (refused !== undefined) return refused;
    if ((entryNow(m, walk) & PTE_P) === 0n) {
      m.step('spte-clear', { level: 1, why: 'guest entry gone' }, [word]);
      m.set('word', word, 0n);
      return 'not-fixed';
    }
    if (request.user) return fixUserWrite(m, fault);
    return fixKernelWrite(m, fault);
  });
}

/** Whether the guest's own rights, remembered in the leaf, allow the write at all. */
function checkRights(m: Machine, { request, word, walk }: Fault): FixResult | undefined {
  const entry = m.word(word);
  const writable = (entry & SPTE_SHADOW_WRITABLE) !== 0n;
  if (request.user) {
    if ((entry & SPTE_SHADOW_USER) !== 0n && writable) return undefined;
    m.step('fix-refuse', { because: writable ? 'kernel only' : 'read-only' }, [word]);
    return 'not-fixed';
  }
  if (writable) return undefined;
  if ((m.reg('cr0') & CR0_WP) !== 0n) {
    m.step('fix-refuse', { because: 'read-only' }, [word]);
    return 'not-fixed';
  }
  // CR0.WP=0: the kernel may write a read-only page. Hardware runs with WP=1, so the leaf becomes the kernel's alone.
  m.step('spte-lower-user', { gfn: walk.gfn }, [word]);
  m.set('word', word, entry & ~PTE_U);
  return undefined;
}

/**
 * A program writes what is shadowed as a table: its shadow is given up. A root in use stays shadowed whatever happens, so
 * the store is emulated.
 */
function fixUserWrite(m: Machine, fault: Fault): FixResult {
  unshadow(m, fault.walk.gfn);
  // The page given up may have been the one that holds this very leaf: then the access faults again.
  const leaf = spte(m.word(fault.word));
  if (!isPresent(leaf) && !isMmio(leaf)) return 'not-fixed';
  return isShadowed(m, fault.walk.gfn) ? leaveToEmulator(m, fault) : raiseWrite(m, fault);
}

function fixKernelWrite(m: Machine, fault: Fault): FixResult {
  const { gfn } = fault.walk;
  const shadowed = isShadowed(m, gfn);
  m.step('shadowed-check', { gfn, pages: shadowPagesOf(m.world, gfn).length });
  return shadowed ? leaveToEmulator(m, fault) : raiseWrite(m, fault);
}

function leaveToEmulator(m: Machine, fault: Fault): FixResult {
  const { gfn } = fault.walk;
  setGuestDirty(m, fault.walk);
  m.amendLastStep(() => {
    markPageDirty(m, gfn);
  });
  return 'write-to-table';
}

function raiseWrite(m: Machine, { walk, word }: Fault): FixResult {
  m.step('spte-raise', { gfn: walk.gfn, device: isMmio(spte(m.word(word))) }, [word]);
  m.set('word', word, m.word(word) | PTE_W);
  markPageDirty(m, walk.gfn);
  setGuestDirty(m, walk);
  rmapAdd(m, { gfn: walk.gfn, word });
  return 'fixed';
}

export function fixReadFault(m: Machine, { walk, word }: Fault): FixResult {
  return m.call('fix_read_pf', { gva: walk.gva }, () => {
    const entry = m.word(word);
    if ((entry & (SPTE_SHADOW_USER | PTE_U)) !== SPTE_SHADOW_USER) return 'not-fixed';
    if (!hasBug(m, 'C-B2')) rmapRemove(m, { gfn: walk.gfn, word });
    m.step('spte-raise-user', { gfn: walk.gfn }, [word]);
    m.set('word', word, (entry | PTE_U) & ~PTE_W);
    return 'fixed';
  });
}
