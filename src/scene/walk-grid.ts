/**
 * The two-dimensional page walk as a grid: a row for each table of the guest and one for the page, a column for each
 * level of the host and one for the guest's own entry. The cell that is missing, the guest's entry in the row of the
 * page, is the access itself: the "- 1" in (g + 1)(h + 1) - 1.
 *
 * Every number comes out of the steps of the walk or out of the geometry. What lies after the cursor is still to come.
 */
import type { TableLevel } from '../core/hardware/format.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { rowId } from './parts.ts';
import { sentenceOf } from './sentences.ts';
import {
  recordWalk,
  tableOf,
  type EntryReader,
  type Fate,
  type NotNeeded,
  type Reading,
  type WalkGeometry,
  type WalkPlace,
  type WalkRecord,
} from './walk-record.ts';

export type CellState =
  'to come' | 'read' | 'register' | 'spared' | 'not needed' | 'at fault' | 'never reached';

/** What an entry said, as text for the reader. Numbers in hex. */
export interface CellReading {
  /** `0fe`. */
  readonly index: string;
  /** `0x40000 + 0x0fe × 8`. */
  readonly formula: string;
  /** Address of the entry in host memory, or in the space of a walk in one dimension; undefined for a register. */
  readonly address: string | undefined;
  /** `0x1007f0`: where the entry lies as the guest numbers its memory. */
  readonly gpa: string | undefined;
  readonly entry: string;
  /** Frame that the entry names: `41`; undefined if it names none, or if nobody said how to read it. */
  readonly names: string | undefined;
  readonly isEmpty: boolean;
  /** Letters of the bits that are set. */
  readonly letters: string;
}

export interface WalkCell {
  /** `3.1`: row and column. */
  readonly id: string;
  readonly dimension: 'guest' | 'host';
  /** Place in the full walk, from 1. */
  readonly number: number;
  /** Name of the table that holds the entry: `PDPT`. */
  readonly table: string;
  readonly state: CellState;
  /** What the step at the cursor is about. */
  readonly isNow: boolean;
  /** Cell of the row or box that is selected on the stage. */
  readonly isSelected: boolean;
  readonly reading: CellReading | undefined;
  /** How often the entry has been read so far. */
  readonly times: number;
  /** Which cache spared it. */
  readonly by: string | undefined;
  /** Why it is not needed: `2 MiB page`, or in a register. */
  readonly because: NotNeeded | undefined;
  readonly marked: 'accessed' | 'dirty' | undefined;
  /** Row on the stage that shows the same entry. */
  readonly row: string | undefined;
  /** Position at which what is, or will be, said of this place happens. */
  readonly position: number | undefined;
}

export interface WalkRow {
  /** Name of the guest's table; undefined for the page. */
  readonly table: string | undefined;
  readonly isRoot: boolean;
  /** Address of the table, or of the byte in the page, as far as it is known. */
  readonly gpa: string | undefined;
  readonly cells: readonly WalkCell[];
  /** References made so far, and those of a full row. */
  readonly read: number;
  readonly of: number;
}

export interface WalkTotals {
  readonly read: number;
  readonly spared: number;
  readonly notNeeded: number;
  /** (g + 1)(h + 1) - 1. */
  readonly full: number;
  /** `full` without what is not needed. */
  readonly met: number;
  /** g and h for the sizes that were met, where every row came out alike and the walk is over. */
  readonly metLevels: { readonly guest: number; readonly host: number } | undefined;
}

export interface WalkGrid {
  /** Changes when another walk is shown. */
  readonly id: string;
  readonly gva: string;
  readonly access: string;
  readonly vcpu: number;
  readonly dimensions: 'one' | 'two' | 'host';
  /** Whose tables the rows are. */
  readonly owner: 'guest' | 'host';
  readonly rootRegister: string;
  /** Names of the host's levels, root first; the column of the guest's entries follows unless the guest does not page. */
  readonly host: readonly string[];
  readonly guestLevels: number;
  readonly rows: readonly WalkRow[];
  readonly totals: WalkTotals;
  /** The cell that the cursor's step is about. */
  readonly now: WalkCell | undefined;
  /** Whether the cursor's step lies in the walk, or after it. */
  readonly isOver: boolean;
  /** What ended the walk, in a sentence. */
  readonly fault: string | undefined;
}

