/**
 * Recorded page walks of an independent MMU, as its recorder wrote them: one JSON object a line, numbers as hex
 * strings. Replays one through the model's walk and says where they differ: outcome, address, codes, and every entry
 * afterwards, in both dimensions.
 *
 * Exempt, as the recordings' own notes say: the level in a syndrome marked `nolevel`, WnR together with S1PTW, HPFAR of
 * permission faults that are no S1PTW, and the syndrome of the instruction.
 */
import type { Machine } from '../machine/machine.ts';
import { stage1Of, stage2Of } from './arm-registers.ts';
import { armStage, walkArm } from './arm-walk.ts';
import { readEntry, writeEntry } from './format.ts';
import type { AccessKind, PagingRegisters } from './registers.ts';
import { pagingRegisters } from './registers.ts';
import { nptStage, type StageFault } from './second-stage.ts';
import { walk, type WalkOutcome } from './walk.ts';

interface VectorCommon {
  readonly id: string;
  readonly access: 'r' | 'w' | 'x';
  readonly va: string;
}

interface X86Registers {
  readonly cr0: string;
  readonly cr3: string;
  readonly cr4: string;
  readonly efer: string;
  readonly pkru: string;
  readonly pkrs?: string;
  readonly ac: number;
  readonly cpl: number;
}

/** [host physical address, entry]. */
type HostEntries = readonly (readonly [string, string])[];
/** [guest physical address, host physical address, entry]. */
type GuestEntries = readonly (readonly [string, string, string])[];

export interface X86Vector extends VectorCommon, X86Registers {
  readonly mode: '2level' | 'pae' | '4level' | '5level';
  readonly mem: HostEntries;
  readonly after: readonly string[];
  readonly out:
    | { readonly t: 'ok'; readonly pa: string }
    | { readonly t: 'pf'; readonly ec: string; readonly cr2: string }
    | { readonly t: 'gp'; readonly ec: string };
}

interface NestedEntries {
  readonly nmem: HostEntries;
  readonly nafter: readonly string[];
  readonly gmem: GuestEntries;
  readonly gafter: readonly string[];
}

export interface NptVector extends VectorCommon, X86Registers, NestedEntries {
  readonly mode: 'npt';
  readonly gmode: '2level' | 'pae' | '4level' | '5level' | 'off';
  readonly ncr3: string;
  readonly out:
    | { readonly t: 'ok'; readonly pa: string }
    | { readonly t: 'pf'; readonly ec: string; readonly cr2: string }
    | { readonly t: 'npf'; readonly info1: string; readonly info2: string };
}

export interface ArmVector extends VectorCommon, NestedEntries {
  readonly mode: 'arm-s2';
  readonly vtcr: string;
  readonly vttbr: string;
  readonly sctlr: string;
  readonly tcr: string;
  readonly ttbr0: string;
  readonly pan: number;
  readonly el: 0 | 1;
  readonly nolevel?: number;
  readonly out:
    | { readonly t: 'ok'; readonly pa: string }
    | { readonly t: 's1'; readonly esr: string; readonly far: string }
    | { readonly t: 's2'; readonly esr: string; readonly far: string; readonly hpfar: string };
}

export type WalkVector = X86Vector | NptVector | ArmVector;

const ACCESS: Readonly<Record<VectorCommon['access'], AccessKind>> = { r: 'read', w: 'write', x: 'execute' };

export interface Mismatch {
  readonly id: string;
  readonly what: string;
  readonly expected: string;
  readonly got: string;
}

interface Entry {
  readonly address: bigint;
  readonly value: bigint;
  readonly after: bigint;
  readonly bytes: 4 | 8;
}

/** Loads a vector's entries into the machine, walks, and compares outcome and every entry afterwards. */
export function replayVector(m: Machine, vector: WalkVector): readonly Mismatch[] {
  const entries = entriesOf(vector);
  m.step('setup-memory', { gfn: 0 });
  for (const { address, value, bytes } of entries) writeEntry(m, { address, bytes }, value);
  const { expected, got } = outcomes(m, vector);
  const mismatches: Mismatch[] = [];
  if (expected !== got) mismatches.push({ id: vector.id, what: 'outcome', expected, got });
  for (const { address, after, bytes } of entries) {
    const have = readEntry(m, address, bytes);
    if (have !== after) {
      mismatches.push({
        id: vector.id,
        what: `entry at ${hex(address)}`,
        expected: hex(after),
        got: hex(have),
      });
    }
  }
  return mismatches;
}

function entriesOf(vector: WalkVector): readonly Entry[] {
  const host = (list: HostEntries, after: readonly string[], bytes: 4 | 8): Entry[] =>
    list.map(([address, value], index) => ({
      address: BigInt(address),
      value: BigInt(value),
      after: BigInt(after[index] ?? '0x0'),
      bytes,
    }));
  if ('mem' in vector) return host(vector.mem, vector.after, vector.mode === '2level' ? 4 : 8);
  const bytes = vector.mode === 'npt' && vector.gmode === '2level' ? 4 : 8;
  const guest = vector.gmem.map(([, place, value]) => [place, value] as const);
  return [...host(vector.nmem, vector.nafter, 8), ...host(guest, vector.gafter, bytes)];
}

