/**
 * Building a shadow leaf for a guest entry: `set_pte`, `set_pde` and what they share. Eras with software bits build a
 * leaf once and let the fault fixers raise and lower its rights; the last era builds it anew at each fault.
 */
import { frameOfWord, gfnOfAddress, spte, type Gfn, type Gpte, type Pfn, type Spte } from '../quantities.ts';
import type { AccessRequest } from '../hardware/fault.ts';
import { CR0_WP } from '../hardware/registers.ts';
import { PTE_D, PTE_U, PTE_W } from '../hardware/x86-entry.ts';
import type { Machine } from '../machine/machine.ts';
import { markPageDirty } from './dirty-log.ts';
import { traitsOf } from './era-2007.ts';
import { pfnOfGfn, slotOfGfn } from './memslots.ts';
import { rmapAdd, rmapRemove } from './rmap.ts';
import { isShadowed, shadowPageAt, unshadow } from './shadow-page.ts';
import { isTracked, leafSpte } from './spte-2007.ts';
import { changedBy, flushTlb } from './flush-2007.ts';

export interface LeafPlan {
  readonly word: number;
  readonly entry: Gpte;
  readonly entryBytes: 4 | 8;
  /** The guest maps the frame with a large page. */
  readonly large: boolean;
  readonly gfn: Gfn;
  readonly inherited: bigint;
}

/** Builds a leaf where there was none, and enters it into the reverse map if it is writable. */
export function setLeaf(m: Machine, plan: LeafPlan): void {
  m.call(plan.large ? 'set_pde' : 'set_pte', { gfn: plan.gfn }, () => {
    const target = targetOf(m, plan);
    if (target.pfn === undefined) {
      writeMmio(m, plan, target.gpa);
      return;
    }
    const shadowed = isShadowed(m, plan.gfn);
    const { softwareBits } = traitsOf(m.settings);
    writeLeaf(m, plan, { built: leafSpte({ ...plan, ...target, shadowed, softwareBits }), shadowed });
  });
}

interface Target {
  readonly gpa: bigint;
  /** Undefined where no slot covers the address: device memory. */
  readonly pfn: Pfn | undefined;
}

function targetOf(m: Machine, plan: LeafPlan): Target {
  const above32 = plan.large && plan.entryBytes === 4 ? pse36Bits(plan.entry) : 0n;
  const gpa = (BigInt(plan.gfn) << 12n) | above32;
  return { gpa, pfn: pfnOfGfn(m.world, gfnOfAddress(gpa)) };
}

/** Bits 16:13 of a 4 MiB entry are address bits 35:32: the frame mapped has them, the guest frame number does not. */
const pse36Bits = (entry: bigint): bigint => ((entry >> 13n) & 0xfn) << 32n;

function writeMmio(m: Machine, plan: LeafPlan, gpa: bigint): void {
  const { softwareBits } = traitsOf(m.settings);
  const built = leafSpte({ ...plan, gpa, pfn: undefined, shadowed: false, softwareBits });
  m.step('spte-mmio', { gpa }, [plan.word]);
  m.set('word', plan.word, built);
}

function writeLeaf(m: Machine, plan: LeafPlan, made: { built: Spte; shadowed: boolean }): void {
  const { word, entry, gfn } = plan;
  const { built, shadowed } = made;
  const writable = (built & PTE_W) !== 0n;
  const tracked = isTracked(spte(m.word(word)));
  if (tracked && !writable) rmapRemove(m, { gfn, word });
  m.step('spte-set', { gfn, writable, shadowed, guestDirty: (entry & PTE_D) !== 0n }, [word]);
  m.set('word', word, built);
  noteMapped(m, { word, gfn, writable });
  if (!tracked) rmapAdd(m, { gfn, word });
}

/** Inside the step that writes a leaf: the log, and the slots that its page may map (`page_header_update_slot`). */
export function noteMapped(m: Machine, leaf: { word: number; gfn: Gfn; writable: boolean }): void {
  if (leaf.writable) markPageDirty(m, leaf.gfn);
  const page = shadowPageAt(m.world, frameOfWord(leaf.word));
  const slot = slotOfGfn(m.world, leaf.gfn);
  if (page === undefined || slot === undefined || (page.slots & (1 << slot)) !== 0) return;
  m.set('sp', page.serial, Object.freeze({ ...page, slots: page.slots | (1 << slot) }));
}

/** `again`: there is no place for the leaf, or it is out of date. The access faults again. */
export type FaultLeaf = 'fixed' | 'write-to-table' | 'again';

/**
 * The leaf of the last era, built at each fault from the walk just made. The guest's rights decide it; a store by the
 * kernel into a frame that is shadowed as a table is left to the emulator, one by user code gives up the shadow.
 */
export function setLeafForFault(m: Machine, plan: LeafPlan, request: AccessRequest): FaultLeaf {
  return m.call(plan.large ? 'set_pde' : 'set_pte', { gfn: plan.gfn }, () => {
    const target = targetOf(m, plan);
    if (target.pfn === undefined) {
      writeMmio(m, plan, target.gpa);
      return 'fixed';
    }
    const write = request.access === 'write';
    if (write && request.user) unshadow(m, plan.gfn);
    // The page given up may have been the one that holds this very leaf.
    if (shadowPageAt(m.world, frameOfWord(plan.word)) === undefined) return 'again';
    const shadowed = isShadowed(m, plan.gfn);
    const granted = withKernelOverride(
      m,
      leafSpte({ ...plan, ...target, shadowed: false, softwareBits: false }),
      request,
    );
    const built = shadowed ? spte(granted & ~PTE_W) : granted;
    if (isTracked(spte(m.word(plan.word))) && (built & PTE_W) === 0n)
      flushTlb(m, 'shadowed', changedBy(m, [plan.word]));
    writeLeaf(m, plan, { built, shadowed });
    return shadowed && write && (granted & PTE_W) !== 0n ? 'write-to-table' : 'fixed';
  });
}

/** CR0.WP=0: the kernel may write a read-only page. Hardware runs with WP=1, so the leaf becomes the kernel's alone. */
function withKernelOverride(m: Machine, leaf: Spte, request: AccessRequest): Spte {
  const asks = request.access === 'write' && !request.user && (m.reg('cr0') & CR0_WP) === 0n;
  return asks && (leaf & PTE_W) === 0n ? spte((leaf | PTE_W) & ~PTE_U) : leaf;
}
