/**
 * The levels of AArch64's translation tables by granule and address size, and the bits that say what a descriptor is (Arm
 * ARM, "The AArch64 virtual memory system architecture"). What the other bits mean stands in arm-format.ts.
 */
import type { TableLevel } from './format.ts';

/** Bytes of the smallest page, as a power of two. */
export type Granule = 12 | 14 | 16;

export const LAST_LEVEL = 3;
const LEVEL_NAMES = ['level 0', 'level 1', 'level 2', 'level 3'] as const;

/** Bits that an index has in a whole table. */
export const indexBits = (granule: Granule): number => granule - 3;
export const shiftOf = (granule: Granule, level: number): number =>
  granule + (LAST_LEVEL - level) * indexBits(granule);

/** The levels from `start` down; the first has as many entries as the address size asks for, also over several tables. */
export function armLevels(granule: Granule, inputBits: number, start: number): readonly TableLevel[] {
  return [0, 1, 2, 3]
    .filter((level) => level >= start)
    .map((level) => {
      const shift = shiftOf(granule, level);
      const bits = level === start ? Math.max(0, inputBits - shift) : indexBits(granule);
      return { level, name: LEVEL_NAMES[level] as string, shift, bits };
    });
}

/** Of a descriptor: it is one; it leads to a table, or on level 3 is a page; it has been used. */
export const DESC_VALID = 1n;
export const DESC_TABLE = 2n;
export const DESC_AF = 1n << 10n;
