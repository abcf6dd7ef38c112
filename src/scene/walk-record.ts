/**
 * What a recorded page walk did at each place of its grid: rows are the guest's tables and the page, columns the host's
 * levels and the guest's own entry. Everything is read off the steps of the walk. What a large page makes unnecessary
 * shows by where the walk went next, so no entry has to be understood here.
 */
import { must } from '../core/assert.ts';
import { indexIn, type PagingFormat, type TableLevel } from '../core/hardware/format.ts';
import type { EntryBit } from '../core/hardware/x86-entry.ts';
import type { Journal } from '../core/machine/journal.ts';
import type { StepKind } from '../core/machine/steps.ts';
import type { Timeline } from '../timeline/timeline.ts';

/** How the entries of one dimension are read. */
export interface EntryReader extends Pick<
  PagingFormat<unknown>,
  'entryBytes' | 'kindOf' | 'tableAddress' | 'pageAddress'
> {
  readonly bits?: readonly EntryBit[];
}

/** The levels of both dimensions, root first. Without guest levels the guest does not page; without host levels there is one dimension. */
export interface WalkGeometry {
  readonly guest: readonly TableLevel[];
  readonly host: readonly TableLevel[];
  /** Without a reader a cell shows the raw entry only. */
  readonly readers?: { readonly guest?: EntryReader; readonly host?: EntryReader };
  /** Whose tables a walk in one dimension reads: the guest's own unless said otherwise. */
  readonly owner?: 'guest' | 'host';
  /** Register that names the guest's root table. */
  readonly rootRegister?: string;
}

/** One reference: an entry, and how its address came about. */
export interface Reading {
  readonly index: number;
  readonly entry: bigint;
  readonly bytes: 4 | 8;
  /** Number of the memory word; undefined for a register. */
  readonly word: number | undefined;
  /** Guest physical address of a guest's entry. */
  readonly gpa: bigint | undefined;
}

export type NotNeeded =
  { readonly kind: 'large page'; readonly bits: number } | { readonly kind: 'register' };

/** What becomes of a place, and at which step. */
export type Fate = { readonly step: number } & (
  | { readonly kind: 'read' | 'register'; readonly reading: Reading }
  | { readonly kind: 'spared'; readonly by: string }
  | { readonly kind: 'not needed'; readonly because: NotNeeded }
  | { readonly kind: 'never reached' }
);

export interface WalkPlace {
  readonly fates: Fate[];
  /** Steps that set the accessed or dirty mark. */
  readonly marks: { readonly step: number; readonly dirty: boolean }[];
  fault: number | undefined;
}

export interface WalkRecord {
  readonly span: number;
  readonly first: number;
  readonly end: number;
  readonly gva: bigint;
  readonly access: string;
  /** By row, then column; the last column is the guest's entry. */
  readonly places: readonly (readonly WalkPlace[])[];
  /** Steps that read memory, with their rows. */
  readonly reads: readonly { readonly step: number; readonly row: number }[];
  readonly spared: readonly { readonly step: number; readonly refs: number }[];
  /** Address that the second stage was asked for, by row: of the entry or of the page, with the step that said so. */
  readonly gpas: ReadonlyMap<number, { readonly step: number; readonly gpa: bigint }>;
  /** The step that ended the walk without a translation. */
  readonly fault: number | undefined;
}

const READS: readonly StepKind[] = ['walk-read', 'guest-entry-read', 'host-entry-read', 'walk-register'];
const MARKS: readonly StepKind[] = ['walk-set-bits', 'guest-entry-set-bits', 'host-entry-set-bits'];
const FAULTS: readonly StepKind[] = ['walk-fault', 'host-fault', 'arm-abort', 'walk-not-canonical'];

type Facts = ReturnType<Journal['factsOf']>;
interface WalkStep {
  readonly step: number;
  readonly kind: StepKind;
  readonly facts: Facts;
  readonly word: number | undefined;
}

