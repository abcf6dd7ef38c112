/**
 * Bringing a page into step with the guest's table again: each of its entries is read anew. Nothing is added. Source:
 * the reference, D.7; what Linux 6.1 does otherwise is from the recordings.
 */
import type { Machine } from '../machine/machine.ts';
import { accessOfEntry, clearMmio, dropEntry, gfnOfEntry, setAccess, updateEntry } from './entries.ts';
import { eraOf } from './era.ts';
import {
  entryOfGuest,
  gpteAccess,
  gpteGfn,
  isGptePresent,
  isGpteReserved,
  placeOfEntry,
  protectClean,
} from './gpte.ts';
import { makeSpte } from './make-spte.ts';
import { setMmio } from './mmio-entry.ts';
import { indexOfEntry, pageOfEntry, pageOfSerial } from './page.ts';
import { roleField } from './role.ts';
import { frameOf, HOST_WRITABLE, isMmio, mmioEntryOf } from './spte.ts';
import { patchVm, vmOf } from './vm.ts';

export type Synced = 'same' | 'flush' | 'failed';

/** `sync_page` without leaving the unsync state: every entry that is not empty. */
export function syncPage(m: Machine, serial: number): Synced {
  return m.call('kvm_sync_page', { serial }, () => {
    let flush = false;
    for (const word of m.world.wordsOfShadowFrame(pageOfSerial(m, serial).pfn)) {
      const synced = syncEntry(m, word);
      if (synced === 'failed') return 'failed';
      flush = synced === 'flush' || flush;
    }
    return flush ? 'flush' : 'same';
  });
}

/** Where a guest's entry behind a shadow entry of level 1 lies. */
export function gpaOfEntry(m: Machine, word: number): bigint {
  const page = pageOfEntry(m.world, word);
  const table = BigInt(page.gfn) << 12n;
  const index = indexOfEntry(word);
  if (roleField(page.role, 'has_4_byte_gpte') === 0) return table + BigInt(index * 8);
  // A guest's table of 1024 entries is shadowed by two pages.
  return table + BigInt(roleField(page.role, 'quadrant') * 2048 + index * 4);
}

/** `sync_spte`: one entry of an unsync page. */
export function syncEntry(m: Machine, word: number): Synced {
  if (m.word(word) === 0n) return 'same';
  const entry = entryOfGuest(m, gpaOfEntry(m, word));
  if (entry === undefined) return 'failed';
  m.step('sync-entry', { index: indexOfEntry(word), entry }, [word, ...placeOfEntry(m, gpaOfEntry(m, word))]);
  if (prefetchInvalid(m, entry)) return drop(m, word);
  const gfn = gpteGfn(m, entry);
  const access = protectClean(
    gpteAccess(m, entry) & roleField(pageOfEntry(m.world, word).role, 'access'),
    entry,
  );
  if (isMmio(m.word(word))) {
    if (mmioEntryOf(m.word(word)).gfn === gfn) setMmio(m, word, { gfn, access });
    else clearMmio(m, word);
    return 'same';
  }
  if (gfn !== gfnOfEntry(m, word)) return drop(m, word);
  if (!eraOf(m).rewritesSame && accessOfEntry(m, word) === access) return 'same';
  return rebuild(m, word, { gfn, access });
}

function rebuild(m: Machine, word: number, of: { gfn: number; access: number }): Synced {
  const old = m.word(word);
  const { entry } = makeSpte(m, {
    word,
    ...of,
    pfn: frameOf(old),
    old,
    prefetch: true,
    canUnsync: false,
    hostWritable: (old & HOST_WRITABLE) !== 0n,
  });
  m.step('leaf-change', { entry }, [word]);
  setAccess(m, word, of.access);
  return updateEntry(m, word, entry) ? 'flush' : 'same';
}

/**
 * The entry goes. In 2011 its flush is put off: the guest that has changed its table flushes for itself, and the host
 * flushes before it takes a page away.
 */
function drop(m: Machine, word: number): Synced {
  const { tlbsDirty } = vmOf(m);
  dropEntry(m, word, tlbsDirty === undefined ? 'entry' : 'unmap');
  if (tlbsDirty === undefined) return 'flush';
  m.step('flush-put-off', { count: tlbsDirty + 1 });
  patchVm(m, { tlbsDirty: tlbsDirty + 1 });
  return 'same';
}

/** `prefetch_invalid_gpte`: a guest's entry that nothing may be built ahead from; what stood for it has to go. */
export const prefetchInvalid = (m: Machine, entry: bigint): boolean =>
  !isGptePresent(entry) || (entry & ACCESSED) === 0n || isGpteReserved(m, entry, 1);
const ACCESSED = 1n << 5n;
