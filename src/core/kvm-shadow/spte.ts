/**
 * Entries of shadow tables today, without EPT: bits, what they mean, and how MMIO is marked. Source: the reference,
 * D.1 and F.1.
 */
import { pfn, type Pfn, type Spte, spte } from '../quantities.ts';

export interface SpteBit {
  readonly bit: number;
  readonly name: string;
  readonly meaning: string;
}

/** Bits with a meaning; 51 to 12 name the host frame. @public */
export const SPTE_BITS: readonly SpteBit[] = [
  { bit: 0, name: 'P', meaning: 'present, to the processor' },
  { bit: 1, name: 'W', meaning: 'writable, to the processor' },
  { bit: 2, name: 'U', meaning: 'user mode may use it' },
  { bit: 5, name: 'A', meaning: 'accessed; clear in an entry that was built ahead of its first use' },
  { bit: 6, name: 'D', meaning: 'dirty' },
  { bit: 7, name: 'PS', meaning: 'a large page' },
  { bit: 9, name: 'host-writable', meaning: 'the host lets the page be written' },
  { bit: 10, name: 'MMU-writable', meaning: 'KVM itself has no reason to forbid writing' },
  { bit: 11, name: 'MMU-present', meaning: 'present, to KVM' },
  { bit: 63, name: 'NX', meaning: 'no execute' },
];

export const SPTE_P = 1n;
export const SPTE_W = 1n << 1n;
export const SPTE_U = 1n << 2n;
export const SPTE_A = 1n << 5n;
export const SPTE_D = 1n << 6n;
export const SPTE_PS = 1n << 7n;
export const HOST_WRITABLE = 1n << 9n;
export const MMU_WRITABLE = 1n << 10n;
export const MMU_PRESENT = 1n << 11n;
export const SPTE_NX = 1n << 63n;

const FRAME_BITS = 0x000f_ffff_ffff_f000n;
export const frameOf = (entry: bigint): Pfn => pfn(Number((entry & FRAME_BITS) >> 12n));
export const frameBits = (frame: number): bigint => BigInt(frame) << 12n;

/** `is_shadow_present_pte`. */
export const isPresent = (entry: bigint): boolean => (entry & MMU_PRESENT) !== 0n;
export const isLarge = (entry: bigint): boolean => (entry & SPTE_PS) !== 0n;
/** `is_last_spte`: an entry of level 1 or of a large page, present or not. */
export const isLast = (entry: bigint, level: number): boolean => level === 1 || isLarge(entry);
export const isWritable = (entry: bigint): boolean => (entry & SPTE_W) !== 0n;
export const isMmuWritable = (entry: bigint): boolean => (entry & MMU_WRITABLE) !== 0n;
export const isAccessed = (entry: bigint): boolean => (entry & SPTE_A) !== 0n;
export const isDirtySpte = (entry: bigint): boolean => (entry & SPTE_D) !== 0n;

/** `make_nonleaf_spte`: allows all; rights live in leaves. */
export const nonleaf = (table: Pfn): Spte =>
  spte(frameBits(table) | MMU_PRESENT | SPTE_P | SPTE_W | SPTE_U | SPTE_A);

/** Reserved bit 51 with P: the processor faults, and the error code says why. */
const MMIO_MARK = (1n << 51n) | 1n;
const MMIO_MASK = MMIO_MARK | MMU_PRESENT;
const MMIO_ACCESS = 6n;
const MMIO_GFN = 0x0007_ffff_ffff_f000n;
/** Bits of a memslot generation that an entry holds. */
export const MMIO_GEN_BITS = 19;
export const MMIO_GEN_MASK = (1 << MMIO_GEN_BITS) - 1;

export const isMmio = (entry: bigint): boolean => (entry & MMIO_MASK) === MMIO_MARK;

export interface MmioEntry {
  readonly gfn: number;
  /** Write and user rights, as KVM numbers them. */
  readonly access: number;
  /** Low 19 bits of the memslot generation at the time. */
  readonly generation: number;
}

/** `make_mmio_spte`: generation bits 7:0 go to bits 10:3, bits 18:8 to bits 62:52. */
export function mmioSpte({ gfn, access, generation }: MmioEntry): Spte {
  const low = BigInt(generation & 0xff) << 3n;
  const high = BigInt((generation >> 8) & 0x7ff) << 52n;
  return spte(MMIO_MARK | frameBits(gfn) | (BigInt(access) & MMIO_ACCESS) | low | high);
}

export const mmioEntryOf = (entry: bigint): MmioEntry => ({
  gfn: Number((entry & MMIO_GFN) >> 12n),
  access: Number(entry & MMIO_ACCESS),
  generation: Number((entry >> 3n) & 0xffn) | (Number((entry >> 52n) & 0x7ffn) << 8),
});
