/** Guest tables, shadow pages and pages of root entries of a KVM of today, as boxes. */
import { pageOfFrame, parentsHead, parentsOf } from '../../core/kvm-shadow/page.ts';
import { isDirect, isInvalid, roleField } from '../../core/kvm-shadow/role.ts';
import { frameOf, isMmio, isWritable, mmioEntryOf } from '../../core/kvm-shadow/spte.ts';
import { paeRootFrame } from '../../core/kvm-shadow/shadow-walk.ts';
import type { ShadowPage } from '../../core/machine/tables.ts';
import type { World } from '../../core/machine/world.ts';
import type { Gfn } from '../../core/quantities.ts';
import type { CastTable } from '../cast.ts';
import { sizeText } from '../dialect.ts';
import { chosenIn, entryRow, indexText, type RowOf } from '../entries.ts';
import { guestDialectIn } from '../kvm-dialects.ts';
import { MAX_ROWS, openBox } from '../layout.ts';
import { hex, place, type Context, type SceneBox, type SceneRow } from '../parts.ts';
import { entriesOf as entriesInTable, wordOfEntry } from '../places.ts';
import type { TableNow } from '../table-boxes.ts';
import { plural } from '../telling.ts';
import { sptDialect } from './dialect.ts';
import {
  entriesOf,
  fillOf,
  frameBehind,
  gfnOfLeaf,
  guestIndexOf,
  isOfOldGeneration,
  partsOf,
  todayOf,
  trackedBy,
} from './world.ts';

const NOW = new WeakMap<Context, readonly TableNow[]>();

/** The shadow page that has a box now. */
export function pagesByBox({
  world,
  cast,
}: Pick<Context, 'world' | 'cast'>): ReadonlyMap<string, ShadowPage> {
  const places = cast.kvm?.today?.places;
  return new Map([...world.tables.sp.values()].map((page) => [places?.get(page.serial) ?? '', page]));
}

/** All tables that exist now; worked out once for boxes and links. */
export function tablesNow(context: Context): readonly TableNow[] {
  const known = NOW.get(context);
  if (known !== undefined) return known;
  const { world, cast } = context;
  const pages = pagesByBox(context);
  const made = cast.tables.flatMap((table): TableNow[] => {
    const page = pages.get(table.id);
    if (table.role !== undefined && page === undefined) return [];
    const { mode } = table;
    const leaves = table.level === 1 || cast.kvm?.today?.largeLeaves.has(table.id) === true;
    const dialect = mode === undefined ? sptDialect(leaves) : guestDialectIn(world, mode);
    const pfn = page?.pfn ?? (mode === undefined ? table.walked.pfn : frameBehind(world, table.gfn));
    const walked = { ...table.walked, pfn };
    const some = { indices: table.indices, walked, rows: table.folded === true ? 0 : MAX_ROWS };
    return [{ table, walked, dialect, page, shown: chosenIn(context, some) }];
  });
  NOW.set(context, made);
  return made;
}

export function tableBoxes(context: Context): readonly SceneBox[] {
  const now = new Map(tablesNow(context).map((own) => [own.table.id, own]));
  const shadows = shadowsOf(context.world);
  return context.cast.tables.map((table) => {
    const own = now.get(table.id);
    return own === undefined ? absentBox(context, table) : tableBox(context, own, shadows);
  });
}

/** The shadow pages of each guest table. */
function shadowsOf(world: World): ReadonlyMap<Gfn, readonly ShadowPage[]> {
  const found = new Map<Gfn, ShadowPage[]>();
  for (const page of world.tables.sp.values())
    if (!isDirect(page.role)) found.set(page.gfn, [...(found.get(page.gfn) ?? []), page]);
  return found;
}

function tableBox(
  context: Context,
  own: TableNow,
  shadows: ReadonlyMap<Gfn, readonly ShadowPage[]>,
): SceneBox {
  const { table, page } = own;
  const changed = page !== undefined && context.changes.has(`sp:${String(page.serial)}`);
  const rows =
    table.folded === true
      ? rowsOf(context, own, table.indices)
          .filter((row) => row.state !== 'quiet')
          .slice(0, MAX_ROWS)
      : rowsOf(context, own, own.shown);
  const closed = table.folded === true && rows.length === 0;
  const touched = changed || rows.some((row) => row.state !== 'quiet') || isTracked(context, table);
  const area = place(context, table.id);
  const badge = closed ? '' : badgeOf(context, own, shadows.get(table.gfn) ?? []);
  return {
    ...(table.folded === true && !closed ? openBox(context.layout, area, rows.length) : area),
    id: table.id,
    zone: table.zone,
    ...wordsOf(table, page),
    rows,
    fold: closed ? '' : foldText(context, own, badge),
    state: changed && context.step?.kind === 'sp-alloc' ? 'new' : touched ? 'touched' : 'quiet',
    ...(badge === '' ? {} : { badge }),
    ...lookOf(context.world, page),
    ...(table.folded === true ? { folded: true } : {}),
    ...shapeOf(table),
  };
}

