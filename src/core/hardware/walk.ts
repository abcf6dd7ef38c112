/**
 * The page walk of an x86 processor (Intel SDM vol. 3, "Paging"), in every mode: from the registers and an address to
 * a physical address or a fault. With `host` it is the guest's half of a two-dimensional walk: the addresses in the
 * guest's tables are translated by a second stage.
 */
import type { Machine } from '../machine/machine.ts';
import type { HostRights } from '../machine/tables.ts';
import {
  PFERR_PRESENT,
  PFERR_RSVD,
  refusal,
  requestBits,
  type AccessRequest,
  type PathRights,
} from './fault.ts';
import {
  walkTables,
  type HostOutcome,
  type HostUse,
  type TableWalkFault,
  type TableWalkSuccess,
  type Trail,
  type WalkCaches,
} from './page-walk.ts';
import type { PagingRegisters } from './registers.ts';
import { levelsOf, x86Format } from './x86-format.ts';
import { isCanonical, PTE_D, PTE_G } from './x86-entry.ts';

export interface WalkRequest<HostFault = never> extends AccessRequest {
  readonly gva: bigint;
  readonly registers: PagingRegisters;
  /** Where an address that the tables name lies in memory. Without it the tables name host addresses. */
  readonly host?: (address: bigint, use: HostUse) => HostOutcome<HostFault>;
  /** The place in memory is a plain offset of the address that the tables name: no second dimension. */
  readonly flat?: true;
  readonly caches?: WalkCaches<PathRights>;
}

export interface WalkSuccess {
  readonly kind: 'ok';
  /** Physical address of the byte, in host memory. */
  readonly address: bigint;
  /** Level of the leaf: 1 = 4 KiB, 2 = 2 or 4 MiB, 3 = 1 GiB. 0 where nothing is translated. */
  readonly level: number;
  /** Size of the translated page as a power of two, the smaller of both dimensions. */
  readonly pageBits: number;
  readonly rights: PathRights;
  /** Whether a write needs no mark any more, in either dimension. */
  readonly dirty: boolean;
  readonly global: boolean;
  /** arm64: whether EL0 may fetch; `rights.executable` is EL1's then. */
  readonly userExecutable?: boolean;
  /** What the second stage grants. */
  readonly host?: HostRights;
  /** The registers under which the table was found that the walk began from; absent where it began at the root. */
  readonly under?: string;
  /** The words read, in order, and what they hold after the walk. */
  readonly words: readonly number[];
  readonly values: readonly bigint[];
}

export type WalkFault =
  | { readonly kind: 'page-fault'; readonly errorCode: number; readonly level: number }
  | { readonly kind: 'not-canonical' };
/** Only a walk with a second stage can end in a fault of that stage. */
export type HostFaulted<HostFault> = [HostFault] extends [never]
  ? never
  : { readonly kind: 'host-fault'; readonly fault: HostFault };
export type WalkOutcome<HostFault = never> = WalkSuccess | WalkFault | HostFaulted<HostFault>;

export function walk<HostFault = never>(m: Machine, request: WalkRequest<HostFault>): WalkOutcome<HostFault> {
  return m.call('page walk', { gva: request.gva, access: request.access }, () => walkX86(m, request));
}

function walkX86<HostFault>(m: Machine, request: WalkRequest<HostFault>): WalkOutcome<HostFault> {
  const { gva, registers } = request;
  if (!isCanonical(gva, registers.mode)) {
    m.step('walk-not-canonical', { gva });
    return { kind: 'not-canonical' };
  }
  const trail: Trail = { words: [], values: [], counted: false };
  const walked = walkTables<PathRights, HostFault>(m, {
    format: x86Format(registers),
    root: registers.root,
    address: addressWithin(gva, registers),
    write: request.access === 'write',
    refusal: (rights) => (refusal(rights, request, registers) === undefined ? undefined : 'permission'),
    dimension: request.host === undefined || request.flat === true ? 'single' : 'guest',
    row: 0,
    trail,
    ...(request.host === undefined ? {} : { host: request.host }),
    ...(request.caches === undefined ? {} : { caches: request.caches }),
    ...(registers.pdptrs === undefined ? {} : { rootRegisters: registers.pdptrs }),
  });
  if (walked.kind === 'host-fault') return walked as HostFaulted<HostFault>;
  if (walked.kind === 'fault') return pageFault(m, walked, request);
  return finish({ walked, request, trail });
}

/** Modes below long mode have 32-bit addresses. */
const addressWithin = (gva: bigint, { mode }: PagingRegisters): bigint =>
  mode === '4-level' || mode === '5-level' ? gva : gva & 0xffff_ffffn;

function finish<HostFault>(by: {
  walked: TableWalkSuccess<PathRights>;
  request: WalkRequest<HostFault>;
  trail: Trail;
}): WalkOutcome<HostFault> {
  const { walked, request, trail } = by;
  const { at, rights, leaf } = walked;
  const located = request.host?.(walked.address, {
    row: levelsOf(request.registers.mode).length,
    forTable: false,
    trail,
  });
  if (located?.kind === 'fault')
    return { kind: 'host-fault', fault: located.fault } as HostFaulted<HostFault>;
  return {
    kind: 'ok',
    address: located?.address ?? walked.address,
    level: at.level,
    pageBits: Math.min(at.shift, located?.pageBits ?? at.shift),
    rights,
    dirty: (at.level === 0 || (leaf & PTE_D) !== 0n) && (located?.dirty ?? true),
    global: (leaf & PTE_G) !== 0n && request.registers.pge,
    ...(located === undefined || request.flat === true ? {} : { host: located.rights }),
    ...(trail.under === undefined ? {} : { under: trail.under }),
    words: trail.words,
    values: trail.values,
  };
}

type AccessTo = AccessRequest & { readonly registers: PagingRegisters };

function pageFault(m: Machine, found: TableWalkFault<PathRights>, request: AccessTo): WalkFault {
  const { level } = found.at;
  const errorCode = errorCodeOf(found, request);
  m.step('walk-fault', { level, errorCode });
  return { kind: 'page-fault', errorCode, level };
}

/** The page-fault error code of an x86 walk that failed. */
export function errorCodeOf(found: TableWalkFault<PathRights>, request: AccessTo): number {
  const asked = requestBits(request, request.registers);
  if (found.why === 'absent') return asked;
  if (found.why === 'malformed') return PFERR_PRESENT | PFERR_RSVD | asked;
  return refusal(found.rights, request, request.registers) ?? PFERR_PRESENT | asked;
}
