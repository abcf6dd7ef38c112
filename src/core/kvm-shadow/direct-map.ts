/**
 * Direct pages: runs of guest frames without a guest table behind them, for guests without paging and below a guest's
 * large page. How large a page may be. Source: the reference, D.4, D.12, E.7, E.9.
 */
import type { Machine } from '../machine/machine.ts';
import type { ShadowPage } from '../machine/tables.ts';
import { pfn } from '../quantities.ts';
import { linkPage } from './entries.ts';
import { eraOf } from './era.ts';
import type { Fault } from './fault.ts';
import { hostPageAt, pageOf } from './host-memory.ts';
import { entryWord, pageOfEntry, pageOfFrame, today } from './page.ts';
import { ACC_ALL, ACC_WRITE, levelOfRole, roleField } from './role.ts';
import { setSpte, type PfResult } from './set-spte.ts';
import { getChild } from './shadow-page.ts';
import { shadowNext, shadowStart } from './shadow-walk.ts';
import { frameOf, isLarge, isPresent } from './spte.ts';
import { baseOf, framesOf, hvaOf, isVisible, mayBeLarge, ownSlotAt, vmOf, type SlotAt } from './vm.ts';

/** Neighbours that are built together: `PTE_PREFETCH_NUM`. */
const PREFETCH = 8;

/** Level of the host's own mapping of a guest frame. */
function hostLevel(m: Machine, at: SlotAt, frame: number): number {
  const page = hostPageAt(m, hvaOf(at, frame));
  return page?.pfn !== undefined && page.pageBits === 21 ? 2 : 1;
}

/** `kvm_mmu_max_mapping_level`. */
export function maxMappingLevel(m: Machine, at: SlotAt, of: { gfn: number; maxLevel: number }): number {
  let level = of.maxLevel;
  while (level > 1 && !mayBeLarge(m, at, of.gfn, level)) level -= 1;
  return level === 1 ? 1 : Math.min(level, hostLevel(m, at, of.gfn));
}

/** `kvm_mmu_hugepage_adjust`: how large the leaf will be. */
export function hugepageAdjust(m: Machine, fault: Fault): void {
  const { backing } = fault;
  fault.hugeDisallowed = fault.exec && m.settings['nx-huge-pages'] === 'on';
  if (fault.maxLevel === 1 || backing === undefined || backing.at.slot.logged === true) return;
  fault.reqLevel = maxMappingLevel(m, backing.at, fault);
  if (fault.reqLevel === 1 || fault.hugeDisallowed) return;
  fault.goalLevel = fault.reqLevel;
  backing.pfn = pfn(backing.pfn - (backing.pfn % framesOf(fault.goalLevel)));
}

/** `disallowed_hugepage_adjust`: a table that stands there because executable large pages are forbidden stays. */
export function nxAdjust(m: Machine, fault: Fault, at: { word: number; level: number }): void {
  if (m.settings['nx-huge-pages'] !== 'on' || fault.backing === undefined) return;
  const entry = m.word(at.word);
  if (at.level === 1 || at.level !== fault.goalLevel || !isPresent(entry) || isLarge(entry)) return;
  const child = pageOfFrame(m.world, frameOf(entry));
  if (eraOf(m).keepsNxTablesOnly && (child === undefined || !today(child).nxDisallowed)) return;
  const below = framesOf(at.level) - framesOf(at.level - 1);
  fault.backing.pfn = pfn(fault.backing.pfn | (fault.gfn & below));
  fault.goalLevel -= 1;
}

/** `direct_map`, for a guest without paging. */
export function directMap(m: Machine, fault: Fault): PfResult {
  return m.call('direct_map', { gfn: fault.gfn }, () => {
    hugepageAdjust(m, fault);
    m.step('map-requested', { gfn: fault.gfn, pfn: fault.backing?.pfn ?? 0, level: fault.goalLevel });
    let at = shadowStart(m, fault.gva);
    while (at !== undefined) {
      nxAdjust(m, fault, at);
      if (at.level === fault.goalLevel) return setDirect(m, fault, at);
      const child = getChild(m, at.word, { gfn: baseOf(fault.gfn, at.level), direct: true, access: ACC_ALL });
      if (child !== undefined) linkPage(m, at.word, child);
      at = shadowNext(m, fault.gva, at);
    }
    return 'retry';
  });
}

function setDirect(m: Machine, fault: Fault, at: { word: number; level: number }): PfResult {
  const result = setSpte(m, {
    word: at.word,
    gfn: baseOf(fault.gfn, at.level),
    access: ACC_ALL,
    ...(fault.backing === undefined ? {} : { backing: fault.backing }),
    prefetch: false,
    write: fault.write,
  });
  if (result === 'spurious' || at.level > 1 || vmOf(m).invalidating > 0) return result;
  const page = pageOfEntry(m.world, at.word);
  m.call('pte_prefetch', { index: at.word % 512 }, () => {
    directPrefetch(m, page, at.word % 512);
  });
  return result;
}

/** `__direct_pte_prefetch`: runs of empty entries of an aligned group of eight, each until a page cannot be had. */
export function directPrefetch(m: Machine, page: ShadowPage, own: number): void {
  const first = own - (own % PREFETCH);
  let run: number[] = [];
  for (let index = first; index < first + PREFETCH; index += 1) {
    if (index !== own && !isPresent(m.word(entryWord(page, index)))) {
      run.push(index);
      continue;
    }
    if (run.length > 0 && !prefetchRun(m, page, run)) return;
    run = [];
  }
  if (run.length > 0) prefetchRun(m, page, run);
}

/** `direct_pte_prefetch_many`: false where not even the first page can be had. */
function prefetchRun(m: Machine, page: ShadowPage, run: readonly number[]): boolean {
  const access = roleField(page.role, 'access');
  const size = framesOf(levelOfRole(page.role));
  const found = [];
  for (const index of run) {
    const gfn = page.gfn + index * size;
    const at = ownSlotAt(m, gfn);
    if (!isVisible(at) || (at.slot.logged === true && (access & ACC_WRITE) !== 0)) break;
    const host = pageOf(m, at, { frame: gfn, write: true, mayWait: false });
    if (host.kind !== 'page') break;
    found.push({ index, gfn, at, pfn: host.pfn });
  }
  for (const { index, gfn, at, pfn: frame } of found)
    setSpte(m, {
      word: entryWord(page, index),
      gfn,
      access,
      backing: { at, pfn: frame, hostWritable: true },
      prefetch: true,
      write: false,
    });
  return found.length > 0;
}
