/** Bits of the descriptors of AArch64 with names and meanings (Arm ARM, "VMSAv8-64 descriptor formats"). */
import { entryBits, type EntryBit } from './x86-entry.ts';

const source = 'Arm ARM, stage 1 descriptors';

export const STAGE1_BITS: readonly EntryBit[] = entryBits(source, [
  [0, 'valid', 'V', 'the descriptor may be used'],
  [1, 'table', 'T', 'a table; at level 3, a page'],
  [6, 'AP[1]', 'U', 'EL0 may use it'],
  [7, 'AP[2]', 'RO', 'read-only'],
  [8, 'SH[0]', 's0', 'shareability, low bit'],
  [9, 'SH[1]', 's1', 'shareability, high bit'],
  [10, 'AF', 'A', 'access flag: without it the first use faults'],
  [11, 'nG', 'nG', 'not global: belongs to one address space'],
  [51, 'DBM', 'DB', 'a write may clear AP[2], when the processor does so'],
  [53, 'PXN', 'PX', 'EL1 may not fetch'],
  [54, 'UXN', 'UX', 'EL0 may not fetch'],
  [59, 'PXNTable', 'PT', 'EL1 may not fetch from anything below (table)'],
  [60, 'UXNTable', 'UT', 'EL0 may not fetch from anything below (table)'],
  [61, 'APTable[0]', 'nU', 'EL0 may use nothing below (table)'],
  [62, 'APTable[1]', 'TR', 'everything below is read-only (table)'],
]);

const source2 = 'Arm ARM, stage 2 descriptors';

export const STAGE2_BITS: readonly EntryBit[] = entryBits(source2, [
  [0, 'valid', 'V', 'the descriptor may be used'],
  [1, 'table', 'T', 'a table; at level 3, a page'],
  [6, 'S2AP[0]', 'R', 'the guest may read'],
  [7, 'S2AP[1]', 'W', 'the guest may write'],
  [10, 'AF', 'A', 'access flag: without it the first use faults'],
  [51, 'DBM', 'DB', 'a write may set S2AP[1], when the processor does so'],
  [53, 'XN[0]', 'x0', 'execute never, low bit'],
  [54, 'XN[1]', 'XN', 'execute never, high bit'],
]);

/** Bits 1:0 stand in every descriptor; from 59 up a table takes rights away from everything below. */
const inTable = ({ bit }: EntryBit): boolean => bit <= 1 || bit >= 59;

/** Blocks and pages, and tables, of either stage. */
export const STAGE_1_LEAF_BITS = STAGE1_BITS.filter(({ bit }) => bit < 59);
export const STAGE_1_TABLE_BITS = STAGE1_BITS.filter(inTable);
export const STAGE_2_LEAF_BITS = STAGE2_BITS.filter(({ bit }) => bit < 59);
export const STAGE_2_TABLE_BITS = STAGE2_BITS.filter(inTable);
