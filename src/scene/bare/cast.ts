/**
 * Who appears in a run without KVM: the guest's tables and pages, and of the host's tables the entries that matter.
 * The set-up writes thousands of host entries; only those that are read or changed afterwards are drawn.
 */
import { must } from '../../core/assert.ts';
import { BOUNDS } from '../../core/bounds.ts';
import type { TableLevel } from '../../core/hardware/format.ts';
import { gfnOfPfn } from '../../core/kvm/memslots.ts';
import type { HostTable, TlbEntry } from '../../core/machine/tables.ts';
import { FIRST_SHADOW_PFN, hostFrameOf } from '../../core/machine/world.ts';
import {
  frameOfWord,
  gfn,
  gfnOfAddress,
  pfn as toPfn,
  pfnOfAddress,
  type Gfn,
  type Pfn,
} from '../../core/quantities.ts';
import type { Timeline } from '../../timeline/timeline.ts';
import { guestTableId, type Cast, type CastTable } from '../cast.ts';
import type { Dialect } from '../dialect.ts';
import { guestDialect, hostDialect } from './formats.ts';
import { entriesIn, entryOfWord, type Walked } from '../places.ts';

export const hostTableId = (pfn: Pfn): string => `ht:${pfn.toString(16)}`;

interface Draft {
  readonly zone: CastTable['zone'];
  readonly gfn: Gfn;
  readonly storey: number;
  readonly walked: Walked;
  readonly indices: Set<number>;
  parent: string | undefined;
}

const CASTS = new WeakMap<Timeline, Cast>();

export function bareCast(timeline: Timeline): Cast {
  const known = CASTS.get(timeline);
  if (known !== undefined) return known;
  const made = new Casting(timeline).cast();
  CASTS.set(timeline, made);
  return made;
}

const GUEST_READS = new Set(['walk-read', 'guest-entry-read']);

class Casting {
  private readonly timeline: Timeline;
  private readonly guest: Dialect | undefined;
  private readonly host: Dialect | undefined;
  private readonly drafts = new Map<string, Draft>();
  /** Which host table each frame holds. */
  private readonly hostOwners = new Map<Pfn, string>();
  private readonly pages = new Set<Gfn>();
  private readonly largePages = new Map<Gfn, number>();
  /** Frames that accesses reach. */
  private readonly touched = new Set<Gfn>();

  constructor(timeline: Timeline) {
    const { settings } = timeline.program;
    this.timeline = timeline;
    this.guest = guestDialect(settings);
    this.host = hostDialect(settings);
  }

  cast(): Cast {
    const { journal, program } = this.timeline;
    for (const table of program.tables) this.addGuest(table.gfn, table.level);
    for (let change = 0; change < journal.changes; change += 1) {
      const { table } = journal.changedPlace(change);
      const value = journal.valueAfter(change);
      if (table === 'hostTable' && value !== undefined) this.addHost(value as HostTable);
    }
    this.findTablesRead();
    this.followChanges();
    this.followReads();
    return this.result();
  }

  private addGuest(frame: Gfn, level: number): void {
    const at = this.guest?.levels.find((candidate) => candidate.level === level);
    const id = guestTableId(frame);
    if (this.guest === undefined || at === undefined || this.drafts.has(id)) return;
    this.add(id, { zone: 'guest', gfn: frame, at, pfn: hostFrameOf(frame), dialect: this.guest });
  }

  private addHost({ pfn, depth, gpa }: HostTable): void {
    const at = this.host?.levels[depth];
    const id = hostTableId(pfn);
    if (this.host === undefined || at === undefined || this.drafts.has(id)) return;
    this.add(id, { zone: 'hypervisor', gfn: gfnOfAddress(gpa), at, pfn, dialect: this.host });
    for (let frame = 0; frame < Math.max(1, 2 ** (at.bits - 9)); frame += 1)
      this.hostOwners.set(toPfn(pfn + frame), id);
  }

  private add(
    id: string,
    of: { zone: Draft['zone']; gfn: Gfn; at: TableLevel; pfn: Pfn; dialect: Dialect },
  ): void {
    const { zone, at, pfn, dialect } = of;
    this.drafts.set(id, {
      zone,
      gfn: of.gfn,
      storey: dialect.levels.length - dialect.levels.indexOf(at),
      walked: { pfn, at, entryBytes: dialect.entryBytes },
      indices: new Set(),
      parent: undefined,
    });
  }

  /** A frame that a walk reads as a table is one, whoever put it there. */
  private findTablesRead(): void {
    const { journal } = this.timeline;
    for (let step = 0; step < journal.steps; step += 1) {
      if (!GUEST_READS.has(journal.kind(step))) continue;
      const { level } = journal.factsOf(step);
      for (const { table, key } of journal.readsOf(step)) {
        const frame = gfnOfPfn(frameOfWord(Number(key)));
        if (table === 'word' && frame !== undefined) this.addGuest(frame, Number(level));
      }
    }
  }

  private draftAt(word: number): { id: string; draft: Draft } | undefined {
    const pfn = frameOfWord(word);
    const frame = gfnOfPfn(pfn);
    if (frame !== undefined) {
      const id = guestTableId(frame);
      const draft = this.drafts.get(id);
      return draft === undefined ? undefined : { id, draft };
    }
    if (pfn < FIRST_SHADOW_PFN) return undefined;
    const id = this.hostOwners.get(pfn);
    const draft = id === undefined ? undefined : this.drafts.get(id);
    return id === undefined || draft === undefined ? undefined : { id, draft };
  }

