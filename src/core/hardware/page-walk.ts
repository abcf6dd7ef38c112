/**
 * The page walk: one algorithm for every processor, guest and second stage. The format says how tables look; where the
 * tables lie at addresses that must be translated themselves, `host` does that, and the walk is two-dimensional.
 *
 * Accessed bits are set as the recorded vectors have it: each present, well-formed table entry at once, also when a
 * later entry faults; the leaf gets its marks only on success.
 */
import type { Machine } from '../machine/machine.ts';
import type { HostRights } from '../machine/tables.ts';
import {
  indexIn,
  offsetIn,
  readEntry,
  withHalf,
  wordAt,
  writeEntry,
  type EntryKind,
  type PagingFormat,
  type TableLevel,
} from './format.ts';

/** Why a walk ended without a translation. */
export type WalkFaultReason = Exclude<EntryKind, 'table' | 'leaf'> | 'access-flag' | 'permission';

/** The words that a walk has read, in both dimensions, and what they hold after it: what its result depends on. */
export interface Trail {
  readonly words: number[];
  readonly values: bigint[];
  /** Whether the walk has been counted: with its first reference. */
  counted: boolean;
  /** The registers under which the table was found that the walk began from, as text; absent where it began at the root. */
  under?: string;
}

/** Why an address of this walk has to be translated by the other dimension. */
export interface HostUse {
  /** 0 = the root table of this walk, and so on; the number of levels = the page itself. */
  readonly row: number;
  readonly forTable: boolean;
  readonly trail: Trail;
}

export interface HostPlace<HostFault> {
  readonly kind: 'ok';
  readonly address: bigint;
  /** Size of the host page around the address, as a power of two. */
  readonly pageBits: number;
  readonly rights: HostRights;
  /** Whether the entry that names the page is marked dirty; true where the second stage keeps no such mark. */
  readonly dirty: boolean;
  /** Asks to write where only a read was asked for; gives the fault where that is refused. */
  readonly refuseWrite?: () => HostFault | undefined;
}
export type HostOutcome<HostFault> =
  HostPlace<HostFault> | { readonly kind: 'fault'; readonly fault: HostFault };

/** A table found without walking to it: out of a paging-structure cache. */
export interface KnownTable<Rights> {
  readonly depth: number;
  /** Its address in the space that the entries name. */
  readonly table: bigint;
  /** Where the table lies in memory. */
  readonly place: bigint;
  /** Whether marks may be written there, as far as the other dimension is concerned, without asking it. */
  readonly writable: boolean;
  readonly rights: Rights;
  /** The registers under which it was found, as text; absent where a walk depends on none. */
  readonly under?: string;
  readonly words: readonly number[];
  readonly values: readonly bigint[];
}

export interface WalkCaches<Rights> {
  /** The deepest table that is known for this address. */
  readonly find: (address: bigint) => KnownTable<Rights> | undefined;
  /** A table below the root has been found. */
  readonly keep: (address: bigint, table: KnownTable<Rights>) => void;
}

export interface TableWalk<Rights, HostFault> {
  readonly format: PagingFormat<Rights>;
  /** Address of the root table; of its first entry where the root is several tables in a row. */
  readonly root: bigint;
  readonly address: bigint;
  readonly write: boolean;
  /** Why the rights of the whole path refuse the access, or undefined. */
  readonly refusal: (rights: Rights, leaf: bigint) => 'access-flag' | 'permission' | undefined;
  /** Which dimension the steps name: a walk by itself, the guest's half of two dimensions, the host's half. */
  readonly dimension: 'single' | 'guest' | 'host';
  /** In the host's half: the row of the guest's walk that this serves. */
  readonly row: number;
  readonly trail: Trail;
  readonly host?: (address: bigint, use: HostUse) => HostOutcome<HostFault>;
  readonly caches?: WalkCaches<Rights>;
  /** Entries that the processor holds in registers instead of reading the root table (PAE). */
  readonly rootRegisters?: readonly bigint[];
}

export interface TableWalkSuccess<Rights> {
  readonly kind: 'ok';
  /** Address that the walk gives, in the space that the tables name. */
  readonly address: bigint;
  readonly at: TableLevel;
  readonly rights: Rights;
  /** The leaf after the walk. */
  readonly leaf: bigint;
  /** Where in `trail` the leaf stands, and where the walk's first word does. */
  readonly leafAt: number;
}

export interface TableWalkFault<Rights> {
  readonly kind: 'fault';
  readonly why: WalkFaultReason;
  readonly at: TableLevel;
  readonly entry: bigint;
  /** Of the path up to and with the entry at fault; without it where the entry grants nothing. */
  readonly rights: Rights;
}