function outcomes(m: Machine, vector: WalkVector): { expected: string; got: string } {
  switch (vector.mode) {
    case 'npt':
      return { expected: nptExpected(vector), got: x86Text(nptOutcome(m, vector), vector.va) };
    case 'arm-s2':
      return { expected: armExpected(vector), got: armText(armOutcome(m, vector), vector) };
    case '2level':
    case 'pae':
    case '4level':
    case '5level':
      return { expected: x86Expected(vector), got: x86Text(x86Outcome(m, vector), vector.va) };
  }
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

function x86Registers(vector: X86Registers): PagingRegisters {
  return pagingRegisters({
    cr0: BigInt(vector.cr0),
    cr3: BigInt(vector.cr3),
    cr4: BigInt(vector.cr4),
    efer: BigInt(vector.efer),
    pkru: Number(vector.pkru),
    pkrs: Number(vector.pkrs ?? '0x0'),
    ac: vector.ac === 1,
  });
}

const x86Request = (
  vector: X86Registers & VectorCommon,
): { gva: bigint; access: AccessKind; user: boolean; registers: PagingRegisters } => ({
  gva: BigInt(vector.va),
  access: ACCESS[vector.access],
  user: vector.cpl === 3,
  registers: x86Registers(vector),
});

const x86Outcome = (m: Machine, vector: X86Vector): WalkOutcome => walk(m, x86Request(vector));

const NPT_HOST = { mode: '4-level', physicalBits: 40, nxe: true } as const;

function nptOutcome(m: Machine, vector: NptVector): WalkOutcome<StageFault> {
  const request = x86Request(vector);
  const stage = nptStage({ ...NPT_HOST, root: BigInt(vector.ncr3) }, request.access);
  return walk<StageFault>(m, { ...request, host: (gpa, use) => stage.locate(m, gpa, use) });
}

function x86Expected({ out }: X86Vector): string {
  if (out.t === 'ok') return `ok ${hex(BigInt(out.pa))}`;
  return out.t === 'gp' ? 'gp' : `pf ${hex(BigInt(out.ec))} cr2 ${hex(BigInt(out.cr2))}`;
}

function nptExpected({ out }: NptVector): string {
  if (out.t === 'ok') return `ok ${hex(BigInt(out.pa))}`;
  if (out.t === 'npf') return `npf ${hex(BigInt(out.info1))} at ${hex(BigInt(out.info2))}`;
  return `pf ${hex(BigInt(out.ec))} cr2 ${hex(BigInt(out.cr2))}`;
}

function x86Text(outcome: WalkOutcome<StageFault>, va: string): string {
  switch (outcome.kind) {
    case 'ok':
      return `ok ${hex(outcome.address)}`;
    case 'not-canonical':
      return 'gp';
    case 'host-fault':
      return `npf ${hex(outcome.fault.code)} at ${hex(outcome.fault.gpa)}`;
    case 'page-fault':
      return `pf ${hex(outcome.errorCode)} cr2 ${hex(BigInt(va))}`;
  }
}

function armOutcome(m: Machine, vector: ArmVector): WalkOutcome<StageFault> {
  const stage1 = stage1Of({
    tcr: BigInt(vector.tcr),
    ttbr0: BigInt(vector.ttbr0),
    sctlr: BigInt(vector.sctlr),
  });
  const stage2 = stage2Of({ vtcr: BigInt(vector.vtcr), vttbr: BigInt(vector.vttbr) });
  const access = ACCESS[vector.access];
  const stage = armStage(stage2, { access, el: vector.el });
  return walkArm(m, {
    va: BigInt(vector.va),
    access,
    el: vector.el,
    registers: { ...(stage1 === undefined ? {} : { stage1 }), pan: vector.pan === 1 },
    host: (ipa, use) => stage.locate(m, ipa, use),
  });
}

/** Class, IL, S1PTW, fault status, and WnR of data aborts. */
const SYNDROME_COMPARED = (0x3fn << 26n) | (1n << 25n) | (1n << 7n) | 0x3fn;
const WNR = 1n << 6n;
const S1PTW = 1n << 7n;
const STATUS_LEVEL = 3n;
const STATUS_KIND = 0x3cn;
const PERMISSION = 0xcn;
const DATA_ABORT_BIT = 1n << 28n;

/** A syndrome without what the recording leaves open. */
function comparable(syndrome: bigint, vector: ArmVector): bigint {
  const data = (syndrome & DATA_ABORT_BIT) !== 0n && (syndrome & S1PTW) === 0n;
  const kept = syndrome & (SYNDROME_COMPARED | (data ? WNR : 0n));
  return vector.nolevel === 1 ? kept & ~STATUS_LEVEL : kept;
}

/** HPFAR holds bits 47:12 of the intermediate address from bit 4 on; it is unknown for most permission faults. */
function hpfarText(syndrome: bigint, hpfar: bigint): string {
  const unknown = (syndrome & STATUS_KIND) === PERMISSION && (syndrome & S1PTW) === 0n;
  return unknown ? '' : ` hpfar ${hex(hpfar)}`;
}

function armExpected(vector: ArmVector): string {
  const { out } = vector;
  if (out.t === 'ok') return `ok ${hex(BigInt(out.pa))}`;
  const syndrome = BigInt(out.esr);
  const text = `${out.t} ${hex(comparable(syndrome, vector))} far ${hex(BigInt(out.far))}`;
  return out.t === 's1' ? text : text + hpfarText(syndrome, BigInt(out.hpfar));
}

function armText(outcome: WalkOutcome<StageFault>, vector: ArmVector): string {
  if (outcome.kind === 'ok') return `ok ${hex(outcome.address)}`;
  const far = ` far ${hex(BigInt(vector.va))}`;
  if (outcome.kind === 'host-fault') {
    const { code, gpa } = outcome.fault;
    return `s2 ${hex(comparable(code, vector))}${far}${hpfarText(code, (gpa >> 12n) << 4n)}`;
  }
  return outcome.kind === 'not-canonical'
    ? 'not canonical'
    : `s1 ${hex(comparable(BigInt(outcome.errorCode), vector))}${far}`;
}
