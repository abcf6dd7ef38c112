/**
 * The control registers of a guest that runs without KVM: what they hold when a scenario begins, what may be written to
 * them, what a write empties, and how the processor reads them when it walks. Source: Intel SDM vol. 3 and AMD APM
 * vol. 2 (MOV CR, INVLPG and PCID rules), Arm ARM (TTBR0_EL1).
 */
import type { RegisterWrite } from '../engine.ts';
import { loadPdptes, pdptesAt, setPdptes } from '../hardware/pdptes.ts';
import { countSwept, sweepCaches, sweepOfCr3, sweepOfGuest, sweepOfSpace } from '../hardware/invalidate.ts';
import {
  CR0_PG,
  CR0_WP,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PKS,
  CR4_PSE,
  CR4_SMAP,
  CR4_SMEP,
  EFER_LMA,
  EFER_NXE,
  pagingModeOf,
  pagingRegisters,
  PHYSICAL_BITS,
  type PagingRegisters,
} from '../hardware/registers.ts';
import { startRegistersOf } from '../hardware/start-registers.ts';
import { bitRange } from '../hardware/x86-format.ts';
import type { Machine } from '../machine/machine.ts';
import type { CacheTag } from '../machine/tables.ts';
import type { Settings } from '../settings.ts';
import { armStartRegisters, asidOf, type Registers } from './arm-registers.ts';

/** Registers of a vCPU when a scenario begins: paging on, write protect, no-execute and global pages on. */
export function startRegisters(settings: Settings): Readonly<Record<string, bigint>> {
  if (isArm(settings)) return armStartRegisters(settings);
  return startRegistersOf(settings.guest);
}

export const isArm = (settings: Settings): boolean => settings.cpu === 'arm64';

/** How the processor walks the guest's tables now. AMD's nested paging reads PAE root entries from memory. */
export function guestRegisters(
  m: Registers & Pick<Machine, 'settings'>,
  options: { nested: boolean },
): PagingRegisters {
  const registers = pagingRegisters({
    cr0: m.reg('cr0'),
    cr3: m.reg('cr3'),
    cr4: m.reg('cr4'),
    efer: m.reg('efer'),
    pkru: Number(m.reg('pkru')),
    pkrs: Number(m.reg('pkrs')),
    ac: m.reg('ac') === 1n,
  });
  const fromMemory = options.nested && m.settings.cpu === 'svm';
  if (registers.mode !== 'pae' || fromMemory) return registers;
  return { ...registers, pdptrs: [0, 1, 2, 3].map((index) => m.reg(`pdptr${String(index)}`)) };
}

/** The identifier of the address space now: PCID, or stage 1's ASID. */
export const currentPcid = (m: Machine): number =>
  isArm(m.settings) ? asidOf(m) : (m.reg('cr4') & CR4_PCIDE) === 0n ? 0 : Number(m.reg('cr3') & 0xfffn);

/**
 * Writes a register in the guest itself, without an exit. False where the processor raises #GP. `place` says where a
 * guest physical address lies in memory, for the root entries that PAE loads.
 */
export function writeGuestRegister(
  m: Machine,
  write: RegisterWrite,
  by: { tag: CacheTag; place: (gpa: bigint) => bigint },
): boolean {
  if (isArm(m.settings)) return write.register === 'cr3' && loadTtbr0(m, write);
  switch (write.register) {
    case 'cr3':
      return loadCr3(m, write, by);
    case 'pkru':
    case 'pkrs':
      return set(m, write, bitRange(31, 0));
    case 'ac':
      return set(m, write, 1n);
    case 'cr0':
    case 'cr4':
    case 'efer':
      return changeMode(m, { register: write.register, value: write.value }, by);
  }
}

function set(m: Machine, { register, value }: RegisterWrite, valid: bigint): boolean {
  if ((value & ~valid) !== 0n) return false;
  m.step('guest-register', { register, value, dropped: 0 });
  m.setReg(register, value);
  return true;
}

function loadTtbr0(m: Machine, { value, pcid = 0 }: RegisterWrite): boolean {
  m.step('guest-register', { register: 'ttbr0', value, dropped: 0 });
  m.setReg('cr3', value);
  m.setReg('ttbr0_asid', BigInt(pcid));
  return true;
}

