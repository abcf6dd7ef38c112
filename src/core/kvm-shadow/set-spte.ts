/** `mmu_set_spte`: a leaf is put in its place. Source: the reference, D.6. */
import type { Machine } from '../machine/machine.ts';
import type { Pfn } from '../quantities.ts';
import { addRmap, dropEntry, setAccess, unlinkPage, updateEntry } from './entries.ts';
import { flushRemote } from './flush.ts';
import { makeSpte } from './make-spte.ts';
import { setMmio } from './mmio-entry.ts';
import { pageOfEntry, pageOfFrame } from './page.ts';
import { levelOfRole } from './role.ts';
import { frameOf, isLarge, isPresent } from './spte.ts';
import type { SlotAt } from './vm.ts';

/** How a fault ends, as the kernel numbers it. */
export type PfResult = 'fixed' | 'retry' | 'emulate' | 'spurious' | 'invalid';

export interface LeafRequest {
  readonly word: number;
  readonly gfn: number;
  readonly access: number;
  /** The slot and the frame; absent for a device. */
  readonly backing?: { readonly at: SlotAt; readonly pfn: Pfn; readonly hostWritable: boolean };
  readonly prefetch: boolean;
  /** The fault is a write. */
  readonly write: boolean;
}

export function setSpte(m: Machine, of: LeafRequest): PfResult {
  const level = levelOfRole(pageOfEntry(m.world, of.word).role);
  return m.call('mmu_set_spte', { gfn: of.gfn, level }, () => {
    if (of.backing === undefined) {
      setMmio(m, of.word, of);
      m.count('pf_mmio_spte_created');
      return 'emulate';
    }
    return setLeaf(m, { ...of, backing: of.backing, level });
  });
}

type Backed = LeafRequest & { readonly backing: NonNullable<LeafRequest['backing']>; readonly level: number };

function setLeaf(m: Machine, of: Backed): PfResult {
  const { word, gfn, access, backing } = of;
  const { flush: cleared, mapped } = makeRoom(m, of);
  const old = m.word(word);
  const { entry, refusedWrite } = makeSpte(m, {
    word,
    gfn,
    access,
    pfn: backing.pfn,
    old,
    prefetch: of.prefetch,
    canUnsync: true,
    hostWritable: backing.hostWritable,
  });
  let flush = cleared;
  let result: PfResult = 'fixed';
  if (old === entry) {
    m.step('leaf-same', { gfn, entry }, [word]);
    result = 'spurious';
  } else {
    m.step('leaf-set', { gfn, level: of.level, entry }, [word]);
    flush = updateEntry(m, word, entry) || flush;
  }
  if (refusedWrite && of.write) result = 'emulate';
  if (flush) flushRemote(m, 'a leaf gives less than before');
  if (!mapped) addRmap(m, backing.at, word, { gfn, access });
  else
    m.amendLastStep(() => {
      setAccess(m, word, access);
    });
  return result;
}

/** What stands in the way of the leaf goes. `mapped`: the entry maps this very frame already. */
function makeRoom(m: Machine, { word, level, backing }: Backed): { flush: boolean; mapped: boolean } {
  const entry = m.word(word);
  if (!isPresent(entry)) return { flush: false, mapped: false };
  if (level > 1 && !isLarge(entry)) {
    const child = pageOfFrame(m.world, frameOf(entry));
    if (child !== undefined) unlinkPage(m, word, child);
    return { flush: true, mapped: false };
  }
  if (frameOf(entry) === backing.pfn) return { flush: false, mapped: true };
  dropEntry(m, word);
  return { flush: true, mapped: false };
}
