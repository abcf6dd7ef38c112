/**
 * Small guests for the comparison of the caches: two address spaces with pages of every size, in every format, and a
 * window through which the guest's kernel writes one of its own tables. Entries with literal bit numbers.
 */
import type { MemoryWord, Program } from '../../core/operations/operation.ts';
import { gfn, gva } from '../../core/quantities.ts';
import type { Settings } from '../../core/settings.ts';

/** Addresses of the pages, below 4 GiB so that they serve every guest. */
export const SMALL = [0x40_0000n, 0x40_1000n, 0x60_0000n] as const;
export const LARGE = 0x8000_0000n;
export const HUGE = 0x4000_0000n;
/** Maps the table of `SMALL[0]` and `SMALL[1]`. */
export const WINDOW = 0x8040_0000n;
/** A frame of data as a guest physical address, which no table of a guest with paging maps. */
export const UNMAPPED = 0x4_0000n;
/** Beyond the canonical addresses of 48 bits; on arm64 beyond 39 bits. */
export const FAR = 0x8000_0000_0000n;
export const ADDRESSES = [...SMALL, LARGE, HUGE, WINDOW, ...SMALL, UNMAPPED, FAR] as const;

/** Frames of guest memory. */
export const FRAMES = 0x200;
const FIRST_TABLE = 0x100;
const DATA = 0x40;

/** Bits of a leaf that a sequence may choose. */
export interface LeafBits {
  readonly write: boolean;
  readonly user: boolean;
  readonly accessed: boolean;
  readonly dirty: boolean;
  readonly global: boolean;
  readonly noFetch: boolean;
}

export interface EntryPlace {
  readonly gfn: number;
  /** Number of the 8-byte word in the frame. */
  readonly index: number;
  /** Where the entry begins in the word: 32 for an odd entry of 4 bytes. */
  readonly firstBit: number;
  readonly leaf: boolean;
}

export interface GuestWorld {
  readonly memory: readonly MemoryWord[];
  readonly tables: Program['tables'];
  /** Root frames of both spaces. */
  readonly roots: readonly [number, number];
  /** Every entry that is set, for changing single bits of it. */
  readonly entries: readonly EntryPlace[];
  /** Guest frames that a walk may ask the second stage for. */
  readonly frames: readonly number[];
}

interface Shape {
  readonly bytes: 4 | 8;
  /** Shift and bits of each level, root first. */
  readonly levels: readonly (readonly [number, number])[];
  readonly link: (depth: number) => bigint;
  readonly leaf: (bits: LeafBits, size: 'small' | 'large') => bigint;
  /** Shifts at which there are large pages. */
  readonly large: readonly number[];
}

const NINE = (shift: number): readonly [number, number] => [shift, 9];

function x86Leaf(bits: LeafBits, size: 'small' | 'large', noFetch: boolean): bigint {
  const set = [
    [true, 0],
    [bits.write, 1],
    [bits.user, 2],
    [bits.accessed, 5],
    [bits.dirty, 6],
    [size === 'large', 7],
    [bits.global, 8],
    [noFetch && bits.noFetch, 63],
  ] as const;
  return set.reduce((entry, [yes, n]) => (yes ? entry | (1n << BigInt(n)) : entry), 0n);
}

/** On arm64 a clear bit 11 makes a page global and a set bit 7 read-only. */
function armLeaf(bits: LeafBits, size: 'small' | 'large'): bigint {
  const set = [
    [true, 0],
    [size === 'small', 1],
    [bits.user, 6],
    [!bits.write, 7],
    [bits.accessed, 10],
    [!bits.global, 11],
    [bits.noFetch, 54],
  ] as const;
  return set.reduce((entry, [yes, n]) => (yes ? entry | (1n << BigInt(n)) : entry), 0x300n);
}

function shapeOf({ cpu, guest }: Settings): Shape {
  const long = [48, 39, 30, 21, 12].map(NINE);
  const wide = {
    bytes: 8,
    link: () => 0x7n,
    leaf: (b, s) => x86Leaf(b, s, true),
  } as const satisfies Partial<Shape>;
  if (cpu === 'arm64') {
    const levels = guest === '3-level' ? long.slice(2) : long.slice(1);
    return { bytes: 8, levels, link: () => 0x3n, leaf: armLeaf, large: [30, 21] };
  }
  switch (guest) {
    case '2-level':
      return {
        bytes: 4,
        levels: [
          [22, 10],
          [12, 10],
        ],
        link: () => 0x7n,
        leaf: (b, s) => x86Leaf(b, s, false),
        large: [22],
      };
    case 'pae':
      return {
        ...wide,
        levels: [[30, 2], NINE(21), NINE(12)],
        link: (depth) => (depth === 0 ? 0x1n : 0x7n),
        large: [21],
      };
    default:
      return { ...wide, levels: guest === '5-level' ? long : long.slice(1), large: [30, 21] };
  }
}

