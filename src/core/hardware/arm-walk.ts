/**
 * Translation of one access on AArch64 (Arm ARM): stage 1 for EL1&0, stage 2, or both, each with its aborts and their
 * syndromes. Hardware management of access flags and dirty state writes back as it goes.
 */
import { must } from '../assert.ts';
import type { Machine } from '../machine/machine.ts';
import {
  stage1Format,
  stage1Start,
  stage2Format,
  stage2StartFits,
  type ArmFormatOptions,
  type Granule,
  type Stage1Rights,
  type Stage2Rights,
} from './arm-format.ts';
import type { PagingFormat } from './format.ts';
import {
  walkTables,
  type HostOutcome,
  type HostUse,
  type TableWalkFault,
  type Trail,
  type WalkCaches,
  type WalkFaultReason,
} from './page-walk.ts';
import type { AccessKind } from './registers.ts';
import { bitRange } from './x86-format.ts';

/** A stage of translation, decoded from its control registers. */
export interface ArmStage {
  readonly format: ArmFormatOptions;
  readonly root: bigint;
}

export interface ArmRegisters {
  /** Undefined while stage 1 is off. */
  readonly stage1?: ArmStage & { readonly wxn: boolean };
  readonly stage2?: ArmStage;
  /** PSTATE.PAN. */
  readonly pan: boolean;
}

export interface ArmRequest {
  readonly va: bigint;
  readonly access: AccessKind;
  /** Exception level of the access. */
  readonly el: 0 | 1;
  readonly registers: ArmRegisters;
  readonly caches1?: WalkCaches<Stage1Rights>;
  readonly caches2?: WalkCaches<Stage2Rights>;
}

export interface ArmAbort {
  readonly kind: 'abort';
  readonly stage: 1 | 2;
  /** Exception syndrome: class, IL, WnR, S1PTW, fault status. */
  readonly syndrome: bigint;
  /** Intermediate physical address at fault, for stage 2. */
  readonly ipa?: bigint;
}

export interface ArmSuccess {
  readonly kind: 'ok';
  readonly address: bigint;
  /** Level of the last entry read. */
  readonly level: number;
  readonly pageBits: number;
  readonly stage1: Stage1Rights | undefined;
  readonly stage2: Stage2Rights | undefined;
  readonly words: readonly number[];
  readonly values: readonly bigint[];
}

export type ArmOutcome = ArmSuccess | ArmAbort;

/** Physical address sizes by the encoding of PS and IPS. */
const OUTPUT_BITS: readonly number[] = [32, 36, 40, 42, 44, 48];
const TG0_GRANULES: readonly Granule[] = [12, 16, 14];
const BASE_ADDRESS = bitRange(47, 1);

/** Decodes TCR_EL1 and TTBR0_EL1. */
export function stage1Of(raw: { tcr: bigint; ttbr0: bigint; sctlr: bigint }): ArmRegisters['stage1'] {
  const { tcr, ttbr0, sctlr } = raw;
  if ((sctlr & 1n) === 0n) return undefined;
  const granule = must(TG0_GRANULES[field(tcr, 15, 14)], 'a granule');
  const inputBits = 64 - field(tcr, 5, 0);
  const format: ArmFormatOptions = {
    granule,
    inputBits,
    startLevel: stage1Start(granule, inputBits),
    outputBits: OUTPUT_BITS[field(tcr, 34, 32)] ?? 48,
    ha: field(tcr, 39, 39) === 1,
    hd: field(tcr, 40, 39) === 3,
  };
  return { format, root: ttbr0 & BASE_ADDRESS, wxn: (sctlr & (1n << 19n)) !== 0n };
}

/** Start level of stage 2 by SL0; 16 and 64 KiB granules count one lower. */
const stage2Start = (granule: Granule, sl0: number): number => (granule === 12 ? 2 - sl0 : 3 - sl0);

/** Decodes VTCR_EL2 and VTTBR_EL2. */
export function stage2Of({ vtcr, vttbr }: { vtcr: bigint; vttbr: bigint }): ArmStage {
  const granule = must(TG0_GRANULES[field(vtcr, 15, 14)], 'a granule');
  const format: ArmFormatOptions = {
    granule,
    inputBits: 64 - field(vtcr, 5, 0),
    startLevel: stage2Start(granule, field(vtcr, 7, 6)),
    outputBits: OUTPUT_BITS[field(vtcr, 18, 16)] ?? 48,
    ha: field(vtcr, 21, 21) === 1,
    hd: field(vtcr, 22, 21) === 3,
  };
  return { format, root: vttbr & BASE_ADDRESS };
}

