/** The tables of machines without KVM as they are shown: of every guest, and of every second stage. */
import { guestFormat, hostFormat } from '../../core/bare/formats.ts';
import { hostKindOf } from '../../core/bare/host-tables.ts';
import { isArm } from '../../core/bare/registers.ts';
import { STAGE1_BITS, STAGE2_BITS } from '../../core/hardware/arm-bits.ts';
import { EPT_BITS } from '../../core/hardware/ept-format.ts';
import type { PagingMode } from '../../core/hardware/paging-mode.ts';
import { X86_BITS, type EntryBit } from '../../core/hardware/x86-entry.ts';
import type { Settings } from '../../core/settings.ts';
import { letter, x86Dialect, X86_LETTERS, type Dialect, type Letter } from '../dialect.ts';

const EPT_RIGHTS = ['R', 'W', 'X'].map((name) => letter(EPT_BITS, name));
const EPT_MARKS = [letter(EPT_BITS, 'A'), letter(EPT_BITS, 'D', { only: 'leaf' })];
const STAGE1_LETTERS: readonly Letter[] = [
  ...['PXN', 'UXN'].map((name) => letter(STAGE1_BITS, name, { rare: true, only: 'leaf' })),
  ...['PXNTable', 'UXNTable', 'APTable[0]', 'APTable[1]'].map((name) =>
    letter(STAGE1_BITS, name, { rare: true, only: 'table' }),
  ),
  letter(STAGE1_BITS, 'valid'),
  {
    ...letter(STAGE1_BITS, 'AP[2]', { only: 'leaf', inverted: true }),
    text: 'W',
    meaning: 'AP[2] clear: writable',
  },
  letter(STAGE1_BITS, 'AP[1]', { only: 'leaf' }),
  letter(STAGE1_BITS, 'AF', { only: 'leaf' }),
];
const STAGE2_LETTERS: readonly Letter[] = [
  letter(STAGE2_BITS, 'valid'),
  letter(STAGE2_BITS, 'S2AP[0]', { only: 'leaf' }),
  letter(STAGE2_BITS, 'S2AP[1]', { only: 'leaf' }),
  { text: 'X', mask: 3n << 53n, meaning: 'XN is 0: everybody may fetch', only: 'leaf', inverted: true },
  letter(STAGE2_BITS, 'AF', { only: 'leaf' }),
];

/** Of a descriptor's bits some say something in a table's, some in a page's or block's. */
const FIRST_TABLE_BIT = 59;
const LAST_COMMON_BIT = 1;
const armBits =
  (bits: readonly EntryBit[]): Dialect['bits'] =>
  (kind) =>
    bits.filter(({ bit }) => bit <= LAST_COMMON_BIT || (kind === 'table') === bit >= FIRST_TABLE_BIT);

/** The guest's tables; none where paging stays off. */
export function guestDialect(settings: Settings): Dialect | undefined {
  const format = guestFormat(settings);
  if (format.levels.length === 0) return undefined;
  if (isArm(settings)) {
    const prefix = settings.machine === 'two-stage' ? 'stage 1' : '';
    return { ...format, prefix, letters: STAGE1_LETTERS, bits: armBits(STAGE1_BITS) };
  }
  return x86Dialect(format, settings.guest as PagingMode, { keys: true });
}

/** The host's tables; none where there is no second stage. */
export function hostDialect(settings: Settings): Dialect | undefined {
  const format = hostFormat(settings);
  if (format === undefined) return undefined;
  switch (hostKindOf(settings)) {
    case 'ept': {
      const letters = settings['ept-ad'] === 'on' ? [...EPT_RIGHTS, ...EPT_MARKS] : EPT_RIGHTS;
      return { ...format, prefix: 'EPT', letters, bits: () => EPT_BITS };
    }
    case 'npt':
      return { ...format, prefix: 'nested', letters: X86_LETTERS, bits: () => X86_BITS };
    case 'arm':
      return { ...format, prefix: 'stage 2', letters: STAGE2_LETTERS, bits: armBits(STAGE2_BITS) };
  }
}
