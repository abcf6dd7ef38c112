/**
 * The registers that steer an AArch64 walk: their fields as data, and how the processor reads them (Arm ARM, "AArch64
 * System registers"). What a field may hold and means nothing has one answer here, and a remark that says so: where the
 * architecture leaves the choice to the processor, this one takes 4 KiB granules, 48-bit physical addresses, and gives
 * a translation fault at level 0 for an address size that it does not have.
 *
 * Leaves out: small translation tables (FEAT_TTST), 52-bit addresses, and every field that no walk here asks for.
 */
import { type Granule } from './arm-levels.ts';
import {
  inputFits,
  lowestRootBit,
  MAX_INPUT_BITS,
  MIN_INPUT_BITS,
  stage1Start,
  stage2StartFits,
  type ArmFormatOptions,
} from './arm-format.ts';
import { bitRange } from './x86-format.ts';

/** A stage of translation, decoded from its control registers. */
export interface ArmStage {
  readonly format: ArmFormatOptions;
  readonly root: bigint;
}

export interface ArmRegisters {
  /** Undefined while stage 1 is off. */
  readonly stage1?: ArmStage & { readonly wxn: boolean };
  /** PSTATE.PAN. */
  readonly pan: boolean;
}

/** Physical address sizes by the encoding of PS and IPS. */
const OUTPUT_BITS: readonly number[] = [32, 36, 40, 42, 44, 48];
const TG0_GRANULES: readonly Granule[] = [12, 16, 14];
const BASE_ADDRESS = bitRange(47, 1);

const outputBits = (size: number): number => OUTPUT_BITS[size] ?? 48;
const granuleOf = (tg0: number): Granule => TG0_GRANULES[tg0] ?? 12;

const rootIn = (register: bigint, format: ArmFormatOptions): bigint =>
  register & BASE_ADDRESS & ~bitRange(lowestRootBit(format) - 1, 0);

/** Decodes TCR_EL1 and TTBR0_EL1. */
export function stage1Of(raw: { tcr: bigint; ttbr0: bigint; sctlr: bigint }): ArmRegisters['stage1'] {
  const { tcr, ttbr0, sctlr } = raw;
  if ((sctlr & 1n) === 0n) return undefined;
  const granule = granuleOf(field(tcr, 15, 14));
  const inputBits = 64 - field(tcr, 5, 0);
  const format: ArmFormatOptions = {
    granule,
    inputBits,
    startLevel: stage1Start(granule, inputBits),
    outputBits: outputBits(field(tcr, 34, 32)),
    ha: field(tcr, 39, 39) === 1,
    hd: field(tcr, 40, 39) === 3,
    hpd: field(tcr, 41, 41) === 1,
  };
  return { format, root: rootIn(ttbr0, format), wxn: (sctlr & (1n << 19n)) !== 0n };
}

/** Start level of stage 2 by SL0; 16 and 64 KiB granules count one lower. */
const stage2Start = (granule: Granule, sl0: number): number => (granule === 12 ? 2 - sl0 : 3 - sl0);

/** Decodes VTCR_EL2 and VTTBR_EL2. */
export function stage2Of({ vtcr, vttbr }: { vtcr: bigint; vttbr: bigint }): ArmStage {
  const granule = granuleOf(field(vtcr, 15, 14));
  const format: ArmFormatOptions = {
    granule,
    inputBits: 64 - field(vtcr, 5, 0),
    startLevel: stage2Start(granule, field(vtcr, 7, 6)),
    outputBits: outputBits(field(vtcr, 18, 16)),
    ha: field(vtcr, 21, 21) === 1,
    hd: field(vtcr, 22, 21) === 3,
    hpd: false,
  };
  return { format, root: rootIn(vttbr, format) };
}

const field = (value: bigint, high: number, low: number): number =>
  Number((value >> BigInt(low)) & bitRange(high - low, 0));

/** Registers of the processor here, by their names in a scenario. EL2's are there where there is a second stage. */
export type ArmRegister =
  'sctlr_el1' | 'tcr_el1' | 'ttbr0_el1' | 'pan' | 'hcr_el2' | 'vtcr_el2' | 'vttbr_el2';

/** A field that a walk asks for. */
export interface ArmField {
  readonly register: ArmRegister;
  readonly name: string;
  readonly high: number;
  readonly low: number;
  readonly meaning: string;
  /** What the register says with it, where it is more than a bit. */
  readonly says?: (register: bigint) => string;
}

const GRANULE_NAMES = { 12: '4 KiB', 14: '16 KiB', 16: '64 KiB' } as const;

const granuleSays =
  (high: number, low: number) =>
  (register: bigint): string => {
    const tg0 = field(register, high, low);
    const name = GRANULE_NAMES[granuleOf(tg0)];
    return tg0 < TG0_GRANULES.length ? name : `reserved, taken as ${name}`;
  };
const inputSays = (register: bigint): string => {
  const inputBits = 64 - field(register, 5, 0);
  const words = `${String(inputBits)}-bit addresses`;
  return inputFits({ inputBits }) ? words : `${words}, which this processor does not have`;
};
const sizeSays =
  (high: number, low: number) =>
  (register: bigint): string => {
    const size = field(register, high, low);
    const words = `${String(outputBits(size))} bits`;
    return size < OUTPUT_BITS.length ? words : `more than there are, taken as ${words}`;
  };
const startSays = (register: bigint): string => {
  const { format } = stage2Of({ vtcr: register, vttbr: 0n });
  return stage2StartFits(format)
    ? `level ${String(format.startLevel)}`
    : `level ${String(format.startLevel)}, which does not fit`;
};

