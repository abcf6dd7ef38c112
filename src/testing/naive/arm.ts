/**
 * A second, naive walk of AArch64 translation tables (Arm ARM, VMSAv8-64): stage 1 of EL1&0 through TTBR0, stage 2,
 * and the two together, for the three granules. It shares no code with the model.
 *
 * Hardware updates of AF and dirty state happen once the permissions have passed, stage 1 before the final stage 2.
 * Leaves out: TTBR1 (a translation fault), 52-bit addresses (LPA, LPA2), small tables (TTST), tagged addresses,
 * contiguous hint, memory types, HCR_EL2.PTW, FWB, Secure state, permission indirection, nested virtualisation.
 */
import { bit, field, keep, type Memory } from './bits.ts';

export interface ArmRequest {
  readonly vtcr: bigint;
  readonly vttbr: bigint;
  /** HCR_EL2; bit 0 turns stage 2 on. */
  readonly hcr: bigint;
  /** SCTLR_EL1; bit 0 turns stage 1 on. */
  readonly sctlr: bigint;
  readonly tcr: bigint;
  readonly ttbr0: bigint;
  readonly pan: boolean;
  readonly el: 0 | 1;
  readonly access: 'r' | 'w' | 'x';
  readonly va: bigint;
  /** Implemented physical address bits (PARange). */
  readonly paBits: number;
}

export interface ArmFault {
  /** The stage that faults: `s1` goes to EL1, `s2` to EL2. */
  readonly t: 's1' | 's2';
  readonly ec: number;
  readonly il: 1;
  readonly wnr: 0 | 1;
  readonly s1ptw: 0 | 1;
  readonly fsc: number;
  readonly far: bigint;
  /** HPFAR_EL2; UNKNOWN by the architecture for a permission fault without S1PTW. */
  readonly hpfar?: bigint;
}

export type ArmOutcome = { readonly t: 'ok'; readonly pa: bigint } | ArmFault;

export type Granule = '4K' | '16K' | '64K';
type Cause = 'address size' | 'translation' | 'access flag' | 'permission';

interface Stage2Use {
  readonly ipa: bigint;
  readonly access: 'r' | 'w' | 'x';
  readonly onStage1Walk: boolean;
}

interface Table {
  readonly granule: Granule;
  /** Bits of the input address that this stage translates. */
  readonly inputBits: number;
  readonly outputBits: number;
  readonly start: number;
  readonly base: bigint;
}

type Found<T> = { readonly t: 'ok' } & T;

/** One access; writes the hardware's updates into `memory`, which holds both stages by physical address. */
export function walkArm(q: ArmRequest, memory: Memory): ArmOutcome {
  const ipa = bit(q.sctlr, 0) ? walkStage1(q, memory) : flatStage1(q);
  if (ipa.t !== 'ok') return ipa;
  return walkStage2(q, { ipa: ipa.pa, access: q.access, onStage1Walk: false }, memory);
}

function flatStage1(q: ArmRequest): ArmOutcome {
  if (q.va >> BigInt(q.paBits) !== 0n) return stage1Fault(q, 'address size', 0);
  return { t: 'ok', pa: q.va };
}

/** Stage 1: the `pa` of the result is an IPA. */
export function walkStage1(q: ArmRequest, memory: Memory): ArmOutcome {
  const inputBits = 64 - Number(field(q.tcr, 5, 0));
  if (field(q.va, 63, inputBits) !== 0n) return stage1Fault(q, 'translation', 0);
  const granule = granuleOf(field(q.tcr, 15, 14));
  if (granule === undefined) return stage1Fault(q, 'translation', 0);
  const outputBits = Math.min(q.paBits, sizeOf(field(q.tcr, 34, 32)));
  const start = stage1Start(granule, inputBits);
  const base = keep(q.ttbr0, 47, inputBits - shiftOf(granule, start) + 3);
  if (base >> BigInt(outputBits) !== 0n) return stage1Fault(q, 'address size', 0);
  const tables = { granule, inputBits, outputBits, start, base };
  const leaf = descendStage1(q, tables, memory);
  return leaf.t === 'ok' ? finishStage1(q, leaf, memory) : leaf;
}

interface Stage1Leaf {
  readonly descriptor: bigint;
  readonly ipaOfDescriptor: bigint;
  readonly level: number;
  readonly output: bigint;
  /** APTable in 62:61, UXNTable in 60, PXNTable in 59 of all table descriptors together. */
  readonly tableRights: bigint;
}

