/**
 * Who appears in a run, and where each entry that matters lies: gathered once for the whole run, so that the picture
 * does not move about between steps. A shadow page that is given up and built anew for the same guest frame and role
 * comes back to its place.
 */
import {
  frameOfWord,
  gfnOfAddress,
  pfn,
  pfnOfAddress,
  pfnOfEntry,
  spte,
  type Gfn,
  type Pfn,
} from '../core/quantities.ts';
import { BOUNDS } from '../core/bounds.ts';
import { partsOf } from '../core/kvm/behind-2007.ts';
import { PAE_ROOTS, paeRootPfn } from '../core/kvm/context-2007.ts';
import { isMmio, isPresent } from '../core/kvm/spte-2007.ts';
import { gfnOfPfn } from '../core/kvm/memslots.ts';
import { roleOf } from '../core/kvm/role-2007.ts';
import type { PagingMode } from '../core/hardware/paging-mode.ts';
import type { ShadowPage, SlotRecord } from '../core/machine/tables.ts';
import { vcpusOf } from '../core/settings.ts';
import { FIRST_SHADOW_PFN, hostFrameOf } from '../core/machine/world.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { foldedAmong } from './folding.ts';
import { guestDialect, PAE_ROOT, shadowLevel } from './kvm-dialects.ts';
import { entriesIn, type Walked } from './places.ts';
import { titleOf } from './shadow-names.ts';

/** A table with a fixed place on the stage. */
export interface CastTable {
  readonly id: string;
  readonly zone: 'guest' | 'hypervisor';
  readonly level: number;
  /** Height above the pages: 1 for the tables whose entries name pages, whatever number their level has. */
  readonly storey: number;
  /** Frame of a guest's table, or of the one that a shadow table shadows; first frame that a host table serves. */
  readonly gfn: Gfn;
  /** Where it lies and how its entries are numbered. A shadow page that is built anew may lie elsewhere then. */
  readonly walked: Walked;
  /** Of a guest's table under KVM: in which paging mode it is read. */
  readonly mode?: PagingMode;
  /** Of a shadow page: its role. */
  readonly role?: number;
  /** Of a shadow page: what it is called, first of all what tells it from others of the same frame. */
  readonly title?: string;
  /** Drawn small, because the run seldom touches it; it opens for the steps that do. */
  readonly folded?: true;
  /** Indices of entries that are used at any time of the run, ascending. */
  readonly indices: readonly number[];
  /** Table whose entry first linked to this one. */
  readonly parent: string | undefined;
}

export interface Cast {
  readonly tables: readonly CastTable[];
  /** Guest frames that are pages, not tables. */
  readonly frames: readonly Gfn[];
  /** Host frames that ever had a reverse map. */
  readonly rmaps: readonly Pfn[];
  /** Number of 4 KiB frames of pages that are larger. */
  readonly largePages: ReadonlyMap<Gfn, number>;
  /** Set when more tables appear than are drawn. */
  readonly leftOut: number;
  /** What a run under KVM shows beside its tables. */
  readonly kvm?: {
    /** Numbers of the vCPUs. */
    readonly vcpus: readonly number[];
    /** Rows of each vCPU, in their order. */
    readonly rows: readonly CpuRow[];
    /** Whether a slot is ever logged: then each frame says whether it was written. */
    readonly logs: boolean;
    /** Whether there are so many tables that they stand in lines, most of them folded. */
    readonly many: boolean;
    /** Whether two numbers stand before a shadow entry, or a page says what it splits. */
    readonly wide: boolean;
    /** Of a KVM of today. */
    readonly today?: {
      /** Which box each shadow page of the run has, by its serial. */
      readonly places: ReadonlyMap<number, string>;
      /** Keys of the reverse maps that ever list an entry: `0.1.20` for slot 0, level 1, guest frame 0x20. */
      readonly lists: readonly string[];
      /** Boxes of tables above the last level that ever map a large page. */
      readonly largeLeaves: ReadonlySet<string>;
      /** Some reverse maps are those of System Management Mode, and say so. */
      readonly inSmm: boolean;
    };
  };
  /** What differs on a machine without KVM. */
  readonly bare?: {
    /** Whether anybody stands below the system. */
    readonly nested: boolean;
    /** Rows that each box of the hardware ever has; no box where it has none. */
    readonly rows: { readonly cpu: number; readonly tlb: number; readonly psc: number };
    /** Whether translations of several address spaces appear: then each says its own. */
    readonly spaces: boolean;
  };
}

/**
 * What the box of a vCPU says: where CR3 leads, how paging works, the root entries of PAE, the fork detector; of today,
 * the roots that it remembers and its last access to a device.
 */
export type CpuRow = 'cr3' | 'mode' | 'pdpte' | 'flood' | 'previous' | 'device';

