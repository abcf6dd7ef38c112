/**
 * Translation tables of AArch64 as data (Arm ARM, "The AArch64 virtual memory system architecture"): where they may
 * start, and the descriptors of stage 1 (EL1&0) and stage 2.
 *
 * Levels count downwards as Arm counts them: 0 is the top, 3 holds pages. Leaves out: 52-bit addresses, the contiguous
 * hint, and TTBR1.
 */
import {
  armLevels,
  DESC_AF,
  DESC_TABLE,
  DESC_VALID,
  indexBits,
  LAST_LEVEL,
  shiftOf,
  type Granule,
} from './arm-levels.ts';
import type { EntryKind, PagingFormat, TableLevel } from './format.ts';
import { bitRange } from './x86-format.ts';

/** The start level of stage 1: as few levels as resolve the input. */
export const stage1Start = (granule: Granule, inputBits: number): number =>
  LAST_LEVEL + 1 - Math.ceil((inputBits - granule) / indexBits(granule));

/** Sizes of input addresses that a processor without small translation tables has. */
export const MIN_INPUT_BITS = 25;
export const MAX_INPUT_BITS = 48;

export const inputFits = ({ inputBits }: Pick<ArmFormatOptions, 'inputBits'>): boolean =>
  inputBits >= MIN_INPUT_BITS && inputBits <= MAX_INPUT_BITS;

/** Tables that may stand in a row at the start of stage 2, as a power of two. */
const CONCATENATED_BITS = 4;

/** Whether stage 2 may start where it is told to: the root needs a bit at least, and may be 16 tables at most. */
export function stage2StartFits(options: ArmFormatOptions): boolean {
  const { granule, inputBits, startLevel } = options;
  const bits = inputBits - shiftOf(granule, startLevel);
  const top = granule === 12 ? 0 : 1;
  if (!inputFits(options)) return false;
  return startLevel >= top && bits >= 1 && bits <= indexBits(granule) + CONCATENATED_BITS;
}

/** The lowest bit of a root's address: a root is aligned to its own size, and what lies below counts for nothing. */
export const lowestRootBit = ({ granule, inputBits, startLevel }: RootOptions): number =>
  Math.max(1, inputBits - shiftOf(granule, startLevel) + 3);

type RootOptions = Pick<ArmFormatOptions, 'granule' | 'inputBits' | 'startLevel'>;

/** Levels at which a block may stand. */
const blockLevels = (granule: Granule): readonly number[] => (granule === 12 ? [1, 2] : [2]);

export interface ArmFormatOptions {
  readonly granule: Granule;
  readonly inputBits: number;
  readonly startLevel: number;
  /** Size of physical addresses (stage 2), or of intermediate ones (stage 1). */
  readonly outputBits: number;
  /** Hardware management of the access flag. */
  readonly ha: boolean;
  /** Hardware management of dirty state; only with that of the access flag. */
  readonly hd: boolean;
  /** Stage 1: the permissions in table descriptors are disabled (HPD0). */
  readonly hpd: boolean;
}

/** Stage 1, nG: the translation belongs to one address space. */
export const DESC_NOT_GLOBAL = 1n << 11n;
export const DESC_DBM = 1n << 51n;
/** Stage 1, AP[1]: EL0 may use it. */
const AP_EL0 = 1n << 6n;
/** Stage 1, AP[2]: read-only. */
export const AP_READ_ONLY = 1n << 7n;
const PXN = 1n << 53n;
const UXN = 1n << 54n;
const PXN_TABLE = 1n << 59n;
const UXN_TABLE = 1n << 60n;
const AP_TABLE_NO_EL0 = 1n << 61n;
const AP_TABLE_READ_ONLY = 1n << 62n;
export const S2AP_READ = 1n << 6n;
export const S2AP_WRITE = 1n << 7n;

/** Output address of a descriptor; with 64 KiB granules the low bits are not address bits. */
const addressBits = (granule: Granule): bigint => bitRange(47, granule);

