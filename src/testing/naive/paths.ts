/** Good paths through tables, to be broken one bit at a time: the material of the exhaustive sets. */

/** A physical address and the entry there. */
export type Cell = readonly [bigint, bigint];

export interface Path {
  readonly name: string;
  /** Top level first. */
  readonly cells: readonly Cell[];
  /** Size of an entry. */
  readonly entryBits: 32 | 64;
}

export interface Flip {
  /** Index of the broken cell in the path. */
  readonly index: number;
  readonly bit: number;
  readonly cells: readonly Cell[];
}

/** Every path that differs from the good one in a single bit of a single entry. */
export function* flipsOf(path: Path): Generator<Flip> {
  for (const [index, [at, entry]] of path.cells.entries()) {
    for (let bit = 0; bit < path.entryBits; bit += 1) {
      yield { index, bit, cells: path.cells.with(index, [at, entry ^ (1n << BigInt(bit))]) };
    }
  }
}

/**
 * True at the first call and then at each `stride`-th. A stride that is prime to the sizes of the loops around it
 * (7, 31, 101) keeps every value of every loop in the thinned set.
 */
export function everyNth(stride: number): () => boolean {
  let count = 0;
  return () => {
    count += 1;
    return (count - 1) % stride === 0;
  };
}

export const BOTH: readonly boolean[] = [false, true];
export const ACCESSES: readonly ('r' | 'w' | 'x')[] = ['r', 'w', 'x'];

/** Where second-stage tables lie: apart from all guest tables. */
export const NESTED_ROOT = 0x0800_0000n;

/** Tables in the format of x86-64 that map addresses to themselves, built one address at a time. */
export class IdentityTables {
  readonly root = NESTED_ROOT;
  readonly #levels: number;
  readonly #links: bigint;
  readonly #leaf: bigint;
  readonly #cells = new Map<bigint, bigint>();
  readonly #tables = new Map<string, bigint>();
  #next = NESTED_ROOT + 0x1000n;

  /** `links` and `leaf`: the bits besides the address of upper entries and of leaves. */
  constructor(how: { levels: number; links: bigint; leaf: bigint }) {
    this.#levels = how.levels;
    this.#links = how.links;
    this.#leaf = how.leaf;
  }

  /** Maps the page of `address` at `pageLevel`; gives the addresses of the entries on its way, top level first. */
  map(address: bigint, pageLevel = 1): readonly bigint[] {
    const way: bigint[] = [];
    let table = this.root;
    for (let level = this.#levels; level >= pageLevel; level -= 1) {
      const shift = BigInt(12 + 9 * (level - 1));
      const at = table + ((address >> shift) & 511n) * 8n;
      way.push(at);
      if (level === pageLevel) {
        const large = level > 1 ? 1n << 7n : 0n;
        this.#cells.set(at, ((address >> shift) << shift) | large | this.#leaf);
      } else {
        table = this.#tableFor(`${String(level)} ${String(address >> shift)}`);
        this.#cells.set(at, table | this.#links);
      }
    }
    return way;
  }

  get cells(): readonly Cell[] {
    return [...this.#cells];
  }

  #tableFor(name: string): bigint {
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    const table = this.#next;
    this.#next += 0x1000n;
    this.#tables.set(name, table);
    return table;
  }
}
