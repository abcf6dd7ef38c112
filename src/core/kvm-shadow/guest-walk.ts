/**
 * `walk_addr`: KVM walks the guest's tables in software, as the guest's processor would. It sets accessed and dirty bits
 * in them, and keeps for each level what it will need to check and to build. Source: the reference, A.4 and D.3.
 */
import type { Machine } from '../machine/machine.ts';
import {
  entryOfGuest,
  gpteAccess,
  GPTE_A,
  GPTE_D,
  gpteBytes,
  gpteGfn,
  isFourByte,
  isGpteLarge,
  isGptePresent,
  isGpteReserved,
  placeOfEntry,
  protectClean,
} from './gpte.ts';
import { wordOfGpa } from './host-memory.ts';
import { PFERR, permissionFault } from './permissions.ts';
import { ACC_ALL, roleField } from './role.ts';
import { isVisible, markDirty, ownSlotAt } from './vm.ts';

/** One level of a walk. */
export interface WalkedLevel {
  readonly level: number;
  readonly tableGfn: number;
  readonly gpa: bigint;
  entry: bigint;
  /** Rights of all entries above this one. */
  readonly above: number;
}

export interface GuestWalk {
  readonly kind: 'ok';
  readonly gva: bigint;
  /** From the root down. */
  readonly levels: readonly WalkedLevel[];
  /** Level of the guest's leaf. */
  readonly level: number;
  /** The guest frame that the address lies in. */
  readonly gfn: number;
  /** Rights of the whole path; without W while the leaf's D is clear and nothing is written. */
  access: number;
}

export type WalkResult = GuestWalk | { readonly kind: 'fault'; readonly errorCode: number };

export interface WalkRequest {
  readonly gva: bigint;
  /** Write, user and fetch bits of an error code. */
  readonly code: number;
}

export function walkAddr(m: Machine, of: WalkRequest): WalkResult {
  return m.call('walk_addr', { gva: of.gva }, () => {
    for (;;) {
      const walked = walkOnce(m, of);
      if (walked !== 'again') return walked;
    }
  });
}

/** Bits of an address that number an entry, and where they begin. */
function indexOf(m: Machine, gva: bigint, level: number): number {
  const bits = isFourByte(m) ? 10 : 9;
  return Number((gva >> BigInt(12 + bits * (level - 1))) & BigInt((1 << bits) - 1));
}

const refuse = (m: Machine, of: WalkRequest, code: number): WalkResult => {
  const { cpuRole } = m.must('mmu', m.vcpu);
  const fetches = roleField(cpuRole.base, 'efer_nx') === 1 || (cpuRole.ext & SMEP) !== 0;
  const errorCode = code | (of.code & (PFERR.write | PFERR.user)) | (fetches ? of.code & PFERR.fetch : 0);
  m.step('gwalk-error', { errorCode });
  return { kind: 'fault', errorCode };
};
const SMEP = 1 << 5;
const ROOT_BITS_LONG = 0x000f_ffff_ffff_f000n;

function walkOnce(m: Machine, of: WalkRequest): WalkResult | 'again' {
  const { cpuRole, permissions } = m.must('mmu', m.vcpu);
  m.step('gwalk-begin', { gva: of.gva, errorCode: of.code });
  m.count('walks');
  let level = cpuRole.base & 0xf;
  let table = Number((m.reg('cr3') & ROOT_BITS_LONG) >> 12n);
  if (level === 3) {
    const pdpte = m.reg(`pdptr${String((of.gva >> 30n) & 3n)}`);
    m.step('gwalk-element', { level, index: Number((of.gva >> 30n) & 3n), entry: pdpte });
    if (!isGptePresent(pdpte)) return refuse(m, of, 0);
    table = Number((pdpte & ROOT_BITS_LONG) >> 12n);
    level -= 1;
  }
  const levels: WalkedLevel[] = [];
  let above = ACC_ALL;
  for (; ; level -= 1) {
    const gpa = (BigInt(table) << 12n) + BigInt(indexOf(m, of.gva, level) * gpteBytes(m));
    const entry = entryOfGuest(m, gpa);
    if (entry === undefined) return refuse(m, of, 0);
    m.step('gwalk-element', { level, index: indexOf(m, of.gva, level), entry }, placeOfEntry(m, gpa));
    m.count('refs');
    if (!isGptePresent(entry)) return refuse(m, of, 0);
    if (isGpteReserved(m, entry, level)) return refuse(m, of, PFERR.rsvd | PFERR.present);
    levels.push({ level, tableGfn: table, gpa, entry, above });
    const access = above & gpteAccess(m, entry);
    if (level === 1 || isLeaf(m, entry, level)) {
      const code = permissionFault(permissions, { access, code: of.code, smapOff: false });
      if (code !== 0) return refuse(m, of, code);
      return finish(m, of, { levels, access });
    }
    above = access;
    table = gpteGfn(m, entry);
  }
}