function descendStage1(q: ArmRequest, tables: Table, memory: Memory): Found<Stage1Leaf> | ArmFault {
  let table = tables.base;
  let tableRights = 0n;
  for (let level = tables.start; ; level += 1) {
    const at = table + indexOf(tables, q.va, level) * 8n;
    const place = walkStage2(q, { ipa: at, access: 'r', onStage1Walk: true }, memory);
    if (place.t !== 'ok') return place;
    const descriptor = memory.get(place.pa) ?? 0n;
    const kind = kindOf(descriptor, tables.granule, level);
    if (kind === 'invalid') return stage1Fault(q, 'translation', level);
    const output = outputOf(descriptor, tables.granule, kind === 'leaf' ? level : 3);
    if (output >> BigInt(tables.outputBits) !== 0n) return stage1Fault(q, 'address size', level);
    if (kind === 'leaf') {
      const offset = field(q.va, shiftOf(tables.granule, level) - 1, 0);
      return { t: 'ok', descriptor, ipaOfDescriptor: at, level, output: output | offset, tableRights };
    }
    if (!bit(q.tcr, 41)) tableRights |= keep(descriptor, 62, 59);
    table = output;
  }
}

function finishStage1(q: ArmRequest, leaf: Stage1Leaf, memory: Memory): ArmOutcome {
  const ha = bit(q.tcr, 39);
  const hd = ha && bit(q.tcr, 40);
  const writableClean = hd && bit(leaf.descriptor, 51);
  if (!bit(leaf.descriptor, 10) && !ha) return stage1Fault(q, 'access flag', leaf.level);
  if (!stage1Allows(q, leaf, writableClean)) return stage1Fault(q, 'permission', leaf.level);
  let updated = leaf.descriptor | (1n << 10n);
  if (q.access === 'w' && writableClean) updated &= ~(1n << 7n);
  if (updated !== leaf.descriptor) {
    const place = walkStage2(q, { ipa: leaf.ipaOfDescriptor, access: 'w', onStage1Walk: true }, memory);
    if (place.t !== 'ok') return place;
    memory.set(place.pa, updated);
  }
  return { t: 'ok', pa: leaf.output };
}

function stage1Allows(q: ArmRequest, leaf: Stage1Leaf, writableClean: boolean): boolean {
  const readOnly = (bit(leaf.descriptor, 7) && !writableClean) || bit(leaf.tableRights, 62);
  const el0 = bit(leaf.descriptor, 6) && !bit(leaf.tableRights, 61);
  const uxn = bit(leaf.descriptor, 54) || bit(leaf.tableRights, 60);
  const pxn = bit(leaf.descriptor, 53) || bit(leaf.tableRights, 59);
  const wxn = bit(q.sctlr, 19);
  if (q.el === 0) {
    if (q.access === 'r') return el0;
    if (q.access === 'w') return el0 && !readOnly;
    return !uxn && !(wxn && el0 && !readOnly);
  }
  if (q.access === 'x') return !pxn && !(el0 && !readOnly) && !(wxn && !readOnly);
  if (q.pan && el0) return false;
  return q.access === 'r' || !readOnly;
}

/** Stage 2: from an IPA to a physical address. */
export function walkStage2(q: ArmRequest, use: Stage2Use, memory: Memory): ArmOutcome {
  if (!bit(q.hcr, 0)) return { t: 'ok', pa: use.ipa };
  const tables = stage2Tables(q);
  if (tables === undefined) return stage2Fault(q, use, 'translation', 0);
  if (use.ipa >> BigInt(tables.inputBits) !== 0n) return stage2Fault(q, use, 'translation', 0);
  if (tables.base >> BigInt(tables.outputBits) !== 0n) return stage2Fault(q, use, 'address size', 0);
  let table = tables.base;
  for (let level = tables.start; ; level += 1) {
    const at = table + indexOf(tables, use.ipa, level) * 8n;
    const descriptor = memory.get(at) ?? 0n;
    const kind = kindOf(descriptor, tables.granule, level);
    if (kind === 'invalid') return stage2Fault(q, use, 'translation', level);
    const output = outputOf(descriptor, tables.granule, kind === 'leaf' ? level : 3);
    if (output >> BigInt(tables.outputBits) !== 0n) return stage2Fault(q, use, 'address size', level);
    if (kind === 'leaf') {
      const cause = stage2Refuses(q, use, descriptor);
      if (cause !== undefined) return stage2Fault(q, use, cause, level);
      memory.set(at, stage2Updated(q, use, descriptor));
      return { t: 'ok', pa: output | field(use.ipa, shiftOf(tables.granule, level) - 1, 0) };
    }
    table = output;
  }
}

/** Geometry of stage 2, or undefined where VTCR_EL2 is inconsistent. */
function stage2Tables(q: ArmRequest): Table | undefined {
  const granule = granuleOf(field(q.vtcr, 15, 14));
  if (granule === undefined) return undefined;
  const start = stage2Start(granule, field(q.vtcr, 7, 6), q.paBits);
  if (start === undefined) return undefined;
  const inputBits = 64 - Number(field(q.vtcr, 5, 0));
  const startBits = inputBits - shiftOf(granule, start);
  if (startBits < 1 || startBits > strideOf(granule) + 4) return undefined;
  const base = keep(q.vttbr, 47, startBits + 3);
  const outputBits = Math.min(q.paBits, sizeOf(field(q.vtcr, 18, 16)));
  return { granule, inputBits, outputBits, start, base };
}

