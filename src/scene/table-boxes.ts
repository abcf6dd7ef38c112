/** Guest tables, shadow tables, pages and reverse maps as boxes. */
import { frameOfWord, gfnOfEntry, gpte, pfnOfEntry, spte, wordOf, type Pfn } from '../core/quantities.ts';
import { X86_BITS, TABLE_NAMES_BY_LEVEL, type EntryBit } from '../core/hardware/x86-entry.ts';
import { gfnOfPfn } from '../core/kvm/memslots.ts';
import { pointers, RMAP_LIST } from '../core/kvm/pointer-list.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { isMmio, isPresent, SPTE_BITS } from '../core/kvm/spte-2007.ts';
import { hostFrameOf } from '../core/machine/world.ts';
import { shadowId, type CastTable } from './cast.ts';
import { isSmall, MAX_ROWS } from './layout.ts';
import {
  hex,
  rowId,
  chosenIndices,
  place,
  type Context,
  type Flag,
  type SceneBox,
  type SceneRow,
} from './parts.ts';

export function tableBoxes(context: Context): readonly SceneBox[] {
  const shadows = new Map([...context.world.tables.sp.values()].map((page) => [shadowId(page), page]));
  return context.cast.tables.map((table) => {
    const page = shadows.get(table.id);
    const present = table.zone === 'guest' || page !== undefined;
    const pfn = table.zone === 'guest' ? hostFrameOf(table.gfn) : page?.pfn;
    const rows =
      pfn === undefined
        ? []
        : chosenIndices(context, table, pfn).map((index) => entryRow(context, wordOf(pfn, index), table));
    const fresh =
      page !== undefined &&
      context.changes.has(`sp:${String(page.serial)}`) &&
      context.step?.kind === 'shadow-hash';
    const touched =
      rows.some((row) => row.state !== 'quiet') ||
      (page !== undefined && context.changes.has(`sp:${String(page.serial)}`));
    const hidden = Math.max(0, table.indices.length - MAX_ROWS);
    const level = TABLE_NAMES_BY_LEVEL[table.level] ?? '';
    return {
      ...place(context, table.id),
      id: table.id,
      zone: table.zone,
      title: table.zone === 'guest' ? level : `shadow ${level}`,
      subtitle:
        table.zone === 'guest'
          ? `gfn ${hex(table.gfn)}`
          : page === undefined
            ? ''
            : `sp ${String(page.serial)}`,
      rows,
      fold: foldText({ table, pfn, hidden }),
      state: !present ? 'absent' : fresh ? 'new' : touched ? 'touched' : 'quiet',
      ...tableBadge(context, table),
    } satisfies SceneBox;
  });
}

/** A guest table that is shadowed says so: the guest may not write it by itself. */
function tableBadge(context: Context, table: CastTable): { badge?: string } {
  if (table.zone !== 'guest') return {};
  const pfn = hostFrameOf(table.gfn);
  const writable = pointers(context.world, RMAP_LIST, context.world.get('rmap', pfn)).length;
  const shadowed = [...context.world.tables.sp.values()].some((page) => page.gfn === table.gfn);
  if (writable > 0) return { badge: 'rw' };
  return shadowed ? { badge: 'ro' } : {};
}

function foldText(of: { table: CastTable; pfn: number | undefined; hidden: number }): string {
  const ofGuest = of.table.zone === 'hypervisor' ? `of gfn ${hex(of.table.gfn)} · ` : '';
  if (of.pfn === undefined) return `${ofGuest}not built`;
  const empty = `${String(512 - of.table.indices.length)} empty`;
  return `${ofGuest}${of.hidden > 0 ? `+${String(of.hidden)}, ` : ''}${empty}`;
}

function entryRow(context: Context, word: number, table: CastTable): SceneRow {
  const value = context.world.word(word);
  const change = context.changes.get(`word:${String(word)}`);
  const before = change?.before as bigint | undefined;
  const bits = table.zone === 'guest' ? X86_BITS : SPTE_BITS;
  const row = {
    id: rowId(word),
    index: hex(word % 512).padStart(3, '0'),
    text: targetText(context, value, table),
    title: entryTitle(bits, value),
    flags: flagsOf(bits, value, before ?? value),
    state: change !== undefined ? 'changed' : context.reads.has(`word:${String(word)}`) ? 'read' : 'quiet',
  } as const;
  if (change === undefined || before === undefined || before === value) return row;
  return { ...row, old: { text: targetText(context, before, table), flags: flagsOf(bits, before, before) } };
}

/** What an entry names: a shadow page, a frame, or nothing. */
function targetText(context: Context, word: bigint, table: CastTable): string {
  if (word === 0n) return 'empty';
  if (table.zone === 'guest') {
    const guest = gpte(word);
    return isPresent(guest) ? hex(gfnOfEntry(guest)) : 'absent';
  }
  const entry = spte(word);
  if (isMmio(entry)) return 'device';
  if (!isPresent(entry)) return 'absent';
  const frame = pfnOfEntry(entry);
  const page = table.level > 1 ? shadowPageAt(context.world, frame) : undefined;
  return page === undefined ? hex(frame) : `sp ${String(page.serial)}`;
}

