/**
 * Roots of the shadow tables: CR3 loads and changes of the paging context. Shadow pages stay hashed meanwhile. A shadow
 * of four levels has one root; a shadow of PAE has up to four, named by a page of four entries of its own.
 */
import { gfn, gfnOfAddress, gfnOfEntry, gpte, type Gfn } from '../quantities.ts';
import { PTE_P } from '../hardware/x86-entry.ts';
import type { Machine } from '../machine/machine.ts';
import {
  contextOf,
  paeRootPfn,
  PAE_ROOTS,
  paeRootWord,
  rootLevelOf,
  ROOT_REGISTERS,
} from './context-2007.ts';
import { emptyCr3Cache, keepInCache, makeRoom, rootsStay, rowOf } from './cr3-cache.ts';
import { freeSomePages, getPage } from './shadow-page.ts';
import { flushTlb } from './flush-2007.ts';

/** `paging_new_cr3`: the guest has loaded CR3; `cr3` is stored by the caller. */
export function pagingNewCr3(m: Machine, cr3: bigint): void {
  m.call('paging_new_cr3', { root: gfnOfAddress(cr3) }, () => {
    freeRoots(m);
    freeSomePages(m);
    makeRoom(m, cr3);
    allocRoots(m);
    flushTlb(m, 'cr3');
    programCr3(m);
    keepInCache(m);
  });
}

/** `kvm_mmu_reset_context`: CR0, CR4 or EFER changed in a way that changes how tables are read. */
export function resetContext(m: Machine): void {
  m.call('kvm_mmu_reset_context', { root: gfnOfAddress(m.reg('cr3')) }, () => {
    // Other registers mean other tables: nothing in the cache of roots is right any more.
    emptyCr3Cache(m);
    freeRoots(m);
    freeSomePages(m);
    allocRoots(m);
    programCr3(m);
    flushTlb(m, 'cr3');
  });
}

/** The processor will walk the shadow root in place of the guest's. */
function programCr3(m: Machine): void {
  const root =
    contextOf(m).shadowRootLevel === 4 ? m.must('sp', Number(m.reg('root_serial'))).pfn : paeRootPfn(m.vcpu);
  m.step('set-cr3', { root });
  m.setReg('root_hpa', (BigInt(root) << 12n) + rowOffset(m));
}

/** A row of root entries takes 32 bytes. */
const rowOffset = (m: Machine): bigint =>
  contextOf(m).shadowRootLevel === 4 ? 0n : BigInt(rowOf(m) * PAE_ROOTS * 8);

/** `mmu_free_roots`: each old root loses one user; nothing is zapped. */
function freeRoots(m: Machine): void {
  const inUse = ROOT_REGISTERS.filter((name) => m.reg(name) !== 0n);
  const [first] = inUse;
  if (first === undefined) return;
  m.call('mmu_free_roots', { serial: Number(m.reg(first)) }, () => {
    if (!rootsStay(m)) for (const name of inUse) unpin(m, name);
    else {
      m.step('cr3-cache-stay', { slot: rowOf(m), count: inUse.length });
      for (const name of inUse) m.setReg(name, 0n);
    }
  });
}

function unpin(m: Machine, name: string): void {
  const serial = Number(m.reg(name));
  const page = m.get('sp', serial);
  if (page === undefined) return;
  m.step('root-unpin', { serial, rootCount: page.rootCount - 1 });
  m.set('sp', serial, Object.freeze({ ...page, rootCount: page.rootCount - 1 }));
  m.setReg(name, 0n);
}

/** `mmu_alloc_roots`: a CR3 load follows before the guest runs, so the proposal of January 2007 needs no flush here. */
function allocRoots(m: Machine): void {
  const context = contextOf(m);
  const root = context.mode === 'nonpaging' ? gfn(0) : gfnOfAddress(m.reg('cr3'));
  m.call('mmu_alloc_roots', { root }, () => {
    if (context.shadowRootLevel === 4) {
      pin(m, 'root_serial', getRoot(m, { gfn: root, quadrant: 0 }));
      return;
    }
    for (let index = 0; index < PAE_ROOTS; index += 1) allocPaeRoot(m, index, root);
  });
}

/** One of four: the directory of a quarter of the addresses. PAE guests have their own four; the others share one. */
function allocPaeRoot(m: Machine, index: number, root: Gfn): void {
  const { mode } = contextOf(m);
  const word = paeRootWord(m.vcpu, index, rowOf(m));
  const own = m.reg(`pdptr${String(index)}`);
  if (mode === 'pae' && (own & PTE_P) === 0n) {
    m.step('pae-root', { index, serial: 0 });
    m.set('word', word, 0n);
    return;
  }
  const directory = mode === 'pae' ? gfnOfEntry(gpte(own)) : root;
  const serial = getRoot(m, { gfn: directory, quadrant: mode === 'pae' ? 0 : index });
  pin(m, `pae_root${String(index)}`, serial);
  m.step('pae-root', { index, serial });
  m.set('word', word, (BigInt(m.must('sp', serial).pfn) << 12n) | PTE_P);
}

/** The CR3 load that follows empties the TLB of this vCPU only: the proposal is for a guest that has no other. */
const hasOthers = (m: Machine): boolean => m.settings.vcpus !== '1';

function getRoot(m: Machine, of: { gfn: Gfn; quadrant: number }): number {
  const { guestLevels, mode } = contextOf(m);
  const page = getPage(m, {
    gfn: of.gfn,
    role: {
      guestLevels,
      level: rootLevelOf(guestLevels),
      quadrant: of.quadrant,
      metaphysical: mode === 'nonpaging',
      access: 0,
    },
    flushTlb: m.settings.flush === 'always' || (m.settings.flush === 'on-fault' && hasOthers(m)),
  });
  return page.serial;
}

function pin(m: Machine, name: string, serial: number): void {
  const page = m.must('sp', serial);
  m.step('root-pin', { serial, rootCount: page.rootCount + 1 });
  m.set('sp', serial, Object.freeze({ ...page, rootCount: page.rootCount + 1 }));
  m.setReg(name, BigInt(serial));
}