const GRANULE = 'size of the smallest page';
const INPUT = 'size of the addresses: 64 minus this many bits';
const BASE = 'where the root table lies';
const ACCESS_FLAG = 'the processor sets access flags itself';
const DIRTY = 'the processor marks dirty state itself, if HA is set';

export const ARM_FIELDS: readonly ArmField[] = [
  { register: 'sctlr_el1', name: 'M', high: 0, low: 0, meaning: 'stage 1 translates' },
  {
    register: 'sctlr_el1',
    name: 'WXN',
    high: 19,
    low: 19,
    meaning: 'write implies execute never: nothing is fetched from what is writable',
  },
  { register: 'tcr_el1', name: 'T0SZ', high: 5, low: 0, meaning: INPUT, says: inputSays },
  { register: 'tcr_el1', name: 'TG0', high: 15, low: 14, meaning: GRANULE, says: granuleSays(15, 14) },
  {
    register: 'tcr_el1',
    name: 'IPS',
    high: 34,
    low: 32,
    meaning: 'size of the addresses that stage 1 gives',
    says: sizeSays(34, 32),
  },
  { register: 'tcr_el1', name: 'AS', high: 36, low: 36, meaning: 'the ASID has 16 bits, not 8' },
  { register: 'tcr_el1', name: 'HA', high: 39, low: 39, meaning: ACCESS_FLAG },
  { register: 'tcr_el1', name: 'HD', high: 40, low: 40, meaning: DIRTY },
  {
    register: 'tcr_el1',
    name: 'HPD0',
    high: 41,
    low: 41,
    meaning: 'hierarchical permissions off: what table descriptors take away counts for nothing',
  },
  { register: 'ttbr0_el1', name: 'BADDR', high: 47, low: 1, meaning: BASE },
  { register: 'ttbr0_el1', name: 'ASID', high: 63, low: 48, meaning: 'number of the address space' },
  {
    register: 'pan',
    name: 'PAN',
    high: 0,
    low: 0,
    meaning: 'privileged access never: EL1 may not touch pages that EL0 may use',
  },
  { register: 'hcr_el2', name: 'VM', high: 0, low: 0, meaning: 'stage 2 translates' },
  { register: 'vtcr_el2', name: 'T0SZ', high: 5, low: 0, meaning: INPUT, says: inputSays },
  {
    register: 'vtcr_el2',
    name: 'SL0',
    high: 7,
    low: 6,
    meaning: 'the level at which the walk starts',
    says: startSays,
  },
  { register: 'vtcr_el2', name: 'TG0', high: 15, low: 14, meaning: GRANULE, says: granuleSays(15, 14) },
  {
    register: 'vtcr_el2',
    name: 'PS',
    high: 18,
    low: 16,
    meaning: 'size of physical addresses',
    says: sizeSays(18, 16),
  },
  { register: 'vtcr_el2', name: 'HA', high: 21, low: 21, meaning: ACCESS_FLAG },
  { register: 'vtcr_el2', name: 'HD', high: 22, low: 22, meaning: DIRTY },
  { register: 'vttbr_el2', name: 'BADDR', high: 47, low: 1, meaning: BASE },
  { register: 'vttbr_el2', name: 'VMID', high: 55, low: 48, meaning: 'number of the virtual machine' },
];

/** A field that says something reserved, senseless or without effect, and what this processor makes of it. */
export function armRemarks(read: (register: ArmRegister) => bigint): readonly string[] {
  const tcr = read('tcr_el1');
  const stage1 = stage1Of({ tcr, ttbr0: 0n, sctlr: read('sctlr_el1') });
  const stage2 = (read('hcr_el2') & 1n) === 0n ? undefined : stage2Of({ vtcr: read('vtcr_el2'), vttbr: 0n });
  return [
    ...(stage1 === undefined
      ? []
      : stageRemarks('TCR_EL1', tcr, { stage: 1, size: 'IPS', sizeAt: 32, ha: 39 })),
    ...(stage2 === undefined
      ? []
      : stageRemarks('VTCR_EL2', read('vtcr_el2'), { stage: 2, size: 'PS', sizeAt: 16, ha: 21 })),
    ...(stage2 !== undefined && inputFits(stage2.format) && !stage2StartFits(stage2.format)
      ? [startRemark(stage2.format, field(read('vtcr_el2'), 7, 6))]
      : []),
  ];
}

function stageRemarks(
  name: string,
  value: bigint,
  at: { stage: 1 | 2; size: string; sizeAt: number; ha: number },
): readonly string[] {
  const inputBits = 64 - field(value, 5, 0);
  const size = field(value, at.sizeAt + 2, at.sizeAt);
  return [
    ...(field(value, 15, 14) < TG0_GRANULES.length
      ? []
      : [`${name}.TG0 holds a reserved value: this processor takes it as 4 KiB.`]),
    ...(inputFits({ inputBits })
      ? []
      : [
          `${name}.T0SZ asks for ${String(inputBits)}-bit addresses, and this processor has ${String(MIN_INPUT_BITS)} to ${String(MAX_INPUT_BITS)}: every walk of stage ${String(at.stage)} ends before its first table.`,
        ]),
    ...(size < OUTPUT_BITS.length
      ? []
      : [`${name}.${at.size} asks for more bits than this processor has: it takes 48.`]),
    ...(field(value, at.ha + 1, at.ha) === 2 ? [`${name}.HD has no effect while HA is clear.`] : []),
  ];
}

function startRemark({ inputBits, startLevel }: ArmFormatOptions, sl0: number): string {
  return `VTCR_EL2.SL0 = ${String(sl0)} starts at level ${String(startLevel)}, which does not fit ${String(inputBits)}-bit addresses and this granule: every walk of stage 2 ends before its first table.`;
}