/** Whether the step changes the count of shadow pages that track the frame. */
const isTracked = ({ step }: Context, { zone, gfn }: CastTable): boolean =>
  zone === 'guest' && step?.kind === 'track-gfn' && step.facts['gfn'] === gfn;

function absentBox(context: Context, table: CastTable): SceneBox {
  return {
    ...place(context, table.id),
    id: table.id,
    zone: table.zone,
    title: table.title ?? '',
    subtitle: '',
    rows: [],
    fold: table.folded === true ? '' : `${ofText(table)} · not built`,
    state: 'absent',
    ...(table.folded === true ? { folded: true } : {}),
    ...shapeOf(table),
  };
}

function wordsOf(table: CastTable, page: ShadowPage | undefined): Pick<SceneBox, 'title' | 'subtitle'> {
  if (table.zone === 'guest') return { title: table.walked.at.name, subtitle: `gfn ${hex(table.gfn)}` };
  return page === undefined
    ? { title: 'pae_root', subtitle: `vCPU ${table.id.slice('pae:'.length)}` }
    : { title: table.title ?? '', subtitle: `sp ${String(page.serial)}` };
}

/** Which part of a table a page stands for, and whether of a table at all: shapes, so that colour is not needed. */
function shapeOf({ role }: CastTable): Pick<SceneBox, 'part' | 'direct'> {
  if (role === undefined) return {};
  const of = partsOf(role);
  return {
    ...(of > 1 ? { part: { at: roleField(role, 'quadrant'), of } } : {}),
    ...(isDirect(role) ? { direct: true } : {}),
  };
}

function lookOf(world: World, page: ShadowPage | undefined): Pick<SceneBox, 'look'> {
  if (page === undefined) return {};
  if (isInvalid(page.role) || isOfOldGeneration(world, page)) return { look: 'gone' };
  const { unsync, unsyncChildren } = todayOf(page);
  return unsync ? { look: 'unsync' } : unsyncChildren > 0 ? { look: 'leads' } : {};
}

const rowsOf = (context: Context, own: TableNow, indices: readonly number[]): readonly SceneRow[] =>
  indices.map((index) => {
    const row = entryRow(context, rowOf(context, own, index));
    return own.table.zone === 'guest' ? guestRow(context, own, row) : marked(context, own, { row, index });
  });

/** The guest's entry that is read anew for an entry of its shadow, or that KVM looks at, lights up. */
const guestRow = (context: Context, { table }: TableNow, row: SceneRow): SceneRow =>
  row.state === 'quiet' && readAnew(context) === `${table.id} ${row.index}` ? { ...row, state: 'read' } : row;

/** The guest's entry behind the shadow entry that a `sync-entry` is about: `gt:13 001`. */
function readAnew({ step, world }: Context): string | undefined {
  const word =
    step?.kind === 'sync-entry' ? step.reads.find(({ table }) => table === 'word')?.key : undefined;
  if (word === undefined) return undefined;
  const page = pageOfFrame(world, Math.floor(Number(word) / 512) as never);
  return page === undefined
    ? undefined
    : `gt:${hex(page.gfn)} ${indexText(guestIndexOf(page.role, Number(word) % 512))}`;
}

/** An entry below which a page is out of step. */
function marked(context: Context, own: TableNow, { row, index }: { row: SceneRow; index: number }): SceneRow {
  const word = wordOfEntry(own.walked, index);
  const changed = context.changes.has(`unsyncBit:${String(word)}`);
  const state = changed && row.state === 'quiet' ? 'changed' : row.state;
  if (context.world.get('unsyncBit', word) !== 1) return { ...row, state };
  return {
    ...row,
    state,
    text: `${row.text} ≠`,
    title: `${row.title ?? ''}\n≠  below this entry a page is out of step (unsync_child_bitmap)`,
    mark: 'a page below is out of step',
  };
}

function rowOf(context: Context, own: TableNow, index: number): RowOf {
  const { table, walked, dialect } = own;
  if (table.zone === 'guest') return { walked, dialect, index };
  const text = (entry: bigint): string => targetText(context.world, own, entry);
  const about = aboutEntry(context.world, own, index);
  const row = { walked, dialect, index, text, ...(about === '' ? {} : { about }) };
  if (table.role === undefined || partsOf(table.role) === 1) return row;
  return { ...row, label: `${indexText(guestIndexOf(table.role, index))}→${indexText(index)}` };
}

