/** Guest tables, shadow tables and the page of root entries as boxes. */
import { spte, pfnOfEntry, type Gfn } from '../core/quantities.ts';
import { guestIndexBehind, partsOf } from '../core/kvm/behind-2007.ts';
import { contextIn, paeRootPfn } from '../core/kvm/context-2007.ts';
import { pointers, PARENT_LIST, RMAP_LIST } from '../core/kvm/pointer-list.ts';
import { roleOf, type Role } from '../core/kvm/role-2007.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { isMmio, isPresent } from '../core/kvm/spte-2007.ts';
import type { ShadowPage } from '../core/machine/tables.ts';
import { hostFrameOf, type World } from '../core/machine/world.ts';
import { shadowId, type CastTable } from './cast.ts';
import type { Dialect } from './dialect.ts';
import { chosenIn, entryRow, indexText, type RowOf } from './entries.ts';
import { guestDialectIn, shadowDialect } from './kvm-dialects.ts';
import { MAX_ROWS, openBox, type Box } from './layout.ts';
import { fillText } from './list-shape.ts';
import { hex, place, type Context, type SceneBox, type SceneRow } from './parts.ts';
import { entriesOf, type Walked } from './places.ts';

/** A table as it is now: a shadow page may not be built, or lie in another frame than before. */
export interface TableNow {
  readonly table: CastTable;
  readonly walked: Walked;
  readonly dialect: Dialect;
  readonly page: ShadowPage | undefined;
  /** Entries that are drawn. */
  readonly shown: readonly number[];
}

const NOW = new WeakMap<Context, readonly TableNow[]>();

/** All tables that exist now; worked out once for boxes and links. */
export function tablesNow(context: Context): readonly TableNow[] {
  const known = NOW.get(context);
  if (known !== undefined) return known;
  const shadows = new Map([...context.world.tables.sp.values()].map((page) => [shadowId(page), page]));
  const made = context.cast.tables.flatMap((table): TableNow[] => {
    const page = shadows.get(table.id);
    if (table.role !== undefined && page === undefined) return [];
    const { mode } = table;
    const dialect =
      mode === undefined ? shadowDialect(context.settings, table.level) : guestDialectIn(context.world, mode);
    const walked = page === undefined ? table.walked : { ...table.walked, pfn: page.pfn };
    const some = { indices: table.indices, walked, rows: table.folded === true ? 0 : MAX_ROWS };
    return [{ table, walked, dialect, page, shown: chosenIn(context, some) }];
  });
  NOW.set(context, made);
  return made;
}

export function tableBoxes(context: Context): readonly SceneBox[] {
  const now = new Map(tablesNow(context).map((own) => [own.table.id, own]));
  const shadowed = new Set(
    [...context.world.tables.sp.values()].filter(standsForTable).map(({ gfn }) => gfn),
  );
  return context.cast.tables.map((table) => {
    const own = now.get(table.id);
    return own === undefined ? absentBox(context, table) : tableBox(context, own, shadowed);
  });
}

const standsForTable = ({ role }: ShadowPage): boolean => !roleOf(role).metaphysical;

function tableBox(context: Context, own: TableNow, shadowed: ReadonlySet<Gfn>): SceneBox {
  const { table, page } = own;
  const key = page === undefined ? '' : `sp:${String(page.serial)}`;
  const changed = page !== undefined && context.changes.has(key);
  const rows = table.folded === true ? touchedRows(context, own) : rowsOf(context, own);
  const touched = changed || rows.some((row) => row.state !== 'quiet');
  const area = place(context, table.id);
  const closed = table.folded === true && rows.length === 0;
  const box = boxOf(table, {
    area: table.folded === true && !closed ? openBox(context.layout, area, rows.length) : area,
    words: wordsOf(table, page),
    rows,
    fold: closed ? '' : foldText(context, own),
    state: changed && context.step?.kind === 'shadow-hash' ? 'new' : touched ? 'touched' : 'quiet',
  });
  const badge = table.zone === 'guest' && !closed ? tableBadge(context, table.gfn, shadowed) : '';
  if (badge !== '') box.badge = badge;
  return box;
}

type Draft<T> = { -readonly [K in keyof T]: T[K] };

/** Field by field: copying objects of many shapes into one is what a scene of many boxes costs most. */
function boxOf(
  table: CastTable,
  of: Pick<SceneBox, 'rows' | 'fold' | 'state'> & {
    readonly area: Box;
    readonly words: Pick<SceneBox, 'title' | 'subtitle'>;
  },
): Draft<SceneBox> {
  const { area, words, rows, fold, state } = of;
  const { x, y, width, height } = area;
  const { id, zone, role } = table;
  const { title, subtitle } = words;
  const box: Draft<SceneBox> = { x, y, width, height, id, zone, title, subtitle, rows, fold, state };
  if (table.folded === true) box.folded = true;
  if (role === undefined) return box;
  const own = roleOf(role);
  const parts = partsOf(own);
  if (parts > 1) box.part = { at: own.quadrant, of: parts };
  if (own.metaphysical) box.direct = true;
  return box;
}

