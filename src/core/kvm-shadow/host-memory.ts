/**
 * Guest memory is ordinary memory of the process that runs the guest: the host may move it, take it away and give it
 * back. `gfn -> hva -> pfn`, and the notifier by which the host tells KVM before it changes its own tables. Source: the
 * reference, I.2 and I.4.
 */
import type { Machine } from '../machine/machine.ts';
import type { HostPage } from '../machine/tables-today.ts';
import { readsAs } from '../machine/world.ts';
import { pfn, wordOf, type Pfn } from '../quantities.ts';
import { withNotifier } from './notifier.ts';
import { hvaOf, isVisible, ownSlotAt, type SlotAt } from './vm.ts';

/** Host frames that the process gets later than its first memory. */
const FIRST_LATER_PFN = 0x1_8001;
/** The frame of zeros that backs what was read before anybody wrote it. */
export const ZERO_PFN: Pfn = pfn(0x1_8000);

export type FoundPage =
  | { readonly kind: 'page'; readonly pfn: Pfn; readonly writable: boolean; readonly pageBits: number }
  /** A write to a slot that is read-only. */
  | { readonly kind: 'read-only slot' }
  /** The process itself may not. */
  | { readonly kind: 'fault' };

/** Takes fresh frames, inside the step marked last. `align`: in frames. */
export function takeFrames(m: Machine, count: number, align: number): Pfn {
  const next = m.get('serial', 'host-frame') ?? FIRST_LATER_PFN;
  const first = Math.ceil(next / align) * align;
  m.set('serial', 'host-frame', first + count);
  for (let frame = first; frame < first + count; frame += 1) m.set('blank', pfn(frame), 1);
  return pfn(first);
}

export const hostPageAt = (m: Machine, hva: number): HostPage | undefined => m.get('hostPage', hva);

/** `hva_to_pfn`: fast, or with the page brought in. `write`: the page has to be writable. */
export function pageOf(
  m: Machine,
  at: SlotAt,
  of: { frame: number; write: boolean; mayWait: boolean },
): FoundPage {
  if (of.write && at.slot.readonly === true) return { kind: 'read-only slot' };
  const hva = hvaOf(at, of.frame);
  const page = hostPageAt(m, hva);
  if (page === undefined) return { kind: 'fault' };
  const ready = page.pfn !== undefined && (page.writable || !of.write);
  if (!ready) {
    if (!of.mayWait || (of.write && !page.mayWrite)) return { kind: 'fault' };
    faultIn(m, hva, of);
  }
  const now = hostPageAt(m, hva);
  if (now?.pfn === undefined) return { kind: 'fault' };
  return {
    kind: 'page',
    pfn: now.pfn,
    writable: now.writable && at.slot.readonly !== true,
    pageBits: now.pageBits,
  };
}

/** The host's own page fault: a frame of zeros for a read, a frame of one's own for a write. */
export function faultIn(m: Machine, hva: number, how: { write: boolean }): void {
  const page = hostPageAt(m, hva);
  if (page === undefined) return;
  if (page.swapped !== undefined) {
    bringBack(m, hva, page);
    return;
  }
  if (page.pfn === undefined) {
    if (!how.write) setHostPage(m, hva, { pfn: ZERO_PFN, writable: false }, 'zeros');
    else giveFrame(m, hva, 'new');
    return;
  }
  if (page.pfn !== ZERO_PFN) {
    setHostPage(m, hva, { writable: true }, 'writable again');
    return;
  }
  const change = (): void => {
    giveFrame(m, hva, 'copy on write');
  };
  withNotifier(m, { hva, pages: 1 }, { change });
}

/** The page comes back from the swap, with what was in it. */
function bringBack(m: Machine, hva: number, { swapped, ...page }: HostPage): void {
  if (swapped === undefined) return;
  m.step('host-fault-in', { hva, pfn: swapped, why: 'from swap' });
  m.set('hostPage', hva, Object.freeze({ ...page, pfn: swapped, writable: page.mayWrite }));
  m.count('swap_ins');
}

/** What is in a frame, inside the step marked last: what was written, and what an untouched one reads. */
export function copyFrame(m: Machine, from: Pfn, to: Pfn): void {
  m.set('blank', to, m.get('blank', from) ?? readsAs(from));
  for (let index = 0; index < WORDS; index += 1) {
    const value = m.get('word', wordOf(from, index));
    if (value !== undefined || m.get('word', wordOf(to, index)) !== undefined)
      m.set('word', wordOf(to, index), value);
  }
}
const WORDS = 512;

function giveFrame(m: Machine, hva: number, why: string): void {
  m.step('host-fault-in', { hva, pfn: 0, why });
  const frame = takeFrames(m, 1, 1);
  const page = m.must('hostPage', hva);
  m.set('hostPage', hva, Object.freeze({ ...page, pfn: frame, writable: true, pageBits: 12 }));
}

function setHostPage(m: Machine, hva: number, changes: Partial<HostPage>, why: string): void {
  m.step('host-fault-in', { hva, pfn: changes.pfn ?? 0, why });
  m.set('hostPage', hva, Object.freeze({ ...m.must('hostPage', hva), ...changes }));
}

/** The memory word of a guest physical address as the kernel reads it, through the process; undefined where none is. */
export function wordOfGpa(m: Machine, gpa: bigint, how: { write: boolean }): number | undefined {
  const frame = Number(gpa >> 12n);
  const at = ownSlotAt(m, frame);
  if (!isVisible(at)) return undefined;
  const found = pageOf(m, at, { frame, write: how.write, mayWait: true });
  return found.kind === 'page' ? wordOf(found.pfn, Number((gpa & 0xfffn) >> 3n)) : undefined;
}
