/** Links of a KVM of today: table to child (which is also the way back), leaf to page, reverse map and TLB to entries. */
import { pageOfFrame } from '../../core/kvm-shadow/page.ts';
import { differsFromTables } from '../../core/hardware/tlb.ts';
import type { TlbEntry } from '../../core/machine/tables.ts';
import { frameOf } from '../../core/kvm-shadow/spte.ts';
import { gfn as toGfn } from '../../core/quantities.ts';
import { guestTableId } from '../cast.ts';
import { stateOf, targetOf, valuesOf } from '../entries.ts';
import { pageId, rowId, stateOfKeys, type Context, type SceneLink } from '../parts.ts';
import { entryRowId, wordOfEntry } from '../places.ts';
import type { TableNow } from '../table-boxes.ts';
import { tablesNow } from './table-boxes.ts';
import { gfnOfLeaf, listedIn, pageAt } from './world.ts';

export function allLinks(context: Context): readonly SceneLink[] {
  const tables = new Set(context.cast.tables.map(({ id }) => id));
  return [
    ...tablesNow(context).flatMap((own) =>
      own.shown.flatMap((index) => entryLinks(context, { own, index, tables })),
    ),
    ...(context.cast.kvm?.today?.lists ?? []).flatMap((key) => rmapLinks(context, key)),
    ...[...context.world.tables.tlb.values()].flatMap((entry) => tlbLinks(context, entry)),
  ];
}

const boxOf = ({ cast }: Context, serial: number): string => cast.kvm?.today?.places.get(serial) ?? '';

function entryLinks(
  context: Context,
  { own, index, tables }: { own: TableNow; index: number; tables: ReadonlySet<string> },
): readonly SceneLink[] {
  const { table, walked, dialect } = own;
  const { value } = valuesOf(context, walked, index);
  const target = targetOf(dialect, walked.at, value);
  if (target === undefined) return [];
  const row = entryRowId(walked, index);
  const link = {
    id: `l:${row.slice(2)}`,
    from: { box: table.id, row },
    active: stateOf(context, walked, index) !== 'quiet',
  };
  const leaf = dialect.kindOf(value, walked.at) === 'leaf';
  const large = leaf && walked.at.shift > 12;
  const at = (frame: number): string => {
    const id = guestTableId(toGfn(frame));
    // A large page may begin in a frame that is a table, too.
    return tables.has(id) && !large ? id : pageId(context, frame);
  };
  if (table.zone === 'guest') return [{ ...link, kind: leaf ? 'page' : 'table', to: { box: at(target) } }];
  if (!leaf) {
    const page = pageOfFrame(context.world, frameOf(value));
    return page === undefined ? [] : [{ ...link, kind: 'table', to: { box: boxOf(context, page.serial) } }];
  }
  const frame = gfnOfLeaf(context.world, wordOfEntry(walked, index));
  return frame === undefined ? [] : [{ ...link, kind: 'shadow', to: { box: at(frame) } }];
}

function rmapLinks(context: Context, key: string): readonly SceneLink[] {
  const active = stateOfKeys(context, [`slotRmap:${key}`]) !== 'quiet';
  return listedIn(context.world, key).flatMap((word): SceneLink[] => {
    const page = pageAt(context.world, word);
    if (page === undefined) return [];
    const to = { box: boxOf(context, page.serial), row: rowId(word) };
    return [{ id: `l:rmap:${key}:${String(word)}`, kind: 'rmap', from: { box: `rmap:${key}` }, to, active }];
  });
}

function tlbLinks(context: Context, entry: TlbEntry): readonly SceneLink[] {
  const leaf = entry.filledFrom.at(-1);
  const page = leaf === undefined ? undefined : pageAt(context.world, leaf);
  if (leaf === undefined || page === undefined) return [];
  const key = `tlb:${String(entry.vcpu)}:${String(entry.serial)}`;
  const differs = differsFromTables(context.world, entry);
  return [
    {
      id: `l:${key}`,
      kind: 'tlb',
      from: { box: `tlb:${String(entry.vcpu)}`, row: key },
      to: { box: boxOf(context, page.serial), row: rowId(leaf) },
      active: stateOfKeys(context, [key]) !== 'quiet' || differs,
      ...(differs ? { label: 'no longer matches' } : {}),
    },
  ];
}