export type TableWalkOutcome<Rights, HostFault> =
  | TableWalkSuccess<Rights>
  | TableWalkFault<Rights>
  | { readonly kind: 'host-fault'; readonly fault: HostFault };

interface Position<Rights> {
  depth: number;
  /** Address of the table in the space that the entries name. */
  table: bigint;
  /** Where it lies in memory, if that is known without asking the other dimension. */
  place: bigint | undefined;
  rights: Rights;
  /** How much had been read before this walk began. */
  readonly start: number;
  /** The depth of the table that need not be kept: the root, what a cache knew already, or what a register names. */
  known: number;
  /** Whether marks may be written to a table whose place is known. */
  readonly writable: boolean;
}

/** Walks from the root to the leaf. A format without levels translates nothing: the address stands for itself. */
export function walkTables<Rights, HostFault>(
  m: Machine,
  walk: TableWalk<Rights, HostFault>,
): TableWalkOutcome<Rights, HostFault> {
  const { format, trail } = walk;
  const position = begin(walk);
  for (; position.depth < format.levels.length; position.depth += 1) {
    const at = format.levels[position.depth] as TableLevel;
    const found = readAt(m, walk, { position, at });
    if (found.kind === 'host-fault') return found;
    const { entry, place } = found;
    const kind = format.kindOf(entry, at);
    if (kind !== 'table' && kind !== 'leaf')
      return { kind: 'fault', why: kind, at, entry, rights: position.rights };
    position.rights = format.narrow(position.rights, entry, { kind, at });
    const why = kind === 'leaf' ? walk.refusal(position.rights, entry) : undefined;
    if (why !== undefined) return { kind: 'fault', why, at, entry, rights: position.rights };
    const marked = mark(m, walk, { at, kind, entry, place });
    if (typeof marked !== 'bigint') return marked;
    if (kind === 'leaf') {
      const address = format.pageAddress(entry, at) | offsetIn(at, walk.address);
      const leafAt = trail.words.length - 1;
      return { kind: 'ok', address, at, rights: position.rights, leaf: marked, leafAt };
    }
    position.table = format.tableAddress(entry);
    position.place = walk.host === undefined ? position.table : undefined;
  }
  return { kind: 'ok', address: walk.address, at: WHOLE, rights: position.rights, leaf: 0n, leafAt: -1 };
}

/** What an untranslated address belongs to: one page as large as the address space. */
const WHOLE: TableLevel = { level: 0, name: 'untranslated', shift: 12, bits: 0 };

function begin<Rights, HostFault>(walk: TableWalk<Rights, HostFault>): Position<Rights> {
  const start = walk.trail.words.length;
  const known = walk.caches?.find(walk.address);
  if (known === undefined) {
    const place = walk.host === undefined ? walk.root : undefined;
    return {
      depth: 0,
      table: walk.root,
      place,
      rights: walk.format.allRights,
      start,
      known: 0,
      writable: true,
    };
  }
  if (known.under !== undefined) walk.trail.under = known.under;
  walk.trail.words.push(...known.words);
  walk.trail.values.push(...known.values);
  return {
    depth: known.depth,
    table: known.table,
    place: known.place,
    rights: known.rights,
    start,
    known: known.depth,
    writable: known.writable,
  };
}

interface EntryRead<HostFault> {
  readonly kind: 'ok';
  readonly entry: bigint;
  /** Where the entry lies in memory; undefined for a register. */
  readonly place: Pick<HostPlace<HostFault>, 'address' | 'refuseWrite'> | undefined;
}

/** Finds the entry of one level, by way of the other dimension if there is one, and reads it. */
function readAt<Rights, HostFault>(
  m: Machine,
  walk: TableWalk<Rights, HostFault>,
  { position, at }: { position: Position<Rights>; at: TableLevel },
): EntryRead<HostFault> | { kind: 'host-fault'; fault: HostFault } {
  const { depth } = position;
  const index = indexIn(at, walk.address);
  const register = depth === 0 ? walk.rootRegisters?.[index] : undefined;
  if (register !== undefined) {
    m.step('walk-register', { level: at.level, index, entry: register });
    position.known = 1;
    return { kind: 'ok', entry: register, place: undefined };
  }
  const offset = BigInt(index * walk.format.entryBytes);
  const address = position.table + offset;
  let place: Pick<HostPlace<HostFault>, 'address' | 'refuseWrite'>;
  if (position.place !== undefined || walk.host === undefined) {
    place = knownPlace(walk, { position, address, offset });
  } else {
    const located = walk.host(address, { row: depth, forTable: true, trail: walk.trail });
    if (located.kind === 'fault') return { kind: 'host-fault', fault: located.fault };
    place = located;
  }
  if (depth > position.known) {
    const writable = place.refuseWrite === undefined;
    keepTable(walk, { position, place: place.address - offset, writable });
  }
  if (walk.dimension === 'single' && at.level === 1) interruptible(m);
  const entry = readEntry(m, place.address, walk.format.entryBytes);
  sayRead(m, walk, { at, index, entry, address, place: place.address });
  return { kind: 'ok', entry, place };
}

