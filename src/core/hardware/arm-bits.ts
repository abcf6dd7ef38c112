/** Bits of the descriptors of AArch64 with names and meanings (Arm ARM, "VMSAv8-64 descriptor formats"). */
import type { EntryBit } from './x86-entry.ts';

const source = 'Arm ARM, stage 1 descriptors';

export const STAGE1_BITS: readonly EntryBit[] = [
  { name: 'valid', short: 'V', bit: 0, meaning: 'the descriptor may be used', source },
  { name: 'table', short: 'T', bit: 1, meaning: 'a table; at level 3, a page', source },
  { name: 'AP[1]', short: 'U', bit: 6, meaning: 'EL0 may use it', source },
  { name: 'AP[2]', short: 'RO', bit: 7, meaning: 'read-only', source },
  { name: 'SH[0]', short: 's0', bit: 8, meaning: 'shareability, low bit', source },
  { name: 'SH[1]', short: 's1', bit: 9, meaning: 'shareability, high bit', source },
  { name: 'AF', short: 'A', bit: 10, meaning: 'access flag: without it the first use faults', source },
  { name: 'nG', short: 'nG', bit: 11, meaning: 'not global: belongs to one address space', source },
  {
    name: 'DBM',
    short: 'DB',
    bit: 51,
    meaning: 'a write may clear AP[2], when the processor does so',
    source,
  },
  { name: 'PXN', short: 'PX', bit: 53, meaning: 'EL1 may not fetch', source },
  { name: 'UXN', short: 'UX', bit: 54, meaning: 'EL0 may not fetch', source },
  {
    name: 'PXNTable',
    short: 'PT',
    bit: 59,
    meaning: 'EL1 may not fetch from anything below (table)',
    source,
  },
  {
    name: 'UXNTable',
    short: 'UT',
    bit: 60,
    meaning: 'EL0 may not fetch from anything below (table)',
    source,
  },
  { name: 'APTable[0]', short: 'nU', bit: 61, meaning: 'EL0 may use nothing below (table)', source },
  { name: 'APTable[1]', short: 'TR', bit: 62, meaning: 'everything below is read-only (table)', source },
];

const source2 = 'Arm ARM, stage 2 descriptors';

export const STAGE2_BITS: readonly EntryBit[] = [
  { name: 'valid', short: 'V', bit: 0, meaning: 'the descriptor may be used', source: source2 },
  { name: 'table', short: 'T', bit: 1, meaning: 'a table; at level 3, a page', source: source2 },
  { name: 'S2AP[0]', short: 'R', bit: 6, meaning: 'the guest may read', source: source2 },
  { name: 'S2AP[1]', short: 'W', bit: 7, meaning: 'the guest may write', source: source2 },
  {
    name: 'AF',
    short: 'A',
    bit: 10,
    meaning: 'access flag: without it the first use faults',
    source: source2,
  },
  {
    name: 'DBM',
    short: 'DB',
    bit: 51,
    meaning: 'a write may set S2AP[1], when the processor does so',
    source: source2,
  },
  { name: 'XN[0]', short: 'x0', bit: 53, meaning: 'execute never, low bit', source: source2 },
  { name: 'XN[1]', short: 'XN', bit: 54, meaning: 'execute never, high bit', source: source2 },
];

/** Bits 1:0 stand in every descriptor; from 59 up a table takes rights away from everything below. */
const inTable = ({ bit }: EntryBit): boolean => bit <= 1 || bit >= 59;

/** Blocks and pages, and tables, of either stage. */
export const STAGE_1_LEAF_BITS = STAGE1_BITS.filter(({ bit }) => bit < 59);
export const STAGE_1_TABLE_BITS = STAGE1_BITS.filter(inTable);
export const STAGE_2_LEAF_BITS = STAGE2_BITS.filter(({ bit }) => bit < 59);
export const STAGE_2_TABLE_BITS = STAGE2_BITS.filter(inTable);
