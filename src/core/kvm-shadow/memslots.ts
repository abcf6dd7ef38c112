/**
 * Changes of memory slots, the dirty log, and what else user space or the host asks for. Source: the reference, I.3, E.8,
 * D.11, F.4.
 */
import { HOST_THREAD, type Machine, type OpenCall } from '../machine/machine.ts';
import type { SlotRecord } from '../machine/tables.ts';
import { gfn as toGfn, type Gfn } from '../quantities.ts';
import { hasBug } from './bugs.ts';
import { maxMappingLevel } from './direct-map.ts';
import { dropEntry, protectRmap, rmapOf } from './entries.ts';
import { flushRemote, requestAll } from './flush.ts';
import { hasGeneration, NO_GENERATION } from './mmio-entry.ts';
import { pageOfEntry } from './page.ts';
import { isDirect, levelOfRole, type AddressSpace } from './role.ts';
import { activePages, commitZap, prepareZap, type Doomed } from './shadow-page.ts';
import { isObsolete, pageOfSerial } from './page.ts';
import { MMIO_GEN_MASK } from './spte.ts';
import { forgetWritten, writtenFrames } from './written.ts';
import {
  baseOf,
  changesOf,
  framesOf,
  initLarge,
  patchVm,
  RMAP_LEVELS,
  spaceOfSlot,
  vmOf,
  type SlotAt,
  type SlotChanges,
} from './vm.ts';

/** Every update moves the generation on by the number of address spaces: normal and SMM. */
const GENERATION_STEP = 2;

export interface SlotChange {
  readonly id: number;
  /** What the slot is from now on; nothing where it is deleted. */
  readonly slot?: SlotRecord;
}

/** `kvm_set_memslot`, where nobody looks at the slots meanwhile. */
export function setMemslot(m: Machine, change: SlotChange): void {
  for (const phase of slotPhases(m, change)) phase();
}

/**
 * `kvm_set_memslot` in pieces: the new slots are put in place; when nobody looks at the old ones any more, the generation
 * moves on. A slot that is deleted is first marked as going, and goes when no entry maps it.
 */
export function slotPhases(m: Machine, { id, slot }: SlotChange): readonly (() => void)[] {
  const old = m.get('slot', id);
  const change = old === undefined ? 'create' : slot === undefined ? 'delete' : 'flags';
  const space = spaceOfSlot(old ?? slot ?? {});
  let call: OpenCall | undefined;
  const swap = (to: SlotChange, how: string) => (): void => {
    call ??= m.open('kvm_set_memslot', { slot: id, change });
    swapSlots(m, to, { how, space });
  };
  const end = (): void => {
    settleSlots(m, id, space);
    if (change === 'create' && slot !== undefined) created(m, { id, slot });
    if (change === 'delete' && old !== undefined)
      m.amendLastStep(() => {
        forgetWritten(m, writtenFrames(m, old));
        clearSlot(m, id, old);
      });
    if (change === 'flags' && slot !== undefined && (old?.logged === true) !== (slot.logged === true))
      applyLogging(m, { id, slot });
    // User space copies a slot when a log of it has begun; of one that is not logged nobody asks.
    if (change === 'flags' && (old?.logged === true) !== (slot?.logged === true))
      m.amendLastStep(() => {
        forgetWritten(m, writtenFrames(m, m.must('slot', id)));
      });
    if (call !== undefined) m.close(call);
  };
  if (old === undefined || slot !== undefined)
    return [swap(slot === undefined ? { id } : { id, slot }, change), end];
  const going = { id, slot: Object.freeze({ ...old, invalid: true as const }) };
  const unmap = (): void => {
    settleSlots(m, id, space);
    zapAllFast(m);
    swap({ id }, change)();
  };
  return [swap(going, 'invalid'), unmap, end];
}