/** Another vCPU has made this one leave the guest in the middle of a walk: the instruction begins anew later. */
export class WalkInterrupted extends Error {}

/** Other vCPUs may act between the reads of a walk, and one of them may interrupt this vCPU. */
function interruptible(m: Machine): void {
  if (m.preempt('page-walk/level-1') && m.must('vcpu', m.vcpu).mode !== 'guest') throw new WalkInterrupted();
}

/** A table whose place is known. Where the other dimension has not allowed to write there, a mark asks it. */
function knownPlace<Rights, HostFault>(
  walk: TableWalk<Rights, HostFault>,
  by: { position: Position<Rights>; address: bigint; offset: bigint },
): Pick<HostPlace<HostFault>, 'address' | 'refuseWrite'> {
  const { position, address, offset } = by;
  const { host, trail } = walk;
  const place = { address: (position.place ?? position.table) + offset };
  if (position.writable || position.depth !== position.known || host === undefined) return place;
  return {
    ...place,
    refuseWrite: () => {
      const located = host(address, { row: position.depth, forTable: true, trail });
      return located.kind === 'fault' ? located.fault : located.refuseWrite?.();
    },
  };
}

function keepTable<Rights, HostFault>(
  walk: TableWalk<Rights, HostFault>,
  { position, place, writable }: { position: Position<Rights>; place: bigint; writable: boolean },
): void {
  if (walk.caches === undefined) return;
  const { depth, table, rights, start } = position;
  const words = walk.trail.words.slice(start);
  const values = walk.trail.values.slice(start);
  const { under } = walk.trail;
  const found = under === undefined ? {} : { under };
  walk.caches.keep(walk.address, { depth, table, place, writable, rights, ...found, words, values });
}

function sayRead<Rights, HostFault>(
  m: Machine,
  walk: TableWalk<Rights, HostFault>,
  read: { at: TableLevel; index: number; entry: bigint; address: bigint; place: bigint },
): void {
  const { index, entry, address } = read;
  const { level } = read.at;
  const word = wordAt(read.place);
  const { trail } = walk;
  if (walk.dimension === 'single') m.step('walk-read', { level, index, entry }, [word]);
  else if (walk.dimension === 'guest') m.step('guest-entry-read', { level, index, entry, address }, [word]);
  else m.step('host-entry-read', { row: walk.row, level, index, entry, gpa: walk.address }, [word]);
  if (!trail.counted) m.count('walks');
  trail.counted = true;
  m.count('refs');
  trail.words.push(word);
  trail.values.push(m.word(word));
}

/** Sets the marks that are still missing; gives the entry as it is then. */
function mark<Rights, HostFault>(
  m: Machine,
  walk: TableWalk<Rights, HostFault>,
  used: { at: TableLevel; kind: 'table' | 'leaf' } & Pick<EntryRead<HostFault>, 'entry' | 'place'>,
): bigint | { kind: 'host-fault'; fault: HostFault } {
  const { at, kind, entry, place } = used;
  const after = walk.format.afterUse(entry, { kind, at, write: walk.write });
  if (after === entry || place === undefined) return after;
  // Asking the other dimension may read more.
  const last = walk.trail.values.length - 1;
  const refused = place.refuseWrite?.();
  if (refused !== undefined) return { kind: 'host-fault', fault: refused };
  const dirty = kind === 'leaf' && walk.write;
  if (walk.dimension === 'single') m.step('walk-set-bits', { level: at.level, dirty });
  else if (walk.dimension === 'guest') m.step('guest-entry-set-bits', { level: at.level, dirty });
  else m.step('host-entry-set-bits', { row: walk.row, level: at.level, dirty });
  const bytes = walk.format.entryBytes;
  writeEntry(m, { address: place.address, bytes }, after);
  m.count('adw');
  const { values } = walk.trail;
  values[last] = bytes === 8 ? after : withHalf(values[last] as bigint, place.address, after);
  return after;
}
