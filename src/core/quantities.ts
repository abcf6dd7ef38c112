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
/** Guest frame number: guest physical address / 4096. */
export type Gfn = Branded<number, 'Gfn'>;
/** Host frame number: host physical address / 4096. */
export type Pfn = Branded<number, 'Pfn'>;
/** An entry of a guest's page table, as the guest wrote it: it names guest frames. */
export type Gpte = Branded<bigint, 'Gpte'>;
/** An entry of a shadow table, as the hypervisor wrote it: it names host frames. */
export type Spte = Branded<bigint, 'Spte'>;
/** Index of a virtual CPU, from 0. */
export type VcpuId = Branded<number, 'VcpuId'>;

const WORDS_PER_FRAME = 512;
const FRAME_BITS = 0x000f_ffff_ffff_f000n;

export const gva = (address: bigint): Gva => BigInt.asUintN(64, address) as Gva;
export const gfn = (frame: number): Gfn => frame as Gfn;
export const pfn = (frame: number): Pfn => frame as Pfn;
export const gpte = (entry: bigint): Gpte => entry as Gpte;
export const spte = (entry: bigint): Spte => entry as Spte;
export const vcpuId = (index: number): VcpuId => index as VcpuId;

/** The frame that a guest's entry names: bits 51 to 12. */
export const gfnOfEntry = (entry: Gpte): Gfn => Number((entry & FRAME_BITS) >> 12n) as Gfn;
/** The frame that a guest physical address, or the guest's CR3, lies in. */
export const gfnOfAddress = (address: bigint): Gfn => Number((address & FRAME_BITS) >> 12n) as Gfn;
/** The frame that a host physical address, or the hardware's CR3, lies in. */
export const pfnOfAddress = (address: bigint): Pfn => Number((address & FRAME_BITS) >> 12n) as Pfn;
/** The frame that a shadow entry names: bits 51 to 12. */
export const pfnOfEntry = (entry: Spte): Pfn => Number((entry & FRAME_BITS) >> 12n) as Pfn;
/** Number of the memory word `index` of a host frame. */
export const wordOf = (frame: Pfn, index: number): number => frame * WORDS_PER_FRAME + index;
/** The host frame in which a memory word lies. */
export const frameOfWord = (word: number): Pfn => Math.floor(word / WORDS_PER_FRAME) as Pfn;

/** Lower-case hexadecimal with 0x, as the whole project prints numbers. */
export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
