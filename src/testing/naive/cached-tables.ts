/**
 * Page tables as the naive model of the caches reads them: for each format its levels, what an entry is, where it
 * leads and what it is marked with, with literal bit numbers (Intel SDM vol. 3; AMD APM vol. 2; Arm ARM). It shares no
 * code with the model.
 *
 * The processor is the one of the machines without KVM: MAXPHYADDR 40, EPT with execute-only and 1 GiB pages, host
 * EFER.NXE set; on arm64 4 KiB granules with hardware access flags and without hardware dirty state.
 */
import { kindOf } from './arm.ts';
import { bit, field, keep } from './bits.ts';
import { eptEntryIsBad } from './ept.ts';
import { longEntryIsBad, paeEntryIsBad, pdpteIsBad } from './x86.ts';

export type Look = 'absent' | 'bad' | 'table' | 'page';

export interface Level {
  /** As the manuals number it: 1 = PT on x86, 3 = pages on arm64. */
  readonly level: number;
  /** An entry covers 2^shift bytes. */
  readonly shift: number;
  /** Bits of the index. */
  readonly bits: number;
}

export interface Tables {
  /** Root first; none where paging is off. */
  readonly levels: readonly Level[];
  readonly entryBytes: 4 | 8;
  readonly look: (entry: bigint, level: number) => Look;
  readonly tableOf: (entry: bigint) => bigint;
  readonly pageOf: (entry: bigint, at: Level) => bigint;
  /** The entry with the marks that its use leaves. */
  readonly marked: (entry: bigint, use: { page: boolean; write: boolean; level: number }) => bigint;
}

/** Control registers as far as they say how entries are read. */
export interface TableRegisters {
  readonly cr0: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
}

const MAXPHYADDR = 40;
const EPT = { eptp: 0n, executeOnly: true, gigabytePages: true, maxPhyAddr: MAXPHYADDR } as const;
const A_X86 = 1n << 5n;
const D_X86 = 1n << 6n;

const nineBits = (top: number): Level[] =>
  Array.from({ length: top }, (_, at) => ({ level: top - at, shift: 12 + 9 * (top - at - 1), bits: 9 }));

const markedX86: Tables['marked'] = (entry, { page, write }) => entry | A_X86 | (page && write ? D_X86 : 0n);

/** The tables of an x86 guest in the mode that its registers select. */
export function x86Tables(registers: TableRegisters): Tables {
  if (!bit(registers.cr0, 31)) return longTables(0, false);
  if (!bit(registers.cr4, 5)) return twoLevelTables(bit(registers.cr4, 4));
  const nxe = bit(registers.efer, 11);
  if (!bit(registers.efer, 10)) return paeTables(registers.efer);
  return longTables(bit(registers.cr4, 12) ? 5 : 4, nxe);
}

/** Entries of 4-level and 5-level paging: a guest's, or nested ones. */
export const longTables = (levels: number, nxe: boolean): Tables => ({
  levels: nineBits(levels),
  entryBytes: 8,
  look: (entry, level) => {
    if (!bit(entry, 0)) return 'absent';
    if (longEntryIsBad(entry, { level, maxPhyAddr: MAXPHYADDR, nxe })) return 'bad';
    return level === 1 || bit(entry, 7) ? 'page' : 'table';
  },
  tableOf: (entry) => keep(entry, 51, 12),
  pageOf: (entry, { shift }) => keep(entry, 51, shift),
  marked: markedX86,
});

const paeTables = (efer: bigint): Tables => ({
  levels: [{ level: 3, shift: 30, bits: 2 }, ...nineBits(2)],
  entryBytes: 8,
  look: (entry, level) => {
    if (!bit(entry, 0)) return 'absent';
    if (level === 3) return pdpteIsBad(entry, MAXPHYADDR) ? 'bad' : 'table';
    if (paeEntryIsBad({ efer, maxPhyAddr: MAXPHYADDR }, entry)) return 'bad';
    if (level === 1) return 'page';
    if (!bit(entry, 7)) return 'table';
    return field(entry, 20, 13) === 0n ? 'page' : 'bad';
  },
  tableOf: (entry) => keep(entry, 51, 12),
  pageOf: (entry, { shift }) => keep(entry, 51, shift),
  marked: (entry, use) => (use.level === 3 ? entry : markedX86(entry, use)),
});

const twoLevelTables = (pse: boolean): Tables => ({
  levels: [
    { level: 2, shift: 22, bits: 10 },
    { level: 1, shift: 12, bits: 10 },
  ],
  entryBytes: 4,
  look: (entry, level) => {
    if (!bit(entry, 0)) return 'absent';
    if (level === 1) return 'page';
    if (!pse || !bit(entry, 7)) return 'table';
    return bit(entry, 21) ? 'bad' : 'page';
  },
  tableOf: (entry) => keep(entry, 31, 12),
  pageOf: (entry, { level }) =>
    level === 1 ? keep(entry, 31, 12) : (field(entry, 20, 13) << 32n) | keep(entry, 31, 22),
  marked: markedX86,
});

export const eptTables = (levels: number, accessedDirty: boolean): Tables => ({
  levels: nineBits(levels),
  entryBytes: 8,
  look: (entry, level) => {
    if (field(entry, 2, 0) === 0n) return 'absent';
    if (eptEntryIsBad(EPT, entry, level)) return 'bad';
    return level === 1 || (level <= 3 && bit(entry, 7)) ? 'page' : 'table';
  },
  tableOf: (entry) => keep(entry, 51, 12),
  pageOf: (entry, { shift }) => keep(entry, 51, shift),
  marked: (entry, { page, write }) =>
    accessedDirty ? entry | (1n << 8n) | (page && write ? 1n << 9n : 0n) : entry,
});

/** Either stage of arm64; `start` is the level of the root, `inputBits` the size of the addresses. */
export const armTables = (start: number, inputBits: number): Tables => ({
  levels: [0, 1, 2, 3].slice(start).map((level) => {
    const shift = [39, 30, 21, 12][level] ?? 12;
    return { level, shift, bits: level === start ? inputBits - shift : 9 };
  }),
  entryBytes: 8,
  look: (entry, level) => {
    const kind = kindOf(entry, '4K', level);
    return kind === 'invalid' ? 'absent' : kind === 'leaf' ? 'page' : 'table';
  },
  tableOf: (entry) => keep(entry, 47, 12),
  pageOf: (entry, { shift }) => keep(entry, 47, shift),
  marked: (entry, { page }) => (page ? entry | (1n << 10n) : entry),
});
