/** What a scene is made of: boxes with rows, links, motions; and what its makers share. */
import { wordOf, type Pfn } from '../core/quantities.ts';
import { must } from '../core/assert.ts';
import type { World } from '../core/machine/world.ts';
import type { EntryBit } from '../core/hardware/x86-entry.ts';
import type { Change, StepView, Timeline } from '../timeline/timeline.ts';
import type { Settings } from '../core/settings.ts';
import type { Cast, CastTable } from './cast.ts';
import { MAX_ROWS, type Layout, type Box } from './layout.ts';

export interface Flag {
  readonly text: string;
  readonly set: boolean;
  readonly changed: boolean;
  readonly meaning: string;
}

export interface SceneRow {
  readonly id: string;
  readonly index: string;
  readonly text: string;
  readonly flags: readonly Flag[];
  /** Set for the whole step in which the row changes. */
  readonly old?: { readonly text: string; readonly flags: readonly Flag[] };
  readonly state: 'quiet' | 'read' | 'changed';
  /** What it says in full: the raw entry and the meaning of each bit that is set. */
  readonly title?: string;
  /** A warning in words, such as `stale`. */
  readonly mark?: string;
}

export interface SceneBox extends Box {
  readonly id: string;
  readonly zone: 'hardware' | 'guest' | 'hypervisor';
  readonly title: string;
  readonly subtitle: string;
  readonly rows: readonly SceneRow[];
  readonly fold: string;
  readonly state: 'quiet' | 'touched' | 'new' | 'absent';
  readonly badge?: string;
  /** Columns in which the rows stand, where there are several. */
  readonly columns?: number;
}

export interface SceneLink {
  readonly id: string;
  readonly kind: 'table' | 'page' | 'shadow' | 'rmap' | 'tlb';
  readonly from: { readonly box: string; readonly row?: string };
  readonly to: { readonly box: string; readonly row?: string };
  readonly active: boolean;
  readonly label?: string;
}

export interface Motion {
  readonly kind: 'read' | 'fault' | 'write-protect' | 'flush' | 'exit' | 'update';
  readonly box: string;
  readonly row?: string;
  readonly link?: string;
}

export interface Scene {
  readonly layout: Layout;
  readonly boxes: readonly SceneBox[];
  readonly links: readonly SceneLink[];
  readonly motions: readonly Motion[];
  /** Boxes that the step is about, for the camera. */
  readonly focus: readonly string[];
}

export interface Context {
  readonly world: World;
  readonly settings: Settings;
  readonly cast: Cast;
  readonly layout: Layout;
  readonly step: StepView | undefined;
  readonly changes: ReadonlyMap<string, Change>;
  readonly reads: ReadonlySet<string>;
  /** Rows of what was read just before a step that reads nothing: what a fault is about. */
  readonly refused?: ReadonlySet<string>;
  readonly nameOf: (gva: bigint) => string | undefined;
}

/** A word of memory as an entry of a table. */
export interface NamedEntry {
  readonly name: string;
  readonly bits: readonly EntryBit[];
  /** Where an entry of 4 bytes begins in its word. */
  readonly half?: 0 | 32;
}

/** How the machines of one kind are shown. */
export interface Show {
  readonly boxes: (context: Context) => readonly SceneBox[];
  readonly links: (context: Context) => readonly SceneLink[];
  /** The entry in a word that a step reads or changes; undefined where the word lies in no table. */
  readonly entryIn: (timeline: Timeline, word: number, step?: StepView) => NamedEntry | undefined;
}

export const hex = (value: number | bigint): string => value.toString(16);
export const rowId = (word: number): string => `w:${String(word)}`;

/** All entries of the run when they fit; otherwise those of this step first, then from the lowest. */
export function chosenIndices(context: Context, table: CastTable, pfn: Pfn): readonly number[] {
  if (table.indices.length <= MAX_ROWS) return table.indices;
  const now = table.indices.filter((index) => isTouched(context, wordOf(pfn, index)));
  const rest = table.indices.filter((index) => !now.includes(index));
  return [...now, ...rest].slice(0, MAX_ROWS).sort((a, b) => a - b);
}

export const isTouched = (context: Context, word: number): boolean =>
  context.changes.has(`word:${String(word)}`) || context.reads.has(`word:${String(word)}`);

export const place = (context: Context, id: string): Box =>
  must(context.layout.boxes.get(id), `a place for ${id}`);
