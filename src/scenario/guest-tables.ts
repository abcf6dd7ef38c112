/**
 * Builds a guest's page tables out of `map` lines: which frame holds which table, and what each entry says.
 * Frames are taken from gfn 0x10 up, in the order in which the lines need them; a table is never put where a line
 * maps a page by number.
 */
import {
  coverageOf,
  indexAt,
  PTE_A,
  PTE_D,
  PTE_G,
  PTE_NX,
  PTE_P,
  PTE_U,
  PTE_W,
} from '../core/hardware/x86-entry.ts';
import { gfn, gva, type Gfn } from '../core/quantities.ts';
import type { GuestTable, MemoryWord } from '../core/operations/operation.ts';
import type { EntryFlags } from './ast.ts';

const FIRST_TABLE_GFN = 0x10;
const ROOT_LEVEL = 4;
export const MAIN_SPACE = 'main';

export function entryValue(frame: number, flags: EntryFlags): bigint {
  return (
    (BigInt(frame) << 12n) |
    PTE_P |
    (flags.writable ? PTE_W : 0n) |
    (flags.user ? PTE_U : 0n) |
    (flags.accessed ? PTE_A : 0n) |
    (flags.dirty ? PTE_D : 0n) |
    (flags.global ? PTE_G : 0n) |
    (flags.noExecute ? PTE_NX : 0n)
  );
}

interface TablePlace {
  readonly space: string;
  readonly level: number;
  readonly gva: bigint;
}

export class GuestTables {
  private readonly tables = new Map<string, GuestTable>();
  private readonly words = new Map<number, bigint>();
  private readonly taken: Set<number>;
  private nextFrame = FIRST_TABLE_GFN;

  /** `taken`: frames that lines name by number. */
  constructor(taken: Iterable<number>) {
    this.taken = new Set(taken);
  }

  /** The table of `level` that serves an address, made with all tables above it if need be. */
  ensure(place: TablePlace): GuestTable {
    const key = keyOf(place);
    const known = this.tables.get(key);
    if (known !== undefined) return known;
    const parent = place.level === ROOT_LEVEL ? undefined : this.ensure({ ...place, level: place.level + 1 });
    const frame = this.takeFrame();
    const span = coverageOf(place.level + 1);
    const firstGva = place.level === ROOT_LEVEL ? 0n : place.gva - (place.gva % span);
    const table: GuestTable = { gfn: frame, level: place.level, firstGva: gva(firstGva), space: place.space };
    this.tables.set(key, table);
    if (parent !== undefined) {
      const kernel = place.gva >= 1n << 63n;
      const entry = (BigInt(frame) << 12n) | PTE_P | PTE_W | PTE_A | (kernel ? 0n : PTE_U);
      this.setWord({ gfn: parent.gfn, index: indexAt(place.gva, parent.level), value: entry });
    }
    return table;
  }

  /** The table of `level` that serves an address, if lines have made it. */
  find(place: TablePlace): GuestTable | undefined {
    return this.tables.get(keyOf(place));
  }

  setWord({ gfn: frame, index, value }: { gfn: number; index: number; value: bigint }): void {
    this.words.set(frame * 512 + index, value);
  }

  wordAt(frame: number, index: number): bigint | undefined {
    return this.words.get(frame * 512 + index);
  }

  /** Copies the kernel half (entries 256 to 511) of one root to another. */
  shareKernel(from: GuestTable, to: GuestTable): void {
    for (let index = 256; index < 512; index += 1) {
      const value = this.wordAt(from.gfn, index);
      if (value !== undefined) this.setWord({ gfn: to.gfn, index, value });
    }
  }

  all(): readonly GuestTable[] {
    return [...this.tables.values()];
  }

  memory(): readonly MemoryWord[] {
    return [...this.words].map(([word, value]) => ({
      gfn: gfn(Math.floor(word / 512)),
      index: word % 512,
      value,
    }));
  }

  private takeFrame(): Gfn {
    while (this.taken.has(this.nextFrame)) this.nextFrame += 1;
    const frame = this.nextFrame;
    this.nextFrame += 1;
    return gfn(frame);
  }
}

/** Tables of one space and level are told apart by the range that they serve. */
const keyOf = ({ space, level, gva: address }: TablePlace): string =>
  `${space} ${String(level)} ${level === ROOT_LEVEL ? '' : String(address / coverageOf(level + 1))}`;
