/**
 * The page walk of an x86-64 processor (Intel SDM vol. 3, 4- and 5-level paging): from a root and an address to a
 * frame or a fault, with the accessed and dirty bits that it writes on the way.
 *
 * Accessed bits are set as the recorded vectors have it: each present, well-formed upper entry at once, also when a
 * later entry faults; the leaf gets A (and D) only on success. Leaves out: 32-bit and PAE walks, second stages.
 */
import type { Machine } from '../machine/machine.ts';
import {
  PFERR_PRESENT,
  PFERR_RSVD,
  refusal,
  requestBits,
  type AccessRequest,
  type PathRights,
} from './fault.ts';
import type { PagingRegisters } from './registers.ts';
import {
  coverageOf,
  indexAt,
  isCanonical,
  PTE_A,
  PTE_ADDRESS,
  PTE_D,
  PTE_G,
  PTE_NX,
  PTE_P,
  PTE_PS,
  PTE_U,
  PTE_W,
  protectionKeyOf,
  reservedBits,
} from './x86-entry.ts';

export interface WalkRequest extends AccessRequest {
  readonly gva: bigint;
  readonly registers: PagingRegisters;
  /**
   * Host frame behind a frame that the tables name, where those are guest frames; undefined where none backs it.
   * Without it the tables name host frames.
   */
  readonly hostFrame?: (frame: number) => number | undefined;
}

export interface WalkSuccess {
  readonly kind: 'ok';
  /** Physical address of the byte. */
  readonly address: bigint;
  /** Level of the leaf: 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB. */
  readonly level: number;
  readonly rights: PathRights;
  readonly dirty: boolean;
  readonly global: boolean;
  /** The words read, root first, and what they hold after the walk. */
  readonly words: readonly number[];
  readonly values: readonly bigint[];
}

export type WalkOutcome =
  | WalkSuccess
  | { readonly kind: 'page-fault'; readonly errorCode: number; readonly level: number }
  | { readonly kind: 'not-canonical' };

export function walk(m: Machine, request: WalkRequest): WalkOutcome {
  return m.call('page walk', { gva: request.gva, access: request.access }, () => walkTables(m, request));
}

/** Number of the memory word at a physical address. */
export const wordAt = (address: bigint): number => Number(address >> 3n);

function walkTables(m: Machine, request: WalkRequest): WalkOutcome {
  const { gva, registers } = request;
  if (!isCanonical(gva, registers.levels)) {
    m.step('walk-not-canonical', { gva });
    return { kind: 'not-canonical' };
  }
  const words: number[] = [];
  const values: bigint[] = [];
  let table = hostAddress(request, registers.root);
  let rights: PathRights = { writable: true, user: true, executable: true, protectionKey: 0 };
  for (let level: number = registers.levels; ; level -= 1) {
    const index = indexAt(gva, level);
    const word = wordAt(table) + index;
    const entry = m.word(word);
    m.step('walk-read', { level, index, entry }, [word]);
    if (words.length === 0) m.count('walks');
    m.count('refs');
    words.push(word);
    values.push(entry);
    if ((entry & PTE_P) === 0n) return fault(m, { level, errorCode: requestBits(request, registers) });
    const large = level > 1 && (entry & PTE_PS) !== 0n;
    if (
      (entry & reservedBits({ level, large, physicalBits: registers.physicalBits, nxe: registers.nxe })) !==
      0n
    ) {
      return fault(m, { level, errorCode: PFERR_PRESENT | PFERR_RSVD | requestBits(request, registers) });
    }
    rights = narrow(rights, entry);
    if (level === 1 || large) return finish(m, { request, level, rights, words, values });
    values[values.length - 1] = setBits(m, { word, entry, bits: PTE_A, level });
    table = hostAddress(request, entry & PTE_ADDRESS);
  }
}

function finish(
  m: Machine,
  walked: { request: WalkRequest; level: number; rights: PathRights; words: number[]; values: bigint[] },
): WalkOutcome {
  const { request, level, words, values } = walked;
  const last = words.length - 1;
  const word = words[last] as number;
  const entry = values[last] as bigint;
  const rights = { ...walked.rights, protectionKey: protectionKeyOf(entry) };
  const errorCode = refusal(rights, request, request.registers);
  if (errorCode !== undefined) return fault(m, { level, errorCode });
  const bits = request.access === 'write' ? PTE_A | PTE_D : PTE_A;
  const after = setBits(m, { word, entry, bits, level });
  values[last] = after;
  const offset = request.gva & (coverageOf(level) - 1n);
  const address = hostAddress(request, (entry & PTE_ADDRESS & ~(coverageOf(level) - 1n)) | offset);
  const dirty = (after & PTE_D) !== 0n;
  return { kind: 'ok', address, level, rights, dirty, global: (entry & PTE_G) !== 0n, words, values };
}

/** Where a frame that nothing backs is looked for: far above all memory, so that it reads as absent. */
const NOWHERE = 1n << 51n;

function hostAddress(request: WalkRequest, address: bigint): bigint {
  if (request.hostFrame === undefined) return address;
  const frame = request.hostFrame(Number(address >> 12n));
  return frame === undefined ? NOWHERE : (BigInt(frame) << 12n) | (address & 0xfffn);
}

/** Sets accessed and dirty bits that are still clear; gives the entry as it is then. */
function setBits(m: Machine, change: { word: number; entry: bigint; bits: bigint; level: number }): bigint {
  const after = change.entry | change.bits;
  if (after === change.entry) return after;
  m.step('walk-set-bits', { level: change.level, dirty: ((after ^ change.entry) & PTE_D) !== 0n });
  m.set('word', change.word, after);
  m.count('adw');
  return after;
}

function narrow(rights: PathRights, entry: bigint): PathRights {
  return {
    writable: rights.writable && (entry & PTE_W) !== 0n,
    user: rights.user && (entry & PTE_U) !== 0n,
    executable: rights.executable && (entry & PTE_NX) === 0n,
    protectionKey: 0,
  };
}

function fault(m: Machine, found: { level: number; errorCode: number }): WalkOutcome {
  m.step('walk-fault', found);
  return { kind: 'page-fault', ...found };
}