const field = (value: bigint, high: number, low: number): number =>
  Number((value >> BigInt(low)) & bitRange(high - low, 0));

export function walkArm(m: Machine, request: ArmRequest): ArmOutcome {
  return m.call('page walk', { gva: request.va, access: request.access }, () => walkStages(m, request));
}

function walkStages(m: Machine, request: ArmRequest): ArmOutcome {
  const trail: Trail = { words: [], values: [], counted: false };
  const { stage1, stage2 } = request.registers;
  const second = stage2 === undefined ? undefined : stageTwo(m, request, stage2);
  if (stage1 === undefined) return finish({ request, address: request.va, trail, second });
  const tooLarge = beyondInput(m, request, { stage: stage1, address: request.va, number: 1 });
  if (tooLarge !== undefined) return tooLarge;
  const walked = walkTables<Stage1Rights, ArmAbort>(m, {
    format: formatOf(stage1Formats, stage1.format, stage1Format),
    root: stage1.root,
    address: request.va,
    write: request.access === 'write',
    refusal: (rights) => stage1Refusal(rights, request),
    dimension: second === undefined ? 'single' : 'guest',
    row: 0,
    trail,
    ...(second === undefined ? {} : { host: second }),
    ...(request.caches1 === undefined ? {} : { caches: request.caches1 }),
  });
  if (walked.kind === 'host-fault') return walked.fault;
  if (walked.kind === 'fault') return abort(m, request, { stage: 1, fault: walked });
  const { address, rights, at } = walked;
  return finish({ request, address, trail, second, stage1: { rights, at } });
}

type Second = (ipa: bigint, use: HostUse) => HostOutcome<ArmAbort> & { rights?: Stage2Rights };

function finish(by: {
  request: ArmRequest;
  address: bigint;
  trail: Trail;
  second: Second | undefined;
  stage1?: { rights: Stage1Rights; at: { level: number; shift: number } };
}): ArmOutcome {
  const { stage1, trail } = by;
  const rows = by.request.registers.stage1;
  const row = rows === undefined ? 0 : formatOf(stage1Formats, rows.format, stage1Format).levels.length;
  const located = by.second?.(by.address, { row, forTable: false, trail });
  if (located?.kind === 'fault') return located.fault;
  return {
    kind: 'ok',
    address: located?.address ?? by.address,
    level: stage1?.at.level ?? 3,
    pageBits: Math.min(stage1?.at.shift ?? 64, located?.pageBits ?? 64),
    stage1: stage1?.rights,
    stage2: located?.rights,
    words: trail.words,
    values: trail.values,
  };
}

/** The translation of intermediate addresses, for tables of stage 1 and for the access itself. */
function stageTwo(m: Machine, request: ArmRequest, stage: ArmStage): Second {
  const format = formatOf(stage2Formats, stage.format, stage2Format);
  const locate = (ipa: bigint, use: HostUse, write: boolean): ReturnType<Second> => {
    const where = { stage, address: ipa, number: 2, use, write } as const;
    const tooLarge = beyondInput(m, request, where);
    if (tooLarge !== undefined) return { kind: 'fault', fault: tooLarge };
    const walked = walkTables<Stage2Rights, never>(m, {
      format,
      root: stage.root,
      address: ipa,
      write,
      refusal: (rights) => stage2Refusal(rights, { request, use, write }),
      dimension: 'host',
      row: use.row,
      trail: use.trail,
      ...(request.caches2 === undefined ? {} : { caches: request.caches2 }),
    });
    if (walked.kind === 'ok') {
      const { address, at, rights } = walked;
      return { kind: 'ok', address, pageBits: at.shift, rights };
    }
    const fault = walked as TableWalkFault<Stage2Rights>;
    return { kind: 'fault', fault: abort(m, request, { stage: 2, fault, ipa, use, write }) };
  };
  return (ipa, use) => {
    if (!use.forTable) return locate(ipa, use, request.access === 'write');
    const found = locate(ipa, use, false);
    if (found.kind === 'fault') return found;
    return {
      ...found,
      refuseWrite: () => {
        const writing = locate(ipa, use, true);
        return writing.kind === 'fault' ? writing.fault : undefined;
      },
    };
  };
}

function stage1Refusal(rights: Stage1Rights, request: ArmRequest): 'access-flag' | 'permission' | undefined {
  if (!rights.accessed) return 'access-flag';
  const { access, el, registers } = request;
  const wxn = registers.stage1?.wxn === true;
  if (access === 'execute') {
    const never =
      el === 0
        ? rights.uxn || (wxn && rights.el0 && !rights.readOnly)
        : rights.pxn || (rights.el0 && !rights.readOnly) || (wxn && !rights.readOnly);
    return never ? 'permission' : undefined;
  }
  if (el === 0 && !rights.el0) return 'permission';
  if (el === 1 && registers.pan && rights.el0) return 'permission';
  return access === 'write' && rights.readOnly ? 'permission' : undefined;
}

