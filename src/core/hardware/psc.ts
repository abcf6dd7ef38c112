/**
 * Paging-structure caches: they remember where a table lies and what the path to it grants, so that a walk may begin
 * there (Intel SDM vol. 3, "Paging-structure caches"). What a processor really keeps is its own affair; here every table
 * below the root is kept. Under a second stage the place of a guest's table in host memory is remembered.
 */
import type { Machine } from '../machine/machine.ts';
import type { CacheTag, PscEntry } from '../machine/tables.ts';
import type { PagingFormat } from './format.ts';
import type { KnownTable, WalkCaches } from './page-walk.ts';
import { differsFromTables } from './tlb.ts';

export interface PscOptions<Rights> {
  readonly stage: 'guest' | 'host';
  readonly tag: CacheTag;
  /** The registers that decide how a walk goes, as text; empty where it depends on none. */
  readonly under: string;
  readonly format: PagingFormat<Rights>;
  /** In the host's half: the row of the guest's walk that is served. */
  readonly row: number;
  /** Whether a walk from this table ends as a walk from the root would, asked where a word on the way has changed. */
  readonly agrees: (table: KnownTable<Rights>) => boolean;
}

export function structureCache<Rights>(m: Machine, options: PscOptions<Rights>): WalkCaches<Rights> {
  return {
    find: (address) => {
      const entry = deepest(m, options, address);
      if (entry === undefined) return undefined;
      const known = knownTable<Rights>(entry);
      const changed = entry.filledUnder !== options.under || differsFromTables(m.world, entry);
      const stale = changed && !options.agrees(known);
      sayUse(m, options, { entry, stale });
      return known;
    },
    keep: (address, table) => {
      keep(m, options, { address, table });
    },
  };
}

/** The deepest table that is known for an address. */
function deepest<Rights>(m: Machine, options: PscOptions<Rights>, address: bigint): PscEntry | undefined {
  let best: PscEntry | undefined;
  for (const entry of m.world.tables.psc.values()) {
    if (!isOurs(m, entry, options) || address >> BigInt(entry.shift) !== entry.prefix) continue;
    // A table found with another granule or start level is none of this walk's.
    if (options.format.levels[entry.depth - 1]?.shift !== entry.shift) continue;
    if (best === undefined || entry.depth > best.depth) best = entry;
  }
  return best;
}

const isOurs = <Rights>(m: Machine, entry: PscEntry, { stage, tag }: PscOptions<Rights>): boolean =>
  entry.vcpu === m.vcpu &&
  entry.stage === stage &&
  entry.asid === tag.asid &&
  entry.pcid === tag.pcid &&
  entry.root === tag.root;

const knownTable = <Rights>(entry: PscEntry): KnownTable<Rights> => ({
  depth: entry.depth,
  table: entry.table,
  place: entry.place,
  writable: entry.writable,
  rights: entry.rights as Rights,
  ...(entry.filledUnder === '' ? {} : { under: entry.filledUnder }),
  words: entry.filledFrom,
  values: entry.filledValues,
});

function sayUse<Rights>(
  m: Machine,
  options: PscOptions<Rights>,
  { entry, stale }: { entry: PscEntry; stale: boolean },
): void {
  const refs = entry.filledFrom.length;
  m.step('walk-spared', {
    dimension: options.stage,
    row: options.row,
    level: options.format.levels[entry.depth]?.level ?? 0,
    count: entry.depth,
    refs,
    by: options.stage === 'guest' ? 'paging-structure cache' : 'host paging-structure cache',
    stale,
  });
  m.reads('psc', keyOf(entry));
  m.count('spared', refs);
  if (stale) m.count('stale_hits');
}

function keep<Rights>(
  m: Machine,
  options: PscOptions<Rights>,
  { address, table }: { address: bigint; table: KnownTable<Rights> },
): void {
  const above = options.format.levels[table.depth - 1];
  const at = options.format.levels[table.depth];
  if (above === undefined || at === undefined) return;
  const prefix = address >> BigInt(above.shift);
  const old = [...m.world.tables.psc].find(
    ([, entry]) => isOurs(m, entry, options) && entry.depth === table.depth && entry.prefix === prefix,
  );
  const serial = (m.get('serial', 'psc') ?? 0) + 1;
  m.step('psc-fill', { serial, level: at.level, stage: options.stage });
  m.serial('psc');
  if (old !== undefined) m.set('psc', old[0], undefined);
  const entry: PscEntry = Object.freeze({
    ...options.tag,
    vcpu: m.vcpu,
    serial,
    stage: options.stage,
    depth: table.depth,
    prefix,
    shift: above.shift,
    table: table.table,
    place: table.place,
    writable: table.writable,
    rights: table.rights,
    // A table reached from a remembered one depends on the registers that led there, whatever they are now.
    filledUnder: options.under === '' ? '' : (table.under ?? options.under),
    filledFrom: Object.freeze([...table.words]),
    filledValues: Object.freeze([...table.values]),
  });
  m.set('psc', keyOf(entry), entry);
}

const keyOf = ({ vcpu, serial }: PscEntry): string => `${String(vcpu)}:${String(serial)}`;