function stage2Start(granule: Granule, sl0: bigint, paBits: number): number | undefined {
  if (sl0 === 3n) return undefined;
  if (granule === '4K') {
    if (sl0 === 0n) return 2;
    if (sl0 === 1n) return 1;
    return paBits > 42 ? 0 : undefined;
  }
  if (sl0 === 0n) return 3;
  if (sl0 === 1n) return 2;
  return paBits > (granule === '16K' ? 40 : 42) ? 1 : undefined;
}

function stage2Refuses(q: ArmRequest, use: Stage2Use, descriptor: bigint): Cause | undefined {
  const ha = bit(q.vtcr, 21);
  const writableClean = ha && bit(q.vtcr, 22) && bit(descriptor, 51);
  if (!bit(descriptor, 10) && !ha) return 'access flag';
  if (use.access === 'r') return bit(descriptor, 6) ? undefined : 'permission';
  if (use.access === 'w') return bit(descriptor, 7) || writableClean ? undefined : 'permission';
  const xn = field(descriptor, 54, 53);
  const executable = xn === 0n || (xn === 1n && q.el === 0) || (xn === 3n && q.el === 1);
  return executable ? undefined : 'permission';
}

function stage2Updated(q: ArmRequest, use: Stage2Use, descriptor: bigint): bigint {
  const dirties = bit(q.vtcr, 21) && bit(q.vtcr, 22) && bit(descriptor, 51) && use.access === 'w';
  return descriptor | (1n << 10n) | (dirties ? 1n << 7n : 0n);
}

function granuleOf(tg0: bigint): Granule | undefined {
  if (tg0 === 0n) return '4K';
  if (tg0 === 1n) return '64K';
  return tg0 === 2n ? '16K' : undefined;
}

/** Bits of address that an entry of this level covers. */
export function shiftOf(granule: Granule, level: number): number {
  if (granule === '4K') return [39, 30, 21, 12][level] ?? 0;
  if (granule === '16K') return [47, 36, 25, 14][level] ?? 0;
  return [55, 42, 29, 16][level] ?? 0;
}

export function strideOf(granule: Granule): number {
  if (granule === '4K') return 9;
  return granule === '16K' ? 11 : 13;
}

function stage1Start(granule: Granule, inputBits: number): number {
  if (inputBits > shiftOf(granule, 0)) return 0;
  if (inputBits > shiftOf(granule, 1)) return 1;
  return inputBits > shiftOf(granule, 2) ? 2 : 3;
}

function indexOf(tables: Table, address: bigint, level: number): bigint {
  const shift = shiftOf(tables.granule, level);
  const top = level === tables.start ? tables.inputBits : shift + strideOf(tables.granule);
  return field(address, top - 1, shift);
}

export function kindOf(descriptor: bigint, granule: Granule, level: number): 'invalid' | 'table' | 'leaf' {
  if (!bit(descriptor, 0)) return 'invalid';
  if (level === 3) return bit(descriptor, 1) ? 'leaf' : 'invalid';
  if (bit(descriptor, 1)) return 'table';
  if (level === 2) return 'leaf';
  return level === 1 && granule === '4K' ? 'leaf' : 'invalid';
}

const outputOf = (descriptor: bigint, granule: Granule, level: number): bigint =>
  keep(descriptor, 47, shiftOf(granule, level));

/** Address bits by IPS or PS. */
function sizeOf(code: bigint): number {
  return [32, 36, 40, 42, 44, 48, 48, 48][Number(code)] ?? 48;
}

function statusOf(cause: Cause, level: number): number {
  switch (cause) {
    case 'address size':
      return 0b000000 + level;
    case 'translation':
      return 0b000100 + level;
    case 'access flag':
      return 0b001000 + level;
    case 'permission':
      return 0b001100 + level;
  }
}

function stage1Fault(q: ArmRequest, cause: Cause, level: number): ArmFault {
  const fromLower = q.access === 'x' ? 0x20 : 0x24;
  const ec = q.el === 0 ? fromLower : fromLower + 1;
  const wnr = q.access === 'w' ? 1 : 0;
  return { t: 's1', ec, il: 1, wnr, s1ptw: 0, fsc: statusOf(cause, level), far: q.va };
}

function stage2Fault(q: ArmRequest, use: Stage2Use, cause: Cause, level: number): ArmFault {
  return {
    t: 's2',
    ec: q.access === 'x' ? 0x20 : 0x24,
    il: 1,
    wnr: use.access === 'w' && q.access !== 'x' ? 1 : 0,
    s1ptw: use.onStage1Walk ? 1 : 0,
    fsc: statusOf(cause, level),
    far: q.va,
    hpfar: keep(use.ipa, 47, 12) >> 8n,
  };
}