function absentBox(context: Context, table: CastTable): SceneBox {
  return boxOf(table, {
    area: place(context, table.id),
    words: { title: table.title ?? '', subtitle: '' },
    rows: [],
    fold: table.folded === true ? '' : `${ofText(table)}not built`,
    state: 'absent',
  });
}

function wordsOf(table: CastTable, page: ShadowPage | undefined): Pick<SceneBox, 'title' | 'subtitle'> {
  if (table.zone === 'guest') return { title: table.walked.at.name, subtitle: `gfn ${hex(table.gfn)}` };
  return page === undefined
    ? { title: 'pae_root', subtitle: 'vCPU 0' }
    : { title: table.title ?? '', subtitle: `sp ${String(page.serial)}` };
}

const touchedRows = (context: Context, own: TableNow): readonly SceneRow[] =>
  own.table.indices
    .map((index) => entryRow(context, rowOf(context, own, index)))
    .filter((row) => row.state !== 'quiet')
    .slice(0, MAX_ROWS);

const rowsOf = (context: Context, own: TableNow): readonly SceneRow[] =>
  own.shown.map((index) => entryRow(context, rowOf(context, own, index)));

function rowOf(context: Context, own: TableNow, index: number): RowOf {
  const { table, walked, dialect } = own;
  if (table.zone === 'guest') return { walked, dialect, index };
  const text = (entry: bigint): string => shadowTarget(context.world, table, entry);
  if (table.role === undefined) return { walked, dialect, index, text };
  return { walked, dialect, index, text, ...behind(roleOf(table.role), index) };
}

/** The guest's entry behind a shadow entry, where it has another number: `300→001`. */
function behind(role: Role, index: number): Pick<RowOf, 'label' | 'about'> {
  if (role.guestLevels !== 2 || role.metaphysical) return {};
  const guest = guestIndexBehind(role, index);
  const half = role.level === 1 ? '' : index % 2 === 0 ? ', its lower 2 MiB' : ', its upper 2 MiB';
  return {
    label: `${indexText(guest)}→${indexText(index)}`,
    about: `Stands for entry ${indexText(guest)} of the guest's table${half}.`,
  };
}

/** What a shadow entry names: a shadow page, a frame, or nothing. */
export function shadowTarget(world: World, { level }: Pick<CastTable, 'level'>, word: bigint): string {
  if (word === 0n) return 'empty';
  const entry = spte(word);
  if (isMmio(entry)) return 'device';
  if (!isPresent(entry)) return 'absent';
  const frame = pfnOfEntry(entry);
  const page = level > 1 ? shadowPageAt(world, frame) : undefined;
  return page === undefined ? hex(frame) : `sp ${String(page.serial)}`;
}

/** A guest table that is shadowed says so: the guest may not write it by itself. And how often it just did. */
function tableBadge(context: Context, gfn: Gfn, shadowed: ReadonlySet<Gfn>): string {
  const { world } = context;
  const reg = (name: string): bigint => world.get('reg', `0.${name}`) ?? 0n;
  const count = reg('last_pt_write_gfn') === BigInt(gfn) ? Number(reg('last_pt_write_count')) : 0;
  const words = [
    // Only a shadowed table's writes are counted.
    count > 0
      ? `write ${String(count)}`
      : pointers(world, RMAP_LIST, world.get('rmap', hostFrameOf(gfn))).length > 0
        ? 'rw'
        : shadowed.has(gfn)
          ? 'ro'
          : '',
    context.cast.kvm?.logs === true && world.get('dirty', gfn) !== undefined ? 'dirty' : '',
  ];
  return words.filter((word) => word !== '').join(' · ');
}

function ofText({ role, gfn }: CastTable): string {
  if (role === undefined) return '';
  const { metaphysical, guestLevels } = roleOf(role);
  if (!metaphysical) return `of gfn ${hex(gfn)} · `;
  return guestLevels === 0 ? `from gfn ${hex(gfn)} · ` : `large page ${hex(gfn)} · `;
}

function foldText({ world }: Context, { table, walked, page }: TableNow): string {
  if (walked.pfn === paeRootPfn(0))
    return contextIn(world, 0).shadowRootLevel === 3 ? 'one entry for each GiB' : 'not in use';
  const empty = `${String(entriesOf(walked) - table.indices.length)} empty`;
  const hidden = table.indices.length - MAX_ROWS;
  const parents =
    page?.parents.kind === 'chain' ? ` · ${fillText(world, PARENT_LIST, page.parents)} parents` : '';
  return `${ofText(table)}${hidden > 0 ? `+${String(hidden)}, ` : ''}${empty}${parents}`;
}
