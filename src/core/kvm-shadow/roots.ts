/**
 * Root tables: which page is the root for a guest's CR3, those that a vCPU remembers, and what has to be brought into
 * step before one is used. Source: the reference, D.10 and D.12.
 */
import type { Machine } from '../machine/machine.ts';
import type { CachedRoot, MmuContext } from '../machine/tables-today.ts';
import { pfnOfAddress, type Pfn } from '../quantities.ts';
import { hasBug } from './bugs.ts';
import { flushOwn, makeRequest } from './flush.ts';
import { forgetMmio } from './mmio-entry.ts';
import { isObsolete, pageOfFrame, patchPage, today } from './page.ts';
import { isDirect, isInvalid, withRole } from './role.ts';
import { makeRoom } from './room.ts';
import { clearFlood, commitZap, getShadowPage, prepareZap, type Doomed } from './shadow-page.ts';
import { paeRootFrame, paeRootWord } from './shadow-walk.ts';
import { frameBits, frameOf, SPTE_P } from './spte.ts';
import { syncChildren } from './sync-children.ts';

/** Roots that a vCPU remembers beside the current one: `KVM_MMU_NUM_PREV_ROOTS`. */
export const PREV_ROOTS = 3;
/** `INVALID_PAGE`. */
export const NO_ROOT: CachedRoot = Object.freeze({});

export const mmuOf = (m: Machine): MmuContext => m.must('mmu', m.vcpu);

/** Inside the step marked last. */
export function patchMmu(m: Machine, changes: Partial<MmuContext>): void {
  m.set('mmu', m.vcpu, Object.freeze({ ...mmuOf(m), ...changes }));
}

const PAE_ENTRIES = [0, 1, 2, 3] as const;
const isLong = ({ cpuRole }: MmuContext): boolean => (cpuRole.base & 0xf) >= 4;

/** `kvm_mmu_load`: a root for what the guest's registers say now. */
export function loadMmu(m: Machine): void {
  const pgd = m.reg('cr3');
  m.call('kvm_mmu_load', { pgd }, () => {
    m.underLock(() => {
      makeRoom(m);
      const mmu = mmuOf(m);
      m.count('root_loads');
      if (isDirect(mmu.rootRole)) directRoots(m);
      else if (isLong(mmu)) longRoot(m, pgd);
      else paeRoots(m, pgd);
    });
    syncRoots(m);
    flushOwn(m, 'current');
  });
}

function useRoot(m: Machine, of: { gfn: number; role: number }): Pfn {
  const page = getShadowPage(m, of);
  const rootCount = page.rootCount + 1;
  m.step('sp-root', { serial: page.serial, rootCount });
  patchPage(m, page.serial, { rootCount });
  return page.pfn;
}

function setRoot(m: Machine, root: { hpa: Pfn; pgd: bigint }): void {
  m.step('root-load', root);
  patchMmu(m, { root: Object.freeze(root) });
  m.setReg('root_hpa', frameBits(root.hpa));
}

function longRoot(m: Machine, pgd: bigint): void {
  const hpa = useRoot(m, { gfn: pfnOfAddress(pgd), role: mmuOf(m).rootRole });
  setRoot(m, { hpa, pgd });
}

/** Four roots of level 2, in a page of their own. A directory of 1024 entries has four quadrants; PAE has four entries. */
function paeRoots(m: Machine, pgd: bigint): void {
  const { rootRole, cpuRole } = mmuOf(m);
  const pae = (cpuRole.base & 0xf) === 3;
  for (const index of PAE_ENTRIES) {
    const pdpte = pae ? m.reg(`pdptr${String(index)}`) : pgd | 1n;
    if ((pdpte & 1n) === 0n) {
      setPaeRoot(m, index, undefined);
      continue;
    }
    const role = withRole(rootRole, { level: 2, quadrant: pae ? 0 : index });
    setPaeRoot(m, index, useRoot(m, { gfn: pfnOfAddress(pdpte), role }));
  }
  setRoot(m, { hpa: paeRootFrame(m.vcpu), pgd });
}

const FRAMES_PER_GIB = 0x4_0000;

