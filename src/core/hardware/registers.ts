import type { PagingMode } from './paging-mode.ts';

/** The control registers that a page walk depends on, as bits of CR0, CR4 and EFER (Intel SDM vol. 3). */
export type AccessKind = 'read' | 'write' | 'execute';

export interface RegisterBit {
  readonly register: 'cr0' | 'cr4' | 'efer';
  readonly name: string;
  readonly bit: number;
  readonly meaning: string;
}

export const REGISTER_BITS: readonly RegisterBit[] = [
  { register: 'cr0', name: 'wp', bit: 16, meaning: 'write protect: the kernel obeys read-only entries too' },
  { register: 'cr0', name: 'pg', bit: 31, meaning: 'paging on' },
  { register: 'cr4', name: 'pse', bit: 4, meaning: 'large pages in 32-bit mode' },
  { register: 'cr4', name: 'pae', bit: 5, meaning: '8-byte entries' },
  { register: 'cr4', name: 'pge', bit: 7, meaning: 'global pages' },
  { register: 'cr4', name: 'la57', bit: 12, meaning: '57-bit addresses' },
  { register: 'cr4', name: 'pcide', bit: 17, meaning: 'address spaces carry an identifier (PCID)' },
  { register: 'cr4', name: 'smep', bit: 20, meaning: 'the kernel may not execute user pages' },
  {
    register: 'cr4',
    name: 'smap',
    bit: 21,
    meaning: 'the kernel may not touch user pages, unless AC is set',
  },
  { register: 'cr4', name: 'pke', bit: 22, meaning: 'protection keys for user pages' },
  { register: 'cr4', name: 'pks', bit: 24, meaning: 'protection keys for kernel pages' },
  { register: 'efer', name: 'lma', bit: 10, meaning: 'long mode: 4-level or 5-level paging' },
  { register: 'efer', name: 'nxe', bit: 11, meaning: 'no-execute bit in entries' },
];

export const registerMask = (register: string, name: string): bigint => {
  const found = REGISTER_BITS.find((candidate) => candidate.register === register && candidate.name === name);
  if (found === undefined) throw new Error(`assertion failed: no register bit ${register}.${name}`);
  return 1n << BigInt(found.bit);
};

export const CR0_WP = registerMask('cr0', 'wp');
export const CR0_PG = registerMask('cr0', 'pg');
export const CR4_PSE = registerMask('cr4', 'pse');
export const CR4_PAE = registerMask('cr4', 'pae');
export const CR4_PGE = registerMask('cr4', 'pge');
export const CR4_LA57 = registerMask('cr4', 'la57');
export const CR4_PCIDE = registerMask('cr4', 'pcide');
export const CR4_SMEP = registerMask('cr4', 'smep');
export const CR4_SMAP = registerMask('cr4', 'smap');
export const CR4_PKE = registerMask('cr4', 'pke');
export const CR4_PKS = registerMask('cr4', 'pks');
export const EFER_LMA = registerMask('efer', 'lma');
export const EFER_NXE = registerMask('efer', 'nxe');

/** What a walk needs to know of the registers. */
export interface PagingRegisters {
  readonly mode: PagingMode;
  /** Physical address of the root table. */
  readonly root: bigint;
  /** PAE: the four root entries, loaded by MOV CR3. Without them the walk reads them from memory, as under AMD's nesting. */
  readonly pdptrs?: readonly bigint[];
  readonly wp: boolean;
  readonly pse: boolean;
  readonly pge: boolean;
  readonly nxe: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly pke: boolean;
  readonly pks: boolean;
  readonly ac: boolean;
  readonly pkru: number;
  readonly pkrs: number;
  /** MAXPHYADDR. */
  readonly physicalBits: number;
}

export interface RawRegisters {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly pkru?: number;
  readonly pkrs?: number;
  readonly ac?: boolean;
  readonly physicalBits?: number;
}

/** MAXPHYADDR of every machine here unless said otherwise; the recorded vectors have the same. */
export const PHYSICAL_BITS = 40;

export function pagingModeOf({ cr0, cr4, efer }: Pick<RawRegisters, 'cr0' | 'cr4' | 'efer'>): PagingMode {
  if ((cr0 & CR0_PG) === 0n) return 'nonpaging';
  if ((cr4 & CR4_PAE) === 0n) return '2-level';
  if ((efer & EFER_LMA) === 0n) return 'pae';
  return (cr4 & CR4_LA57) === 0n ? '4-level' : '5-level';
}

/** The bits of CR3 that say where the root table lies. */
const ROOT_BITS: Readonly<Record<PagingMode, bigint>> = {
  nonpaging: 0n,
  '2-level': 0xffff_f000n,
  pae: 0xffff_ffe0n,
  '4-level': 0x000f_ffff_ffff_f000n,
  '5-level': 0x000f_ffff_ffff_f000n,
};

export const rootOf = (cr3: bigint, mode: PagingMode): bigint => cr3 & ROOT_BITS[mode];

/** Decodes raw registers. Protection keys exist in long mode only, no-execute where entries have 8 bytes. */
export function pagingRegisters(raw: RawRegisters): PagingRegisters {
  const mode = pagingModeOf(raw);
  const long = mode === '4-level' || mode === '5-level';
  return {
    mode,
    root: rootOf(raw.cr3, mode),
    wp: (raw.cr0 & CR0_WP) !== 0n,
    pse: (raw.cr4 & CR4_PSE) !== 0n,
    pge: (raw.cr4 & CR4_PGE) !== 0n,
    nxe: (raw.efer & EFER_NXE) !== 0n && mode !== '2-level',
    smep: (raw.cr4 & CR4_SMEP) !== 0n,
    smap: (raw.cr4 & CR4_SMAP) !== 0n,
    pke: long && (raw.cr4 & CR4_PKE) !== 0n,
    pks: long && (raw.cr4 & CR4_PKS) !== 0n,
    ac: raw.ac ?? false,
    pkru: raw.pkru ?? 0,
    pkrs: raw.pkrs ?? 0,
    physicalBits: raw.physicalBits ?? PHYSICAL_BITS,
  };
}
