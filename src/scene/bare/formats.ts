/**
 * The tables of a machine without KVM as they are shown: their format, and the letters and names for what an entry says.
 */
import { guestFormat, hostFormat } from '../../core/bare/formats.ts';
import { hostKindOf } from '../../core/bare/host-tables.ts';
import { isArm } from '../../core/bare/registers.ts';
import { STAGE1_BITS, STAGE2_BITS } from '../../core/hardware/arm-bits.ts';
import { EPT_BITS } from '../../core/hardware/ept-format.ts';
import type { EntryKind, PagingFormat, TableLevel } from '../../core/hardware/format.ts';
import { PDPTE_BITS, PROTECTION_KEY_BITS, X86_BITS, type EntryBit } from '../../core/hardware/x86-entry.ts';
import type { Settings } from '../../core/settings.ts';

/** One place of an entry's flags. */
export interface Letter {
  readonly text: string;
  readonly mask: bigint;
  readonly meaning: string;
  /** Set where all bits of the mask are clear. */
  readonly inverted?: true;
  /** Says nothing in an entry that names a table; or only in such a one. */
  readonly only?: 'leaf' | 'table';
  /** Takes no room where it is not set. */
  readonly rare?: true;
}

export type Geometry = Pick<
  PagingFormat<unknown>,
  'entryBytes' | 'levels' | 'kindOf' | 'tableAddress' | 'pageAddress'
>;

/** A format with its words. */
export interface Dialect extends Geometry {
  /** What stands before the name of a level: `EPT`. */
  readonly prefix: string;
  readonly letters: readonly Letter[];
  /** Named bits of an entry of this kind. */
  readonly bits: (kind: EntryKind, at: TableLevel) => readonly EntryBit[];
}

const letter = (
  bits: readonly EntryBit[],
  name: string,
  more: Partial<Omit<Letter, 'mask' | 'meaning'>> = {},
): Letter => {
  const spec = bits.find((bit) => bit.name === name);
  if (spec === undefined) throw new Error(`assertion failed: no entry bit ${name}`);
  return {
    text: spec.short,
    mask: 1n << BigInt(spec.bit),
    meaning: `${spec.name}: ${spec.meaning}`,
    ...more,
  };
};

const X86_LETTERS: readonly Letter[] = [
  letter(X86_BITS, 'XD', { rare: true }),
  letter(X86_BITS, 'G', { rare: true, only: 'leaf' }),
  letter(X86_BITS, 'P'),
  letter(X86_BITS, 'RW'),
  letter(X86_BITS, 'US'),
  letter(X86_BITS, 'A'),
  letter(X86_BITS, 'D', { only: 'leaf' }),
];
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

const LEAF_BITS = [...X86_BITS, ...PROTECTION_KEY_BITS];

/** The guest's tables; none where paging stays off. */
export function guestDialect(settings: Settings): Dialect | undefined {
  const format = guestFormat(settings);
  if (format.levels.length === 0) return undefined;
  if (isArm(settings)) {
    const prefix = settings.machine === 'two-stage' ? 'stage 1' : '';
    return { ...format, prefix, letters: STAGE1_LETTERS, bits: armBits(STAGE1_BITS) };
  }
  return {
    ...format,
    prefix: '',
    letters: X86_LETTERS,
    bits: (kind, at) => {
      if (settings.guest === 'pae' && at.level === 3) return PDPTE_BITS;
      const keyed = kind === 'leaf' && (settings.guest === '4-level' || settings.guest === '5-level');
      return keyed ? LEAF_BITS : X86_BITS;
    },
  };
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

/** `EPT PT`, `stage 2 level 3`, `PDPT`. */
export const tableName = ({ prefix }: Pick<Dialect, 'prefix'>, at: TableLevel): string =>
  prefix === '' ? at.name : `${prefix} ${at.name}`;

/** A page's size in words: `2M`. */
export function sizeText(pageBits: number): string {
  if (pageBits < 20) return `${String(2 ** (pageBits - 10))}K`;
  return pageBits < 30 ? `${String(2 ** (pageBits - 20))}M` : `${String(2 ** (pageBits - 30))}G`;
}