/** The walk of one `page walk` call. */
export function recordWalk(timeline: Timeline, span: number, geometry: WalkGeometry): WalkRecord {
  const { journal } = timeline;
  const { first, end, facts } = timeline.call(span);
  const steps: WalkStep[] = [];
  for (let step = first; step < end; step += 1) {
    if (journal.spanOf(step) !== span) continue;
    const place = journal.readsOf(step).find(({ table }) => table === 'word');
    const word = place === undefined ? undefined : Number(place.key);
    steps.push({ step, kind: journal.kind(step), facts: journal.factsOf(step), word });
  }
  const recording = new Recording(geometry);
  steps.forEach((step) => {
    recording.add(step);
  });
  recording.conclude();
  const { places, reads, spared, gpas, fault } = recording;
  return {
    ...{ span, first, end, places, reads, spared, gpas, fault },
    gva: facts['gva'] as bigint,
    access: facts['access'] as string,
  };
}

class Recording {
  readonly places: readonly (readonly WalkPlace[])[];
  readonly reads: { step: number; row: number }[] = [];
  readonly spared: { step: number; refs: number }[] = [];
  readonly gpas = new Map<number, { step: number; gpa: bigint }>();
  fault: number | undefined;
  private readonly geometry: WalkGeometry;
  /** Where the last entry was read. */
  private last: { row: number; column: number; step: number } | undefined;
  /** The guest's own cache that spared rows, for the row at which it let the walk go on. */
  private guestCache: { row: number; step: number; by: string } | undefined;

  constructor(geometry: WalkGeometry) {
    this.geometry = geometry;
    const { guest, host } = geometry;
    const rows = host.length === 0 ? guest.length : guest.length + 1;
    this.places = Array.from({ length: rows }, (_row, row) =>
      Array.from({ length: row < guest.length ? host.length + 1 : host.length }, () => ({
        fates: [],
        marks: [],
        fault: undefined,
      })),
    );
  }

  add(at: WalkStep): void {
    if (READS.includes(at.kind)) this.read(at);
    else if (MARKS.includes(at.kind))
      this.placeOf(at).marks.push({ step: at.step, dirty: at.facts['dirty'] === true });
    else if (at.kind === 'walk-spared') this.spare(at);
    else if (FAULTS.includes(at.kind)) this.fail(at);
  }

  /** What is left when the last step has been seen. */
  conclude(): void {
    const { last, geometry } = this;
    if (this.fault === undefined && last !== undefined) {
      this.skipColumns(last);
      if (geometry.host.length === 0) this.skipRows(last.row, geometry.guest.length);
    }
    for (const place of this.places.flat())
      if (place.fates.length === 0 && this.fault !== undefined)
        place.fates.push({ kind: 'never reached', step: this.fault });
  }

  private read(at: WalkStep): void {
    const { row, column } = this.positionOf(at);
    const { facts, step, word } = at;
    const register = at.kind === 'walk-register';
    this.goTo(row, column);
    if (at.kind === 'host-entry-read' && !this.gpas.has(row))
      this.gpas.set(row, { step, gpa: facts['gpa'] as bigint });
    if (at.kind === 'guest-entry-read') this.gpas.set(row, { step, gpa: facts['address'] as bigint });
    const ofHost = column < this.geometry.host.length;
    const reading: Reading = {
      index: facts['index'] as number,
      entry: facts['entry'] as bigint,
      bytes: this.geometry.readers?.[ofHost ? 'host' : 'guest']?.entryBytes ?? 8,
      word,
      gpa: facts['address'] as bigint | undefined,
    };
    const place = must(this.places[row]?.[column], 'a place in the grid');
    place.fates.push({ kind: register ? 'register' : 'read', step, reading });
    if (register) this.skip(row, { from: 0, to: column, step, because: { kind: 'register' } });
    else this.reads.push({ step, row });
    this.last = { row, column, step };
  }

  /** The walk has got to this place: what lies between was not needed, or a cache of the guest's knew the table. */
  private goTo(row: number, column: number): void {
    const { last, guestCache, geometry } = this;
    const passed = last !== undefined && (row > last.row || column === geometry.host.length);
    if (passed && last.column < geometry.host.length - 1) this.skipColumns(last);
    if (last !== undefined) this.skipRows(last.row, row);
    if (guestCache?.row === row && column === geometry.host.length)
      for (const place of this.placesIn(row).slice(0, column))
        if (place.fates.length === 0)
          place.fates.push({ kind: 'spared', step: guestCache.step, by: guestCache.by });
  }