/** `kvm_swap_active_memslots`, its first half: from here on a look-up finds the new slots. */
function swapSlots(
  m: Machine,
  { id, slot }: SlotChange,
  { how, space }: { how: string; space: AddressSpace },
): void {
  const early = hasBug(m, 'F-B2');
  const generation = early ? nextGeneration(m, space) : changesOf(vmOf(m), space).generation;
  m.step('slot-set', { slot: id, change: how, generation: generation ?? NO_GENERATION });
  m.set('slot', id, slot);
  patchChanges(m, space, { generation, updating: !early });
  if (how === 'invalid') m.preempt('kvm_set_memslot/invalid');
}

/**
 * Its second half: entries for devices of an older generation no longer count. Why so late: who looked the slots up
 * before they changed may have noted what it found only after that.
 */
function settleSlots(m: Machine, id: number, space: AddressSpace): void {
  if (changesOf(vmOf(m), space).updating) {
    const generation = nextGeneration(m, space);
    m.step('slot-set', { slot: id, change: 'settled', generation: generation ?? NO_GENERATION });
    patchChanges(m, space, { generation, updating: false });
  }
  const { generation } = changesOf(vmOf(m), space);
  if (generation !== undefined && (generation & MMIO_GEN_MASK & ~1) === 0) zapAllFast(m);
}

function nextGeneration(m: Machine, space: AddressSpace): number | undefined {
  const { generation } = changesOf(vmOf(m), space);
  return generation === undefined ? undefined : generation + GENERATION_STEP;
}

/** Inside the step marked last. */
function patchChanges(m: Machine, space: AddressSpace, { generation, updating }: SlotChanges): void {
  if (space === 0) patchVm(m, { updating, ...(generation === undefined ? {} : { generation }) });
  else
    patchVm(m, { smmUpdating: updating, ...(generation === undefined ? {} : { smmGeneration: generation }) });
}

/** Without a generation, the only way to be rid of marks for devices is to give up every shadow page, as in 2011. */
function created(m: Machine, at: SlotAt): void {
  m.amendLastStep(() => {
    initLarge(m, at);
  });
  if (!hasGeneration(m)) zapAllFast(m);
}

function clearSlot(m: Machine, id: number, { firstGfn, frames }: SlotRecord): void {
  for (const gfn of [...m.world.tables.dirty.keys()])
    if (gfn >= firstGfn && gfn < firstGfn + frames) m.set('dirty', gfn, undefined);
  const prefix = `${String(id)}.`;
  for (const table of ['slotRmap', 'disallowLpage', 'writeTrack'] as const)
    for (const key of [...m.world.tables[table].keys()])
      if (key.startsWith(prefix)) m.set(table, key, undefined);
}

/** `kvm_mmu_slot_apply_flags`. */
function applyLogging(m: Machine, at: SlotAt): void {
  if (at.slot.logged !== true) {
    for (const gfn of [...m.world.tables.dirty.keys()])
      if (gfn >= at.slot.firstGfn && gfn < at.slot.firstGfn + at.slot.frames)
        m.amendLastStep(() => {
          m.set('dirty', gfn, undefined);
        });
    m.underLock(() => {
      zapCollapsible(m, at);
    });
    return;
  }
  if (vmOf(m).initiallySet) {
    m.amendLastStep(() => {
      forEachFrame(at, 1, (gfn) => {
        m.set('dirty', toGfn(gfn), 1);
      });
    });
    return;
  }
  m.underLock(() => {
    for (const level of RMAP_LEVELS)
      forEachFrame(at, level, (gfn) => protectRmap(m, at, { gfn, level, forTable: false }));
  });
  // The lock is free again when the log has everybody flush.
  flushRemote(m, 'writes of the slot are logged from now on');
}

function forEachFrame({ slot }: SlotAt, level: number, body: (gfn: number) => unknown): void {
  const size = framesOf(level);
  for (let gfn = baseOf(slot.firstGfn, level); gfn < slot.firstGfn + slot.frames; gfn += size) body(gfn);
}

