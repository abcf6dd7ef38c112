/**
 * A second, naive walk of Intel's extended page tables (SDM vol. 3, "The extended page-table mechanism"), alone and
 * under an x86 guest in any paging mode. It shares no code with the model.
 *
 * Misconfiguration is looked for in each entry as it is read; rights are judged once, after the last entry, on the
 * AND of all. Leaves out: mode-based execute control, sub-page write permission, supervisor shadow stacks, guest
 * paging verification, virtualization exceptions, PML, loading PDPTEs through EPT, qualification bits 9 and up.
 */
import { bit, field, keep, type Memory } from './bits.ts';
import { longIndex, longLeafAddress, walkThrough, type X86Outcome, type X86Request } from './x86.ts';

export interface EptTables {
  /** Root in 51:12, page-walk length minus 1 in 5:3, accessed and dirty flags enabled in 6. */
  readonly eptp: bigint;
  /** The processor can do entries with X alone. */
  readonly executeOnly: boolean;
  /** The processor can do 1 GiB pages. */
  readonly gigabytePages: boolean;
  readonly maxPhyAddr: number;
}

export interface EptUse {
  readonly gpa: bigint;
  /** The linear address whose translation needs it. */
  readonly linear: bigint;
  readonly access: EptAccess;
}

/** `table`: the guest walk reads an entry; `update`: it sets an accessed or dirty bit in one. */
export type EptAccess = 'r' | 'w' | 'x' | 'table' | 'update';

export interface EptViolation {
  readonly t: 'ept-violation';
  readonly qualification: bigint;
  readonly gpa: bigint;
  readonly linear: bigint;
}

export interface EptMisconfiguration {
  readonly t: 'ept-misconfiguration';
  readonly gpa: bigint;
}

export type EptExit = EptViolation | EptMisconfiguration;
export type EptOutcome = { readonly t: 'ok'; readonly hpa: bigint } | EptExit;
export type EptGuestOutcome = EptOutcome | Exclude<X86Outcome, { readonly t: 'ok' }>;

/** One access of the guest. `memory` holds EPT and guest entries, all by host-physical address. */
export function walkGuestOverEpt(guest: X86Request, ept: EptTables, memory: Memory): EptGuestOutcome {
  let stop: EptExit | undefined;
  const hostAddress = (gpa: bigint, access: EptAccess): bigint | undefined => {
    const found = walkEpt(ept, { gpa, linear: guest.va, access }, memory);
    if (found.t === 'ok') return found.hpa;
    stop = found;
    return undefined;
  };
  const outcome = walkThrough(guest, {
    read: (gpa) => {
      const hpa = hostAddress(gpa, 'table');
      return hpa === undefined ? undefined : (memory.get(hpa) ?? 0n);
    },
    mark: (gpa, bits) => {
      const there = hostAddress(gpa, 'table');
      if (there === undefined) return false;
      const entry = memory.get(there) ?? 0n;
      if ((entry & bits) === bits) return true;
      const hpa = hostAddress(gpa, 'update');
      if (hpa === undefined) return false;
      memory.set(hpa, entry | bits);
      return true;
    },
  });
  if (outcome.t === 'stopped') {
    if (stop === undefined) throw new Error('nothing stopped the walk');
    return stop;
  }
  if (outcome.t !== 'ok') return outcome;
  return walkEpt(ept, { gpa: outcome.pa, linear: guest.va, access: guest.access }, memory);
}

/** One guest-physical address through EPT. */
export function walkEpt(ept: EptTables, use: EptUse, memory: Memory): EptOutcome {
  const levels = Number(field(ept.eptp, 5, 3)) + 1;
  const marks = bit(ept.eptp, 6);
  if (use.gpa >> (levels === 5 ? 57n : 48n) !== 0n) return violation(ept, use, 0n);
  let table = keep(ept.eptp, 51, 12);
  let rights = 0b111n;
  for (let level = levels; ; level -= 1) {
    const at = table + longIndex(use.gpa, level) * 8n;
    const entry = memory.get(at) ?? 0n;
    if (field(entry, 2, 0) === 0n) return violation(ept, use, 0n);
    if (eptEntryIsBad(ept, entry, level)) return { t: 'ept-misconfiguration', gpa: use.gpa };
    rights &= entry;
    const hpa = longLeafAddress(entry, use.gpa, level);
    if (hpa !== undefined) {
      const wanted = wantedRights(ept, use.access);
      if ((rights & wanted) !== wanted) return violation(ept, use, rights);
      if (marks) memory.set(at, entry | (1n << 8n) | (bit(wanted, 1) ? 1n << 9n : 0n));
      return { t: 'ok', hpa };
    }
    if (marks) memory.set(at, entry | (1n << 8n));
    table = keep(entry, 51, 12);
  }
}

export function eptEntryIsBad(ept: EptTables, entry: bigint, level: number): boolean {
  const xwr = field(entry, 2, 0);
  if (xwr === 0b010n) return true;
  if (xwr === 0b110n) return true;
  if (xwr === 0b100n && !ept.executeOnly) return true;
  if (field(entry, 51, ept.maxPhyAddr) !== 0n) return true;
  if (level === 5) return field(entry, 7, 3) !== 0n;
  if (level === 4) return field(entry, 7, 3) !== 0n;
  if (level === 3 && !bit(entry, 7)) return field(entry, 6, 3) !== 0n;
  if (level === 2 && !bit(entry, 7)) return field(entry, 6, 3) !== 0n;
  if (level === 3 && !ept.gigabytePages) return true;
  if (level === 3 && field(entry, 29, 12) !== 0n) return true;
  if (level === 2 && field(entry, 20, 12) !== 0n) return true;
  const type = field(entry, 5, 3);
  return type === 2n || type === 3n || type === 7n;
}

/** R, W and X in bits 0 to 2: the rights needed, and bits 0 to 2 of the qualification where one is missing. */
function wantedRights(ept: EptTables, access: EptAccess): bigint {
  switch (access) {
    case 'r':
      return 0b001n;
    case 'w':
      return 0b010n;
    case 'x':
      return 0b100n;
    case 'table':
      return bit(ept.eptp, 6) ? 0b011n : 0b001n;
    case 'update':
      return 0b011n;
  }
}

function violation(ept: EptTables, use: EptUse, rights: bigint): EptViolation {
  const final = use.access === 'table' || use.access === 'update' ? 0n : 1n << 8n;
  const qualification = wantedRights(ept, use.access) | (rights << 3n) | (1n << 7n) | final;
  return { t: 'ept-violation', qualification, gpa: use.gpa, linear: use.linear };
}
