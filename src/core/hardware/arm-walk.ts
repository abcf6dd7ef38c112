/**
 * Translation of one access on AArch64 (Arm ARM): stage 1 for EL1&0, stage 2, or both, each with its aborts and their
 * syndromes. Hardware management of access flags and dirty state writes back as it goes.
 */
import { must } from '../assert.ts';
import type { Machine } from '../machine/machine.ts';
import type { TlbEntry } from '../machine/tables.ts';
import { LAST_LEVEL } from './arm-levels.ts';
import {
  AP_READ_ONLY,
  DESC_NOT_GLOBAL,
  S2AP_WRITE,
  inputFits,
  stage1Format,
  stage2Format,
  stage2StartFits,
  type ArmFormatOptions,
  type Stage1Rights,
  type Stage2Rights,
} from './arm-format.ts';
import type { ArmRegisters, ArmStage } from './arm-registers.ts';
import type { PathRights } from './fault.ts';
import type { PagingFormat } from './format.ts';
import {
  walkTables,
  type HostOutcome,
  type HostUse,
  type TableWalkFault,
  type TableWalkSuccess,
  type Trail,
  type WalkCaches,
  type WalkFaultReason,
} from './page-walk.ts';
import type { AccessKind } from './registers.ts';
import type { HostCaches, SecondStage, StageFault } from './second-stage.ts';
import type { WalkFault, WalkOutcome } from './walk.ts';
import { bitRange } from './x86-format.ts';

export interface ArmRequest {
  readonly va: bigint;
  readonly access: AccessKind;
  /** Exception level of the access. */
  readonly el: 0 | 1;
  readonly registers: ArmRegisters;
  /** Where an intermediate address lies in memory: stage 2, or a plain offset where there is no hypervisor. */
  readonly host?: (ipa: bigint, use: HostUse) => HostOutcome<StageFault>;
  readonly flat?: true;
  readonly caches?: WalkCaches<Stage1Rights>;
}

/** An abort of stage 1 is a page fault whose code is the syndrome; one of stage 2 goes to the hypervisor. */
export function walkArm(m: Machine, request: ArmRequest): WalkOutcome<StageFault> {
  return m.call('page walk', { gva: request.va, access: request.access }, () => walkStages(m, request));
}

function walkStages(m: Machine, request: ArmRequest): WalkOutcome<StageFault> {
  const trail: Trail = { words: [], values: [], counted: false };
  const { stage1 } = request.registers;
  if (stage1 === undefined) return finish(request, trail, { address: request.va });
  const tooLarge = inputFits(stage1.format) ? beyondInput(stage1, request.va) : 'absent';
  if (tooLarge !== undefined) return stage1Abort(m, request, { level: 0, why: tooLarge });
  const walked = walkTables<Stage1Rights, StageFault>(m, {
    format: formatOf(stage1Formats, stage1.format, stage1Format),
    root: stage1.root,
    address: request.va,
    write: request.access === 'write',
    refusal: (rights) => stage1Refusal(rights, request),
    dimension: request.host === undefined || request.flat === true ? 'single' : 'guest',
    row: 0,
    trail,
    ...(request.host === undefined ? {} : { host: request.host }),
    ...(request.caches === undefined ? {} : { caches: request.caches }),
  });
  if (walked.kind === 'host-fault') return walked;
  if (walked.kind === 'fault') return stage1Abort(m, request, { level: walked.at.level, why: walked.why });
  return finish(request, trail, { address: walked.address, walked });
}

function finish(
  request: ArmRequest,
  trail: Trail,
  found: { address: bigint; walked?: TableWalkSuccess<Stage1Rights> },
): WalkOutcome<StageFault> {
  const { address, walked } = found;
  const { stage1 } = request.registers;
  const row = stage1 === undefined ? 0 : formatOf(stage1Formats, stage1.format, stage1Format).levels.length;
  const located = request.host?.(address, { row, forTable: false, trail });
  if (located?.kind === 'fault') return { kind: 'host-fault', fault: located.fault };
  const { rights, userExecutable } = effectiveRights(walked?.rights, stage1?.wxn === true);
  const clean = walked !== undefined && (walked.leaf & AP_READ_ONLY) !== 0n;
  return {
    kind: 'ok',
    address: located?.address ?? address,
    level: walked?.at.level ?? LAST_LEVEL,
    pageBits: Math.min(walked?.at.shift ?? WHOLE_BITS, located?.pageBits ?? WHOLE_BITS),
    rights,
    userExecutable,
    dirty: !clean && (located?.dirty ?? true),
    global: walked !== undefined && (walked.leaf & DESC_NOT_GLOBAL) === 0n,
    ...(located === undefined || request.flat === true ? {} : { host: located.rights }),
    ...(trail.under === undefined ? {} : { under: trail.under }),
    words: trail.words,
    values: trail.values,
  };
}

