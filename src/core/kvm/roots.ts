/** Roots of the shadow tables: CR3 loads and changes of the paging context. Shadow pages stay hashed meanwhile. */
import { gfnOfAddress, type Gfn } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import { freeSomePages, getPage } from './shadow-page.ts';
import { flushTlb } from './vendor.ts';

const GUEST_LEVELS = 4;

/** `paging_new_cr3`: the guest has loaded CR3; `cr3` is stored by the caller. */
export function pagingNewCr3(m: Machine, cr3: bigint): void {
  const root = gfnOfCr3(cr3);
  m.call('paging_new_cr3', { root }, () => {
    freeRoots(m);
    freeSomePages(m);
    allocRoots(m, root);
    flushTlb(m, 'cr3');
    programCr3(m);
  });
}

/** `kvm_mmu_reset_context`: CR0, CR4 or EFER changed in a way that changes how tables are read. */
export function resetContext(m: Machine): void {
  const root = gfnOfCr3(m.reg('cr3'));
  m.call('kvm_mmu_reset_context', { root }, () => {
    freeRoots(m);
    freeSomePages(m);
    allocRoots(m, root);
    programCr3(m);
    flushTlb(m, 'cr3');
  });
}

/** The processor will walk the shadow root in place of the guest's. */
function programCr3(m: Machine): void {
  const { pfn } = m.must('sp', Number(m.reg('root_serial')));
  m.step('set-cr3', { root: pfn });
  m.setReg('root_hpa', BigInt(pfn) << 12n);
}

const gfnOfCr3 = (cr3: bigint): Gfn => gfnOfAddress(cr3);

/** `mmu_free_roots`: the old root loses one user; nothing is zapped. */
function freeRoots(m: Machine): void {
  const serial = Number(m.reg('root_serial'));
  const page = serial === 0 ? undefined : m.get('sp', serial);
  if (page === undefined) return;
  m.call('mmu_free_roots', { serial }, () => {
    m.step('root-unpin', { serial, rootCount: page.rootCount - 1 });
    m.set('sp', serial, Object.freeze({ ...page, rootCount: page.rootCount - 1 }));
    m.setReg('root_serial', 0n);
  });
}

/** `mmu_alloc_roots`: a CR3 load follows before the guest runs, so the proposal of January 2007 needs no flush here. */
function allocRoots(m: Machine, root: Gfn): void {
  m.call('mmu_alloc_roots', { root }, () => {
    const page = getPage(m, {
      gfn: root,
      role: { guestLevels: GUEST_LEVELS, level: GUEST_LEVELS, quadrant: 0, metaphysical: false, access: 0 },
      flushTlb: m.settings.flush === 'always',
    });
    m.step('root-pin', { serial: page.serial, rootCount: page.rootCount + 1 });
    m.set('sp', page.serial, Object.freeze({ ...page, rootCount: page.rootCount + 1 }));
    m.setReg('root_serial', BigInt(page.serial));
  });
}
