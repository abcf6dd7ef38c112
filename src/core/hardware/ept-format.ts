/**
 * Entries of Intel's extended page tables (Intel SDM vol. 3, "The extended page-table mechanism"), as data. An entry is
 * present when any of read, write, execute is set. One that is present but senseless is a misconfiguration.
 *
 * Leaves out: mode-based execute control, sub-page permissions, shadow-stack and #VE bits.
 */
import { entryBits, type EntryBit } from './x86-entry.ts';
import { eptLevels } from './ept-levels.ts';
import type { EntryKind, PagingFormat, TableLevel } from './format.ts';
import { bitRange } from './x86-format.ts';

export interface EptRights {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
}

export interface EptOptions {
  readonly levels: 4 | 5;
  /** MAXPHYADDR. */
  readonly physicalBits: number;
  /** Bit 6 of EPTP: accessed and dirty flags. */
  readonly accessedDirty: boolean;
  /** Whether the processor offers pages that can be fetched from but not read. */
  readonly executeOnly: boolean;
  readonly oneGiB: boolean;
}

const SOURCE = 'Intel SDM vol. 3, EPT entries';

export const EPT_BITS: readonly EntryBit[] = entryBits(SOURCE, [
  [0, 'R', 'R', 'the guest may read'],
  [1, 'W', 'W', 'the guest may write'],
  [2, 'X', 'X', 'the guest may fetch instructions'],
  [3, 'MT0', 'm0', 'memory type, bit 0 (leaf)'],
  [4, 'MT1', 'm1', 'memory type, bit 1 (leaf)'],
  [5, 'MT2', 'm2', 'memory type, bit 2 (leaf)'],
  [6, 'IPAT', 'ip', "the guest's own memory type is ignored (leaf)"],
  [7, 'PS', 'L', 'large page (levels 2 and 3)'],
  [8, 'A', 'A', 'accessed, when EPTP asks for it'],
  [9, 'D', 'D', 'dirty, when EPTP asks for it (leaf only)'],
]);

export const EPT_R = 1n;
export const EPT_W = 2n;
export const EPT_X = 4n;
const EPT_RWX = 7n;
export const EPT_PS = 1n << 7n;
export const EPT_A = 1n << 8n;
export const EPT_D = 1n << 9n;
/** Memory type write-back, as an entry's bits 5:3. */
export const EPT_WRITE_BACK = 6n << 3n;
const FRAME = 0x000f_ffff_ffff_f000n;
const RESERVED_TYPES: readonly bigint[] = [2n, 3n, 7n];

/** What the walk calls an entry that is a misconfiguration. */
export const EPT_MISCONFIGURED = 'malformed';

const formats = new Map<string, PagingFormat<EptRights>>();

export function eptFormat(options: EptOptions): PagingFormat<EptRights> {
  const key = JSON.stringify([
    options.levels,
    options.physicalBits,
    options.accessedDirty,
    options.executeOnly,
    options.oneGiB,
  ]);
  const known = formats.get(key);
  if (known !== undefined) return known;
  const made = makeFormat(options);
  formats.set(key, made);
  return made;
}

function makeFormat(options: EptOptions): PagingFormat<EptRights> {
  const { accessedDirty } = options;
  return {
    name: `EPT, ${String(options.levels)} levels`,
    entryBytes: 8,
    levels: eptLevels(options.levels),
    allRights: { read: true, write: true, execute: true },
    kindOf: (entry, at) => eptKind(entry, at, options),
    narrow: (rights, entry) => ({
      read: rights.read && (entry & EPT_R) !== 0n,
      write: rights.write && (entry & EPT_W) !== 0n,
      execute: rights.execute && (entry & EPT_X) !== 0n,
    }),
    tableAddress: (entry) => entry & FRAME,
    pageAddress: (entry, at) => entry & FRAME & ~((1n << BigInt(at.shift)) - 1n),
    afterUse: (entry, { kind, write }) => {
      if (!accessedDirty) return entry;
      return entry | (kind === 'leaf' && write ? EPT_A | EPT_D : EPT_A);
    },
  };
}

function eptKind(entry: bigint, at: TableLevel, options: EptOptions): EntryKind {
  const rights = entry & EPT_RWX;
  if (rights === 0n) return 'absent';
  const leaf = at.level === 1 || (at.level <= 3 && (entry & EPT_PS) !== 0n);
  const senseless = (rights & EPT_R) === 0n && (rights !== EPT_X || !options.executeOnly);
  if (senseless || (entry & reservedInEpt(at, leaf, options)) !== 0n) return EPT_MISCONFIGURED;
  if (!leaf) return 'table';
  return RESERVED_TYPES.includes((entry >> 3n) & 7n) ? EPT_MISCONFIGURED : 'leaf';
}

/** Bits of a present entry that must be clear. */
export function reservedInEpt(at: TableLevel, leaf: boolean, options: EptOptions): bigint {
  const high = bitRange(51, options.physicalBits);
  if (leaf) {
    const missing = at.level === 3 && !options.oneGiB ? EPT_PS : 0n;
    return high | missing | bitRange(at.shift - 1, 12);
  }
  return high | (at.level >= 4 ? bitRange(7, 3) : bitRange(6, 3));
}

/** The exit qualification of an EPT violation on a linear access: what was asked, what the path grants, which access. */
export function eptQualification(
  asked: { readonly read: boolean; readonly write: boolean; readonly execute: boolean },
  granted: EptRights,
  use: { readonly forTable: boolean },
): bigint {
  const bits = [
    asked.read,
    asked.write,
    asked.execute,
    granted.read,
    granted.write,
    granted.execute,
    false,
    true,
    !use.forTable,
  ];
  return bits.reduce((code, set, bit) => (set ? code | (1n << BigInt(bit)) : code), 0n);
}
