/** The grid itself: a table whose cells the arrow keys go through. Enter goes to the step of a cell. */
import { useRef } from 'react';
import type { CellReading, WalkCell, WalkGrid, WalkRow } from '../../scene/walk-grid.ts';
import { WALK as walk } from '../strings-later.ts';
import { reasonOf, spokenCell } from './words.ts';

interface WalkTableProps {
  readonly grid: WalkGrid;
  /** Id of the cell that the Tab key comes to. */
  readonly active: string | undefined;
  readonly onHover: (cell: WalkCell | undefined) => void;
  readonly onFocus: (cell: WalkCell | undefined) => void;
  readonly onJump: (cell: WalkCell) => void;
}

export function WalkTable(props: WalkTableProps): React.JSX.Element {
  const { grid } = props;
  const table = useRef<HTMLTableElement>(null);
  const ids = grid.rows.flatMap((row) => row.cells.map((cell) => cell.id));
  const active = props.active !== undefined && ids.includes(props.active) ? props.active : ids[0];
  const focus = (id: string | undefined): void => {
    table.current?.querySelector<HTMLElement>(`[data-cell="${id ?? ''}"]`)?.focus();
  };
  return (
    <table
      ref={table}
      role="grid"
      aria-readonly
      className={`walk-table ${grid.dimensions} of-${grid.owner}`}
      style={{ '--columns': grid.host.length + 1 } as React.CSSProperties}
      onBlur={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget)) props.onFocus(undefined);
      }}
      onPointerLeave={() => {
        props.onHover(undefined);
      }}
    >
      <caption>{walk.steps}</caption>
      <Head grid={grid} />
      <tbody>
        {grid.rows.map((row, at) => (
          <tr key={row.table ?? 'page'}>
            <RowHead grid={grid} at={at} />
            {row.cells.map((cell) => (
              <Cell
                key={cell.id}
                cell={cell}
                spoken={spokenCell(cell, { grid, row })}
                isActive={cell.id === active}
                {...props}
                onKey={(key) => {
                  const target = neighbour(grid, cell, key);
                  if (target !== undefined) focus(target.id);
                  return target !== undefined;
                }}
              />
            ))}
            {row.table === undefined && grid.dimensions === 'two' && (
              <td className="corner">{walk.corner}</td>
            )}
            <td className="sum">{walk.sum(row.read, row.of)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Head({ grid }: { grid: WalkGrid }): React.JSX.Element {
  return (
    <thead>
      <tr>
        <td />
        {grid.host.map((name) => (
          <th key={name} scope="col" className="host">
            {walk.hostColumn(name)}
          </th>
        ))}
        {grid.dimensions !== 'host' && (
          <th scope="col" className="guest">
            {grid.dimensions === 'one' ? walk.entryColumn : walk.guestColumn}
          </th>
        )}
        <th scope="col" className="sum">
          {walk.sumColumn}
        </th>
      </tr>
    </thead>
  );
}

function RowHead({ grid, at }: { grid: WalkGrid; at: number }): React.JSX.Element {
  const row = grid.rows[at] as WalkRow;
  const name = row.table ?? walk.page;
  // What was not looked for in host memory has no address to wait for.
  const isLookedFor = row.gpa !== undefined || row.cells[0]?.state === 'to come';
  const isFromRegister = row.isRoot && row.table !== undefined;
  return (
    <th scope="row">
      <b>{isFromRegister ? `${grid.rootRegister} → ${name}` : `→ ${name}`}</b>
      {grid.dimensions !== 'one' && isLookedFor && (
        <span>
          <span className="gpa">{walk.gpa}</span>{' '}
          <span className="address">{row.gpa ?? <i aria-label={walk.unknown}>?</i>}</span>
        </span>
      )}
    </th>
  );
}

/** Where a key leads from a cell; undefined for keys that lead nowhere. */
function neighbour(grid: WalkGrid, from: WalkCell, key: string): WalkCell | undefined {
  const at = grid.rows.findIndex((row) => row.cells.includes(from));
  const own = grid.rows[at]?.cells ?? [];
  const column = own.indexOf(from);
  const inRow = (row: WalkRow | undefined): WalkCell | undefined => row?.cells[column] ?? row?.cells.at(-1);
  switch (key) {
    case 'ArrowRight':
      return own[column + 1] ?? grid.rows[at + 1]?.cells[0] ?? from;
    case 'ArrowLeft':
      return own[column - 1] ?? grid.rows[at - 1]?.cells.at(-1) ?? from;
    case 'ArrowDown':
      return inRow(grid.rows[at + 1]) ?? from;
    case 'ArrowUp':
      return inRow(grid.rows[at - 1]) ?? from;
    case 'Home':
      return own[0];
    case 'End':
      return own.at(-1);
    default:
      return undefined;
  }
}

interface CellProps extends Omit<WalkTableProps, 'grid' | 'active'> {
  readonly cell: WalkCell;
  readonly spoken: string;
  readonly isActive: boolean;
  /** Gives whether the key led somewhere. */
  readonly onKey: (key: string) => boolean;
}

function Cell({ cell, spoken, isActive, ...on }: CellProps): React.JSX.Element {
  const classes = [
    'cell',
    cell.dimension,
    cell.state.replaceAll(' ', '-'),
    cell.isNow ? 'now' : '',
    cell.isSelected ? 'selected' : '',
  ];
  return (
    <td
      data-cell={cell.id}
      className={classes.filter((name) => name !== '').join(' ')}
      tabIndex={isActive ? 0 : -1}
      aria-label={spoken}
      aria-current={cell.isNow ? 'step' : undefined}
      // Not on entering: what the pointer leaves on the stage is told of that later, and would clear the selection.
      onPointerMove={() => {
        on.onHover(cell);
      }}
      onFocus={() => {
        on.onFocus(cell);
      }}
      // A press goes to the step and leaves the focus where it is, so that the arrow keys still step.
      onMouseDown={(event) => {
        event.preventDefault();
      }}
      onClick={() => {
        on.onJump(cell);
      }}
      onKeyDown={(event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
        if (event.key === 'Enter') on.onJump(cell);
        else if (!on.onKey(event.key)) return;
        event.preventDefault();
      }}
    >
      <Content cell={cell} />
    </td>
  );
}

/** The frame that an entry names. Where there is no room for all of it, the pointer brings it up. */
function Names({ reading }: { reading: CellReading }): React.JSX.Element {
  const { isEmpty, names, entry } = reading;
  const text = isEmpty ? walk.empty : (names ?? entry);
  return (
    <span className="names" title={isEmpty || names === undefined ? entry : walk.reading.names(names)}>
      {!isEmpty && names !== undefined && <span className="arrow">{walk.arrow}</span>}
      {text}
    </span>
  );
}

function Content({ cell }: { cell: WalkCell }): React.JSX.Element {
  const { reading, state } = cell;
  const chip =
    state === 'spared'
      ? walk.cached
      : state === 'at fault'
        ? walk.fault
        : state === 'register'
          ? walk.register
          : cell.marked === undefined
            ? undefined
            : walk.mark[cell.marked];
  return (
    <div className="inside">
      <div className="line">
        <b className="number">{cell.number}</b>
        {reading !== undefined && <span className="index">{`[${reading.index}]`}</span>}
        {state === 'not needed' && <span className="why wide">{walk.notNeeded}</span>}
      </div>
      <div className="line">
        {reading !== undefined && <Names reading={reading} />}
        {chip !== undefined && <i className="chip">{chip}</i>}
        {state === 'not needed' && <span className="why">{reasonOf(cell)}</span>}
        {state === 'never reached' && <span className="why">{walk.notReached}</span>}
      </div>
      {reading?.address !== undefined && <div className="formula">{reading.formula}</div>}
    </div>
  );
}
