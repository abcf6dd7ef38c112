/**
 * A second, naive two-dimensional walk of AMD nested paging (APM vol. 2, "Nested Paging"): the guest in any paging
 * mode, nested tables of 4 or 5 levels. It shares no code with the model.
 *
 * Guest tables are read as user data writes; so they need W and set D in the nested leaf. The guest's PDPTEs are
 * read from memory during the walk. Leaves out: nested tables in legacy or PAE format, SEV, guest-mode-execute
 * trap, supervisor shadow stacks, host protection keys.
 */
import { bit, keep, type Memory } from './bits.ts';
import {
  longEntryIsBad,
  longIndex,
  longLeafAddress,
  walkThrough,
  type X86Outcome,
  type X86Request,
} from './x86.ts';

export interface NestedTables {
  readonly ncr3: bigint;
  readonly levels: 4 | 5;
  /** Host EFER.NXE. */
  readonly nxe: boolean;
  /** Host MAXPHYADDR. */
  readonly maxPhyAddr: number;
}

export interface NestedFault {
  readonly t: 'npf';
  /** EXITINFO1: error code, bit 32 = final translation, bit 33 = guest table. */
  readonly info1: bigint;
  /** EXITINFO2: the guest-physical address, low bits included. */
  readonly info2: bigint;
}

export type NptOutcome = X86Outcome | NestedFault;

interface NestedUse {
  readonly gpa: bigint;
  readonly access: 'r' | 'w' | 'x';
  readonly guestTable: boolean;
}

type Nested = { readonly t: 'ok'; readonly hpa: bigint } | NestedFault;

/** One access of the guest. `memory` holds nested and guest entries, all by host-physical address. */
export function walkNpt(guest: X86Request, host: NestedTables, memory: Memory): NptOutcome {
  let stop: NestedFault | undefined;
  const hostAddress = (gpa: bigint): bigint | undefined => {
    const found = translateNested(host, { gpa, access: 'w', guestTable: true }, memory);
    if (found.t === 'ok') return found.hpa;
    stop = found;
    return undefined;
  };
  const place = new Map<bigint, bigint>();
  const outcome = walkThrough(guest, {
    read: (gpa) => {
      const hpa = hostAddress(gpa);
      if (hpa === undefined) return undefined;
      place.set(gpa, hpa);
      return memory.get(hpa) ?? 0n;
    },
    mark: (gpa, bits) => {
      const hpa = place.get(gpa);
      if (hpa === undefined) throw new Error('an entry is marked that was not read');
      memory.set(hpa, (memory.get(hpa) ?? 0n) | bits);
      return true;
    },
  });
  if (outcome.t === 'stopped') {
    if (stop === undefined) throw new Error('nothing stopped the walk');
    return stop;
  }
  if (outcome.t !== 'ok') return outcome;
  const final = translateNested(host, { gpa: outcome.pa, access: guest.access, guestTable: false }, memory);
  return final.t === 'ok' ? { t: 'ok', pa: final.hpa } : final;
}

/** One guest-physical address through the nested tables. */
export function translateNested(host: NestedTables, use: NestedUse, memory: Memory): Nested {
  if (use.gpa >> (host.levels === 5 ? 57n : 48n) !== 0n) return nestedFault(host, use, 0n);
  let table = keep(host.ncr3, 51, 12);
  let w = true;
  let u = true;
  let x = true;
  for (let level: number = host.levels; ; level -= 1) {
    const at = table + longIndex(use.gpa, level) * 8n;
    const entry = memory.get(at) ?? 0n;
    if (!bit(entry, 0)) return nestedFault(host, use, 0n);
    if (longEntryIsBad(entry, { level, maxPhyAddr: host.maxPhyAddr, nxe: host.nxe })) {
      return nestedFault(host, use, 0b1001n);
    }
    w &&= bit(entry, 1);
    u &&= bit(entry, 2);
    x &&= !bit(entry, 63);
    const hpa = longLeafAddress(entry, use.gpa, level);
    if (hpa !== undefined) {
      const allowed = u && (use.access !== 'w' || w) && (use.access !== 'x' || x);
      if (!allowed) return nestedFault(host, use, 0b0001n);
      memory.set(at, entry | (1n << 5n) | (use.access === 'w' ? 1n << 6n : 0n));
      return { t: 'ok', hpa };
    }
    memory.set(at, entry | (1n << 5n));
    table = keep(entry, 51, 12);
  }
}

/** A nested access is a user access. The fetch bit is reported only where the host can forbid execution. */
function nestedFault(host: NestedTables, use: NestedUse, cause: bigint): NestedFault {
  const write = use.access === 'w' ? 0b00010n : 0n;
  const fetch = use.access === 'x' && host.nxe ? 0b10000n : 0n;
  const where = use.guestTable ? 1n << 33n : 1n << 32n;
  return { t: 'npf', info1: where | fetch | 0b00100n | write | cause, info2: use.gpa };
}
