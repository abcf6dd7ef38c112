/**
 * Quantities: branded numbers and addresses, one constructor each, so that a guest frame cannot be passed
 * where a host frame is meant. Terms as in the Linux KVM documentation: gva -> gpa (gfn) -> hpa (pfn).
 *
 * Frame numbers, levels and indices are numbers (they fit 52 bits); addresses and entries are bigints, because
 * bit tests above bit 31 fail silently on a JavaScript number.
 */

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Guest virtual address, 64 bits, canonical or not. */
export type Gva = Branded<bigint, 'Gva'>;
/** Guest physical address, in bytes. */
export type Gpa = Branded<bigint, 'Gpa'>;
/** Guest frame number: guest physical address / 4096. */
export type Gfn = Branded<number, 'Gfn'>;
/** Host frame number: host physical address / 4096. */
export type Pfn = Branded<number, 'Pfn'>;
/** x86 paging level as KVM counts: 1 = page table (PT), 2 = PD, 3 = PDPT, 4 = PML4, 5 = PML5. */
export type Level = Branded<number, 'Level'>;
/** An entry of a guest's page table, as the guest wrote it: it names guest frames. */
export type Gpte = Branded<bigint, 'Gpte'>;
/** An entry of a shadow table, as the hypervisor wrote it: it names host frames. */
export type Spte = Branded<bigint, 'Spte'>;
/** Index of a virtual CPU, from 0. */
export type VcpuId = Branded<number, 'VcpuId'>;

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 4096;
export const WORDS_PER_FRAME = 512;
const MASK_64 = 0xffff_ffff_ffff_ffffn;

export const gva = (address: bigint): Gva => BigInt.asUintN(64, address) as Gva;
export const gpa = (address: bigint): Gpa => BigInt.asUintN(64, address) as Gpa;
export const gfn = (frame: number): Gfn => frame as Gfn;
export const pfn = (frame: number): Pfn => frame as Pfn;
export const level = (value: number): Level => value as Level;
export const gpte = (entry: bigint): Gpte => (entry & MASK_64) as Gpte;
export const spte = (entry: bigint): Spte => (entry & MASK_64) as Spte;
export const vcpuId = (index: number): VcpuId => index as VcpuId;

export const gfnOf = (address: Gpa): Gfn => Number(address >> 12n) as Gfn;
export const gpaOf = (frame: Gfn, offset = 0): Gpa => ((BigInt(frame) << 12n) | BigInt(offset)) as Gpa;

/** Lower-case hexadecimal with 0x, as the whole project prints numbers. */
export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