  /** Host columns after the leaf at which the host's half ended. */
  private skipColumns({ row, column, step }: { row: number; column: number; step: number }): void {
    const { host } = this.geometry;
    const at = host[column];
    if (at === undefined) return;
    const because = { kind: 'large page', bits: at.shift } as const;
    this.skip(row, { from: column + 1, to: host.length, step, because });
  }

  /** Rows between the guest's leaf and the row at which the walk went on. */
  private skipRows(from: number, to: number): void {
    const at = this.geometry.guest[from];
    const leaf = this.placesIn(from).at(-1)?.fates.at(-1);
    if (at === undefined || leaf === undefined) return;
    const because = { kind: 'large page', bits: at.shift } as const;
    for (let row = from + 1; row < to; row += 1)
      this.skip(row, { from: 0, to: this.geometry.host.length + 1, step: leaf.step, because });
  }

  private skip(row: number, by: { from: number; to: number; step: number; because: NotNeeded }): void {
    const { step, because } = by;
    for (const place of this.placesIn(row).slice(by.from, by.to))
      if (place.fates.length === 0) place.fates.push({ kind: 'not needed', step, because });
  }

  private spare({ facts, step }: WalkStep): void {
    const { host } = this.geometry;
    const by = facts['by'] as string;
    const count = facts['count'] as number;
    const row = facts['row'] as number;
    const fate = { kind: 'spared', step, by } as const;
    this.spared.push({ step, refs: facts['refs'] as number });
    if (facts['dimension'] === 'guest') {
      for (let spared = 0; spared < count; spared += 1)
        for (const place of this.placesIn(spared)) place.fates.push(fate);
      this.guestCache = { row: count, step, by };
      return;
    }
    this.goTo(row, 0);
    for (const place of this.placesIn(row).slice(0, Math.min(count, host.length))) place.fates.push(fate);
    if (count > 0) this.last = { row, column: count - 1, step };
  }

  private fail(at: WalkStep): void {
    this.fault = at.step;
    if (at.kind === 'walk-not-canonical') return;
    if (at.kind === 'arm-abort') {
      // The step does not say in which row; the entry read last is the one at fault if it is of that stage and level.
      const { last, geometry } = this;
      if (last === undefined) return;
      const read = last.column < geometry.host.length ? geometry.host[last.column] : geometry.guest[last.row];
      const stage = last.column < geometry.host.length ? 2 : 1;
      if (read?.level === at.facts['level'] && stage === at.facts['stage'])
        must(this.placesIn(last.row)[last.column], 'the place read last').fault = at.step;
      return;
    }
    // An address that the tables do not cover at all is refused before any level.
    const levels = at.kind === 'host-fault' ? this.geometry.host : this.geometry.guest;
    if (!levels.some(({ level }) => level === at.facts['level'])) return;
    const { row, column } = this.positionOf(at);
    const place = must(this.placesIn(row)[column], 'a place in the grid');
    if (place.fates.length > 0) place.fault = at.step;
  }

  private placeOf(at: WalkStep): WalkPlace {
    const { row, column } = this.positionOf(at);
    return must(this.placesIn(row)[column], 'a place in the grid');
  }

  private placesIn(row: number): readonly WalkPlace[] {
    return must(this.places[row], 'a row of the grid');
  }

  /** Row and column that a step with a level is about. */
  private positionOf({ kind, facts }: WalkStep): { row: number; column: number } {
    const { guest, host } = this.geometry;
    const level = facts['level'];
    const find = (levels: readonly TableLevel[]): number => {
      const found = levels.findIndex((at) => at.level === level);
      return must(found < 0 ? undefined : found, `level ${String(level)} in the geometry of the walk`);
    };
    if (kind.startsWith('host-')) return { row: facts['row'] as number, column: find(host) };
    return { row: find(guest), column: host.length };
  }
}

/** Address of a guest's table, from that of the entry that `gva` chooses in it. */
export function tableOf(entry: bigint, by: { at: TableLevel; gva: bigint; bytes: 4 | 8 }): bigint {
  return entry - BigInt(indexIn(by.at, by.gva) * by.bytes);
}