/** The walk that the cursor is in, or the latest one before it in the same operation. */
export function walkGridAt(
  timeline: Timeline,
  geometry: WalkGeometry,
  selected?: string,
): WalkGrid | undefined {
  const span = walkSpanAt(timeline);
  if (span === undefined) return undefined;
  const record = recordWalk(timeline, span, geometry);
  const view: View = { record, geometry, position: timeline.position, selected };
  const rows = record.places.map((_places, row) => rowAt(view, row));
  const cells = rows.flatMap((row) => row.cells);
  const fault = happened(view, record.fault) ? record.fault : undefined;
  const { guest, host } = geometry;
  return {
    id: String(span),
    gva: hex0(record.gva),
    access: record.access,
    vcpu: timeline.journal.vcpu(record.first),
    dimensions: host.length === 0 ? 'one' : guest.length === 0 ? 'host' : 'two',
    owner: geometry.owner ?? 'guest',
    rootRegister: geometry.rootRegister ?? 'CR3',
    host: host.map((at) => at.name),
    guestLevels: guest.length,
    rows,
    totals: totalsOf(view, rows),
    now: cells.find((cell) => cell.isNow),
    isOver: view.position > record.end,
    fault: fault === undefined ? undefined : sentenceOf(timeline.step(fault), timeline.program.settings).what,
  };
}

/** The position just after the first step of the next walk, for whoever wants to see one. */
export function nextWalk({ journal, position }: Pick<Timeline, 'journal' | 'position'>): number | undefined {
  for (let span = 0; span < journal.spanCount; span += 1) {
    const { first } = journal.extent(span);
    if (first >= position && journal.callName(span) === 'page walk') return first + 1;
  }
  return undefined;
}

function walkSpanAt(timeline: Timeline): number | undefined {
  const { journal, position } = timeline;
  const operation = position === 0 ? undefined : timeline.operationAt(position - 1);
  if (operation === undefined) return undefined;
  for (let step = position - 1; step >= operation.firstStep; step -= 1) {
    for (
      let span: number | undefined = journal.spanOf(step);
      span !== undefined;
      span = journal.parentOf(span)
    )
      if (journal.callName(span) === 'page walk') return span;
  }
  return undefined;
}

interface View {
  readonly record: WalkRecord;
  readonly geometry: WalkGeometry;
  readonly position: number;
  readonly selected: string | undefined;
}

const happened = (view: View, step: number | undefined): boolean =>
  step !== undefined && step < view.position;

const hex0 = (value: bigint): string => `0x${value.toString(16)}`;

function rowAt(view: View, row: number): WalkRow {
  const { record, geometry } = view;
  const { guest, host } = geometry;
  const at = guest[row];
  const places = record.places[row] ?? [];
  const before = row * (host.length + 1);
  const cells = places.map((place, column) => {
    const level = (host[column] ?? at) as TableLevel;
    const dimension = column < host.length ? 'host' : 'guest';
    return cellOf(view, place, {
      id: `${String(row)}.${String(column)}`,
      number: before + column + 1,
      level,
      dimension,
    });
  });
  return {
    table: at?.name,
    isRoot: row === 0,
    gpa: gpaOf(view, row),
    cells,
    read: record.reads.filter((read) => read.row === row && happened(view, read.step)).length,
    of: places.length,
  };
}

/** The address of a row's table: as the second stage was asked for it, or as the guest's entry before it has it. */
function gpaOf(view: View, row: number): string | undefined {
  const { record, geometry } = view;
  const { guest, host, readers } = geometry;
  if (host.length === 0) return undefined;
  const at = guest[row];
  const asked = record.gpas.get(row);
  if (asked !== undefined && happened(view, asked.step)) {
    if (at === undefined) return hex0(asked.gpa);
    return hex0(tableOf(asked.gpa, { at, gva: record.gva, bytes: readers?.guest?.entryBytes ?? 8 }));
  }
  const above = guest[row - 1];
  const place = record.places[row - 1]?.at(-1);
  if (at === undefined || above === undefined || place === undefined) return undefined;
  const entry = lastFate(view, place)?.fate;
  const reading = entry?.kind === 'read' || entry?.kind === 'register' ? entry.reading : undefined;
  const named =
    reading === undefined ? undefined : namedBy(reading.entry, { reader: readers?.guest, at: above });
  return named?.kind === 'table' ? hex0(named.address) : undefined;
}

function lastFate(view: View, place: WalkPlace): { readonly fate: Fate; readonly times: number } | undefined {
  const fates = place.fates.filter((fate) => happened(view, fate.step));
  const fate = fates.at(-1);
  return fate === undefined
    ? undefined
    : { fate, times: fates.filter((candidate) => candidate.kind === 'read').length };
}

interface CellPlace {
  readonly id: string;
  readonly number: number;
  readonly level: TableLevel;
  readonly dimension: 'guest' | 'host';
}

