/**
 * The paging formats of x86 as data: nonpaging, 32-bit with 4 MiB pages (PSE, PSE-36), PAE, 4-level and 5-level
 * (Intel SDM vol. 3, "Paging"; AMD APM vol. 2). AMD's nested tables have the same formats.
 *
 * PSE-36 follows Intel: bits 20:13 of a 4 MiB entry are address bits 39:32, as far as the processor has them.
 */
import { must } from '../assert.ts';
import type { PathRights } from './fault.ts';
import type { EntryKind, PagingFormat, TableLevel } from './format.ts';
import type { PagingMode } from './paging-mode.ts';
import { PTE_A, PTE_D, PTE_NX, PTE_P, PTE_PS, PTE_U, PTE_W, protectionKeyOf } from './x86-entry.ts';

/** What, beside the mode, decides how entries are read. */
export interface X86FormatOptions {
  readonly mode: PagingMode;
  /** MAXPHYADDR. */
  readonly physicalBits: number;
  /** EFER.NXE. */
  readonly nxe: boolean;
  /** CR4.PSE; only 2-level paging asks. */
  readonly pse: boolean;
}

interface ModeSpec {
  readonly entryBytes: 4 | 8;
  readonly levels: readonly TableLevel[];
  /** Levels at which bit 7 makes a large page. */
  readonly large: readonly number[];
}

const x86Levels = (first: number): readonly TableLevel[] =>
  [5, 4, 3, 2, 1]
    .filter((level) => level <= first)
    .map((level) => ({ level, name: LONG_NAMES[level] as string, shift: 3 + 9 * level, bits: 9 }));

const LONG_NAMES = ['', 'PT', 'PD', 'PDPT', 'PML4', 'PML5'];

const MODES: Readonly<Record<PagingMode, ModeSpec>> = {
  nonpaging: { entryBytes: 8, levels: [], large: [] },
  '2-level': {
    entryBytes: 4,
    levels: [
      { level: 2, name: 'PD', shift: 22, bits: 10 },
      { level: 1, name: 'PT', shift: 12, bits: 10 },
    ],
    large: [2],
  },
  pae: {
    entryBytes: 8,
    levels: [{ level: 3, name: 'PDPT', shift: 30, bits: 2 }, ...x86Levels(2)],
    large: [2],
  },
  '4-level': { entryBytes: 8, levels: x86Levels(4), large: [3, 2] },
  '5-level': { entryBytes: 8, levels: x86Levels(5), large: [3, 2] },
};

/** Levels of a mode, root first. */
export const levelsOf = (mode: PagingMode): readonly TableLevel[] => MODES[mode].levels;
export const entryBytesOf = (mode: PagingMode): 4 | 8 => MODES[mode].entryBytes;
/** Levels at which an entry may name a large page. */
export const largeLevelsOf = (mode: PagingMode): readonly number[] => MODES[mode].large;

/** Bits 51:12. */
const FRAME = 0x000f_ffff_ffff_f000n;
const FRAME_32 = 0xffff_f000n;
const PSE36_WIDEST = 40;

/** Bits from `low` to `high`, both included. */
export const bitRange = (high: number, low: number): bigint =>
  high < low ? 0n : ((1n << BigInt(high - low + 1)) - 1n) << BigInt(low);

/** A mode whose root entries the processor keeps in registers, and which therefore grant and mark nothing. */
const isPdpte = (mode: PagingMode, at: TableLevel): boolean => mode === 'pae' && at.level === 3;

/** Bits of a present PDPTE of PAE paging that must be clear. */
export const reservedInPdpte = (physicalBits: number): bigint => 0x1e6n | bitRange(63, physicalBits);

/** Bits of a present entry that must be clear, for small entries and for large leaves. */
export function reservedIn(options: X86FormatOptions, at: TableLevel, large: boolean): bigint {
  const { mode, physicalBits, nxe } = options;
  if (mode === '2-level') return large ? bitRange(21, pse36Top(physicalBits) + 1) : 0n;
  if (isPdpte(mode, at)) return reservedInPdpte(physicalBits);
  const high = bitRange(mode === 'pae' ? 62 : 51, physicalBits) | (nxe ? 0n : PTE_NX);
  if (at.level >= 4) return high | PTE_PS;
  return large ? high | bitRange(at.shift - 1, 13) : high;
}

/** The highest bit of a 4 MiB entry that carries an address bit above 31: 12 where there is none. */
const pse36Top = (physicalBits: number): number => Math.min(physicalBits, PSE36_WIDEST) - 20;

const formats = new Map<string, PagingFormat<PathRights>>();

/** The format under these options; the same object for the same options. */
export function x86Format(options: X86FormatOptions): PagingFormat<PathRights> {
  const { mode, physicalBits, nxe, pse } = options;
  const key = `${mode} ${String(physicalBits)} ${nxe ? 'nx' : ''} ${pse ? 'pse' : ''}`;
  const known = formats.get(key);
  if (known !== undefined) return known;
  const made = makeFormat(options);
  formats.set(key, made);
  return made;
}

const ALL_RIGHTS: PathRights = { writable: true, user: true, executable: true, protectionKey: 0 };

function makeFormat(options: X86FormatOptions): PagingFormat<PathRights> {
  const { mode, pse } = options;
  const spec = MODES[mode];
  const largeLevels = mode === '2-level' && !pse ? [] : spec.large;
  const reserved = new Map(
    spec.levels.map((at) => [
      at.level,
      { small: reservedIn(options, at, false), large: reservedIn(options, at, true) },
    ]),
  );
  const isLarge = (entry: bigint, at: TableLevel): boolean =>
    largeLevels.includes(at.level) && (entry & PTE_PS) !== 0n;
  return {
    name: mode,
    entryBytes: spec.entryBytes,
    levels: spec.levels,
    allRights: ALL_RIGHTS,
    kindOf: (entry, at): EntryKind => {
      if ((entry & PTE_P) === 0n) return 'absent';
      const large = isLarge(entry, at);
      const masks = must(reserved.get(at.level), 'a level of the format');
      if ((entry & (large ? masks.large : masks.small)) !== 0n) return 'malformed';
      return large || at.level === 1 ? 'leaf' : 'table';
    },
    narrow: (rights, entry, { kind, at }) => (isPdpte(mode, at) ? rights : narrow(rights, entry, kind)),
    tableAddress: mode === '2-level' ? (entry) => entry & FRAME_32 : (entry) => entry & FRAME,
    pageAddress:
      mode === '2-level'
        ? (entry, at) => pageAddress32(entry, at, options.physicalBits)
        : (entry, at) => entry & FRAME & ~((1n << BigInt(at.shift)) - 1n),
    afterUse: (entry, { kind, at, write }) => {
      if (isPdpte(mode, at)) return entry;
      return entry | (kind === 'leaf' && write ? PTE_A | PTE_D : PTE_A);
    },
  };
}

/** RW and US by AND, XD by OR; the key is the leaf's. */
function narrow(rights: PathRights, entry: bigint, kind: 'table' | 'leaf'): PathRights {
  return {
    writable: rights.writable && (entry & PTE_W) !== 0n,
    user: rights.user && (entry & PTE_U) !== 0n,
    executable: rights.executable && (entry & PTE_NX) === 0n,
    protectionKey: kind === 'leaf' ? protectionKeyOf(entry) : 0,
  };
}

function pageAddress32(entry: bigint, at: TableLevel, physicalBits: number): bigint {
  if (at.level === 1) return entry & FRAME_32;
  const high = entry & bitRange(pse36Top(physicalBits), 13);
  return (entry & bitRange(31, 22)) | (high << 19n);
}