/** What a shadow entry names: a shadow page, a host frame, a device with the generation of its entry, or nothing. */
function targetText(world: World, { walked, dialect }: TableNow, entry: bigint): string {
  if (entry === 0n) return 'empty';
  if (isMmio(entry)) return numbered(world) ? `device g${String(mmioEntryOf(entry).generation)}` : 'device';
  const kind = dialect.kindOf(entry, walked.at);
  if (kind === 'absent') return 'absent';
  const frame = frameOf(entry);
  if (kind === 'leaf')
    return walked.at.shift > 12 ? `${hex(frame)} ${sizeText(walked.at.shift)}` : hex(frame);
  const page = pageOfFrame(world, frame);
  return page === undefined ? hex(frame) : `sp ${String(page.serial)}`;
}

/** Whether marks of devices carry the number of slot changes. */
const numbered = (world: World): boolean => world.get('vm', 'kvm')?.generation !== undefined;

/** What an entry is about beside its bits. */
function aboutEntry(world: World, { walked, table, dialect }: TableNow, index: number): string {
  const word = wordOfEntry(walked, index);
  const entry = world.word(word);
  const lines: string[] = [];
  if (isMmio(entry)) {
    const { gfn, generation } = mmioEntryOf(entry);
    lines.push(
      `A device at guest frame ${hex(gfn)}${numbered(world) ? `; made in memslot generation ${String(generation)}` : ''}.`,
    );
  } else if (dialect.kindOf(entry, walked.at) === 'leaf') {
    const gfn = gfnOfLeaf(world, word);
    if (gfn !== undefined) lines.push(`Maps guest frame ${hex(gfn)}.`);
  }
  if (table.role !== undefined && partsOf(table.role) > 1)
    lines.push(`Stands for entry ${indexText(guestIndexOf(table.role, index))} of the guest's table.`);
  return lines.join('\n');
}

/** First what is wrong with a page, then what it counts; of a guest's table, how its writes are seen. */
function badgeOf(context: Context, { table, page }: TableNow, shadows: readonly ShadowPage[]): string {
  if (table.zone === 'guest') return guestBadge(context, table.gfn, shadows);
  if (page === undefined) return '';
  const { world } = context;
  const { unsync, unsyncChildren, floodCount, nxDisallowed } = todayOf(page);
  return [
    isInvalid(page.role) ? 'invalid root' : isOfOldGeneration(world, page) ? 'obsolete' : '',
    unsync ? 'unsync' : '',
    unsyncChildren > 0 ? `${String(unsyncChildren)} ≠ below` : '',
    floodCount > 0 ? plural(floodCount, 'write', 'writes') : '',
    nxDisallowed ? 'for NX' : '',
    page.rootCount > 0 && !isInvalid(page.role)
      ? page.rootCount > 1
        ? `root ×${String(page.rootCount)}`
        : 'root'
      : '',
  ]
    .filter((word) => word !== '')
    .join(' · ');
}

function guestBadge({ world, cast }: Context, gfn: Gfn, shadows: readonly ShadowPage[]): string {
  const tracked = trackedBy(world, gfn);
  const writable = entriesOf(world, gfn).some((word) => isWritable(world.word(word)));
  const unsync = shadows.some((page) => todayOf(page).unsync);
  return [
    tracked > 0 ? `tracked ${String(tracked)}` : '',
    unsync ? 'unsync' : '',
    writable ? 'rw' : shadows.length > 0 ? 'ro' : '',
    cast.kvm?.logs === true && world.get('dirty', gfn) !== undefined ? 'dirty' : '',
  ]
    .filter((word) => word !== '')
    .join(' · ');
}

function ofText({ role, gfn }: CastTable): string {
  if (role === undefined) return '';
  return isDirect(role) ? `from gfn ${hex(gfn)}` : `of gfn ${hex(gfn)}`;
}

/** Beside a badge there is room for little. */
const SHORT = 5;

function foldText({ world }: Context, { table, walked, page }: TableNow, badge: string): string {
  if (table.zone === 'hypervisor' && page === undefined)
    return walked.pfn === paeRootFrame(Number(table.id.slice('pae:'.length))) ? 'one entry for each GiB' : '';
  const hidden = table.indices.length - MAX_ROWS;
  const empty = entriesInTable(walked) - table.indices.length;
  const parents = page === undefined ? [] : parentsOf(world, page);
  const fill = page === undefined ? [] : fillOf(world, 'pnode', parentsHead(page));
  return [
    ofText(table),
    hidden > 0 ? `+${String(hidden)}` : '',
    parents.length > 1 ? `${fill.length > 1 ? fill.join('+') : String(parents.length)} parents` : '',
    badge.length > SHORT ? '' : `${String(empty)} empty`,
  ]
    .filter((part) => part !== '')
    .join(' · ');
}