function cellOf(view: View, place: WalkPlace, at: CellPlace): WalkCell {
  const { fate, times = 0 } = lastFate(view, place) ?? {};
  const reading = fate?.kind === 'read' || fate?.kind === 'register' ? fate.reading : undefined;
  const marks = place.marks.filter((mark) => happened(view, mark.step));
  const position = fate?.step ?? place.fates[0]?.step;
  // A place may be selected before its reference happens: what is selected is the entry.
  const row = rowOf(place);
  return {
    id: at.id,
    number: at.number,
    dimension: at.dimension,
    table: at.level.name,
    state: happened(view, place.fault) ? 'at fault' : (fate?.kind ?? 'to come'),
    isNow: stepsOf(place).includes(view.position - 1),
    isSelected: row !== undefined && row === view.selected,
    reading:
      reading === undefined
        ? undefined
        : readingText(reading, view.geometry.readers?.[at.dimension], at.level),
    times,
    by: fate?.kind === 'spared' ? fate.by : undefined,
    because: fate?.kind === 'not needed' ? fate.because : undefined,
    marked: marks.some((mark) => mark.dirty) ? 'dirty' : marks.length > 0 ? 'accessed' : undefined,
    row,
    position: position === undefined ? undefined : position + 1,
  };
}

/** The steps that happen at a place: not those that merely decide about it. */
function stepsOf(place: WalkPlace): readonly number[] {
  const own = place.fates.filter(({ kind }) => kind === 'read' || kind === 'register' || kind === 'spared');
  const steps = [...own, ...place.marks].map(({ step }) => step);
  return place.fault === undefined ? steps : [...steps, place.fault];
}

function rowOf(place: WalkPlace): string | undefined {
  for (const fate of place.fates)
    if (fate.kind === 'read' && fate.reading.word !== undefined) return rowId(fate.reading.word);
  return undefined;
}

function readingText(reading: Reading, reader: EntryReader | undefined, at: TableLevel): CellReading {
  const { index, entry, bytes, word, gpa } = reading;
  const digits = index.toString(16).padStart(Math.ceil(at.bits / 4), '0');
  const offset = BigInt(index * bytes);
  const address = word === undefined ? undefined : BigInt(word) * 8n + (offset & 7n);
  const base = gpa ?? address;
  const named = namedBy(entry, { reader, at });
  return {
    index: digits,
    formula: base === undefined ? '' : `${hex0(base - offset)} + 0x${digits} × ${String(bytes)}`,
    address: address === undefined ? undefined : hex0(address),
    gpa: gpa === undefined ? undefined : hex0(gpa),
    entry: hex0(entry),
    names: named === undefined ? undefined : (named.address >> 12n).toString(16),
    isEmpty: entry === 0n,
    letters: (reader?.bits ?? [])
      .filter((bit) => (entry & (1n << BigInt(bit.bit))) !== 0n)
      .map((bit) => bit.short)
      .join(' '),
  };
}

/** What an entry names, as its format has it. */
function namedBy(
  entry: bigint,
  by: { reader: EntryReader | undefined; at: TableLevel },
): { readonly kind: 'table' | 'leaf'; readonly address: bigint } | undefined {
  const { reader, at } = by;
  const kind = reader?.kindOf(entry, at);
  if (reader === undefined) return undefined;
  if (kind === 'table') return { kind, address: reader.tableAddress(entry) };
  return kind === 'leaf' ? { kind, address: reader.pageAddress(entry, at) } : undefined;
}

function totalsOf(view: View, rows: readonly WalkRow[]): WalkTotals {
  const { record, geometry } = view;
  const cells = rows.flatMap((row) => row.cells);
  const notNeeded = cells.filter(isNotNeeded).length;
  const full = (geometry.guest.length + 1) * (geometry.host.length + 1) - 1;
  return {
    read: record.reads.filter((read) => happened(view, read.step)).length,
    spared: record.spared
      .filter((spared) => happened(view, spared.step))
      .reduce((sum, { refs }) => sum + refs, 0),
    notNeeded,
    full,
    met: full - notNeeded,
    metLevels: notNeeded === 0 || !isComplete(view) ? undefined : metLevels(rows),
  };
}

/** An entry out of a register is no reference either. */
const isNotNeeded = ({ state }: WalkCell): boolean => state === 'not needed' || state === 'register';

const isComplete = ({ record, position }: View): boolean =>
  position >= record.end && record.fault === undefined;

/** How many levels of each dimension were in use, if that was the same in every row. */
function metLevels(rows: readonly WalkRow[]): WalkTotals['metLevels'] {
  const used = rows
    .map((row) => row.cells.filter((cell) => !isNotNeeded(cell)))
    .filter((cells) => cells.length > 0);
  const hosts = used.map((cells) => cells.filter((cell) => cell.dimension === 'host').length);
  const [host = 0] = hosts;
  if (hosts.some((count) => count !== host)) return undefined;
  const guest = used.filter((cells) => cells.some((cell) => cell.dimension === 'guest')).length;
  return { guest, host };
}

/** A size as people say it: `2 MiB`. */
export function sizeText(bits: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  const unit = Math.min(Math.floor(bits / 10), units.length - 1);
  return `${String(2 ** (bits - unit * 10))} ${units[unit] ?? ''}`;
}