function stage2Refusal(
  rights: Stage2Rights,
  by: { request: ArmRequest; use: HostUse; write: boolean },
): 'access-flag' | 'permission' | undefined {
  if (!rights.accessed) return 'access-flag';
  if (by.write) return rights.write ? undefined : 'permission';
  if (by.use.forTable || by.request.access === 'read') return rights.read ? undefined : 'permission';
  const mayFetch = [true, by.request.el === 0, false, by.request.el === 1][rights.executeNever] === true;
  return mayFetch ? undefined : 'permission';
}

interface Where {
  readonly stage: ArmStage;
  readonly address: bigint;
  readonly number: 1 | 2;
  readonly use?: HostUse;
  /** Stage 2: whether it was asked for a write. */
  readonly write?: boolean;
}

/** An input that the tables do not cover, a start that does not fit, a root outside memory: no table is read. */
function beyondInput(m: Machine, request: ArmRequest, where: Where): ArmAbort | undefined {
  const { stage, address, number, use, write } = where;
  const { inputBits, outputBits } = stage.format;
  const misfit = number === 2 && !stage2StartFits(stage.format);
  const why =
    misfit || (address & bitRange(63, inputBits)) !== 0n
      ? 'absent'
      : (stage.root & bitRange(63, outputBits)) !== 0n
        ? 'address-size'
        : undefined;
  if (why === undefined) return undefined;
  return abort(m, request, { stage: number, level: 0, why, ipa: address, use, write });
}

const STATUS: Readonly<Record<WalkFaultReason, number>> = {
  'address-size': 0x00,
  absent: 0x04,
  malformed: 0x04,
  'access-flag': 0x08,
  permission: 0x0c,
};
const WORDS: Readonly<Record<WalkFaultReason, string>> = {
  'address-size': 'address too large',
  absent: 'no translation',
  malformed: 'no translation',
  'access-flag': 'access flag clear',
  permission: 'not allowed',
};

type AbortFacts = {
  readonly stage: 1 | 2;
  readonly ipa?: bigint;
  readonly use?: HostUse | undefined;
  readonly write?: boolean | undefined;
} & ({ readonly fault: TableWalkFault<unknown> } | { readonly level: number; readonly why: WalkFaultReason });

function abort(m: Machine, request: ArmRequest, facts: AbortFacts): ArmAbort {
  const { stage, ipa, use } = facts;
  const { level, why } = 'fault' in facts ? { level: facts.fault.at.level, why: facts.fault.why } : facts;
  const onTable = stage === 2 && use?.forTable === true;
  const syndrome = syndromeOf({ request, stage, status: STATUS[why] + level, onTable, write: facts.write });
  m.step('arm-abort', { stage, level, why: WORDS[why], syndrome });
  return ipa === undefined || stage === 1
    ? { kind: 'abort', stage, syndrome }
    : { kind: 'abort', stage, syndrome, ipa };
}

/** Exception classes: instruction and data aborts, from a lower exception level or from the same. */
const INSTRUCTION_ABORT = 0x20n;
const DATA_ABORT = 0x24n;
const IL = 1n << 25n;

function syndromeOf(by: {
  request: ArmRequest;
  stage: 1 | 2;
  status: number;
  onTable: boolean;
  write: boolean | undefined;
}): bigint {
  const { access, el } = by.request;
  const sameLevel = by.stage === 1 && el === 1 ? 1n : 0n;
  const exceptionClass = (access === 'execute' ? INSTRUCTION_ABORT : DATA_ABORT) + sameLevel;
  const write = by.onTable ? by.write === true : access === 'write';
  return (
    (exceptionClass << 26n) |
    IL |
    (by.onTable ? 1n << 7n : 0n) |
    (write && access !== 'execute' ? 1n << 6n : 0n) |
    BigInt(by.status)
  );
}

const stage1Formats = new Map<string, PagingFormat<Stage1Rights>>();
const stage2Formats = new Map<string, PagingFormat<Stage2Rights>>();

function formatOf<Rights>(
  known: Map<string, PagingFormat<Rights>>,
  options: ArmFormatOptions,
  make: (options: ArmFormatOptions) => PagingFormat<Rights>,
): PagingFormat<Rights> {
  const key = Object.values(options).join(' ');
  const found = known.get(key);
  if (found !== undefined) return found;
  const made = make(options);
  known.set(key, made);
  return made;
}