function kindOf(entry: bigint, at: TableLevel, options: ArmFormatOptions): EntryKind {
  const { granule, outputBits } = options;
  if ((entry & DESC_VALID) === 0n) return 'absent';
  const typeTable = (entry & DESC_TABLE) !== 0n;
  const leaf = at.level === LAST_LEVEL || !typeTable;
  if (at.level === LAST_LEVEL && !typeTable) return 'absent';
  if (leaf && at.level !== LAST_LEVEL && !blockLevels(granule).includes(at.level)) return 'absent';
  const address = leaf
    ? entry & addressBits(granule) & ~bitRange(at.shift - 1, 0)
    : entry & addressBits(granule);
  if ((address & bitRange(47, outputBits)) !== 0n) return 'address-size';
  return leaf ? 'leaf' : 'table';
}

/** What stage 1 grants: by table entries and leaf together. */
export interface Stage1Rights {
  readonly readOnly: boolean;
  readonly el0: boolean;
  readonly pxn: boolean;
  readonly uxn: boolean;
  readonly accessed: boolean;
}

export function stage1Format(options: ArmFormatOptions): PagingFormat<Stage1Rights> {
  return {
    ...commonFormat(options),
    name: 'stage 1',
    allRights: { readOnly: false, el0: true, pxn: false, uxn: false, accessed: true },
    narrow: (rights, entry, { kind }) =>
      kind === 'table'
        ? options.hpd
          ? rights
          : {
              ...rights,
              readOnly: rights.readOnly || (entry & AP_TABLE_READ_ONLY) !== 0n,
              el0: rights.el0 && (entry & AP_TABLE_NO_EL0) === 0n,
              pxn: rights.pxn || (entry & PXN_TABLE) !== 0n,
              uxn: rights.uxn || (entry & UXN_TABLE) !== 0n,
            }
        : {
            readOnly:
              rights.readOnly ||
              ((entry & AP_READ_ONLY) !== 0n && !(options.hd && (entry & DESC_DBM) !== 0n)),
            el0: rights.el0 && (entry & AP_EL0) !== 0n,
            pxn: rights.pxn || (entry & PXN) !== 0n,
            uxn: rights.uxn || (entry & UXN) !== 0n,
            accessed: options.ha || (entry & DESC_AF) !== 0n,
          },
    afterUse: (entry, { kind, write }) => {
      if (kind === 'table') return entry;
      const touched = options.ha ? entry | DESC_AF : entry;
      return write && options.hd && (entry & DESC_DBM) !== 0n ? touched & ~AP_READ_ONLY : touched;
    },
  };
}

/** What stage 2 grants, with the execute-never field as it stands. */
export interface Stage2Rights {
  readonly read: boolean;
  readonly write: boolean;
  /** XN[1:0], bits 54:53: 0 all may fetch, 1 EL0 only, 2 nobody, 3 EL1 only. */
  readonly executeNever: number;
  readonly accessed: boolean;
}

export function stage2Format(options: ArmFormatOptions): PagingFormat<Stage2Rights> {
  return {
    ...commonFormat(options),
    name: 'stage 2',
    allRights: { read: true, write: true, executeNever: 0, accessed: true },
    narrow: (rights, entry, { kind }) =>
      kind === 'table'
        ? rights
        : {
            read: (entry & S2AP_READ) !== 0n,
            write: (entry & S2AP_WRITE) !== 0n || (options.hd && (entry & DESC_DBM) !== 0n),
            executeNever: Number((entry >> 53n) & 3n),
            accessed: options.ha || (entry & DESC_AF) !== 0n,
          },
    afterUse: (entry, { kind, write }) => {
      if (kind === 'table') return entry;
      const touched = options.ha ? entry | DESC_AF : entry;
      return write && options.hd && (entry & DESC_DBM) !== 0n ? touched | S2AP_WRITE : touched;
    },
  };
}

const commonFormat = (
  options: ArmFormatOptions,
): Pick<PagingFormat<never>, 'entryBytes' | 'levels' | 'kindOf' | 'tableAddress' | 'pageAddress'> => ({
  entryBytes: 8,
  levels: armLevels(options.granule, options.inputBits, options.startLevel),
  kindOf: (entry, at) => kindOf(entry, at, options),
  tableAddress: (entry) => entry & addressBits(options.granule),
  pageAddress: (entry, at) => entry & addressBits(options.granule) & ~bitRange(at.shift - 1, 0),
});
