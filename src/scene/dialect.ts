/** Tables as they are shown: their format, and the letters and names for what an entry says. */
import type { EntryKind, PagingFormat, TableLevel } from '../core/hardware/format.ts';
import type { PagingMode } from '../core/hardware/paging-mode.ts';
import { PDPTE_BITS, PROTECTION_KEY_BITS, X86_BITS, type EntryBit } from '../core/hardware/x86-entry.ts';

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

export const letter = (
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

export const X86_LETTERS: readonly Letter[] = [
  letter(X86_BITS, 'XD', { rare: true }),
  letter(X86_BITS, 'G', { rare: true, only: 'leaf' }),
  letter(X86_BITS, 'P'),
  letter(X86_BITS, 'RW'),
  letter(X86_BITS, 'US'),
  letter(X86_BITS, 'A'),
  letter(X86_BITS, 'D', { only: 'leaf' }),
];

/** An entry of 4 bytes has no bit 63. */
const BITS_32 = X86_BITS.filter(({ bit }) => bit < 32);

/** In long mode an entry that names a page carries a protection key, where the processor has such keys. */
const KEYED_BITS: readonly EntryBit[] = [...X86_BITS, ...PROTECTION_KEY_BITS];

/** Tables of x86 in one of its paging modes. */
export function x86Dialect(format: Geometry, mode: PagingMode, options: { keys: boolean }): Dialect {
  const keyed = options.keys && (mode === '4-level' || mode === '5-level');
  return {
    ...format,
    prefix: '',
    letters: X86_LETTERS,
    bits: (kind, at) => {
      if (mode === 'pae' && at.level === 3) return PDPTE_BITS;
      if (format.entryBytes === 4) return BITS_32;
      return keyed && kind === 'leaf' ? KEYED_BITS : X86_BITS;
    },
  };
}

/** `EPT PT`, `stage 2 level 3`, `PDPT`. */
export const tableName = ({ prefix }: Pick<Dialect, 'prefix'>, at: TableLevel): string =>
  prefix === '' ? at.name : `${prefix} ${at.name}`;

/** A page's size in words: `2M`. */
export function sizeText(pageBits: number): string {
  if (pageBits < 20) return `${String(2 ** (pageBits - 10))}K`;
  return pageBits < 30 ? `${String(2 ** (pageBits - 20))}M` : `${String(2 ** (pageBits - 30))}G`;
}
