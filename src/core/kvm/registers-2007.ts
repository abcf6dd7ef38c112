/**
 * Writes of control registers by a guest of the first shadow MMU: which are legal, what they load, and when the paging
 * context is made anew. Long mode neither begins nor ends: a scenario's guest is in it from the start or never.
 */
import { gfn, gfnOfAddress } from '../quantities.ts';
import type { RegisterWrite } from '../engine.ts';
import { loadPdptes, pdptesAt, setPdptes } from '../hardware/pdptes.ts';
import {
  CR0_PG,
  CR0_WP,
  CR4_PAE,
  CR4_PGE,
  CR4_PSE,
  EFER_LMA,
  EFER_NXE,
  pagingModeOf,
} from '../hardware/registers.ts';
import { PTE_ADDRESS } from '../hardware/x86-entry.ts';
import type { Machine } from '../machine/machine.ts';
import { cachedPdptes, cachedSlot } from './cr3-cache.ts';
import { pfnOfGfn } from './memslots.ts';
import { pagingNewCr3, resetContext } from './roots.ts';

type Name = 'cr0' | 'cr3' | 'cr4' | 'efer';

/** Bits that a guest of this machine may change. */
const CHANGEABLE: Readonly<Record<Exclude<Name, 'cr3'>, bigint>> = {
  cr0: CR0_WP | CR0_PG,
  cr4: CR4_PGE | CR4_PSE | CR4_PAE,
  efer: EFER_NXE,
};
/** Bits that mean a mode, which long mode holds fast. */
const MODE_BITS: Readonly<Record<Exclude<Name, 'cr3'>, bigint>> = { cr0: CR0_PG, cr4: CR4_PAE, efer: 0n };
const CACHE_CONTROL = 0x18n;

/** Stores the value and does what follows from it; false where the guest gets #GP instead. */
export function setRegister(m: Machine, { register, value }: RegisterWrite): boolean {
  if (register === 'pkru' || register === 'pkrs' || register === 'ac') return false;
  return m.call('set_register', { register }, () => {
    if (!fits(m, register, value)) return false;
    const pdptes = pdptesAfter(m, register, value);
    if (pdptes === 'malformed') return false;
    m.step('register-write', { register, value });
    m.setReg(register, value);
    loadPdptes(m, pdptes);
    if (register === 'cr3') pagingNewCr3(m, value);
    else resetContext(m);
    return true;
  });
}

/** The slot of the cache of roots from which the guest loads this CR3 by itself; undefined where it has to exit. */
export function loadableFromCache(m: Machine, { register, value }: RegisterWrite): number | undefined {
  const slot = register === 'cr3' ? cachedSlot(m, value) : undefined;
  if (slot === undefined) return undefined;
  const now = pdptesAfter(m, 'cr3', value);
  if (now === 'malformed') return undefined;
  return cachedPdptes(m, slot).every((entry, index) => entry === (now[index] ?? entry)) ? slot : undefined;
}

function fits(m: Machine, register: Name, value: bigint): boolean {
  if (register !== 'cr3') {
    const changed = value ^ m.reg(register);
    const long = (m.reg('efer') & EFER_LMA) !== 0n;
    return (changed & ~CHANGEABLE[register]) === 0n && !(long && (changed & MODE_BITS[register]) !== 0n);
  }
  const low = modeWith(m, {}) === 'pae' ? 0xfe0n : 0n;
  const valid = PTE_ADDRESS | CACHE_CONTROL | low;
  return (value & ~valid) === 0n && pfnOfGfn(m.world, gfnOfAddress(value)) !== undefined;
}

const modeWith = (m: Machine, change: Partial<Record<Name, bigint>>): ReturnType<typeof pagingModeOf> =>
  pagingModeOf({
    cr0: change.cr0 ?? m.reg('cr0'),
    cr4: change.cr4 ?? m.reg('cr4'),
    efer: change.efer ?? m.reg('efer'),
  });

/** `load_pdptrs` takes the processors of its time: 36 address bits. */
const PDPTE_PHYSICAL_BITS = 36;

/** The root entries of PAE that the write loads into registers: with CR3, and where PAE paging begins. */
function pdptesAfter(m: Machine, register: Name, value: bigint): readonly bigint[] | 'malformed' {
  const after = register === 'cr3' ? modeWith(m, {}) : modeWith(m, { [register]: value });
  const begins = register !== 'cr3' && after === 'pae' && modeWith(m, {}) !== 'pae';
  if (after !== 'pae' || (register !== 'cr3' && !begins)) return [];
  return readPdptes(m, register === 'cr3' ? value : m.reg('cr3'));
}

function readPdptes(m: Machine, cr3: bigint): readonly bigint[] | 'malformed' {
  return pdptesAt(m, {
    cr3,
    physicalBits: PDPTE_PHYSICAL_BITS,
    place: (address) => {
      const frame = pfnOfGfn(m.world, gfn(Number(address >> 12n))) ?? NOWHERE;
      return (BigInt(frame) << 12n) | (address & 0xfffn);
    },
  });
}

/** A frame that nothing backs reads as zeros. */
const NOWHERE = 0;

/** Loads the root entries of PAE when a scenario begins, inside a step of the caller's own. */
export function startPdptes(m: Machine): void {
  if (modeWith(m, {}) !== 'pae') return;
  const entries = readPdptes(m, m.reg('cr3'));
  if (entries === 'malformed') return;
  setPdptes(m, entries);
}
