/** Tables of guest and host, and the guest's pages, as boxes. */
import { frameOfWord } from '../../core/quantities.ts';
import { gfnOfPfn } from '../../core/kvm/memslots.ts';
import { hostFrameOf } from '../../core/machine/world.ts';
import type { CastTable } from '../cast.ts';
import { isSmall } from '../layout.ts';
import { hex, place, type Context, type SceneBox } from '../parts.ts';
import { chosenIn, entryRow, valuesOf } from '../entries.ts';
import { sizeText, tableName, type Dialect } from '../dialect.ts';
import { entriesOf, entryIn, entryOfWord, wordOfEntry } from '../places.ts';

export interface Dialects {
  readonly guest: Dialect | undefined;
  readonly host: Dialect | undefined;
}

export const dialectOf = (dialects: Dialects, table: CastTable): Dialect | undefined =>
  table.zone === 'guest' ? dialects.guest : dialects.host;

export function tableBoxes(context: Context, dialects: Dialects): readonly SceneBox[] {
  return context.cast.tables.flatMap((table) => {
    const dialect = dialectOf(dialects, table);
    if (dialect === undefined) return [];
    const walked = table.walked;
    const rows = chosenIn(context, table).map((index) => entryRow(context, { walked, dialect, index }));
    const host = table.zone === 'hypervisor';
    return [
      {
        ...place(context, table.id),
        id: table.id,
        zone: table.zone,
        title: tableName(dialect, walked.at),
        subtitle: host ? hex(walked.pfn) : `${frameWord(context)} ${hex(table.gfn)}`,
        rows,
        fold: host ? hostFold(context, table, rows.length) : guestFold(context, table, rows.length),
        state: rows.some((row) => row.state !== 'quiet') ? 'touched' : 'quiet',
      } satisfies SceneBox,
    ];
  });
}

/** Without a hypervisor a frame is a frame. */
export const frameWord = ({ cast }: Context): string => (cast.bare?.nested === true ? 'gfn' : 'frame');

/** Of a host table most entries are mapped from the start; which of them are not drawn is counted. */
function hostFold(context: Context, table: CastTable, rows: number): string {
  const walked = table.walked;
  const frames = Math.max(1, entriesOf(walked) / 512);
  let mapped = 0;
  for (let frame = 0; frame < frames; frame += 1)
    mapped += context.world.wordsOfShadowFrame(frameOfWord(wordOfEntry(walked, frame * 512))).length;
  const drawn = chosenIn(context, table).filter(
    (index) => valuesOf(context, walked, index).value !== 0n,
  ).length;
  const [more, empty] = [mapped - drawn, entriesOf(walked) - mapped - (rows - drawn)];
  const parts = [
    table.gfn === 0 ? '' : `gpa ${hex(table.gfn)}000`,
    more > 0 ? `+${String(more)} mapped` : '',
    empty > 0 ? `${String(empty)} empty` : '',
  ];
  return parts.filter((part) => part !== '').join(' · ');
}

function guestFold(context: Context, table: CastTable, rows: number): string {
  const walked = table.walked;
  if (!context.world.tables.blank.has(walked.pfn)) return 'nobody has written it';
  const hidden = table.indices.length - rows;
  const empty = entriesOf(walked) - table.indices.length;
  return `${hidden > 0 ? `+${String(hidden)}, ` : ''}${String(empty)} empty`;
}

/** The word of a page that the step touches. */
function touchedWord(context: Context, pfn: number, frames: number): number | undefined {
  const inPage = (id: string): boolean => {
    const frame = id.startsWith('word:') ? frameOfWord(Number(id.slice(5))) : -1;
    return frame >= pfn && frame < pfn + frames;
  };
  const id = [...context.changes.keys(), ...context.reads].find(inPage);
  return id === undefined ? undefined : Number(id.slice(5));
}

export function pageBoxes(context: Context): readonly SceneBox[] {
  const { frames, largePages } = context.cast;
  const small = isSmall(frames.length);
  return frames.map((gfn) => {
    const pfn = hostFrameOf(gfn);
    const count = largePages.get(gfn) ?? 1;
    const touched = touchedWord(context, pfn, count);
    const word = touched ?? pfn * 512;
    const within = gfnOfPfn(frameOfWord(word)) ?? gfn;
    const id = `frame:${hex(gfn)}`;
    const size = count > 1 ? ` ${sizeText(12 + Math.log2(count))}` : '';
    const name = `${frameWord(context)} ${hex(gfn)}`;
    return {
      ...place(context, id),
      id,
      zone: 'guest',
      title: small ? `${name}${size}` : `page${size}`,
      subtitle: small ? '' : name,
      rows: small
        ? []
        : [
            {
              id: `page:${hex(gfn)}`,
              index: hex((word % 512) * 8 + (within - gfn) * 4096).padStart(3, '0'),
              text: hex(context.world.word(word)),
              flags: [],
              state: context.changes.has(`word:${String(word)}`)
                ? 'changed'
                : touched === undefined
                  ? 'quiet'
                  : 'read',
            },
          ],
      fold: '',
      state: touched === undefined ? 'quiet' : 'touched',
    } satisfies SceneBox;
  });
}

/** The entry of a drawn table in a word; of two in it, the one that `prefer` names or that differs. */
export function entryAt(
  tables: readonly CastTable[],
  word: number,
  of: { prefer?: unknown; values?: readonly [bigint, bigint] } = {},
): { readonly table: CastTable; readonly index: number } | undefined {
  for (const table of tables) {
    const walked = table.walked;
    const first = entryOfWord(walked, word);
    if (first === undefined) continue;
    if (walked.entryBytes === 8) return { table, index: first };
    const [a, b] = of.values ?? [0n, 0n];
    const differs = entryIn(walked, first, a) === entryIn(walked, first, b) && a !== b;
    return { table, index: of.prefer === first + 1 || (of.prefer !== first && differs) ? first + 1 : first };
  }
  return undefined;
}