export const shadowId = (page: Pick<ShadowPage, 'gfn' | 'role'>): string =>
  `sp:${page.gfn.toString(16)}.${page.role.toString(16)}`;
export const guestTableId = (gfn: Gfn): string => `gt:${gfn.toString(16)}`;
export const paeRootId = (vcpu: number): string => `pae:${String(vcpu)}`;

type Draft = Omit<CastTable, 'id' | 'indices' | 'parent' | 'title' | 'folded'> & {
  readonly indices: Set<number>;
  parent: string | undefined;
};

const MODES: Readonly<Record<number, PagingMode>> = { 2: '2-level', 3: 'pae', 4: '4-level' };

const CASTS = new WeakMap<Timeline, Cast>();

export function castOf(timeline: Timeline): Cast {
  const known = CASTS.get(timeline) ?? new Casting(timeline).cast();
  CASTS.set(timeline, known);
  return known;
}

class Casting {
  private readonly timeline: Timeline;
  private readonly drafts = new Map<string, Draft>();
  private readonly owners = new Map<Pfn, string>();
  private readonly frames = new Set<Gfn>();
  private readonly rmaps = new Set<Pfn>();
  private readonly largePages = new Map<Gfn, number>();
  private readonly rows = new Set<CpuRow>(['cr3']);
  private logs = false;

  constructor(timeline: Timeline) {
    this.timeline = timeline;
  }

  cast(): Cast {
    const { journal, program } = this.timeline;
    const { guest } = program.settings;
    if (guest !== '4-level') this.rows.add('mode');
    for (const table of program.tables)
      this.addGuest(table.gfn, { level: table.level, mode: guest as PagingMode });
    // A guest that turns paging on later has tables that no line of the text lays out: their shadows tell of them.
    for (let change = 0; change < journal.changes; change += 1) {
      const value = journal.valueAfter(change);
      if (journal.changedPlace(change).table !== 'sp' || value === undefined) continue;
      const { gfn, role } = value as ShadowPage;
      const { guestLevels, level, metaphysical } = roleOf(role);
      const mode = MODES[guestLevels];
      if (!metaphysical && mode !== undefined) this.addGuest(gfn, { level, mode });
    }
    for (let change = 0; change < journal.changes; change += 1) this.follow(change);
    return this.result();
  }

  private addGuest(gfn: Gfn, { level, mode }: { level: number; mode: PagingMode }): void {
    const { levels, entryBytes } = guestDialect(mode);
    const at = levels.find((candidate) => candidate.level === level);
    const id = guestTableId(gfn);
    if (at === undefined || this.drafts.has(id)) return;
    const walked = { pfn: hostFrameOf(gfn), at, entryBytes };
    this.drafts.set(id, { ...draftOf(walked), zone: 'guest', gfn, mode });
  }

  private follow(change: number): void {
    const { journal } = this.timeline;
    const { table, key } = journal.changedPlace(change);
    const value = journal.valueAfter(change);
    if (table === 'word') this.followWord(change, Number(key));
    else if (table === 'reg') this.followRegister(change, String(key));
    else if (value === undefined) return;
    else if (table === 'sp') this.addShadow(value as ShadowPage);
    else if (table === 'rmap') this.rmaps.add(pfn(Number(key)));
    else if (table === 'slot') this.logs ||= (value as SlotRecord).logged === true;
  }

  private followRegister(change: number, name: string): void {
    const { journal } = this.timeline;
    const [value, before] = [journal.valueAfter(change), journal.valueBefore(change)];
    if (value === 0n || value === undefined) return;
    if (name.includes('.pdptr')) this.rows.add('pdpte');
    if (name.endsWith('.last_pt_write_count')) this.rows.add('flood');
    if (before !== undefined && before !== value && /\.(cr0|cr4|efer)$/.test(name)) this.rows.add('mode');
  }

  private addShadow(page: ShadowPage): void {
    const id = shadowId(page);
    this.owners.set(page.pfn, id);
    if (this.drafts.has(id)) return;
    const walked = { pfn: page.pfn, at: shadowLevel(roleOf(page.role).level), entryBytes: 8 } as const;
    this.drafts.set(id, { ...draftOf(walked), zone: 'hypervisor', gfn: page.gfn, role: page.role });
  }

  private followWord(change: number, word: number): void {
    const { journal } = this.timeline;
    const frame = frameOfWord(word);
    const gfn = gfnOfPfn(frame);
    const value = (journal.valueAfter(change) as bigint | undefined) ?? 0n;
    if (gfn !== undefined) {
      const before = (journal.valueBefore(change) as bigint | undefined) ?? 0n;
      this.followGuest(guestTableId(gfn), { word, value, before });
    } else if (frame >= FIRST_SHADOW_PFN) this.followShadow(this.owners.get(frame), word, value);
    else if (frame === paeRootPfn(0)) this.followShadow(this.paeRoot(), word, value);
  }

