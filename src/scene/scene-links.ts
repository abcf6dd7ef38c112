/** Links between boxes: table to child, entry to frame, reverse map to entry, TLB entry to what it caches. */
import { frameOfWord, gfn as toGfn, pfn as toPfn, type Gfn } from '../core/quantities.ts';
import { gfnOfPfn } from '../core/kvm/memslots.ts';
import { pointers, RMAP_LIST } from '../core/kvm/pointer-list.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { currentAsidOf } from '../core/kvm/vendor.ts';
import { differsFromTables } from '../core/hardware/tlb.ts';
import type { TlbEntry } from '../core/machine/tables.ts';
import { FIRST_SHADOW_PFN } from '../core/machine/world.ts';
import { guestTableId, shadowId } from './cast.ts';
import { stateOf, targetOf, valuesOf } from './entries.ts';
import { hex, pageId, rowId, stateOfKeys, type Context, type SceneLink } from './parts.ts';
import { entryRowId } from './places.ts';
import { tablesNow, type TableNow } from './table-boxes.ts';

export function allLinks(context: Context): readonly SceneLink[] {
  const tables = new Set(context.cast.tables.map(({ id }) => id));
  const links: SceneLink[] = tablesNow(context).flatMap((own) =>
    own.shown.flatMap((index) => entryLinks(context, { own, index, tables })),
  );
  for (const pfn of context.cast.rmaps) {
    const active = stateOfKeys(context, [`rmap:${String(pfn)}`]) !== 'quiet';
    for (const word of pointers(context.world, RMAP_LIST, context.world.get('rmap', pfn))) {
      const page = shadowPageAt(context.world, frameOfWord(word));
      if (page === undefined) continue;
      links.push({
        id: `l:rmap:${hex(pfn)}:${String(word)}`,
        kind: 'rmap',
        from: { box: `rmap:${hex(pfn)}` },
        to: { box: shadowId(page), row: rowId(word) },
        active,
      });
    }
  }
  for (const entry of context.world.tables.tlb.values()) links.push(...tlbLinks(context, entry));
  return links;
}

interface LinkStart {
  readonly own: TableNow;
  readonly index: number;
  readonly tables: ReadonlySet<string>;
}

function entryLinks(context: Context, { own, index, tables }: LinkStart): readonly SceneLink[] {
  const { table, walked, dialect } = own;
  const { value } = valuesOf(context, walked, index);
  const target = targetOf(dialect, walked.at, value);
  if (target === undefined) return [];
  const row = entryRowId(walked, index);
  const active = stateOf(context, walked, index) !== 'quiet';
  const link = (kind: SceneLink['kind'], box: string): readonly SceneLink[] => [
    { id: `l:${row.slice(2)}`, kind, from: { box: table.id, row }, to: { box }, active },
  ];
  const leaf = dialect.kindOf(value, walked.at) === 'leaf';
  const at = (frame: Gfn): string =>
    tables.has(guestTableId(frame)) ? guestTableId(frame) : pageId(context, frame);
  if (table.zone === 'guest') {
    // A large page may begin in a frame that is a table, too.
    const box = leaf && walked.at.shift > 12 ? pageId(context, target) : at(toGfn(target));
    return link(leaf ? 'page' : 'table', box);
  }
  if (target >= FIRST_SHADOW_PFN) {
    const page = shadowPageAt(context.world, toPfn(target));
    return page === undefined ? [] : link('table', shadowId(page));
  }
  const frame = gfnOfPfn(toPfn(target));
  return frame === undefined ? [] : link('shadow', at(frame));
}

function tlbLinks(context: Context, entry: TlbEntry): readonly SceneLink[] {
  const leaf = entry.filledFrom.at(-1);
  const page = leaf === undefined ? undefined : shadowPageAt(context.world, frameOfWord(leaf));
  if (leaf === undefined || page === undefined || entry.asid !== currentAsidOf(context.world, entry.vcpu))
    return [];
  const key = `tlb:${String(entry.vcpu)}:${String(entry.serial)}`;
  const differs = differsFromTables(context.world, entry);
  return [
    {
      id: `l:${key}`,
      kind: 'tlb',
      from: { box: `tlb:${String(entry.vcpu)}`, row: key },
      to: { box: shadowId(page), row: rowId(leaf) },
      active: stateOfKeys(context, [key]) !== 'quiet' || differs,
      ...(differs ? { label: 'no longer matches' } : {}),
    },
  ];
}
