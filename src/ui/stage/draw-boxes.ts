/** The boxes of a scene, with their rows and flags. */
import { select } from 'd3-selection';
import { ROW } from '../../scene/layout.ts';
import type { Flag, Scene, SceneBox } from '../../scene/parts.ts';
import { STRINGS } from '../strings.ts';
import { extraOf, foldY, placeRows, shapeOf, type PlacedRow } from './geometry.ts';
import { joinChanged, putAt, setAttr, setText } from './sparing.ts';

export interface StageEvents {
  readonly select: (id: string | undefined) => void;
  /** A row was pressed: an entry or a register to look into. */
  readonly inspect: (row: string) => void;
}

/** A shadow page can be looked into as a whole: its role. */
const ofRole = (id: string): boolean => id.startsWith('sp:');

export function drawBoxes(group: SVGGElement, scene: Scene, on: StageEvents): void {
  const box = joinChanged<SVGGElement, SceneBox>(group, scene.boxes, {
    selector: 'g.box',
    make: (enter) => {
      const made = enter
        .append('g')
        .attr('class', 'box')
        .attr('data-box', (d) => d.id);
      made.append('rect').attr('class', 'body').attr('rx', 9);
      made.append('path').attr('class', 'shape');
      made.append('text').attr('class', 'title');
      made.append('text').attr('class', 'subtitle').attr('text-anchor', 'end');
      made.append('g').attr('class', 'rows');
      made.append('text').attr('class', 'fold');
      const badge = made.append('g').attr('class', 'badge');
      badge.append('rect').attr('rx', 7).attr('height', 17);
      badge.append('title').text(STRINGS.badge);
      badge.append('text').attr('text-anchor', 'end');
      made
        .attr('tabindex', 0)
        .attr('role', 'group')
        .on('pointerenter focus', (_event, d) => {
          on.select(d.id);
        })
        .on('pointerleave blur', () => {
          on.select(undefined);
        })
        .on('click', (event: MouseEvent, d) => {
          const row = event.target instanceof Element ? event.target.closest<SVGGElement>('g.row') : null;
          if (row?.dataset['row'] !== undefined) on.inspect(row.dataset['row']);
          else if (ofRole(d.id)) on.inspect(d.id);
        })
        .on('keydown', (event: KeyboardEvent, d) => {
          const row = d.rows.find((candidate) => candidate.state !== 'quiet') ?? d.rows[0];
          if (event.key !== 'Enter' || row === undefined) return;
          event.preventDefault();
          on.inspect(row.id);
        });
      return made;
    },
  });
  setAttr(
    box,
    'class',
    (d) =>
      `box ${d.zone} ${d.state}${d.badge === undefined ? '' : ' badged'}${d.look === undefined ? '' : ` ${d.look}`}`,
  );
  setAttr(box, 'aria-label', (d) =>
    [d.title, d.subtitle, d.badge, ...d.rows.map((row) => `${row.index} ${row.text}`)].join(' '),
  );
  const body = box.select<SVGRectElement>('rect.body');
  putAt(body, { x: (d) => d.x, y: (d) => d.y });
  setAttr(body, 'width', (d) => d.width);
  setAttr(body, 'height', (d) => d.height + extraOf(d));
  setAttr(box.select('path.shape'), 'd', shapeOf);
  const title = box.select('text.title');
  putAt(title, { x: (d) => d.x + 8, y: (d) => d.y + 15 });
  setText(title, (d) => d.title);
  const subtitle = box.select('text.subtitle');
  putAt(subtitle, { x: (d) => d.x + d.width - 8, y: (d) => d.y + 15 });
  setText(subtitle, (d) => d.subtitle);
  const fold = box.select('text.fold');
  putAt(fold, { x: (d) => d.x + 8, y: foldY });
  setText(fold, (d) => d.fold);
  box.select<SVGGElement>('g.rows').each(function rows(d) {
    drawRows(this, d, on);
  });
  const badge = box.select<SVGGElement>('g.badge');
  setAttr(badge, 'display', (d) => (d.badge === undefined ? 'none' : null));
  const badged = badge.filter((d) => d.badge !== undefined);
  const onCpu = (d: SceneBox): boolean => d.id.startsWith('vcpu:');
  const width = (d: SceneBox): number => (d.badge?.length ?? 0) * 6.8 + 16;
  const top = (d: SceneBox): number => d.y + d.height + (onCpu(d) ? -23 : extraOf(d) - 17);
  const plate = badged.select('rect');
  putAt(plate, { x: (d) => d.x + d.width - width(d), y: top });
  setAttr(plate, 'width', width);
  setAttr(plate, 'display', (d) => (onCpu(d) ? null : 'none'));
  putAt(badged.select('text'), { x: (d) => d.x + d.width - 8, y: (d) => top(d) + 12.5 });
  setText(badge.select('text'), (d) => d.badge ?? '');
}

