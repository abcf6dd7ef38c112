/**
 * What a page-table format is, as data: the levels of its tables, which bits choose an entry at each, and how an entry
 * is read. The walk knows this and nothing else about a processor, so one algorithm serves every guest and every
 * second stage.
 */
import type { Machine } from '../machine/machine.ts';

/** One level of tables. Levels are numbered as the field numbers them: x86 5 to 1 (1 = PT), arm64 0 to 3 (3 = pages). */
export interface TableLevel {
  readonly level: number;
  /** `PML4`, `PDPT`; `level 2` on arm64. */
  readonly name: string;
  /** An entry's index is (address >> shift) modulo 2^bits, so an entry covers 2^shift bytes. */
  readonly shift: number;
  readonly bits: number;
}

/**
 * What an entry is: nothing; a present entry with a bit set that must be clear; an output address wider than the
 * processor has; the way to the next table; or the end of the walk.
 */
export type EntryKind = 'absent' | 'malformed' | 'address-size' | 'table' | 'leaf';

/** As what an entry is used, and at which level. */
export interface EntryUse {
  readonly kind: 'table' | 'leaf';
  readonly at: TableLevel;
}

/** `Rights` is what a path of entries grants together; each architecture has its own. */
export interface PagingFormat<Rights> {
  readonly name: string;
  readonly entryBytes: 4 | 8;
  /** Root first. */
  readonly levels: readonly TableLevel[];
  /** The rights before any entry has been read. */
  readonly allRights: Rights;
  readonly kindOf: (entry: bigint, at: TableLevel) => EntryKind;
  /** The rights that remain after an entry. */
  readonly narrow: (rights: Rights, entry: bigint, use: EntryUse) => Rights;
  /** Address of the table that a table entry names. */
  readonly tableAddress: (entry: bigint) => bigint;
  /** Address of the page that a leaf names; its size is 2^shift of the level. */
  readonly pageAddress: (entry: bigint, at: TableLevel) => bigint;
  /** The entry once a walk has passed it: with the accessed and dirty marks that this processor sets. */
  readonly afterUse: (entry: bigint, use: EntryUse & { readonly write: boolean }) => bigint;
}

/** Index of the entry that serves `address` in a table of this level. */
export const indexIn = (at: TableLevel, address: bigint): number =>
  Number((address >> BigInt(at.shift)) & ((1n << BigInt(at.bits)) - 1n));

/** The part of `address` that an entry of this level leaves untranslated. */
export const offsetIn = (at: TableLevel, address: bigint): bigint =>
  address & ((1n << BigInt(at.shift)) - 1n);

/** Number of the memory word at a physical address. */
export const wordAt = (address: bigint): number => Number(address >> 3n);

/** An entry of 4 or 8 bytes at a physical address. */
export function readEntry(m: Machine, address: bigint, bytes: 4 | 8): bigint {
  const word = m.word(wordAt(address));
  if (bytes === 8) return word;
  return (address & 4n) === 0n ? word & LOW_HALF : word >> 32n;
}

/** Writes an entry of 4 or 8 bytes, inside the step marked last. */
export function writeEntry(m: Machine, to: { address: bigint; bytes: 4 | 8 }, entry: bigint): void {
  const word = wordAt(to.address);
  m.set('word', word, to.bytes === 8 ? entry : withHalf(m.word(word), to.address, entry));
}

const LOW_HALF = 0xffff_ffffn;

/** A word with the 4-byte half at `address` replaced. */
export const withHalf = (word: bigint, address: bigint, half: bigint): bigint =>
  (address & 4n) === 0n ? (word & ~LOW_HALF) | half : (word & LOW_HALF) | (half << 32n);
