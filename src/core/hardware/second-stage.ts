/**
 * The second stage of a two-dimensional walk: from guest physical to host physical addresses, as AMD's nested paging
 * (AMD APM vol. 2) and Intel's EPT (Intel SDM vol. 3) do it. arm64's is in arm-walk.ts.
 */
import type { Machine } from '../machine/machine.ts';
import {
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
import { x86Format, type PagingMode } from './x86-format.ts';

/** A fault that goes to the hypervisor, not to the guest. */
export interface StageFault {
  readonly kind: 'nested page fault' | 'EPT violation' | 'EPT misconfiguration';
  /** Guest physical address, low bits included. */
  readonly gpa: bigint;
  /** EXITINFO1 of a nested page fault; exit qualification of an EPT violation; 0 for a misconfiguration. */
  readonly code: bigint;
  /** Whether a table of the guest could not be reached, rather than the page itself. */
  readonly forTable: boolean;
}

export interface SecondStage {
  /** What is being done at the end of the walk; on the way tables are read. */
  readonly access: AccessKind;
  readonly locate: (m: Machine, gpa: bigint, use: HostUse) => HostOutcome<StageFault>;
}

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
  readonly caches?: WalkCaches<PathRights>;
}

/** AMD: tables of the host's own format; every access is a user access, and a guest's table is reached by a write. */
export function nptStage(options: NptOptions, access: AccessKind): SecondStage {
  const { mode, physicalBits, nxe } = options;
  const format = x86Format({ mode, physicalBits, nxe, pse: true });
  const registers = hostRegisters(options);
  return {
    access,
    locate: (m, gpa, use) => {
      const request = { access: use.forTable ? 'write' : access, user: true, registers } as const;
      const walked = hostWalk(m, {
        format,
        root: options.root,
        gpa,
        use,
        write: request.access === 'write',
        refuses: (rights) => refusal(rights, request, registers) !== undefined,
        caches: options.caches,
      });
      if (walked.kind === 'ok') return { kind: 'ok', address: walked.address, pageBits: walked.at.shift };
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
  readonly caches?: WalkCaches<EptRights>;
}

/** Intel: entries with separate read, write and execute rights. With A/D on, reaching a guest's table is a write. */
export function eptStage(options: EptStageOptions, access: AccessKind): SecondStage {
  const format = eptFormat(options);
  const { accessedDirty } = options;
  return {
    access,
    locate: (m, gpa, use) => {
      const asked = use.forTable
        ? { read: true, write: accessedDirty, execute: false }
        : { read: access === 'read', write: access === 'write', execute: access === 'execute' };
      const walked = hostWalk(m, {
        format,
        root: options.root,
        gpa,
        use,
        write: asked.write,
        refuses: (rights) => refusedByEpt(rights, asked),
        caches: options.caches,
      });
      const violate = (rights: EptRights, of: typeof asked): bigint =>
        eptQualification(of, rights, { forTable: use.forTable });
      if (walked.kind === 'fault') {
        const misconfigured = walked.why === EPT_MISCONFIGURED;
        const granted = walked.why === 'absent' ? NOTHING : walked.rights;
        return raise(m, walked, {
          kind: misconfigured ? 'EPT misconfiguration' : 'EPT violation',
          gpa,
          code: misconfigured ? 0n : violate(granted, asked),
          use,
        });
      }
      const place = { kind: 'ok', address: walked.address, pageBits: walked.at.shift } as const;
      if (!use.forTable || accessedDirty || walked.rights.write) return place;
      const code = violate(walked.rights, { read: true, write: true, execute: false });
      const refused = { kind: 'fault', at: walked.at } as const;
      return {
        ...place,
        refuseWrite: () => raise(m, refused, { kind: 'EPT violation', gpa, code, use }).fault,
      };
    },
  };
}

/** What a path with an entry that is not present grants. */
const NOTHING: EptRights = { read: false, write: false, execute: false };

const refusedByEpt = (
  rights: EptRights,
  asked: { read: boolean; write: boolean; execute: boolean },
): boolean =>
  (asked.read && !rights.read) || (asked.write && !rights.write) || (asked.execute && !rights.execute);

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