function drawRows(group: SVGGElement, box: SceneBox, on: StageEvents): void {
  const row = joinChanged<SVGGElement, PlacedRow>(group, placeRows(box), {
    selector: 'g.row',
    make: (enter) => {
      const made = enter
        .append('g')
        .attr('class', 'row')
        .attr('data-row', (d) => d.id)
        .on('pointerenter', (_event, d) => {
          on.select(d.id);
        })
        .on('pointerleave', () => {
          on.select(box.id);
        });
      made.append('title');
      made.append('rect').attr('class', 'row-body');
      made.append('text').attr('class', 'index');
      made.append('text').attr('class', 'value');
      made.append('text').attr('class', 'flags').attr('text-anchor', 'end');
      made.append('text').attr('class', 'old');
      return made;
    },
  });
  setAttr(row, 'class', (d) => `row ${d.state}${d.mark === undefined ? '' : ' marked'}`);
  const body = row.select('rect');
  putAt(body, { x: (d) => d.x + 1, y: (d) => d.y + (d.old === undefined ? 0 : 2 - ROW) });
  setAttr(body, 'width', (d) => d.width - 2);
  setAttr(body, 'height', (d) => (d.old === undefined ? ROW : 2 * ROW - 2));
  setText(row.select('title'), (d) => d.title ?? d.mark ?? '');
  const line = (d: PlacedRow): number => d.y + 14;
  const index = row.select('text.index');
  putAt(index, { x: (d) => d.x + 8, y: line });
  setText(index, (d) => d.index);
  const value = row.select('text.value');
  putAt(value, { x: (d) => d.textX, y: line });
  setText(value, (d) => d.text);
  const flags = row.select<SVGTextElement>('text.flags');
  putAt(flags, { x: (d) => d.x + d.width - 8, y: line });
  flags.each(function each(d) {
    drawFlags(this, d.flags);
  });
  const old = row.select('text.old');
  putAt(old, { x: (d) => d.textX, y: (d) => d.y - 4 });
  setText(old, (d) =>
    d.old === undefined ? '' : `${d.old.text} ${d.old.flags.map((flag) => flag.text).join('')}`,
  );
}

/** One text; in pieces only where one of them has changed and must stand out, for pieces cost time at every step. */
function drawFlags(text: SVGTextElement, flags: readonly Flag[]): void {
  if (!flags.some((flag) => flag.changed)) {
    const value = flags.map((flag) => flag.text).join('');
    if (text.textContent !== value || text.firstElementChild !== null) text.textContent = value;
    return;
  }
  if (text.firstElementChild === null) text.textContent = '';
  const piece = select(text)
    .selectAll<SVGTSpanElement, Flag>('tspan')
    .data(flags)
    .join('tspan')
    .attr('class', (flag) => (flag.changed ? 'flag changed' : 'flag'));
  setText(piece, (flag) => flag.text);
}
