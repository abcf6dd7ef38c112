/**
 * Shadow entries of 2007: the hardware's bits, and the software bits that remember what the guest allows while the
 * hypervisor holds W or U down for its own reasons.
 */
import { spte, type Gpte, type Pfn, type Spte } from '../quantities.ts';
import {
  entryBits,
  PTE_A,
  PTE_D,
  PTE_G,
  PTE_NX,
  PTE_P,
  PTE_U,
  PTE_W,
  X86_BITS,
  type EntryBit,
} from '../hardware/x86-entry.ts';

const SOURCE = 'KVM, mid-2007';
export const SPTE_2007_BITS: readonly EntryBit[] = entryBits(SOURCE, [
  [9, 'IO', 'IO', 'in a leaf that is not present: device memory'],
  [10, 'SHADOW_WRITABLE', 'SW', 'the guest allows writing, whatever W says'],
  [11, 'SHADOW_USER', 'SU', 'the guest allows user mode, whatever U says'],
]);
/** Bit 9 of a present entry of level 2. */
const LARGE_MARK_BITS: readonly EntryBit[] = entryBits(SOURCE, [
  [9, 'PS_MARK', 'L', 'the guest maps this range with one large page, which the shadow splits'],
]);

/** The bits of a shadow entry as it stands, by what they mean in it; eras without software bits have two less. */
export function spteBits(
  level: number,
  { present, softwareBits }: { present: boolean; softwareBits: boolean },
): readonly EntryBit[] {
  const own = SPTE_2007_BITS.filter(({ name }) => name === 'IO' || (softwareBits && level === 1));
  return [...X86_BITS, ...(level === 2 && present ? LARGE_MARK_BITS : own)];
}

export const SPTE_IO = 1n << 9n;
export const SPTE_SHADOW_WRITABLE = 1n << 10n;
export const SPTE_SHADOW_USER = 1n << 11n;
/** Moves the guest's RW and US bits to the software bits. */
const SHADOW_BITS_SHIFT = 9n;
const ACCESS_BITS = PTE_W | PTE_U;

export const linkSpte = (childPfn: Pfn): Spte =>
  spte((BigInt(childPfn) << 12n) | PTE_P | PTE_A | PTE_W | PTE_U);
export const isPresent = (entry: Spte | Gpte): boolean => (entry & PTE_P) !== 0n;
export const isMmio = (entry: Spte): boolean => (entry & (PTE_P | SPTE_IO)) === SPTE_IO;
/** Tracked by the reverse map of this era: present and writable. */
export const isTracked = (entry: Spte): boolean => (entry & (PTE_P | PTE_W)) === (PTE_P | PTE_W);

/** The guest maps the range below a present level-2 entry with one large page. The bit that marks device memory in leaves. */
export const SPTE_LARGE_MARK = 1n << 9n;

export interface LeafRequest {
  readonly entry: Gpte;
  /** RW, US and XD bits that the upper guest entries leave, as the caller knows them. */
  readonly inherited: bigint;
  /** Host frame, or undefined where no slot covers the guest frame. */
  readonly pfn: Pfn | undefined;
  /** Guest physical address of the frame. */
  readonly gpa: bigint;
  /** The guest frame is itself a shadowed page table. */
  readonly shadowed: boolean;
  /** Whether the entry remembers the guest's rights in bits 10 and 11. */
  readonly softwareBits: boolean;
}

/** `set_pte_common`: the leaf for a guest entry. */
export function leafSpte(request: LeafRequest): Spte {
  const { entry, inherited, pfn, gpa, shadowed, softwareBits } = request;
  const allowed = entry & inherited & ACCESS_BITS;
  const copied = (entry & (PTE_P | PTE_A | PTE_D | PTE_G)) | ((entry | ~inherited) & PTE_NX);
  // A clean guest entry stays unwritable, so that the first write faults and D can be set.
  const granted = (entry & PTE_D) === 0n ? allowed & ~PTE_W : allowed;
  const base = copied | (softwareBits ? allowed << SHADOW_BITS_SHIFT : 0n) | granted;
  if (pfn === undefined) return spte((base | gpa | SPTE_IO) & ~PTE_P);
  return spte(((BigInt(pfn) << 12n) | base) & ~(shadowed ? PTE_W : 0n));
}

/** Inherited rights before any entry was read: everything. In `inherited` a set XD bit means "may execute". */
export const ALL_ACCESS = PTE_W | PTE_U | PTE_NX;

/** Narrows inherited rights by one upper guest entry. */
export const inherit = (inherited: bigint, entry: bigint): bigint => inherited & (entry ^ PTE_NX);

/** Rights as the 3-bit field of the role word keeps them. */
export const accessField = (inherited: bigint): number =>
  Number((inherited & ACCESS_BITS) >> 1n) | ((inherited & PTE_NX) === 0n ? 4 : 0);
export const accessOfField = (field: number): bigint =>
  (BigInt(field & 3) << 1n) | ((field & 4) === 0 ? PTE_NX : 0n);