/** Without stage 1 one 4 KiB page at a time is translated. */
const WHOLE_BITS = 12;

/** What EL1 and EL0 may do together with a page, as the TLB keeps it. */
function effectiveRights(
  rights: Stage1Rights | undefined,
  wxn: boolean,
): { rights: PathRights; userExecutable: boolean } {
  const granted = rights ?? { readOnly: false, el0: true, pxn: false, uxn: false };
  const writable = !granted.readOnly;
  const executable = rights === undefined || !(granted.pxn || (granted.el0 && writable) || (wxn && writable));
  const userExecutable = !(granted.uxn || (wxn && granted.el0 && writable));
  return { rights: { writable, user: granted.el0, executable, protectionKey: 0 }, userExecutable };
}

/** The syndrome with which a cached translation refuses an access, or undefined. */
export function armRefusal(entry: TlbEntry, request: ArmRequest): number | undefined {
  const { access, el, registers } = request;
  const refused =
    access === 'execute'
      ? !(el === 0 ? entry.userExecutable : entry.executable)
      : (el === 0 && !entry.user) ||
        (el === 1 && registers.pan && entry.user && registers.stage1 !== undefined) ||
        (access === 'write' && !entry.writable);
  if (!refused) return undefined;
  return Number(syndromeOf(request, { stage: 1, status: STATUS.permission + (entry.level ?? LAST_LEVEL) }));
}

/** The translation of intermediate addresses, for tables of stage 1 and for the access itself. */
export function armStage(
  stage: ArmStage,
  by: Pick<ArmRequest, 'access' | 'el'>,
  caches?: HostCaches<Stage2Rights>,
): SecondStage {
  const format = formatOf(stage2Formats, stage.format, stage2Format);
  const locate = (
    m: Machine,
    ipa: bigint,
    facts: { use: HostUse; write: boolean },
  ): HostOutcome<StageFault> => {
    const { use, write } = facts;
    const tooLarge = stage2StartFits(stage.format) ? beyondInput(stage, ipa) : 'absent';
    if (tooLarge !== undefined) return stage2Abort(m, by, { ...facts, ipa, level: 0, why: tooLarge });
    const known = caches?.(use, ipa);
    const walked = walkTables<Stage2Rights, never>(m, {
      format,
      root: stage.root,
      address: ipa,
      write,
      refusal: (rights) => stage2Refusal(rights, { by, ...facts }),
      dimension: 'host',
      row: use.row,
      trail: use.trail,
      ...(known === undefined ? {} : { caches: known }),
    });
    if (walked.kind === 'ok') {
      const { address, at, rights, leaf } = walked;
      const granted = {
        read: rights.read,
        write: rights.write,
        execute: mayFetch(rights, 1),
        userExecute: mayFetch(rights, 0),
      };
      const dirty = (leaf & S2AP_WRITE) !== 0n;
      const place = { kind: 'ok', address, pageBits: at.shift, rights: granted, dirty } as const;
      if (!use.forTable || (rights.write && dirty)) return place;
      return { ...place, refuseWrite: () => writeTable(m, by, { ...facts, ipa, format, walked }) };
    }
    const { at, why } = walked as TableWalkFault<Stage2Rights>;
    return stage2Abort(m, by, { ...facts, ipa, level: at.level, why });
  };
  return {
    access: by.access,
    asks: ({ forTable }) => ({
      read: forTable || by.access === 'read',
      write: !forTable && by.access === 'write',
      execute: !forTable && by.access === 'execute' && by.el === 1,
      userExecute: !forTable && by.access === 'execute' && by.el === 0,
    }),
    locate: (m, ipa, use) => locate(m, ipa, { use, write: !use.forTable && by.access === 'write' }),
  };
}

