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
  { register: 'cr4', name: 'smep', bit: 20, meaning: 'the kernel may not execute user pages' },
  {
    register: 'cr4',
    name: 'smap',
    bit: 21,
    meaning: 'the kernel may not touch user pages, unless AC is set',
  },
  { register: 'cr4', name: 'pke', bit: 22, meaning: 'protection keys for user pages' },
  { register: 'cr4', name: 'pks', bit: 24, meaning: 'protection keys for kernel pages' },
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
const CR4_SMEP = registerMask('cr4', 'smep');
const CR4_SMAP = registerMask('cr4', 'smap');
const CR4_PKE = registerMask('cr4', 'pke');
const CR4_PKS = registerMask('cr4', 'pks');
export const EFER_NXE = registerMask('efer', 'nxe');

/** What a walk needs to know of the registers. */
export interface PagingRegisters {
  /** Physical address of the root table. */
  readonly root: bigint;
  readonly levels: 4 | 5;
  readonly wp: boolean;
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
}

const ROOT_ADDRESS = 0x000f_ffff_ffff_f000n;
/** MAXPHYADDR of every machine here; the recorded vectors have the same. */
export const PHYSICAL_BITS = 40;

/** Decodes raw registers of a processor in long mode. */
export function pagingRegisters(raw: RawRegisters): PagingRegisters {
  return {
    root: raw.cr3 & ROOT_ADDRESS,
    levels: (raw.cr4 & CR4_LA57) !== 0n ? 5 : 4,
    wp: (raw.cr0 & CR0_WP) !== 0n,
    nxe: (raw.efer & EFER_NXE) !== 0n,
    smep: (raw.cr4 & CR4_SMEP) !== 0n,
    smap: (raw.cr4 & CR4_SMAP) !== 0n,
    pke: (raw.cr4 & CR4_PKE) !== 0n,
    pks: (raw.cr4 & CR4_PKS) !== 0n,
    ac: raw.ac ?? false,
    pkru: raw.pkru ?? 0,
    pkrs: raw.pkrs ?? 0,
    physicalBits: PHYSICAL_BITS,
  };
}
