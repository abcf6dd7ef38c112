/**
 * The cache of shadow roots of January 2007. VMX can be told four values of CR3 whose loading does not exit. A guest that
 * knows its hypervisor finds in memory that they share which of its address spaces have such a value, and loads the shadow
 * root itself. KVM keeps the roots of each cached address space in use, and empties the cache at every flush that it asks for.
 *
 * The reference names the cache, its size and what empties it. Our own reading: a root in the cache keeps its user count;
 * the flush that belongs to a load of CR3 does not empty it, for then it could never hold two; the one used longest ago makes
 * room; a PAE guest whose root entries have changed in memory exits, because loading CR3 means reading them.
 */
import { countEntries, dropEntries } from '../hardware/tlb.ts';
import type { Machine } from '../machine/machine.ts';
import type { TlbEntry } from '../machine/tables.ts';
import { ROOT_REGISTERS } from './context-2007.ts';

/** Values of CR3 that VMX can be told. */
const SLOTS = 4;

/** Whether the machine has it. */
export const hasCr3Cache = ({ settings }: Pick<Machine, 'settings'>): boolean =>
  settings.era === '2007a' && settings.cpu === 'vmx-novpid' && settings['cr3-cache'] === 'on';

/** What belongs to an address space, beside its CR3, and comes back when its root is loaded from the cache. */
const KEPT = ['root_hpa', ...ROOT_REGISTERS, 'pdptr0', 'pdptr1', 'pdptr2', 'pdptr3'] as const;

const nameOf = (slot: number, what: string): string => `cr3_cache${String(slot)}.${what}`;
const slots = Array.from({ length: SLOTS }, (_, slot) => slot);
const isUsed = (m: Machine, slot: number): boolean => m.reg(nameOf(slot, 'used')) !== 0n;
/** CR3 may be 0, so a slot says by itself whether it is in use: since when. */
const usedSlots = (m: Machine): readonly number[] => slots.filter((slot) => isUsed(m, slot));

const slotWith = (m: Machine, cr3: bigint): number | undefined =>
  usedSlots(m).find((slot) => m.reg(nameOf(slot, 'cr3')) === cr3);

/** Which of the vCPU's rows of root entries it uses: with PAE tables, each slot has four of its own. */
export const rowOf = (m: Machine): number => Number(m.reg('cr3_cache_slot'));

/** The slot from which the guest may load a CR3 by itself. */
export const cachedSlot = (m: Machine, cr3: bigint): number | undefined =>
  hasCr3Cache(m) ? slotWith(m, cr3) : undefined;

/** Root entries of PAE that belong to a slot. */
export const cachedPdptes = (m: Machine, slot: number): readonly bigint[] =>
  [0, 1, 2, 3].map((index) => m.reg(nameOf(slot, `pdptr${String(index)}`)));

/** The guest loads a shadow root itself: no exit. Like any load of CR3 it drops all translations but the global ones. */
export function loadFromCache(m: Machine, slot: number): void {
  const cr3 = m.reg(nameOf(slot, 'cr3'));
  const dropped = (entry: TlbEntry): boolean => !entry.global;
  m.step('cr3-cache-load', { slot, cr3, dropped: countEntries(m, dropped) });
  dropEntries(m, dropped);
  m.setReg('cr3', cr3);
  m.setReg('cr3_cache_slot', BigInt(slot));
  for (const name of KEPT) m.setReg(name, m.reg(nameOf(slot, name)));
  m.setReg(nameOf(slot, 'used'), BigInt(m.serial('cr3-cache')));
  m.count('cr3_cache_hits');
}

/** Whether the roots in use stay in use when another address space is loaded: the cache has them. */
export const rootsStay = (m: Machine): boolean => hasCr3Cache(m) && isUsed(m, rowOf(m));

/** Chooses the slot of the address space that is about to be loaded, and gives up what is in it. */
export function makeRoom(m: Machine, cr3: bigint): void {
  if (!hasCr3Cache(m)) return;
  const slot = slotWith(m, cr3) ?? slots.find((free) => !isUsed(m, free)) ?? oldest(m);
  m.step('cr3-cache-choose', { slot, cr3 });
  m.setReg('cr3_cache_slot', BigInt(slot));
  if (isUsed(m, slot)) giveUp(m, slot);
}

const oldest = (m: Machine): number =>
  usedSlots(m).reduce((a, b) => (m.reg(nameOf(a, 'used')) < m.reg(nameOf(b, 'used')) ? a : b));

/** Enters the address space just loaded: from now on the guest may come back to it without an exit. */
export function keepInCache(m: Machine): void {
  if (!hasCr3Cache(m)) return;
  const slot = rowOf(m);
  m.step('cr3-cache-keep', { slot, cr3: m.reg('cr3') });
  m.setReg(nameOf(slot, 'cr3'), m.reg('cr3'));
  for (const name of KEPT) m.setReg(nameOf(slot, name), m.reg(name));
  m.setReg(nameOf(slot, 'used'), BigInt(m.serial('cr3-cache')));
}

/** A flush empties the cache. The address space in use stays as it is; the next load of any CR3 exits. */
export function emptyCr3Cache(m: Machine): void {
  const used = hasCr3Cache(m) ? usedSlots(m) : [];
  if (used.length === 0) return;
  const current = rootsInUse(m) ? rowOf(m) : undefined;
  const others = used.filter((slot) => slot !== current);
  m.step('cr3-cache-empty', { count: others.length });
  if (others.length > 0) m.count('cr3_cache_emptied');
  for (const slot of used) {
    if (slot === current) m.setReg(nameOf(slot, 'used'), 0n);
    else giveUp(m, slot);
  }
}

const rootsInUse = (m: Machine): boolean => ROOT_REGISTERS.some((name) => m.reg(name) !== 0n);

/** The roots of a slot lose the user that the cache was. Inside the step marked last. */
function giveUp(m: Machine, slot: number): void {
  m.setReg(nameOf(slot, 'used'), 0n);
  for (const name of ROOT_REGISTERS) {
    const page = m.get('sp', Number(m.reg(nameOf(slot, name))));
    if (page !== undefined)
      m.set('sp', page.serial, Object.freeze({ ...page, rootCount: page.rootCount - 1 }));
  }
}