function directRoots(m: Machine): void {
  const role = withRole(mmuOf(m).rootRole, { level: 2 });
  for (const index of PAE_ENTRIES) setPaeRoot(m, index, useRoot(m, { gfn: index * FRAMES_PER_GIB, role }));
  setRoot(m, { hpa: paeRootFrame(m.vcpu), pgd: 0n });
}

function setPaeRoot(m: Machine, index: number, frame: Pfn | undefined): void {
  m.step('pae-root', { index, serial: frame === undefined ? 0 : (m.get('owner', frame) ?? 0) });
  m.set('word', paeRootWord(m.vcpu, index), frame === undefined ? undefined : frameBits(frame) | SPTE_P);
}

/** `kvm_mmu_sync_roots`. */
export function syncRoots(m: Machine): void {
  const mmu = mmuOf(m);
  if (isDirect(mmu.rootRole) || mmu.root.hpa === undefined) return;
  const { hpa } = mmu.root;
  m.call('kvm_mmu_sync_roots', { pgd: mmu.root.pgd ?? 0n }, () => {
    if (!hasBug(m, 'F-B5')) forgetMmio(m);
    m.underLock(() => {
      for (const frame of isLong(mmu) ? [hpa] : paeFrames(m)) {
        const page = pageOfFrame(m.world, frame);
        if (page !== undefined && today(page).unsyncChildren > 0) syncChildren(m, page.serial);
      }
    });
  });
}

const paeFrames = (m: Machine): readonly Pfn[] =>
  PAE_ENTRIES.map((index) => m.word(paeRootWord(m.vcpu, index)))
    .filter((entry) => entry !== 0n)
    .map(frameOf);

/** `kvm_mmu_sync_prev_roots`: those below which something is out of step are simply given up. */
export function syncPrevRoots(m: Machine): void {
  m.call('kvm_mmu_sync_prev_roots', {}, () => {
    const free = mmuOf(m).prevRoots.flatMap(({ hpa }, at) => {
      const page = hpa === undefined ? undefined : pageOfFrame(m.world, hpa);
      return page !== undefined && (today(page).unsync || today(page).unsyncChildren > 0) ? [at] : [];
    });
    freeRoots(m, { current: false, previous: free });
  });
}

/** `kvm_mmu_free_roots`. `previous`: which of the remembered ones. */
export function freeRoots(m: Machine, of: { current: boolean; previous: readonly number[] }): void {
  const mmu = mmuOf(m);
  const previous = of.previous.filter((at) => mmu.prevRoots[at]?.hpa !== undefined);
  const current = of.current && mmu.root.hpa !== undefined;
  if (previous.length === 0 && !current) return;
  m.call('kvm_mmu_free_roots', {}, () => {
    m.underLock(() => {
      const doomed: Doomed = [];
      for (const at of previous) freePrevious(m, at, doomed);
      if (current) freeCurrent(m, doomed);
      commitZap(m, doomed);
    });
  });
}

function freePrevious(m: Machine, at: number, doomed: Doomed): void {
  const root = mmuOf(m).prevRoots[at];
  if (root?.hpa !== undefined) releaseRoot(m, root.hpa, doomed);
  m.step('root-free', { which: at + 1 });
  const { hpa: _hpa, ...rest } = root ?? {};
  patchMmu(m, {
    prevRoots: Object.freeze(
      mmuOf(m).prevRoots.map((other, index) => (index === at ? Object.freeze(rest) : other)),
    ),
  });
}

function freeCurrent(m: Machine, doomed: Doomed): void {
  const { hpa } = mmuOf(m).root;
  if (hpa !== undefined && hpa !== paeRootFrame(m.vcpu)) releaseRoot(m, hpa, doomed);
  else
    for (const index of PAE_ENTRIES) {
      const entry = m.word(paeRootWord(m.vcpu, index));
      if (entry === 0n) continue;
      releaseRoot(m, frameOf(entry), doomed);
      setPaeRoot(m, index, undefined);
    }
  m.step('root-free', { which: 0 });
  patchMmu(m, { root: Object.freeze({ pgd: 0n }) });
}

/** `mmu_free_root_page`. */
function releaseRoot(m: Machine, frame: Pfn, doomed: Doomed): void {
  const page = pageOfFrame(m.world, frame);
  if (page === undefined) return;
  const rootCount = page.rootCount - 1;
  m.step('sp-root', { serial: page.serial, rootCount });
  patchPage(m, page.serial, { rootCount });
  if (rootCount === 0 && isInvalid(page.role)) prepareZap(m, page.serial, doomed);
}

