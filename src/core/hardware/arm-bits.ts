/**
 * The descriptors of AArch64 translation tables bit by bit, as data (Arm ARM, "VMSAv8-64 translation table format
 * descriptors"), for 48-bit addresses. Which list fits depends on the stage and on whether the descriptor names a table.
 */
import type { EntryBit } from './x86-entry.ts';

const STAGE_1 = 'Arm ARM, VMSAv8-64 descriptors, stage 1';
const STAGE_2 = 'Arm ARM, VMSAv8-64 descriptors, stage 2';

type Row = readonly [name: string, short: string, bit: number, meaning: string];

const bits = (source: string, rows: readonly Row[]): readonly EntryBit[] =>
  rows.map(([name, short, bit, meaning]) => ({ name, short, bit, meaning, source }));

const VALID: Row = ['VALID', 'V', 0, 'valid: the descriptor may be used'];
const TYPE: Row = ['TABLE', 'T', 1, 'a table; at level 3 a page. Clear: a block'];
const COMMON_HIGH: readonly Row[] = [
  ['DBM', 'DB', 51, 'dirty bit modifier: hardware may make it writable, where it keeps dirty state'],
  ['CONTIG', 'C', 52, 'one of a run of like entries, which the TLB may hold as one'],
];
const SHAREABILITY: readonly Row[] = [
  ['SH0', 's0', 8, 'shareability, bit 0'],
  ['SH1', 's1', 9, 'shareability, bit 1'],
  ['AF', 'AF', 10, 'access flag: the entry has been used'],
];

/** Blocks and pages of stage 1. */
export const STAGE_1_LEAF_BITS: readonly EntryBit[] = bits(STAGE_1, [
  VALID,
  TYPE,
  ['ATTR0', 'a0', 2, 'memory type: index into MAIR, bit 0'],
  ['ATTR1', 'a1', 3, 'memory type: index into MAIR, bit 1'],
  ['ATTR2', 'a2', 4, 'memory type: index into MAIR, bit 2'],
  ['NS', 'NS', 5, 'the address is non-secure'],
  ['AP1', 'EL0', 6, 'EL0 may use it'],
  ['AP2', 'RO', 7, 'read-only'],
  ...SHAREABILITY,
  ['NG', 'nG', 11, 'not global: belongs to one address space'],
  ...COMMON_HIGH,
  ['PXN', 'PX', 53, 'EL1 may not fetch instructions'],
  ['UXN', 'UX', 54, 'EL0 may not fetch instructions'],
]);

/** Tables of stage 1: what they take away from everything below. */
export const STAGE_1_TABLE_BITS: readonly EntryBit[] = bits(STAGE_1, [
  VALID,
  TYPE,
  ['PXNTABLE', 'PX', 59, 'below, EL1 may not fetch instructions'],
  ['UXNTABLE', 'UX', 60, 'below, EL0 may not fetch instructions'],
  ['APTABLE0', 'no0', 61, 'below, EL0 may use nothing'],
  ['APTABLE1', 'RO', 62, 'below, everything is read-only'],
  ['NSTABLE', 'NS', 63, 'below, addresses are non-secure'],
]);

/** Blocks and pages of stage 2. */
export const STAGE_2_LEAF_BITS: readonly EntryBit[] = bits(STAGE_2, [
  VALID,
  TYPE,
  ['ATTR0', 'a0', 2, 'memory type, bit 0'],
  ['ATTR1', 'a1', 3, 'memory type, bit 1'],
  ['ATTR2', 'a2', 4, 'memory type, bit 2'],
  ['ATTR3', 'a3', 5, 'memory type, bit 3'],
  ['S2AP0', 'R', 6, 'the guest may read'],
  ['S2AP1', 'W', 7, 'the guest may write'],
  ...SHAREABILITY,
  ...COMMON_HIGH,
  ['XN0', 'x0', 53, 'execute never, bit 0: with bit 1 clear, EL1 may not fetch'],
  ['XN1', 'x1', 54, 'execute never, bit 1: EL0 may not fetch; with bit 0 clear, nobody may'],
]);

/** Tables of stage 2 grant and take nothing. */
export const STAGE_2_TABLE_BITS: readonly EntryBit[] = bits(STAGE_2, [VALID, TYPE]);