  private followChanges(): void {
    const { journal, operations } = this.timeline;
    const setUp = journal.changesBefore(operations[0]?.endStep ?? 0);
    for (let change = 0; change < journal.changes; change += 1) {
      const { table, key } = journal.changedPlace(change);
      if (table !== 'word') continue;
      const word = Number(key);
      const found = this.draftAt(word);
      if (found === undefined) continue;
      const value = (journal.valueAfter(change) as bigint | undefined) ?? 0n;
      const before = (journal.valueBefore(change) as bigint | undefined) ?? 0n;
      for (const entry of entriesIn(found.draft.walked, { word, value, before })) {
        if (found.draft.zone === 'guest' || change >= setUp) found.draft.indices.add(entry.index);
        this.followEntry(found, entry.value);
      }
    }
  }

  private followEntry({ id, draft }: { id: string; draft: Draft }, entry: bigint): void {
    const { at } = draft.walked;
    const dialect = must(draft.zone === 'guest' ? this.guest : this.host, 'a format');
    const kind = dialect.kindOf(entry, at);
    if (kind === 'table') {
      const frame = pfnOfAddress(dialect.tableAddress(entry));
      const child = this.drafts.get(draft.zone === 'guest' ? guestTableId(gfn(frame)) : hostTableId(frame));
      if (child !== undefined && child.storey === draft.storey - 1) child.parent ??= id;
    } else if (kind === 'leaf' && draft.zone === 'guest') {
      const frame = gfnOfAddress(dialect.pageAddress(entry, at));
      if (this.drafts.has(guestTableId(frame))) return;
      this.pages.add(frame);
      if (at.shift > 12)
        this.largePages.set(frame, Math.max(this.largePages.get(frame) ?? 0, 2 ** (at.shift - 12)));
    }
  }

  private followReads(): void {
    const { journal, operations } = this.timeline;
    for (let step = operations[0]?.endStep ?? 0; step < journal.steps; step += 1) {
      for (const { table, key } of journal.readsOf(step)) {
        if (table !== 'word') continue;
        const word = Number(key);
        const found = this.draftAt(word);
        const frame = gfnOfPfn(frameOfWord(word));
        if (found !== undefined) {
          const { index } = journal.factsOf(step);
          found.draft.indices.add(
            typeof index === 'number' ? index : (entryOfWord(found.draft.walked, word) ?? 0),
          );
        } else if (frame !== undefined) this.touched.add(frame);
      }
    }
  }

  private result(): Cast {
    const inLarge = (frame: Gfn): boolean =>
      [...this.largePages].some(([first, count]) => frame >= first && frame < first + count);
    for (const frame of this.touched) if (!inLarge(frame)) this.pages.add(frame);
    const used = [...this.drafts]
      .filter(
        ([, draft]) =>
          draft.indices.size > 0 || (draft.zone === 'hypervisor' && draft.walked.at === this.host?.levels[0]),
      )
      .map(([id, draft]) => ({
        ...draft,
        id,
        level: draft.walked.at.level,
        indices: [...draft.indices].sort((a, b) => a - b),
      }));
    return {
      tables: used.slice(0, BOUNDS.tablesDrawn),
      frames: [...this.pages].sort((a, b) => a - b).slice(0, BOUNDS.tablesDrawn),
      rmaps: [],
      largePages: this.largePages,
      leftOut: Math.max(0, used.length - BOUNDS.tablesDrawn),
      bare: {
        nested: this.host !== undefined,
        rows: { cpu: this.cpuRows(), tlb: this.most('tlb'), psc: this.most('psc') },
        spaces: this.hasSpaces(),
      },
    };
  }

  /** CR3 and paging mode, the root of the second stage, the root entries that PAE keeps in registers. */
  private cpuRows(): number {
    const { settings } = this.timeline.program;
    return 2 + (this.host === undefined ? 0 : 1) + (keepsPdptes(settings) ? 4 : 0);
  }

  private hasSpaces(): boolean {
    const { journal } = this.timeline;
    for (let change = 0; change < journal.changes; change += 1) {
      const { table } = journal.changedPlace(change);
      const value = table === 'tlb' ? (journal.valueAfter(change) as TlbEntry | undefined) : undefined;
      if (value !== undefined && value.pcid !== 0) return true;
    }
    return false;
  }

  /** The largest number of entries that a cache holds at any time, as far as they are drawn. */
  private most(cache: 'tlb' | 'psc'): number {
    const { journal, program } = this.timeline;
    if (cache === 'psc' && program.settings.psc === 'off') return 0;
    const held = new Set<string | number>();
    let most = 1;
    for (let change = 0; change < journal.changes; change += 1) {
      const { table, key } = journal.changedPlace(change);
      if (table !== cache) continue;
      if (journal.valueAfter(change) === undefined) held.delete(key);
      else held.add(key);
      most = Math.max(most, held.size);
    }
    return Math.min(most, BOUNDS.tlbEntriesDrawn);
  }
}

/** Whether the processor holds the root entries of PAE paging in registers: under AMD's nesting it reads them. */
export const keepsPdptes = ({ guest, machine, cpu }: Timeline['program']['settings']): boolean =>
  guest === 'pae' && cpu !== 'arm64' && !(machine === 'two-stage' && cpu === 'svm');
