/** What a cell of the walk says in words: on the screen, and to a screen reader. */
import { sizeText, type WalkCell, type WalkGrid, type WalkRow } from '../../scene/walk-grid.ts';
import { WALK as walk } from '../strings-later.ts';

/** Why a place is not needed: `2 MiB page`. */
export const reasonOf = ({ because }: WalkCell): string =>
  because?.kind === 'large page' ? walk.largePage(sizeText(because.bits)) : walk.register;

export function stateText(cell: WalkCell): string {
  switch (cell.state) {
    case 'spared':
      return walk.state.spared(cell.by ?? '');
    case 'not needed':
      return walk.state['not needed'](reasonOf(cell));
    case 'to come':
    case 'read':
    case 'register':
    case 'at fault':
    case 'never reached':
      return walk.state[cell.state];
  }
}

/** Which entry the place is: `host PD, for the guest's PT`. */
export function placeText(cell: WalkCell, of: { grid: WalkGrid; row: WalkRow }): string {
  const { grid, row } = of;
  if (grid.dimensions === 'one') return walk.cell.one(cell.table);
  if (cell.dimension === 'guest') return walk.cell.guest(cell.table);
  return walk.cell.host(cell.table, row.table === undefined ? walk.page : walk.cell.ofTable(row.table));
}

/** The entry that was read, part by part: how its address came about, what it holds. */
export function readingParts({ reading, marked, times }: WalkCell): readonly string[] {
  if (reading === undefined) return [];
  const { address, gpa, formula } = reading;
  return [
    ...(address === undefined
      ? []
      : [
          gpa === undefined ? walk.reading.at(formula, address) : walk.reading.atGuest(formula, gpa, address),
        ]),
    reading.isEmpty ? walk.empty : walk.reading.holds(`${reading.entry} ${reading.letters}`.trim()),
    ...(marked === undefined ? [] : [walk.marked[marked]]),
    ...(times > 1 ? [walk.times(times)] : []),
  ];
}

/** All of it in one line, for a screen reader. */
export const spokenCell = (cell: WalkCell, of: { grid: WalkGrid; row: WalkRow }): string =>
  [
    walk.place(cell.number, of.grid.totals.full),
    placeText(cell, of),
    stateText(cell),
    ...(cell.reading === undefined ? [] : [walk.reading.entry(cell.reading.index)]),
    ...(cell.reading?.names === undefined ? [] : [walk.reading.names(cell.reading.names)]),
    ...readingParts(cell),
  ].join(', ');
