/** One descent through page tables, from the root or from a table that is remembered: the naive model of the caches' own. */
import { field } from './bits.ts';
import type { RememberedTable, Seen } from './caches.ts';
import type { Level, Tables } from './cached-tables.ts';

/** Memory by the address of each 8-byte word; a layer over what it held before, which stays as it is. */
export class Ram {
  readonly words = new Map<bigint, bigint>();
  readonly #below: (at: bigint) => bigint;

  constructor(below: (at: bigint) => bigint) {
    this.#below = below;
  }

  word(at: bigint): bigint {
    const aligned = (at >> 3n) << 3n;
    return this.words.get(aligned) ?? this.#below(aligned);
  }

  read(at: bigint, bytes: 4 | 8): bigint {
    const word = this.word(at);
    if (bytes === 8) return word;
    return at % 8n === 0n ? field(word, 31, 0) : field(word, 63, 32);
  }

  write(at: bigint, bytes: 4 | 8, value: bigint): void {
    const aligned = (at >> 3n) << 3n;
    const word = this.word(at);
    if (bytes === 8) this.words.set(aligned, value);
    else if (at % 8n === 0n) this.words.set(aligned, (field(word, 63, 32) << 32n) | value);
    else this.words.set(aligned, (value << 32n) | field(word, 31, 0));
  }
}

/** What the processor counts, by the names of the counters. */
export interface Tally {
  refs: number;
  adw: number;
  spared: number;
  tlb_hits: number;
  tlb_misses: number;
  tlb_fills: number;
  stale_hits: number;
}

export const noTally = (): Tally => ({
  refs: 0,
  adw: 0,
  spared: 0,
  tlb_hits: 0,
  tlb_misses: 0,
  tlb_fills: 0,
  stale_hits: 0,
});

export interface Run {
  readonly ram: Ram;
  /** With the caches, or as if they were empty. */
  readonly cached: boolean;
  readonly seen: Seen[];
  readonly tally: Tally;
}

/** An access that ends without a translation. */
export type Stop =
  | { readonly t: 'page fault'; readonly code: number }
  | { readonly t: 'host fault'; readonly kind: string; readonly code: bigint; readonly gpa: bigint };

export interface TablePlace {
  readonly t: 'place';
  readonly at: bigint;
  /** Asks to write there; undefined where that has been allowed. */
  readonly mayWrite?: (() => Stop | undefined) | undefined;
}

export type Known = Pick<RememberedTable, 'depth' | 'table' | 'place' | 'writable' | 'path' | 'seen'>;

export interface Descent {
  readonly tables: Tables;
  readonly root: bigint;
  readonly address: bigint;
  readonly write: boolean;
  readonly from: Known | undefined;
  /** Entries of the root that the processor holds in registers. */
  readonly registers?: readonly bigint[] | undefined;
  readonly locate: (address: bigint, depth: number) => TablePlace | Stop;
  /** A table below the root has been reached. */
  readonly reached: (table: Known) => void;
  readonly wrong: (look: 'absent' | 'bad', at: Level, path: readonly bigint[]) => Stop;
  readonly judge: (path: readonly bigint[], at: Level) => Stop | undefined;
}

export interface Leaf {
  readonly t: 'leaf';
  readonly address: bigint;
  readonly at: Level;
  readonly path: readonly bigint[];
  readonly entry: bigint;
}

export function descend(run: Run, by: Descent): Leaf | Stop {
  const { tables, from } = by;
  const start = run.seen.length;
  const path = [...(from?.path ?? [])];
  let table = from?.table ?? by.root;
  for (const { word, value } of from?.seen ?? []) run.seen.push({ word, value });
  for (let depth = from?.depth ?? 0; ; depth += 1) {
    const at = tables.levels[depth];
    if (at === undefined) throw new Error('a walk goes on below the last level');
    const index = field(by.address, at.shift + at.bits - 1, at.shift);
    const inRegister = depth === 0 && by.registers !== undefined;
    const address = table + index * BigInt(tables.entryBytes);
    const place = inRegister ? NOWHERE : placeOf(by, { address, depth, table });
    if (place.t !== 'place') return place;
    const rootInRegister = depth === 1 && by.registers !== undefined;
    if (depth > (from?.depth ?? 0) && !rootInRegister) {
      const writable = place.mayWrite === undefined;
      const tableAt = place.at - (address - table);
      const seen = run.seen.slice(start).map((word) => ({ ...word }));
      by.reached({ depth, table, place: tableAt, writable, path: [...path], seen });
    }
    const entry = inRegister
      ? (by.registers[Number(index)] ?? 0n)
      : readCounted(run, place.at, tables.entryBytes);
    const last = run.seen.at(-1);
    const look = tables.look(entry, at.level);
    if (look === 'absent' || look === 'bad') return by.wrong(look, at, path);
    path.push(entry);
    const page = look === 'page';
    const refused = page ? by.judge(path, at) : undefined;
    if (refused !== undefined) return refused;
    const marked = tables.marked(entry, { page, write: by.write, level: at.level });
    if (marked !== entry && !inRegister) {
      const stop = place.mayWrite?.();
      if (stop !== undefined) return stop;
      run.ram.write(place.at, tables.entryBytes, marked);
      run.tally.adw += 1;
      if (last !== undefined) last.value = run.ram.word(place.at);
    }
    if (page) {
      const offset = field(by.address, at.shift - 1, 0);
      return { t: 'leaf', address: tables.pageOf(entry, at) + offset, at, path, entry: marked };
    }
    table = tables.tableOf(entry);
  }
}

const NOWHERE: TablePlace = { t: 'place', at: 0n };

/** A remembered table need not be looked for; but where writing to it was never asked for, a mark asks. */
function placeOf(by: Descent, entry: { address: bigint; depth: number; table: bigint }): TablePlace | Stop {
  const { from } = by;
  if (from?.depth !== entry.depth) return by.locate(entry.address, entry.depth);
  const at = from.place + (entry.address - entry.table);
  if (from.writable) return { t: 'place', at };
  return {
    t: 'place',
    at,
    mayWrite: () => {
      const found = by.locate(entry.address, entry.depth);
      return found.t === 'place' ? found.mayWrite?.() : found;
    },
  };
}

function readCounted(run: Run, at: bigint, bytes: 4 | 8): bigint {
  run.tally.refs += 1;
  run.seen.push({ word: at >> 3n, value: run.ram.word(at) });
  return run.ram.read(at, bytes);
}
