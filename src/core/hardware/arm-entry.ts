/** The bits of AArch64's descriptors with their names, as data (Arm ARM, VMSAv8-64); arm-format.ts has their rules. */
import type { EntryBit } from './x86-entry.ts';

const MANUAL = 'Arm ARM, VMSAv8-64 descriptor formats';
const COMMON_BITS: readonly EntryBit[] = [
  { name: 'VALID', short: 'V', bit: 0, meaning: 'the entry may be used', source: MANUAL },
  {
    name: 'TABLE',
    short: 'T',
    bit: 1,
    meaning: 'names a table; at level 3 a page. Clear: a block',
    source: MANUAL,
  },
];
const CACHED_BITS: readonly EntryBit[] = [
  { name: 'SH0', short: 's0', bit: 8, meaning: 'shareability, bit 0', source: MANUAL },
  { name: 'SH1', short: 's1', bit: 9, meaning: 'shareability, bit 1', source: MANUAL },
  { name: 'AF', short: 'A', bit: 10, meaning: 'access flag: the page has been used', source: MANUAL },
];
const DBM_BIT: EntryBit = {
  name: 'DBM',
  short: 'DB',
  bit: 51,
  meaning: 'hardware may make the page writable when it is written',
  source: MANUAL,
};

/** Bits of a page or block descriptor of stage 1. */
export const STAGE1_LEAF_BITS: readonly EntryBit[] = [
  ...COMMON_BITS,
  { name: 'AP[1]', short: 'U', bit: 6, meaning: 'EL0 may use it', source: MANUAL },
  { name: 'AP[2]', short: 'RO', bit: 7, meaning: 'read-only', source: MANUAL },
  ...CACHED_BITS,
  { name: 'nG', short: 'nG', bit: 11, meaning: 'not global: belongs to one address space', source: MANUAL },
  DBM_BIT,
  { name: 'PXN', short: 'PX', bit: 53, meaning: 'EL1 may not fetch instructions', source: MANUAL },
  { name: 'UXN', short: 'UX', bit: 54, meaning: 'EL0 may not fetch instructions', source: MANUAL },
];
/** Bits of a table descriptor of stage 1: what they take away holds for everything below. */
export const STAGE1_TABLE_BITS: readonly EntryBit[] = [
  ...COMMON_BITS,
  { name: 'PXNTable', short: 'PX', bit: 59, meaning: 'EL1 may not fetch instructions below', source: MANUAL },
  { name: 'UXNTable', short: 'UX', bit: 60, meaning: 'EL0 may not fetch instructions below', source: MANUAL },
  { name: 'APTable[0]', short: 'NU', bit: 61, meaning: 'EL0 may use nothing below', source: MANUAL },
  { name: 'APTable[1]', short: 'RO', bit: 62, meaning: 'read-only below', source: MANUAL },
];
/** Bits of a page or block descriptor of stage 2. */
export const STAGE2_LEAF_BITS: readonly EntryBit[] = [
  ...COMMON_BITS,
  { name: 'S2AP[0]', short: 'R', bit: 6, meaning: 'the guest may read', source: MANUAL },
  { name: 'S2AP[1]', short: 'W', bit: 7, meaning: 'the guest may write', source: MANUAL },
  ...CACHED_BITS,
  DBM_BIT,
  {
    name: 'XN[0]',
    short: 'x0',
    bit: 53,
    meaning: 'execute never, bit 0: 1 EL0 only, 3 EL1 only',
    source: MANUAL,
  },
  {
    name: 'XN[1]',
    short: 'x1',
    bit: 54,
    meaning: 'execute never, bit 1: 2 nobody, 3 EL1 only',
    source: MANUAL,
  },
];
/** Bits of a table descriptor of stage 2. */
export const STAGE2_TABLE_BITS: readonly EntryBit[] = COMMON_BITS;