function loadCr3(
  m: Machine,
  write: RegisterWrite,
  by: { tag: CacheTag; place: (gpa: bigint) => bigint },
): boolean {
  const identified = (m.reg('cr4') & CR4_PCIDE) !== 0n;
  const pcid = identified ? (write.pcid ?? Number(write.value & 0xfffn)) : 0;
  const value = identified ? (write.value & ~0xfffn) | BigInt(pcid) : write.value;
  if (write.keep === true && !identified) return false;
  if ((value & bitRange(63, PHYSICAL_BITS)) !== 0n) return false;
  const pdptes = loadedPdptes(m, { cr3: value }, by.place);
  if (pdptes === 'malformed') return false;
  const sweep = sweepOfCr3(by.tag, { pcid, keep: write.keep === true });
  m.step('guest-register', { register: 'cr3', value, dropped: countSwept(m, sweep) });
  m.setReg('cr3', value);
  sweepCaches(m, sweep);
  loadPdptes(m, pdptes);
  return true;
}

/** The root entries that a write of a register loads in PAE paging; a present one with a reserved bit makes it fail. */
function loadedPdptes(
  m: Machine,
  written: Partial<Record<'cr0' | 'cr3' | 'cr4' | 'efer', bigint>>,
  place: (gpa: bigint) => bigint,
): readonly bigint[] | 'malformed' {
  const after = (name: 'cr0' | 'cr3' | 'cr4' | 'efer'): bigint => written[name] ?? m.reg(name);
  const mode = pagingModeOf({ cr0: after('cr0'), cr4: after('cr4'), efer: after('efer') });
  if (mode !== 'pae') return [];
  return pdptesAt(m, { cr3: after('cr3'), physicalBits: PHYSICAL_BITS, place });
}

/** Loads the root entries when a scenario begins, inside a step of the caller's own. */
export function startPdptes(m: Machine, place: (gpa: bigint) => bigint): void {
  const entries = loadedPdptes(m, {}, place);
  if (entries === 'malformed') return;
  setPdptes(m, entries);
}

/** Bits that may change while paging is on. The paging mode itself stays, save that paging may end below long mode. */
const CHANGEABLE: Readonly<Record<'cr0' | 'cr4' | 'efer', bigint>> = {
  cr0: CR0_WP | CR0_PG,
  cr4: CR4_PSE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS | CR4_PCIDE | CR4_PAE,
  efer: EFER_NXE,
};

function changeMode(
  m: Machine,
  write: { register: 'cr0' | 'cr4' | 'efer'; value: bigint },
  by: { tag: CacheTag; place: (gpa: bigint) => bigint },
): boolean {
  const { register, value } = write;
  const before = m.reg(register);
  const changed = value ^ before;
  const long = (m.reg('efer') & EFER_LMA) !== 0n;
  if ((changed & ~CHANGEABLE[register]) !== 0n) return false;
  if (long && (changed & (register === 'cr0' ? CR0_PG : register === 'cr4' ? CR4_PAE : 0n)) !== 0n)
    return false;
  const begins = register === 'cr4' && (changed & value & CR4_PCIDE) !== 0n;
  if (begins && (!long || (m.reg('cr3') & 0xfffn) !== 0n)) return false;
  const reload =
    register === 'cr0' ? CR0_PG : register === 'cr4' ? CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP : 0n;
  const pdptes = (changed & reload) === 0n ? [] : loadedPdptes(m, { [register]: value }, by.place);
  if (pdptes === 'malformed') return false;
  const sweep = sweepOf(register, { changed, value }, by.tag);
  m.step('guest-register', { register, value, dropped: sweep === undefined ? 0 : countSwept(m, sweep) });
  m.setReg(register, value);
  if (sweep !== undefined) sweepCaches(m, sweep);
  loadPdptes(m, pdptes);
  return true;
}

function sweepOf(
  register: 'cr0' | 'cr4' | 'efer',
  { changed, value }: { changed: bigint; value: bigint },
  tag: CacheTag,
): ReturnType<typeof sweepOfGuest> | undefined {
  if (register === 'cr0') return (changed & CR0_PG) === 0n ? undefined : sweepOfGuest(tag);
  if (register === 'efer') return undefined;
  const pcidEnds = (changed & ~value & CR4_PCIDE) !== 0n;
  if ((changed & CR4_PGE) !== 0n || pcidEnds) return sweepOfGuest(tag);
  const smepBegins = (changed & value & CR4_SMEP) !== 0n;
  return (changed & CR4_PAE) !== 0n || smepBegins ? sweepOfSpace(tag) : undefined;
}
