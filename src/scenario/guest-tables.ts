/**
 * Builds a guest's page tables out of `map` lines, in the guest's own format: which frame holds which table, and what
 * each entry says. Frames are taken from gfn 0x10 up, in the order in which the lines need them; a table is never put
 * where a line maps a page by number.
 */
import { must } from '../core/assert.ts';
import {
  encodeEntry,
  guestEntryBytes,
  guestLevels,
  guestMode,
  type EntryFlags,
  type EntryMode,
} from '../core/hardware/encode.ts';
import { indexIn, withHalf, type TableLevel } from '../core/hardware/format.ts';
import { gfn, gva, type Gfn } from '../core/quantities.ts';
import type { GuestTable, MemoryWord } from '../core/operations/operation.ts';
import type { Settings } from '../core/settings.ts';

const FIRST_TABLE_GFN = 0x10;
const FRAME_BYTES = 4096;
export const MAIN_SPACE = 'main';

interface TablePlace {
  readonly space: string;
  readonly level: number;
  readonly gva: bigint;
}

/** An entry of 4 or 8 bytes at a guest physical address. */
interface EntryAt {
  readonly gpa: number;
  readonly bytes: 4 | 8;
  readonly value: bigint;
}

/** What an entry that leads on to a table says. */
const LINK_FLAGS = { writable: true, dirty: false, noExecute: false, global: false, key: 0 };

export class GuestTables {
  /** Root first; none where paging is off. */
  readonly levels: readonly TableLevel[];
  readonly entryBytes: 4 | 8;
  private readonly mode: EntryMode;
  private readonly tables = new Map<string, GuestTable>();
  private readonly words = new Map<number, bigint>();
  /** Addresses of the entries and halves of entries that lines have set. */
  private readonly written = new Set<number>();
  private readonly taken: Set<number>;
  private nextFrame = FIRST_TABLE_GFN;

  /** `taken`: frames that lines name by number. */
  constructor(settings: Pick<Settings, 'cpu' | 'guest'>, taken: Iterable<number>) {
    this.levels = guestLevels(settings);
    this.entryBytes = guestEntryBytes(settings);
    this.mode = guestMode(settings);
    this.taken = new Set(taken);
  }

  levelAt(level: number): TableLevel | undefined {
    return this.levels.find((at) => at.level === level);
  }

  /** The level whose tables the entries of `level` name. */
  below(level: number): TableLevel | undefined {
    return this.levels[this.levels.findIndex((at) => at.level === level) + 1];
  }

  entryOf(kind: 'table' | 'page', level: number, of: { frame: number; flags: EntryFlags }): bigint {
    return encodeEntry({ mode: this.mode, kind, level, ...of });
  }

  /** Where the entry lies that serves an address in a table. */
  place(table: GuestTable, address: bigint): number {
    const at = must(this.levelAt(table.level), 'a level of the guest');
    return table.gfn * FRAME_BYTES + indexIn(at, address) * this.entryBytes;
  }

  /** The root of a space, made if need be; undefined where paging is off. */
  root(space: string): GuestTable | undefined {
    const top = this.levels[0];
    return top === undefined ? undefined : this.ensure({ space, level: top.level, gva: 0n });
  }

  /** The root of a space that lines have made. */
  knownRoot(space: string): GuestTable | undefined {
    const top = this.levels[0];
    return top === undefined ? undefined : this.find({ space, level: top.level, gva: 0n });
  }

  /**
   * The table of `level` that serves an address, made with all tables above it if need be. Entries that lead to what is
   * made are marked accessed, save for a `fresh` one.
   */
  ensure(place: TablePlace & { readonly fresh?: boolean | undefined }): GuestTable {
    const key = this.keyOf(place);
    const known = this.tables.get(key);
    if (known !== undefined) return known;
    const above = this.above(place.level);
    const parent = above === undefined ? undefined : this.ensure({ ...place, level: above.level });
    const frame = this.takeFrame();
    const firstGva = above === undefined ? 0n : (place.gva >> BigInt(above.shift)) << BigInt(above.shift);
    const table: GuestTable = { gfn: frame, level: place.level, firstGva: gva(firstGva), space: place.space };
    this.tables.set(key, table);
    if (parent !== undefined) {
      const flags = { ...LINK_FLAGS, accessed: place.fresh !== true, user: place.gva < 1n << 63n };
      this.setEntry(parent, place.gva, this.entryOf('table', parent.level, { frame, flags }));
    }
    return table;
  }

  /** The table of `level` that serves an address, if lines have made it. */
  find(place: TablePlace): GuestTable | undefined {
    return this.tables.get(this.keyOf(place));
  }

  setEntry(table: GuestTable, address: bigint, value: bigint): void {
    this.setMemory({ gpa: this.place(table, address), bytes: this.entryBytes, value });
  }

  /** What lines have said so far about the entry that serves an address. */
  knownEntry(table: GuestTable, address: bigint): bigint | undefined {
    return this.memoryAt(this.place(table, address));
  }

  setMemory({ gpa, bytes, value }: EntryAt): void {
    const word = Math.floor(gpa / 8);
    const before = this.words.get(word) ?? 0n;
    this.words.set(word, bytes === 8 ? value : withHalf(before, BigInt(gpa), value));
    this.written.add(gpa);
    if (bytes === 8) this.written.add(gpa + 4);
  }

  private memoryAt(gpa: number): bigint | undefined {
    if (!this.written.has(gpa)) return undefined;
    const word = this.words.get(Math.floor(gpa / 8)) ?? 0n;
    if (this.entryBytes === 8) return word;
    return gpa % 8 === 0 ? BigInt.asUintN(32, word) : word >> 32n;
  }

  /** Copies the kernel's half, the upper one, of one root to another. */
  shareKernel(from: GuestTable, to: GuestTable): void {
    const entries = 1 << (this.levels[0]?.bits ?? 0);
    for (let index = entries / 2; index < entries; index += 1) {
      const offset = index * this.entryBytes;
      const value = this.memoryAt(from.gfn * FRAME_BYTES + offset);
      const gpa = to.gfn * FRAME_BYTES + offset;
      if (value !== undefined) this.setMemory({ gpa, bytes: this.entryBytes, value });
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

  /** The level whose entries name tables of `level`; none above the root. */
  private above(level: number): TableLevel | undefined {
    return this.levels[this.levels.findIndex((at) => at.level === level) - 1];
  }

  /** Tables of one space and level are told apart by the range that they serve. */
  private keyOf({ space, level, gva: address }: TablePlace): string {
    const above = this.above(level);
    return `${space} ${String(level)} ${above === undefined ? '' : String(address >> BigInt(above.shift))}`;
  }

  private takeFrame(): Gfn {
    while (this.taken.has(this.nextFrame)) this.nextFrame += 1;
    const frame = this.nextFrame;
    this.nextFrame += 1;
    return gfn(frame);
  }
}