/** `kvm_mmu_unload`: all roots of the vCPU, and what it remembers of devices. */
export function unloadMmu(m: Machine): void {
  freeRoots(m, { current: true, previous: [0, 1, 2] });
  forgetMmio(m);
}

/** `kvm_mmu_free_obsolete_roots`. */
export function freeObsoleteRoots(m: Machine): void {
  m.call('kvm_mmu_free_obsolete_roots', {}, () => {
    const mmu = mmuOf(m);
    const obsolete = ({ hpa }: CachedRoot): boolean => {
      if (hpa === undefined) return false;
      const page = pageOfFrame(m.world, hpa);
      return page === undefined || isObsolete(m, page);
    };
    freeRoots(m, {
      current: obsolete(mmu.root),
      previous: mmu.prevRoots.flatMap((root, at) => (obsolete(root) ? [at] : [])),
    });
  });
}

/** `kvm_mmu_new_pgd`: the guest has another CR3; a root that is remembered serves at once. */
export function newPgd(m: Machine, pgd: bigint): void {
  m.call('kvm_mmu_new_pgd', { pgd }, () => {
    if (!switchFast(m, pgd)) return;
    makeRequest(m, 'LOAD_MMU_PGD');
    if (!hasBug(m, 'F-B5')) forgetMmio(m);
    const { hpa } = mmuOf(m).root;
    const page = hpa === undefined ? undefined : pageOfFrame(m.world, hpa);
    if (page !== undefined && !isDirect(page.role)) clearFlood(m, page.serial);
  });
}

/** `fast_pgd_switch`. Roots in a page of their own are never remembered. */
function switchFast(m: Machine, pgd: bigint): boolean {
  const { root } = mmuOf(m);
  if (root.hpa !== undefined && pageOfFrame(m.world, root.hpa) === undefined)
    freeRoots(m, { current: true, previous: [] });
  return mmuOf(m).root.hpa === undefined ? findWithoutCurrent(m, pgd) : findAndKeepCurrent(m, pgd);
}

/** `is_root_usable`. */
function isUsable(m: Machine, root: CachedRoot, pgd: bigint): boolean {
  const page = root.hpa === undefined ? undefined : pageOfFrame(m.world, root.hpa);
  const { rootRole } = mmuOf(m);
  return page !== undefined && (isDirect(rootRole) || root.pgd === pgd) && page.role === rootRole;
}

/** The cache turns: C 0 1 2 becomes 0 C 1 2, then 1 0 C 2. */
function findAndKeepCurrent(m: Machine, pgd: bigint): boolean {
  let { root, prevRoots } = mmuOf(m);
  if (isUsable(m, root, pgd)) return true;
  for (let at = 0; at < PREV_ROOTS; at += 1) {
    const other = prevRoots[at] ?? NO_ROOT;
    const current = root;
    prevRoots = Object.freeze(prevRoots.map((kept, index) => (index === at ? current : kept)));
    root = other;
    const found = isUsable(m, root, pgd);
    m.step('root-rotate', { pgd, found, at: at + 1 });
    patchMmu(m, { root, prevRoots });
    m.setReg('root_hpa', root.hpa === undefined ? 0n : frameBits(root.hpa));
    if (found) return true;
  }
  freeRoots(m, { current: true, previous: [] });
  return false;
}

function findWithoutCurrent(m: Machine, pgd: bigint): boolean {
  const { prevRoots, root } = mmuOf(m);
  const at = prevRoots.findIndex((other) => isUsable(m, other, pgd));
  m.step('root-rotate', { pgd, found: at >= 0, at: at + 1 });
  if (at < 0) return false;
  const found = prevRoots[at] ?? NO_ROOT;
  const left = prevRoots.filter((_other, index) => index !== at);
  const { hpa: _hpa, ...last } = root;
  patchMmu(m, { root: found, prevRoots: Object.freeze([...left, Object.freeze(last)]) });
  m.setReg('root_hpa', found.hpa === undefined ? 0n : frameBits(found.hpa));
  return true;
}
