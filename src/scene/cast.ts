/**
 * Who appears in a run, and where each entry that matters lies: gathered once for the whole run, so that the picture
 * does not move about between steps. A shadow page that is given up and built anew for the same guest frame and role
 * comes back to its place.
 */
import {
  frameOfWord,
  gfnOfEntry,
  gpte,
  pfnOfEntry,
  spte,
  type Gfn,
  type Pfn,
  pfn,
} from '../core/quantities.ts';
import { BOUNDS } from '../core/bounds.ts';
import { isMmio, isPresent } from '../core/kvm/spte-2007.ts';
import { gfnOfPfn } from '../core/kvm/memslots.ts';
import { levelOfRole } from '../core/kvm/role-2007.ts';
import type { TableLevel } from '../core/hardware/format.ts';
import type { ShadowPage } from '../core/machine/tables.ts';
import { FIRST_SHADOW_PFN } from '../core/machine/world.ts';
import type { Timeline } from '../timeline/timeline.ts';

/** A table with a fixed place on the stage. */
export interface CastTable {
  readonly id: string;
  readonly zone: 'guest' | 'hypervisor';
  readonly level: number;
  /** Height above the pages: 1 for the tables whose entries name pages, whatever number their level has. */
  readonly storey: number;
  /** Frame of a guest's table, or of the one that a shadow table shadows; first frame that a host table serves. */
  readonly gfn: Gfn;
  /** How the processor of a machine without KVM finds its entries. */
  readonly walked?: { readonly pfn: Pfn; readonly at: TableLevel; readonly entryBytes: 4 | 8 };
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
  /** Set when more tables appear than are drawn. */
  readonly leftOut: number;
  /** What differs on a machine without KVM. */
  readonly bare?: {
    /** Whether anybody stands below the system. */
    readonly nested: boolean;
    /** Rows that each box of the hardware ever has; no box where it has none. */
    readonly rows: { readonly cpu: number; readonly tlb: number; readonly psc: number };
    /** Whether translations of several address spaces appear: then each says its own. */
    readonly spaces: boolean;
    /** Number of 4 KiB frames of pages that are larger. */
    readonly largePages: ReadonlyMap<Gfn, number>;
  };
}

export const shadowId = (page: Pick<ShadowPage, 'gfn' | 'role'>): string =>
  `sp:${page.gfn.toString(16)}.${page.role.toString(16)}`;
export const guestTableId = (gfn: Gfn): string => `gt:${gfn.toString(16)}`;

interface Draft {
  readonly zone: CastTable['zone'];
  readonly level: number;
  readonly gfn: Gfn;
  readonly indices: Set<number>;
  parent: string | undefined;
}

export function castOf(timeline: Timeline): Cast {
  const drafts = new Map<string, Draft>();
  const tableFrames = new Set<Gfn>();
  for (const table of timeline.program.tables) {
    tableFrames.add(table.gfn);
    drafts.set(guestTableId(table.gfn), {
      zone: 'guest',
      level: table.level,
      gfn: table.gfn,
      indices: new Set(),
      parent: undefined,
    });
  }
  const owners = new Map<Pfn, string>();
  const frames = new Set<Gfn>();
  const rmaps = new Set<Pfn>();
  const { journal } = timeline;
  for (let change = 0; change < journal.changes; change += 1) {
    const { table, key } = journal.changedPlace(change);
    const value = journal.valueAfter(change);
    if (table === 'sp' && value !== undefined) addShadow(value as ShadowPage, { drafts, owners });
    else if (table === 'rmap' && value !== undefined) rmaps.add(pfn(Number(key)));
    else if (table === 'word') addWord(Number(key), value as bigint, { drafts, owners, tableFrames, frames });
  }
  const all = [...drafts].map(([id, draft]) => ({
    ...draft,
    id,
    storey: draft.level,
    indices: [...draft.indices].sort((a, b) => a - b),
  }));
  const used = all.filter((table) => table.indices.length > 0 || table.zone === 'hypervisor');
  return {
    tables: used.slice(0, BOUNDS.tablesDrawn),
    frames: [...frames].sort((a, b) => a - b),
    rmaps: [...rmaps].sort((a, b) => a - b),
    leftOut: Math.max(0, used.length - BOUNDS.tablesDrawn),
  };
}

function addShadow(page: ShadowPage, to: { drafts: Map<string, Draft>; owners: Map<Pfn, string> }): void {
  const id = shadowId(page);
  to.owners.set(page.pfn, id);
  if (to.drafts.has(id)) return;
  to.drafts.set(id, {
    zone: 'hypervisor',
    level: levelOfRole(page.role),
    gfn: page.gfn,
    indices: new Set(),
    parent: undefined,
  });
}

interface WordSinks {
  readonly drafts: Map<string, Draft>;
  readonly owners: Map<Pfn, string>;
  readonly tableFrames: Set<Gfn>;
  readonly frames: Set<Gfn>;
}

function addWord(word: number, value: bigint | undefined, to: WordSinks): void {
  const pfn = frameOfWord(word);
  const gfn = gfnOfPfn(pfn);
  const id = pfn >= FIRST_SHADOW_PFN ? to.owners.get(pfn) : gfn === undefined ? undefined : guestTableId(gfn);
  const draft = id === undefined ? undefined : to.drafts.get(id);
  if (draft === undefined || id === undefined) return;
  draft.indices.add(word % 512);
  if (value === undefined || !isPresent(spte(value)) || isMmio(spte(value))) return;
  const named = gfnOfEntry(gpte(value));
  const child = draft.zone === 'hypervisor' ? to.owners.get(pfnOfEntry(spte(value))) : guestTableId(named);
  if (child !== undefined && draft.level > 1) {
    const childDraft = to.drafts.get(child);
    if (childDraft !== undefined && childDraft.parent === undefined && childDraft.level === draft.level - 1)
      childDraft.parent = id;
  }
  if (draft.zone === 'guest' && draft.level === 1 && !to.tableFrames.has(named)) to.frames.add(named);
}
