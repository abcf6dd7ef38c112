/**
 * The layout of x86-64 page-table entries, stated once, as data (Intel SDM vol. 3, "4-level paging"; AMD APM vol. 2).
 * Everything that needs a bit's place, name or meaning reads this table: the walk, the shadow engine, the flags on
 * the stage, the bit diff and the help text.
 */
import type { PagingMode } from './paging-mode.ts';

export interface EntryBit {
  readonly name: string;
  /** The letter or short sign under which the stage shows it. */
  readonly short: string;
  readonly bit: number;
  readonly meaning: string;
  readonly source: string;
}

type BitRow = readonly [bit: number, name: string, short: string, meaning: string];

/** The bits of a format, all from one source. */
export const entryBits = (source: string, rows: readonly BitRow[]): readonly EntryBit[] =>
  rows.map(([bit, name, short, meaning]) => ({ name, short, bit, meaning, source }));

const MANUAL = 'Intel SDM vol. 3, 4-level paging';

export const X86_BITS: readonly EntryBit[] = entryBits(MANUAL, [
  [0, 'P', 'P', 'present: the entry may be used'],
  [1, 'RW', 'W', 'writable'],
  [2, 'US', 'U', 'user mode may use it'],
  [3, 'PWT', 'wt', 'write-through caching'],
  [4, 'PCD', 'cd', 'caching off'],
  [5, 'A', 'A', 'accessed: a walk has used the entry'],
  [6, 'D', 'D', 'dirty: the page has been written (leaf only)'],
  [7, 'PS', 'L', 'large page (levels 2 and 3); PAT in a level-1 entry'],
  [8, 'G', 'G', 'global: survives a CR3 load (leaf only)'],
  [63, 'XD', 'NX', 'no instruction fetch, when EFER.NXE is set'],
]);

/** In a leaf of long mode, where CR4.PKE (user pages) or CR4.PKS (kernel pages) is set. */
export const PROTECTION_KEY_BITS: readonly EntryBit[] = [0, 1, 2, 3].map((index) => ({
  name: `PK${String(index)}`,
  short: `PK${String(index)}`,
  bit: 59 + index,
  meaning: `protection key, bit ${String(index)}: PKRU, or for kernel pages PKRS, says what is allowed`,
  source: 'Intel SDM vol. 3, protection keys',
}));

/** A root entry of PAE paging grants and marks nothing. */
export const PDPTE_BITS = X86_BITS.filter(({ name }) => ['P', 'PWT', 'PCD'].includes(name));

const bit = (name: string): bigint => {
  const found = X86_BITS.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`assertion failed: no entry bit ${name}`);
  return 1n << BigInt(found.bit);
};

export const PTE_P = bit('P');
export const PTE_W = bit('RW');
export const PTE_U = bit('US');
export const PTE_A = bit('A');
export const PTE_D = bit('D');
export const PTE_PS = bit('PS');
export const PTE_G = bit('G');
export const PTE_NX = bit('XD');
/** Bits 51:12. */
export const PTE_ADDRESS = 0x000f_ffff_ffff_f000n;
const PROTECTION_KEY_SHIFT = 59n;

/** Index of the entry that translates `gva` at `level` (1 = PT): 0..511. */
export const indexAt = (gva: bigint, level: number): number =>
  Number((gva >> BigInt(3 + 9 * level)) & 0x1ffn);

/** Bytes that one entry of `level` covers: 4 KiB, 2 MiB, 1 GiB, 512 GiB. */
export const coverageOf = (level: number): bigint => 1n << BigInt(3 + 9 * level);

export const protectionKeyOf = (entry: bigint): number => Number((entry >> PROTECTION_KEY_SHIFT) & 0xfn);

/** Whether the bits above the translated ones all equal the highest of those; modes below long mode do not ask. */
export function isCanonical(gva: bigint, mode: PagingMode): boolean {
  if (mode !== '4-level' && mode !== '5-level') return true;
  return BigInt.asUintN(64, BigInt.asIntN(mode === '4-level' ? 48 : 57, gva)) === gva;
}

export const TABLE_NAMES_BY_LEVEL = ['', 'PT', 'PD', 'PDPT', 'PML4', 'PML5'] as const;