/** A descriptor of stage 1 is about to be marked: stage 2 must allow the write, and marks its own leaf for it. */
function writeTable(
  m: Machine,
  by: Pick<ArmRequest, 'access' | 'el'>,
  facts: {
    use: HostUse;
    ipa: bigint;
    format: PagingFormat<Stage2Rights>;
    walked: TableWalkSuccess<Stage2Rights>;
  },
): StageFault | undefined {
  const { use, ipa, format, walked } = facts;
  const { at, rights, leaf, leafAt } = walked;
  if (!rights.write)
    return stage2Abort(m, by, { use, ipa, write: true, level: at.level, why: 'permission' }).fault;
  const after = format.afterUse(leaf, { kind: 'leaf', at, write: true });
  m.step('host-entry-set-bits', { row: use.row, level: at.level, dirty: true });
  m.set('word', must(use.trail.words[leafAt], 'the word of the leaf'), after);
  m.count('adw');
  use.trail.values[leafAt] = after;
  return undefined;
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

const mayFetch = ({ executeNever }: Stage2Rights, el: 0 | 1): boolean =>
  [true, el === 0, false, el === 1][executeNever] === true;

function stage2Refusal(
  rights: Stage2Rights,
  facts: { by: Pick<ArmRequest, 'access' | 'el'>; use: HostUse; write: boolean },
): 'access-flag' | 'permission' | undefined {
  const { by, use, write } = facts;
  if (!rights.accessed) return 'access-flag';
  const allowed = write
    ? rights.write
    : use.forTable || by.access === 'read'
      ? rights.read
      : mayFetch(rights, by.el);
  return allowed ? undefined : 'permission';
}

/** An input address that the tables do not cover, or a root outside physical memory: no table is read. */
function beyondInput(stage: ArmStage, address: bigint): 'absent' | 'address-size' | undefined {
  const { inputBits, outputBits } = stage.format;
  if ((address & bitRange(63, inputBits)) !== 0n) return 'absent';
  return (stage.root & bitRange(63, outputBits)) === 0n ? undefined : 'address-size';
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

function stage1Abort(
  m: Machine,
  request: ArmRequest,
  { level, why }: { level: number; why: WalkFaultReason },
): WalkFault {
  const syndrome = syndromeOf(request, { stage: 1, status: STATUS[why] + level });
  m.step('arm-abort', { stage: 1, level, why: WORDS[why], syndrome });
  return { kind: 'page-fault', errorCode: Number(syndrome), level };
}

function stage2Abort(
  m: Machine,
  by: Pick<ArmRequest, 'access' | 'el'>,
  facts: { ipa: bigint; use: HostUse; write: boolean; level: number; why: WalkFaultReason },
): { readonly kind: 'fault'; readonly fault: StageFault } {
  const { ipa, use, write, level, why } = facts;
  const { forTable } = use;
  const syndrome = syndromeOf(by, {
    stage: 2,
    status: STATUS[why] + level,
    ...(forTable ? { tableWrite: write } : {}),
  });
  m.step('host-fault', {
    row: use.row,
    level,
    gpa: ipa,
    kind: `stage 2 abort, ${WORDS[why]},`,
    code: syndrome,
  });
  return { kind: 'fault', fault: { kind: 'stage 2 abort', gpa: ipa, code: syndrome, forTable } };
}

/** Exception classes: instruction and data aborts, from a lower exception level or from the same. */
const INSTRUCTION_ABORT = 0x20n;
const DATA_ABORT = 0x24n;
const IL = 1n << 25n;

/** `tableWrite` is set where a table of stage 1 was out of reach: whether it was to be written. */
function syndromeOf(
  { access, el }: Pick<ArmRequest, 'access' | 'el'>,
  abort: { stage: 1 | 2; status: number; tableWrite?: boolean },
): bigint {
  const sameLevel = abort.stage === 1 && el === 1 ? 1n : 0n;
  const exceptionClass = (access === 'execute' ? INSTRUCTION_ABORT : DATA_ABORT) + sameLevel;
  const write = abort.tableWrite ?? access === 'write';
  return (
    (exceptionClass << 26n) |
    IL |
    (abort.tableWrite === undefined ? 0n : 1n << 7n) |
    (write && access !== 'execute' ? 1n << 6n : 0n) |
    BigInt(abort.status)
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
