/** The levels of Intel's extended page tables (Intel SDM vol. 3, "The extended page-table mechanism"). */
import type { TableLevel } from './format.ts';

const LEVELS: readonly TableLevel[] = [5, 4, 3, 2, 1].map((level) => ({
  level,
  name: ['', 'PT', 'PD', 'PDPT', 'PML4', 'PML5'][level] as string,
  shift: 3 + 9 * level,
  bits: 9,
}));

export const eptLevels = (levels: 4 | 5): readonly TableLevel[] => LEVELS.slice(5 - levels);
