/**
 * Rights and fault codes for the naive processor: what a path of entries allows, and how a fault of the second stage is
 * reported (Intel SDM vol. 3; AMD APM vol. 2; Arm ARM), with literal bit numbers. It shares no code with the model.
 */
import { bit, field } from './bits.ts';
import type { GuestAllows, HostAllows } from './caches.ts';
import type { Stop } from './descent.ts';

export interface Access {
  readonly va: bigint;
  readonly access: 'r' | 'w' | 'x';
  readonly user: boolean;
}

/** Whose second-stage tables. */
export type HostKind = 'ept' | 'npt' | 'arm';

export interface HostUse {
  readonly q: Access;
  readonly forTable: boolean;
}

/** What a use asks of the second stage. */
export interface Wants {
  readonly read: boolean;
  readonly write: boolean;
  readonly fetch: boolean;
}

export function pageAround(
  from: bigint,
  to: bigint,
  size: number,
): { page: bigint; size: number; to: bigint } {
  const offset = field(from, size - 1, 0);
  return { page: from - offset, size, to: to - offset };
}

export const hostGrants = (host: HostAllows, { access, user }: Access): boolean => {
  if (access === 'r') return host.read;
  if (access === 'w') return host.write;
  return user ? host.fetchUser : host.fetchKernel;
};

export function hostAllows(kind: HostKind, path: readonly bigint[]): HostAllows {
  if (kind === 'npt') {
    const fetch = path.every((entry) => !bit(entry, 63));
    const write = path.every((entry) => bit(entry, 1));
    return { read: true, write, fetchKernel: fetch, fetchUser: fetch };
  }
  if (kind === 'ept') {
    const [read, write, fetch] = [0, 1, 2].map((n) => path.every((entry) => bit(entry, n)));
    return {
      read: read === true,
      write: write === true,
      fetchKernel: fetch === true,
      fetchUser: fetch === true,
    };
  }
  const leaf = path.at(-1) ?? 0n;
  const never = field(leaf, 54, 53);
  return {
    read: bit(leaf, 6),
    write: bit(leaf, 7),
    fetchKernel: never === 0n || never === 3n,
    fetchUser: never === 0n || never === 1n,
  };
}

/** Stage 1: APTable and the table's execute-never bits restrict what the leaf grants. */
export function armAllows(tables: readonly bigint[], leaf: bigint): GuestAllows {
  const any = (n: number): boolean => tables.some((entry) => bit(entry, n));
  const write = !bit(leaf, 7) && !any(62);
  const user = bit(leaf, 6) && !any(61);
  return {
    write,
    user,
    fetchKernel: !bit(leaf, 53) && !any(59) && !(user && write),
    fetchUser: !bit(leaf, 54) && !any(60),
    key: 0,
  };
}

export function armGrants(allows: GuestAllows, { access, user }: Access): boolean {
  if (access === 'x') return user ? allows.fetchUser : allows.fetchKernel;
  if (user && !allows.user) return false;
  return access === 'r' || allows.write;
}

/** ESR_EL1 or ESR_EL2. Where a table was out of reach, WnR is left 0: it is not compared. */
export function armSyndrome(q: Access, by: { stage: 1 | 2; status: number; table?: true }): bigint {
  const lower = q.access === 'x' ? 0x20n : 0x24n;
  const sameLevel = by.stage === 1 && !q.user ? 1n : 0n;
  const wnr = q.access === 'w' && by.table !== true ? 1n << 6n : 0n;
  const onTable = by.table === true ? 1n << 7n : 0n;
  return ((lower + sameLevel) << 26n) | (1n << 25n) | onTable | wnr | BigInt(by.status);
}

/**
 * A fault of the second stage: its code as EXITINFO1, as the exit qualification, or as ESR_EL2. `mark`: EPT without A/D,
 * or arm64, refuses to write a mark into a guest's table.
 */
export function hostFault(
  kind: HostKind,
  of: { gpa: bigint; use: HostUse; wants: Wants },
  by: { cause: 'absent' | 'bad' | 'rights'; level: number; path?: readonly bigint[]; mark?: true },
): Stop {
  const { gpa, use, wants } = of;
  const write = wants.write || by.mark === true;
  const { q, forTable } = use;
  if (kind === 'npt') {
    const cause = by.cause === 'bad' ? 0b1001n : by.cause === 'rights' ? 1n : 0n;
    const asked = (write ? 2n : 0n) | (wants.fetch ? 16n : 0n) | 4n;
    const code = (forTable ? 1n << 33n : 1n << 32n) | asked | cause;
    return { t: 'host fault', kind: 'nested page fault', code, gpa };
  }
  if (kind === 'arm') {
    const status = (by.cause === 'rights' ? 0b1100 : 0b0100) + by.level;
    const code = armSyndrome(q, { stage: 2, status, ...(forTable ? { table: true } : {}) });
    return { t: 'host fault', kind: 'stage 2 abort', code, gpa };
  }
  if (by.cause === 'bad') return { t: 'host fault', kind: 'EPT misconfiguration', code: 0n, gpa };
  const asked = (wants.read ? 1n : 0n) | (write ? 2n : 0n) | (wants.fetch ? 4n : 0n);
  const rights = (by.path ?? [0n]).reduce((all, entry) => all & entry, 7n);
  const code = asked | (rights << 3n) | (1n << 7n) | (forTable ? 0n : 1n << 8n);
  return { t: 'host fault', kind: 'EPT violation', code, gpa };
}
