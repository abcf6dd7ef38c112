/**
 * The way to an address through a guest's tables, as they stand at one moment: the entries on it, and the page or the lack
 * of one at its end. Part of the naive model of correct TLBs; it shares no code with the model.
 */
import { bit, field, keep } from './bits.ts';
import { x86Tables } from './cached-tables.ts';

/** Size of the smallest page, as a power of two. */
export const SMALL = 12;

export interface Registers {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
}

export interface Loaded extends Registers {
  /** The root entries of PAE, which the processor keeps since it last loaded them. */
  readonly pdptes: readonly bigint[];
}

/** An entry on the way, where it lies in memory. */
export interface Entry {
  readonly at: bigint;
  readonly bytes: 4 | 8;
  readonly value: bigint;
}

export interface Page {
  /** First address, and its size as a power of two. */
  readonly first: bigint;
  readonly size: number;
  /** Guest physical address of the first byte. */
  readonly to: bigint;
  readonly w: boolean;
  readonly u: boolean;
  readonly x: boolean;
  readonly global: boolean;
  readonly accessed: boolean;
  readonly dirty: boolean;
}

export interface Path {
  readonly entries: readonly Entry[];
  readonly end: Page | 'absent' | 'reserved';
}

export const isPae = ({ cr0, cr4, efer }: Registers): boolean =>
  bit(cr0, 31) && bit(cr4, 5) && !bit(efer, 10);

/** The entries on the way to an address, and what they say together. */
export function pathOf(word: (at: bigint) => bigint, registers: Loaded, address: bigint): Path {
  const tables = x86Tables(registers);
  const wide = bit(registers.efer, 10);
  const va = wide ? address : field(address, 31, 0);
  if (tables.levels.length === 0) return { entries: [], end: unpaged(keep(va, 63, 12)) };
  const pae = isPae(registers);
  let table = wide ? keep(registers.cr3, 51, 12) : keep(registers.cr3, 31, 12);
  const entries: Entry[] = [];
  for (const [depth, level] of tables.levels.entries()) {
    const index = field(va, level.shift + level.bits - 1, level.shift);
    const inRegister = pae && depth === 0;
    const at = table + index * BigInt(tables.entryBytes);
    const half = tables.entryBytes === 4 ? field(word(at) >> (field(at, 2, 2) * 32n), 31, 0) : word(at);
    const value = inRegister ? (registers.pdptes[Number(index)] ?? 0n) : half;
    if (!inRegister) entries.push({ at, bytes: tables.entryBytes, value });
    const look = tables.look(value, level.level);
    if (look === 'absent') return { entries, end: 'absent' };
    if (look === 'bad') return { entries, end: 'reserved' };
    if (look === 'page') {
      const page = { first: (va >> BigInt(level.shift)) << BigInt(level.shift), size: level.shift };
      return { entries, end: { ...page, to: tables.pageOf(value, level), ...together(registers, entries) } };
    }
    table = tables.tableOf(value);
  }
  throw new Error('a walk ends at the last level');
}

function together(registers: Registers, entries: readonly Entry[]): Omit<Page, 'first' | 'size' | 'to'> {
  const leaf = entries.at(-1)?.value ?? 0n;
  return {
    w: entries.every(({ value }) => bit(value, 1)),
    u: entries.every(({ value }) => bit(value, 2)),
    x: entries.every(({ value }) => !bit(value, 63)),
    global: bit(leaf, 8) && bit(registers.cr4, 7),
    accessed: entries.every(({ value }) => bit(value, 5)),
    dirty: bit(leaf, 6),
  };
}

/** Without paging an address is its own translation, and nothing of it is cached for later. */
function unpaged(page: bigint): Page {
  const all = { w: true, u: true, x: true, accessed: true, dirty: true };
  return { first: page, size: SMALL, to: page, ...all, global: false };
}