/** Builds both spaces; the second has other frames behind the same addresses. */
export function guestWorld(settings: Settings, leaves: readonly LeafBits[]): GuestWorld {
  const builder = new Builder(settings.guest === 'nonpaging' ? undefined : shapeOf(settings));
  const roots = [0, 1].map((space) => builder.space(space, leaves)) as [number, number];
  return { ...builder.done(), roots };
}

class Builder {
  readonly #shape: Shape | undefined;
  readonly #words = new Map<string, MemoryWord>();
  readonly #entries: EntryPlace[] = [];
  readonly #tables: number[] = [];
  #next = FIRST_TABLE;

  constructor(shape: Shape | undefined) {
    this.#shape = shape;
  }

  space(number: number, leaves: readonly LeafBits[]): number {
    const root = this.#table();
    if (this.#shape === undefined) return root;
    const { large } = this.#shape;
    const smallest = Math.min(...large);
    const biggest = Math.max(...large);
    const data = DATA + 0x10 * number;
    let window = root;
    for (const [at, address] of SMALL.entries()) {
      const table = this.#map(root, { address, shift: 12, frame: data + at, bits: leaves[at] ?? PLAIN });
      if (at === 0) window = table;
    }
    this.#map(root, { address: LARGE, shift: smallest, frame: 0, bits: leaves[3] ?? PLAIN });
    this.#map(root, { address: HUGE, shift: biggest, frame: 0, bits: leaves[4] ?? PLAIN });
    this.#map(root, { address: WINDOW, shift: 12, frame: window, bits: { ...PLAIN, user: false } });
    return root;
  }

  done(): Omit<GuestWorld, 'roots'> {
    return {
      memory: [...this.#words.values()],
      tables: this.#tables.map((frame) => ({ gfn: gfn(frame), level: 1, firstGva: gva(0n), space: 'main' })),
      entries: this.#entries,
      frames: [...this.#tables, DATA, DATA + 1, DATA + 2, 0],
    };
  }

  #table(): number {
    const frame = this.#next;
    this.#next += 1;
    this.#tables.push(frame);
    return frame;
  }

  /** Gives the frame of the table that the leaf stands in. */
  #map(root: number, page: { address: bigint; shift: number; frame: number; bits: LeafBits }): number {
    const shape = this.#shape as Shape;
    let table = root;
    for (const [depth, [shift, bits]] of shape.levels.entries()) {
      const index = Number((page.address >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n));
      if (shift === page.shift) {
        const size = shift === 12 ? 'small' : 'large';
        this.#set(table, index, (BigInt(page.frame) << 12n) | shape.leaf(page.bits, size), true);
        return table;
      }
      const known = this.#read(table, index) >> 12n;
      const next = known === 0n ? this.#table() : Number(known & 0xf_ffffn);
      this.#set(table, index, (BigInt(next) << 12n) | shape.link(depth), false);
      table = next;
    }
    return table;
  }

  #read(frame: number, index: number): bigint {
    const { word, firstBit, mask } = this.#place(index);
    return ((this.#words.get(`${String(frame)} ${String(word)}`)?.value ?? 0n) >> BigInt(firstBit)) & mask;
  }

  #set(frame: number, index: number, entry: bigint, leaf: boolean): void {
    const { word, firstBit, mask } = this.#place(index);
    const key = `${String(frame)} ${String(word)}`;
    const others = (this.#words.get(key)?.value ?? 0n) & ~(mask << BigInt(firstBit));
    if (this.#read(frame, index) === 0n) this.#entries.push({ gfn: frame, index: word, firstBit, leaf });
    this.#words.set(key, { gfn: gfn(frame), index: word, value: others | (entry << BigInt(firstBit)) });
  }

  #place(index: number): { word: number; firstBit: number; mask: bigint } {
    if (this.#shape?.bytes !== 4) return { word: index, firstBit: 0, mask: (1n << 64n) - 1n };
    return { word: index >> 1, firstBit: (index & 1) * 32, mask: 0xffff_ffffn };
  }
}

export const PLAIN: LeafBits = {
  write: true,
  user: true,
  accessed: true,
  dirty: true,
  global: false,
  noFetch: false,
};
