/**
 * The second stage of a two-dimensional walk: from guest physical to host physical addresses, as AMD's nested paging
 * (AMD APM vol. 2) and Intel's EPT (Intel SDM vol. 3) do it. arm64's is in arm-walk.ts.
 */
import type { Machine } from '../machine/machine.ts';
import type { HostRights } from '../machine/tables.ts';
import {
  EPT_D,
  EPT_MISCONFIGURED,
  eptFormat,
  eptQualification,
  type EptOptions,
  type EptRights,
} from './ept-format.ts';
import { PFERR_USER, refusal, type PathRights } from './fault.ts';
import type { PagingFormat } from './format.ts';
import {
  walkTables,
  type HostOutcome,
  type HostUse,
  type TableWalkFault,
  type TableWalkOutcome,
  type WalkCaches,
} from './page-walk.ts';
import type { AccessKind, PagingRegisters } from './registers.ts';
import { errorCodeOf } from './walk.ts';
import { PTE_D } from './x86-entry.ts';
import type { PagingMode } from './paging-mode.ts';
import { x86Format } from './x86-format.ts';

/** A fault that goes to the hypervisor, not to the guest. */
export interface StageFault {
  readonly kind: 'nested page fault' | 'EPT violation' | 'EPT misconfiguration' | 'stage 2 abort';
  /** Guest physical address, low bits included. */
  readonly gpa: bigint;
  /** EXITINFO1 of a nested page fault; exit qualification of an EPT violation; 0 for a misconfiguration; the syndrome. */
  readonly code: bigint;
  /** Whether a table of the guest could not be reached, rather than the page itself. */
  readonly forTable: boolean;
}

export interface SecondStage {
  /** What is being done at the end of the walk; on the way tables are read. */
  readonly access: AccessKind;
  /** What a use of an address asks of the second stage. */
  readonly asks: (use: Pick<HostUse, 'forTable'>) => HostRights;
  readonly locate: (m: Machine, gpa: bigint, use: HostUse) => HostOutcome<StageFault>;
}

/** Paging-structure caches of the second stage, for one use of an address; undefined where a walk begins at the root. */
export type HostCaches<Rights> = (use: HostUse, gpa: bigint) => WalkCaches<Rights> | undefined;

/** Bits that EXITINFO1 adds to a page-fault error code. */
const NPF_FINAL = 1n << 32n;
const NPF_TABLE = 1n << 33n;

export interface NptOptions {
  /** hCR3: physical address of the nested root. */
  readonly root: bigint;
  readonly mode: Extract<PagingMode, '4-level' | '5-level' | 'pae' | '2-level'>;
  readonly physicalBits: number;
  /** Host EFER.NXE. */
  readonly nxe: boolean;
}

/** AMD: tables of the host's own format; every access is a user access, and a guest's table is reached by a write. */
export function nptStage(
  options: NptOptions,
  access: AccessKind,
  caches?: HostCaches<PathRights>,
): SecondStage {
  const { mode, physicalBits, nxe } = options;
  const format = x86Format({ mode, physicalBits, nxe, pse: true });
  const registers = hostRegisters(options);
  return {
    access,
    asks: (use) => (use.forTable ? { read: true, write: true, execute: false } : asked(access)),
    locate: (m, gpa, use) => {
      const request = { access: use.forTable ? 'write' : access, user: true, registers } as const;
      const walked = hostWalk(m, {
        format,
        root: options.root,
        gpa,
        use,
        write: request.access === 'write',
        refuses: (rights) => refusal(rights, request, registers) !== undefined,
        caches: caches?.(use, gpa),
      });
      if (walked.kind === 'ok') {
        const { address, rights, at, leaf } = walked;
        const granted = { read: true, write: rights.writable, execute: rights.executable };
        return { kind: 'ok', address, pageBits: at.shift, rights: granted, dirty: (leaf & PTE_D) !== 0n };
      }
      const code = BigInt(errorCodeOf(walked, request) | PFERR_USER) | (use.forTable ? NPF_TABLE : NPF_FINAL);
      return raise(m, walked, { kind: 'nested page fault', gpa, code, use });
    },
  };
}

