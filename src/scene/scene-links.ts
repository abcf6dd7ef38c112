/** Links between boxes: table to child, entry to frame, reverse map to entry, TLB entry to what it caches. */
import { frameOfWord, gfnOfEntry, gpte, pfnOfEntry, spte, wordOf, type Gpte } from '../core/quantities.ts';
import { gfnOfPfn } from '../core/kvm/memslots.ts';
import { pointers, RMAP_LIST } from '../core/kvm/pointer-list.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { isPresent } from '../core/kvm/spte-2007.ts';
import { currentAsidOf } from '../core/kvm/vendor.ts';
import { differsFromTables } from '../core/hardware/tlb.ts';
import type { TlbEntry } from '../core/machine/tables.ts';
import { FIRST_SHADOW_PFN, hostFrameOf } from '../core/machine/world.ts';
import { guestTableId, shadowId, type CastTable } from './cast.ts';
import { hex, rowId, chosenIndices, isTouched, type Context, type SceneLink } from './parts.ts';

export function allLinks(context: Context): readonly SceneLink[] {
  const links: SceneLink[] = [];
  const shadows = new Map([...context.world.tables.sp.values()].map((page) => [shadowId(page), page]));
  for (const table of context.cast.tables) {
    const pfn = table.zone === 'guest' ? hostFrameOf(table.gfn) : shadows.get(table.id)?.pfn;
    if (pfn === undefined) continue;
    for (const index of chosenIndices(context, table, pfn))
      links.push(...entryLinks(context, table, wordOf(pfn, index)));
  }
  for (const pfn of context.cast.rmaps) {
    const active = context.changes.has(`rmap:${String(pfn)}`) || context.reads.has(`rmap:${String(pfn)}`);
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

function entryLinks(context: Context, table: CastTable, word: number): readonly SceneLink[] {
  const value = context.world.word(word);
  const from = { box: table.id, row: rowId(word) };
  const active = isTouched(context, word);
  if (table.zone === 'guest') return guestEntryLinks(context, gpte(value), { table, word, from, active });
  const entry = spte(value);
  if (!isPresent(entry)) return [];
  const target = pfnOfEntry(entry);
  if (table.level > 1 && target >= FIRST_SHADOW_PFN) {
    const page = shadowPageAt(context.world, target);
    return page === undefined
      ? []
      : [{ id: `l:${String(word)}`, kind: 'table', from, to: { box: shadowId(page) }, active }];
  }
  const gfn = gfnOfPfn(target);
  if (gfn === undefined) return [];
  const isTable = context.cast.tables.some((other) => other.id === guestTableId(gfn));
  return [
    {
      id: `l:${String(word)}`,
      kind: 'shadow',
      from,
      to: { box: isTable ? guestTableId(gfn) : `frame:${hex(gfn)}` },
      active,
    },
  ];
}

interface LinkStart {
  readonly table: CastTable;
  readonly word: number;
  readonly from: SceneLink['from'];
  readonly active: boolean;
}

function guestEntryLinks(context: Context, entry: Gpte, start: LinkStart): readonly SceneLink[] {
  if (!isPresent(entry)) return [];
  const { table, word, from, active } = start;
  const target = gfnOfEntry(entry);
  const isTable = context.cast.tables.some((other) => other.id === guestTableId(target));
  const to = { box: isTable ? guestTableId(target) : `frame:${hex(target)}` };
  return [{ id: `l:${String(word)}`, kind: table.level > 1 ? 'table' : 'page', from, to, active }];
}

function tlbLinks(context: Context, entry: TlbEntry): readonly SceneLink[] {
  const leaf = entry.filledFrom.at(-1);
  const page = leaf === undefined ? undefined : shadowPageAt(context.world, frameOfWord(leaf));
  if (leaf === undefined || page === undefined || entry.asid !== currentAsidOf(context.world, 0)) return [];
  const key = `tlb:0:${String(entry.serial)}`;
  const differs = differsFromTables(context.world, entry);
  return [
    {
      id: `l:${key}`,
      kind: 'tlb',
      from: { box: 'tlb:0', row: key },
      to: { box: shadowId(page), row: rowId(leaf) },
      active: context.changes.has(key) || context.reads.has(key) || differs,
      ...(differs ? { label: 'no longer matches' } : {}),
    },
  ];
}
