/** Entries of the guest's tables as KVM reads them, in the format that the guest has now. Source: the reference, A.2, A.3. */
import type { Machine } from '../machine/machine.ts';
import { wordOfGpa } from './host-memory.ts';
import { guestReserved } from './reserved.ts';
import { ACC_EXEC, ACC_USER, ACC_WRITE, extensionField, roleField } from './role.ts';

const P = 1n;
const W = 1n << 1n;
const U = 1n << 2n;
export const GPTE_A = 1n << 5n;
export const GPTE_D = 1n << 6n;
const PS = 1n << 7n;
const NX = 1n << 63n;

const cpuBase = (m: Machine): number => m.must('mmu', m.vcpu).cpuRole.base;
export const isFourByte = (m: Machine): boolean => roleField(cpuBase(m), 'has_4_byte_gpte') === 1;
export const gpteBytes = (m: Machine): 4 | 8 => (isFourByte(m) ? 4 : 8);

/** The guest's entry at a guest physical address; undefined where there is no memory. */
export function entryOfGuest(m: Machine, gpa: bigint): bigint | undefined {
  const word = wordOfGpa(m, gpa, { write: false });
  if (word === undefined) return undefined;
  const whole = m.word(word);
  return isFourByte(m) ? (whole >> ((gpa & 4n) * 8n)) & 0xffff_ffffn : whole;
}

export const isGptePresent = (entry: bigint): boolean => (entry & P) !== 0n;
export const isGpteLarge = (entry: bigint): boolean => (entry & PS) !== 0n;

/** Rights of one entry, as KVM numbers them. Without no-execute in the guest, bit 63 is reserved. */
export const gpteAccess = (_m: Machine, entry: bigint): number =>
  ((entry & W) === 0n ? 0 : ACC_WRITE) |
  ((entry & U) === 0n ? 0 : ACC_USER) |
  ((entry & NX) === 0n ? ACC_EXEC : 0);

const FRAME_8 = 0x000f_ffff_ffff_f000n;
const FRAME_4 = 0xffff_f000n;
/** The guest frame that an entry of level 1 or a link names. */
export const gpteGfn = (m: Machine, entry: bigint): number =>
  Number((entry & (isFourByte(m) ? FRAME_4 : FRAME_8)) >> 12n);

/** `is_rsvd_bits_set`. Four-byte directory entries are large only with CR4.PSE. */
export function isGpteReserved(m: Machine, entry: bigint, level: number): boolean {
  const { cpuRole } = m.must('mmu', m.vcpu);
  const large =
    level > 1 && isGpteLarge(entry) && (!isFourByte(m) || extensionField(cpuRole, 'cr4_pse') === 1);
  return (entry & guestReserved(cpuRole, { level, large })) !== 0n;
}

/** `protect_clean_gpte`: until D is set the entry lets nothing write, so that the first write is seen. */
export const protectClean = (access: number, entry: bigint): number =>
  (entry & GPTE_D) === 0n ? access & ~ACC_WRITE : access;