/** The host's settings as far as a nested walk asks for them: neither SMEP nor keys matter to user accesses of it. */
const hostRegisters = ({ root, mode, physicalBits, nxe }: NptOptions): PagingRegisters => ({
  mode,
  root,
  physicalBits,
  nxe,
  wp: true,
  pse: true,
  pge: false,
  smep: false,
  smap: false,
  pke: false,
  pks: false,
  ac: false,
  pkru: 0,
  pkrs: 0,
});

export interface EptStageOptions extends EptOptions {
  /** Bits of EPTP that name the root table. */
  readonly root: bigint;
}

/** Intel: entries with separate read, write and execute rights. With A/D on, reaching a guest's table is a write. */
export function eptStage(
  options: EptStageOptions,
  access: AccessKind,
  caches?: HostCaches<EptRights>,
): SecondStage {
  const format = eptFormat(options);
  const { accessedDirty } = options;
  const asks: SecondStage['asks'] = (use) =>
    use.forTable ? { read: true, write: accessedDirty, execute: false } : asked(access);
  return {
    access,
    asks,
    locate: (m, gpa, use) => {
      const wanted = asks(use);
      const walked = hostWalk(m, {
        format,
        root: options.root,
        gpa,
        use,
        write: wanted.write,
        refuses: (rights) => refusedByEpt(rights, wanted),
        caches: caches?.(use, gpa),
      });
      const violate = (rights: EptRights, of: HostRights): bigint =>
        eptQualification(of, rights, { forTable: use.forTable });
      if (walked.kind === 'fault') {
        const misconfigured = walked.why === EPT_MISCONFIGURED;
        const granted = walked.why === 'absent' ? NO_RIGHTS : walked.rights;
        return raise(m, walked, {
          kind: misconfigured ? 'EPT misconfiguration' : 'EPT violation',
          gpa,
          code: misconfigured ? 0n : violate(granted, wanted),
          use,
        });
      }
      const { address, rights, at, leaf } = walked;
      const dirty = !accessedDirty || (leaf & EPT_D) !== 0n;
      const place = { kind: 'ok', address, pageBits: at.shift, rights, dirty } as const;
      if (!use.forTable || accessedDirty || rights.write) return place;
      const code = violate(rights, { read: true, write: true, execute: false });
      const refused = { kind: 'fault', at: walked.at } as const;
      return {
        ...place,
        refuseWrite: () => raise(m, refused, { kind: 'EPT violation', gpa, code, use }).fault,
      };
    },
  };
}

const asked = (access: AccessKind): HostRights => ({
  read: access === 'read',
  write: access === 'write',
  execute: access === 'execute',
});

/** What an entry that is not present grants. */
const NO_RIGHTS: EptRights = { read: false, write: false, execute: false };

const refusedByEpt = (rights: EptRights, wanted: HostRights): boolean =>
  (wanted.read && !rights.read) || (wanted.write && !rights.write) || (wanted.execute && !rights.execute);

interface HostWalk<Rights> {
  readonly format: PagingFormat<Rights>;
  readonly root: bigint;
  readonly gpa: bigint;
  readonly use: HostUse;
  readonly write: boolean;
  readonly refuses: (rights: Rights) => boolean;
  readonly caches: WalkCaches<Rights> | undefined;
}

type HostWalkOutcome<Rights> = Exclude<TableWalkOutcome<Rights, never>, { kind: 'host-fault' }>;

function hostWalk<Rights>(m: Machine, by: HostWalk<Rights>): HostWalkOutcome<Rights> {
  return walkTables<Rights, never>(m, {
    format: by.format,
    root: by.root,
    address: by.gpa,
    write: by.write,
    refusal: (rights) => (by.refuses(rights) ? 'permission' : undefined),
    dimension: 'host',
    row: by.use.row,
    trail: by.use.trail,
    ...(by.caches === undefined ? {} : { caches: by.caches }),
  }) as HostWalkOutcome<Rights>;
}

/** Tells the hypervisor. */
function raise(
  m: Machine,
  found: Pick<TableWalkFault<unknown>, 'kind' | 'at'>,
  fault: { kind: StageFault['kind']; gpa: bigint; code: bigint; use: HostUse },
): { readonly kind: 'fault'; readonly fault: StageFault } {
  const { kind, gpa, code, use } = fault;
  m.step('host-fault', { row: use.row, level: found.at.level, gpa, kind, code });
  return { kind: 'fault', fault: { kind, gpa, code, forTable: use.forTable } };
}