/** `is_last_gpte`: large pages of level 2 with four-byte entries need CR4.PSE. */
function isLeaf(m: Machine, entry: bigint, level: number): boolean {
  if (level > 3 || !isGpteLarge(entry)) return false;
  return !isFourByte(m) || (m.must('mmu', m.vcpu).cpuRole.ext & PSE) !== 0;
}
const PSE = 1 << 2;

function finish(
  m: Machine,
  of: WalkRequest,
  by: { levels: WalkedLevel[]; access: number },
): GuestWalk | 'again' {
  const leaf = by.levels[by.levels.length - 1];
  if (leaf === undefined) return 'again';
  const write = (of.code & PFERR.write) !== 0;
  const gfn = gfnWithin(m, leaf, of.gva);
  const access = write ? by.access : protectClean(by.access, leaf.entry);
  const accessed = by.levels.every(({ entry }) => (entry & GPTE_A) !== 0n);
  const marked = accessed && (!write || (leaf.entry & GPTE_D) !== 0n);
  if (!marked) setMarks(m, by.levels, { leaf, write });
  return { kind: 'ok', gva: of.gva, levels: by.levels, level: leaf.level, gfn, access };
}

/** The frame of an address within a leaf, with the address bits that PSE-36 keeps in bits 20:13 of a 4 MiB entry. */
function gfnWithin(m: Machine, leaf: WalkedLevel, gva: bigint): number {
  const bits = isFourByte(m) ? 10 : 9;
  const pages = 2 ** (bits * (leaf.level - 1));
  const within = Number(gva >> 12n) % pages;
  const frame = gpteGfn(m, leaf.entry);
  const base = frame - (frame % pages);
  const pse36 = isFourByte(m) && leaf.level > 1 ? Number((leaf.entry >> 13n) & PSE36_BITS) * 2 ** 20 : 0;
  return base + within + pse36;
}
const PSE36_BITS = 0xffn;

/** `update_accessed_dirty_bits`. In a slot that is read-only the guest's entries stay as they are. */
function setMarks(m: Machine, levels: WalkedLevel[], of: { leaf: WalkedLevel; write: boolean }): void {
  for (const at of levels) {
    let { entry } = at;
    if ((entry & GPTE_A) === 0n) {
      m.step('gwalk-accessed', { gpa: at.gpa });
      entry |= GPTE_A;
    }
    if (at === of.leaf && of.write && (entry & GPTE_D) === 0n) {
      m.step('gwalk-dirty', { gpa: at.gpa });
      entry |= GPTE_D;
    }
    if (entry === at.entry) continue;
    storeEntry(m, at, entry);
    at.entry = entry;
  }
}

function storeEntry(m: Machine, at: WalkedLevel, entry: bigint): void {
  const slot = ownSlotAt(m, at.tableGfn);
  if (!isVisible(slot) || slot.slot.readonly === true) return;
  const word = wordOfGpa(m, at.gpa, { write: true });
  if (word === undefined) return;
  const shift = isFourByte(m) ? (at.gpa & 4n) * 8n : 0n;
  const mask = (isFourByte(m) ? 0xffff_ffffn : (1n << 64n) - 1n) << shift;
  m.set('word', word, (m.word(word) & ~mask) | (entry << shift));
  markDirty(m, at.tableGfn);
}
