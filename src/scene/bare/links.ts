/** Links of a machine without KVM: table to child or page, host leaf to the guest's frame, TLB entry to its leaf. */
import type { TlbEntry } from '../../core/machine/tables.ts';
import { differsFromTables } from '../../core/hardware/tlb.ts';
import { gfnOfPfn } from '../../core/kvm/memslots.ts';
import { gfn, pfn } from '../../core/quantities.ts';
import { guestTableId, type CastTable } from '../cast.ts';
import { hex, pageId, type Context, type SceneLink } from '../parts.ts';
import { dialectOf, entryAt, type Dialects } from './boxes.ts';
import { hostTableId } from './cast.ts';
import { chosenIn, stateOf, targetOf, valuesOf } from '../entries.ts';
import type { Dialect } from '../dialect.ts';
import { entryRowId } from '../places.ts';

export function allLinks(context: Context, dialects: Dialects): readonly SceneLink[] {
  const ids = new Set(context.cast.tables.map((table) => table.id));
  const tables = context.cast.tables.flatMap((table) => {
    const dialect = dialectOf(dialects, table);
    if (dialect === undefined) return [];
    return chosenIn(context, table).flatMap((index) => entryLinks(context, { table, dialect, index, ids }));
  });
  const cached = [...context.world.tables.tlb.values()].flatMap((entry) => tlbLinks(context, entry));
  return [...tables, ...cached];
}

function entryLinks(
  context: Context,
  of: { table: CastTable; dialect: Dialect; index: number; ids: ReadonlySet<string> },
): readonly SceneLink[] {
  const { table, dialect, index, ids } = of;
  const walked = table.walked;
  const { at } = walked;
  const { value } = valuesOf(context, walked, index);
  const target = targetOf(dialect, at, value);
  if (target === undefined) return [];
  const row = entryRowId(walked, index);
  const from = { box: table.id, row };
  const active = stateOf(context, walked, index) !== 'quiet';
  const leaf = dialect.kindOf(value, at) === 'leaf';
  if (table.zone === 'guest') {
    const id = guestTableId(gfn(target));
    const to = { box: ids.has(id) ? id : pageId(context, target) };
    return [{ id: `l:${row}`, kind: leaf ? 'page' : 'table', from, to, active }];
  }
  if (!leaf) return [{ id: `l:${row}`, kind: 'table', from, to: { box: hostTableId(pfn(target)) }, active }];
  return framesIn(context, { first: target, count: 2 ** (at.shift - 12), ids }).map((box) => ({
    id: `l:${row}:${box}`,
    kind: 'shadow',
    from,
    to: { box },
    active,
  }));
}

/** Guest tables and pages that lie in a range of host frames: a guest's table is a frame like any other. */
function framesIn(
  { cast }: Context,
  { first, count, ids }: { first: number; count: number; ids: ReadonlySet<string> },
): readonly string[] {
  const from = gfnOfPfn(pfn(first));
  if (from === undefined) return [];
  const inside = (frame: number): boolean => frame >= from && frame < from + count;
  return [
    ...cast.tables.filter((table) => table.zone === 'guest' && inside(table.gfn)).map((table) => table.id),
    ...cast.frames
      .filter((frame) => inside(frame) && !ids.has(guestTableId(frame)))
      .map((frame) => `frame:${hex(frame)}`),
  ];
}

/** To the entry that has changed since, if one has; otherwise to the leaf that the translation came from. */
function tlbLinks(context: Context, entry: TlbEntry): readonly SceneLink[] {
  const { tables } = context.cast;
  const places = entry.filledFrom.map((word, index) => {
    const values = [context.world.word(word), entry.filledValues[index] ?? 0n] as const;
    return { found: entryAt(tables, word, { values }), differs: values[0] !== values[1] };
  });
  const zone = entry.kind === 'guest-physical' ? 'hypervisor' : 'guest';
  const changed = places.find(({ found, differs }) => differs && found !== undefined);
  const leaf = changed ?? places.findLast(({ found }) => found?.table.zone === zone) ?? places.at(-1);
  if (leaf?.found === undefined) return [];
  const key = `tlb:0:${String(entry.serial)}`;
  const differs = differsFromTables(context.world, entry);
  const { table, index } = leaf.found;
  return [
    {
      id: `l:${key}`,
      kind: 'tlb',
      from: { box: 'tlb:0', row: key },
      to: { box: table.id, row: entryRowId(table.walked, index) },
      active: context.changes.has(key) || context.reads.has(key) || differs,
      ...(differs ? { label: 'no longer matches' } : {}),
    },
  ];
}
