/** What a scene is made of: boxes with rows, links, motions; and what its makers share. */
import { must } from '../core/assert.ts';
import type { World } from '../core/machine/world.ts';
import type { EntryBit } from '../core/hardware/x86-entry.ts';
import type { Change, StepView, Timeline } from '../timeline/timeline.ts';
import type { Settings } from '../core/settings.ts';
import type { Cast } from './cast.ts';
import type { Layout, Box } from './layout.ts';

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
  /** Of a shadow page: which part of a guest table it stands for. */
  readonly part?: { readonly at: number; readonly of: number };
  /** Stands for no table of the guest's: a large page is split, or paging is off. */
  readonly direct?: true;
  /** Drawn small while no step touches it. */
  readonly folded?: true;
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
  readonly kind: 'read' | 'fault' | 'write-protect' | 'flush' | 'exit' | 'ipi' | 'update';
  readonly box: string;
  readonly row?: string;
  readonly link?: string;
  /** Box that an interrupt comes from. */
  readonly from?: string;
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

/** The page in which a guest frame lies: its own, or a larger one. */
export function pageId({ cast }: Pick<Context, 'cast'>, frame: number): string {
  if (cast.largePages.size === 0) return `frame:${hex(frame)}`;
  const large = [...cast.largePages].find(([first, count]) => frame >= first && frame < first + count);
  return `frame:${hex(large?.[0] ?? frame)}`;
}

/** What changed or was read, as a row's state. */
export const stateOfKeys = (context: Context, keys: readonly string[]): SceneRow['state'] =>
  keys.some((key) => context.changes.has(key))
    ? 'changed'
    : keys.some((key) => context.reads.has(key))
      ? 'read'
      : 'quiet';

export const place = (context: Context, id: string): Box =>
  must(context.layout.boxes.get(id), `a place for ${id}`);