const entryTitle = (bits: readonly EntryBit[], value: bigint): string =>
  [
    `0x${hex(value)}`,
    ...bits
      .filter((bit) => ((value >> BigInt(bit.bit)) & 1n) === 1n)
      .map((bit) => `${bit.short}  ${bit.name}: ${bit.meaning}`),
  ].join('\n');

const SHOWN_BITS = ['P', 'RW', 'US', 'A', 'D', 'SHADOW_WRITABLE', 'SHADOW_USER'];

function flagsOf(bits: readonly EntryBit[], value: bigint, before: bigint): readonly Flag[] {
  return bits
    .filter((bit) => SHOWN_BITS.includes(bit.name))
    .map((bit) => {
      const mask = 1n << BigInt(bit.bit);
      const short = bit.name === 'SHADOW_WRITABLE' ? 'w' : bit.name === 'SHADOW_USER' ? 'u' : bit.short;
      const set = (value & mask) !== 0n;
      return {
        text: set ? short : '–',
        set,
        changed: ((value ^ before) & mask) !== 0n,
        meaning: `${bit.name}: ${bit.meaning}`,
      };
    });
}

export function pageBoxes(context: Context): readonly SceneBox[] {
  const small = isSmall(context.cast.frames.length);
  return context.cast.frames.map((gfn) => {
    const pfn = hostFrameOf(gfn);
    const touched = [...context.changes.keys(), ...context.reads].find(
      (id) => id.startsWith('word:') && frameOfWord(Number(id.slice(5))) === pfn,
    );
    const word = touched === undefined ? pfn * 512 : Number(touched.slice(5));
    const id = `frame:${hex(gfn)}`;
    const changed = context.changes.has(`word:${String(word)}`);
    return {
      ...place(context, id),
      id,
      zone: 'guest',
      title: small ? `gfn ${hex(gfn)}` : 'page',
      subtitle: small ? '' : `gfn ${hex(gfn)}`,
      rows: small
        ? []
        : [
            {
              id: `page:${hex(gfn)}`,
              index: hex((word % 512) * 8).padStart(3, '0'),
              text: hex(context.world.word(word)),
              flags: [],
              state: changed ? 'changed' : touched === undefined ? 'quiet' : 'read',
            },
          ],
      fold: '',
      state: touched === undefined ? 'quiet' : 'touched',
    } satisfies SceneBox;
  });
}

export function rmapBoxes(context: Context): readonly SceneBox[] {
  const small = isSmall(context.cast.rmaps.length);
  return context.cast.rmaps.map((pfn) => {
    const words = pointers(context.world, RMAP_LIST, context.world.get('rmap', pfn));
    const change = context.changes.get(`rmap:${String(pfn)}`);
    const touched = change !== undefined || context.reads.has(`rmap:${String(pfn)}`);
    const names = words.map((word) => entryName(context, word));
    const id = `rmap:${hex(pfn)}`;
    return {
      ...place(context, id),
      id,
      zone: 'hypervisor',
      title: small ? `rmap ${hex(gfnOfPfn(pfn) ?? pfn)}` : rmapTitle(context, pfn),
      subtitle: small ? `${String(words.length)} rw` : `gfn ${hex(gfnOfPfn(pfn) ?? pfn)}`,
      rows: small
        ? []
        : [
            {
              id: `r:${hex(pfn)}`,
              index: '',
              text:
                names.length === 0
                  ? 'nobody writes it'
                  : names.length > 1
                    ? `${names[0] ?? ''} +${String(names.length - 1)}`
                    : (names[0] ?? ''),
              flags: [],
              state: change !== undefined ? 'changed' : touched ? 'read' : 'quiet',
            },
          ],
      fold: '',
      state: touched ? 'touched' : 'quiet',
    } satisfies SceneBox;
  });
}

/** A reverse map is a plain pointer, or descriptors of four pointers each: then their number is said. */
function rmapTitle({ world }: Context, pfn: Pfn): string {
  const head = world.get('rmap', pfn);
  if (head?.kind !== 'chain') return 'reverse map';
  let descriptors = 0;
  for (let node: number | undefined = head.head; node !== undefined; node = world.get('rnode', node)?.next)
    descriptors += 1;
  return `rmap, ${String(descriptors)} desc.`;
}

function entryName(context: Context, word: number): string {
  const page = shadowPageAt(context.world, frameOfWord(word));
  return `${page === undefined ? 'freed' : `sp ${String(page.serial)}`} [${hex(word % 512).padStart(3, '0')}]`;
}