  private paeRoot(): string {
    const id = paeRootId(0);
    if (!this.drafts.has(id)) {
      const draft = draftOf({ pfn: paeRootPfn(0), at: PAE_ROOT, entryBytes: 8 });
      for (let index = 0; index < PAE_ROOTS; index += 1) draft.indices.add(index);
      this.drafts.set(id, { ...draft, zone: 'hypervisor', gfn: gfnOfAddress(0n) });
    }
    return id;
  }

  private followGuest(id: string, of: { word: number; value: bigint; before: bigint }): void {
    const draft = this.drafts.get(id);
    if (draft?.mode === undefined) return;
    const { walked } = draft;
    const dialect = guestDialect(draft.mode);
    for (const { index, value } of entriesIn(walked, of)) {
      draft.indices.add(index);
      const kind = dialect.kindOf(value, walked.at);
      if (kind === 'table') {
        this.adopt(guestTableId(gfnOfAddress(dialect.tableAddress(value))), { id, draft });
      } else if (kind === 'leaf') {
        const frame = gfnOfAddress(dialect.pageAddress(value, walked.at));
        const size = 2 ** (walked.at.shift - 12);
        if (size === 1 && this.drafts.has(guestTableId(frame))) continue;
        this.frames.add(frame);
        if (size > 1) this.largePages.set(frame, Math.max(this.largePages.get(frame) ?? 0, size));
      }
    }
  }

  private followShadow(id: string | undefined, word: number, value: bigint): void {
    const draft = id === undefined ? undefined : this.drafts.get(id);
    if (id === undefined || draft === undefined) return;
    draft.indices.add(word % 512);
    const entry = spte(value);
    if (!isPresent(entry) || isMmio(entry)) return;
    if (draft.level > 1) this.adopt(this.owners.get(pfnOfAddress(value)), { id, draft });
    // Without paging no entry of the guest's names the pages.
    const frame = gfnOfPfn(pfnOfEntry(entry));
    if (draft.level > 1 || frame === undefined || roleOf(draft.role ?? 0).guestLevels !== 0) return;
    if (!this.drafts.has(guestTableId(frame))) this.frames.add(frame);
  }

  private adopt(child: string | undefined, parent: { id: string; draft: Draft }): void {
    const draft = child === undefined ? undefined : this.drafts.get(child);
    if (draft?.parent === undefined && draft?.level === parent.draft.level - 1) draft.parent = parent.id;
  }

  private result(): Cast {
    const roles = [...this.drafts.values()].flatMap(({ gfn, role }) =>
      role === undefined ? [] : [{ gfn, role }],
    );
    const all = [...this.drafts].map(([id, draft]): CastTable => ({
      ...draft,
      id,
      ...(draft.role === undefined ? {} : { title: titleOf({ gfn: draft.gfn, role: draft.role }, roles) }),
      indices: [...draft.indices].sort((a, b) => a - b),
    }));
    const used = all.filter((table) => table.indices.length > 0 || table.zone === 'hypervisor');
    const { kept, folded } = foldedAmong(used, this.timeline);
    return {
      tables: kept.map((table) =>
        folded.has(table.id) || isUnused(table) ? { ...table, folded: true } : table,
      ),
      frames: [...this.frames].sort((a, b) => a - b).slice(0, BOUNDS.tablesDrawn),
      rmaps: [...this.rmaps].sort((a, b) => a - b).slice(0, BOUNDS.tablesDrawn),
      largePages: this.largePages,
      leftOut: used.length - kept.length,
      kvm: {
        vcpus: vcpusOf(this.timeline.program.settings),
        rows: cpuRowsOf(this.rows),
        logs: this.logs,
        many: folded.size > 0,
        wide: roles.some(({ role }) => roleOf(role).guestLevels === 2 || roleOf(role).metaphysical),
      },
    };
  }
}

/** A quarter or half of a table in which no entry ever is. */
const isUnused = ({ role, indices }: CastTable): boolean =>
  role !== undefined && indices.length === 0 && partsOf(roleOf(role)) > 1;

const CPU_ROWS: readonly CpuRow[] = ['cr3', 'mode', 'pdpte', 'flood', 'previous', 'device'];

/** Rows in their order; PAE has four root entries. */
export const cpuRowsOf = (rows: ReadonlySet<CpuRow>): readonly CpuRow[] =>
  CPU_ROWS.flatMap((row) => (rows.has(row) ? Array<CpuRow>(row === 'pdpte' ? 4 : 1).fill(row) : []));

const draftOf = (walked: Walked): Omit<Draft, 'zone' | 'gfn'> & { parent: string | undefined } => ({
  level: walked.at.level,
  storey: walked.at.level,
  walked,
  indices: new Set(),
  parent: undefined,
});