/** `kvm_mmu_zap_collapsible_sptes`: direct pages that a larger page could replace now. */
function zapCollapsible(m: Machine, at: SlotAt): void {
  const doomed: number[] = [];
  forEachFrame(at, 1, (gfn) => {
    for (const word of rmapOf(m, at, { gfn, level: 1 })) {
      const page = pageOfEntry(m.world, word);
      const larger = maxMappingLevel(m, at, { gfn: page.gfn, maxLevel: 3 });
      if (isDirect(page.role) && levelOfRole(page.role) < larger) doomed.push(word);
    }
  });
  for (const word of doomed) dropEntry(m, word);
  if (doomed.length > 0) flushRemote(m, 'small pages give way to large ones');
}

/** `kvm_get_dirty_log_protect`: the frames written since the last time; each is write-protected before it is reported. */
export function getDirtyLog(m: Machine, at: SlotAt): readonly Gfn[] {
  return m.call('kvm_get_dirty_log_protect', { slot: at.id }, () => {
    const found = dirtyFrames(m, at);
    m.step('log-fetch', { slot: at.id, count: found.length });
    if (vmOf(m).manualLog) return found;
    for (const gfn of found) m.set('dirty', gfn, undefined);
    forgetWritten(m, found);
    for (const gfn of found) protectRmap(m, at, { gfn, level: 1, forTable: false });
    flushForLog(m, found, 'the dirty log is fetched');
    return found;
  });
}

/** `kvm_clear_dirty_log_protect`: user space has dealt with these frames, and wants to hear of the next write. */
export function clearDirtyLog(m: Machine, at: SlotAt, frames: readonly Gfn[]): void {
  m.call('kvm_get_dirty_log_protect', { slot: at.id }, () => {
    const cleared = frames.filter((gfn) => m.get('dirty', gfn) === 1);
    m.step('log-clear', { slot: at.id, count: cleared.length });
    for (const gfn of cleared) m.set('dirty', gfn, undefined);
    forgetWritten(m, cleared);
    for (const gfn of cleared) protectRmap(m, at, { gfn, level: 1, forTable: false });
    flushForLog(m, cleared, 'the dirty log is cleared');
  });
}

/**
 * Until everybody has flushed, a vCPU may write through what its TLB holds. User space copies the frames after that, so
 * it has those writes.
 */
function flushForLog(m: Machine, frames: readonly Gfn[], why: string): void {
  if (frames.length === 0) return;
  flushRemote(m, why);
  m.amendLastStep(() => {
    forgetWritten(m, frames);
  });
}

export const dirtyFrames = (m: Machine, { slot }: SlotAt): readonly Gfn[] =>
  [...m.world.tables.dirty.keys()]
    .filter((gfn) => gfn >= slot.firstGfn && gfn < slot.firstGfn + slot.frames)
    .sort((a, b) => a - b);

/** `kvm_mmu_zap_all_fast`: every page is of an older generation at once, and goes bit by bit. */
export function zapAllFast(m: Machine): void {
  const validGen = vmOf(m).validGen === 0 ? 1 : 0;
  m.call('kvm_mmu_zap_all_fast', { validGen }, () => {
    m.underLock(() => {
      zapObsolete(m, validGen);
    }, HOST_THREAD);
  });
}

function zapObsolete(m: Machine, validGen: 0 | 1): void {
  m.step('zap-all', { validGen, pages: vmOf(m).usedPages });
  patchVm(m, { validGen });
  requestAll(m, 'MMU_FREE_OBSOLETE_ROOTS');
  const doomed: Doomed = [];
  for (;;) {
    const oldest = activePages(m).at(-1);
    if (oldest === undefined || !isObsolete(m, pageOfSerial(m, oldest.serial))) break;
    prepareZap(m, oldest.serial, doomed);
  }
  commitZap(m, doomed);
}
