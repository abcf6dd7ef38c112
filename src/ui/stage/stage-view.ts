/**
 * The picture of a scene, drawn by d3 inside an SVG that React only frames. Boxes, rows and links enter, update and
 * leave keyed by id; motions play once a step, backwards when the cursor went back. `update` gives a promise that is
 * settled when everything stands still.
 */
import { easeCubicOut } from 'd3-ease';
import { interpolateNumber } from 'd3-interpolate';
import { select, type Selection } from 'd3-selection';
import { linkHorizontal, linkVertical } from 'd3-shape';
import 'd3-transition';
import { zoom, zoomIdentity, zoomTransform, type ZoomBehavior } from 'd3-zoom';
import { FOLD, HEAD, ROW, type Box } from '../../scene/layout.ts';
import type { Motion, Scene, SceneBox, SceneLink, SceneRow } from '../../scene/scene.ts';

const MOVE_MS = 220;
/** Text of 13 pixels stays at least 12 at fit; what does not fit is panned to. */
const LEAST_FIT = 12 / 13;
const MOST_FIT = 1.25;

export interface StageView {
  update(
    scene: Scene,
    options: { backwards: boolean; still: boolean; selected: string | undefined },
  ): Promise<void>;
  highlight(id: string | undefined): void;
  fit(): void;
  zoomBy(factor: number): void;
  destroy(): void;
}

type Group = Selection<SVGGElement, unknown, null, undefined>;

export function createStage(svg: SVGSVGElement, on: { select: (id: string | undefined) => void }): StageView {
  const root = select(svg);
  root.selectAll('*').remove();
  const camera = root.append('g').attr('class', 'camera');
  const zones = camera.append('g').attr('class', 'zones');
  const links = camera.append('g').attr('class', 'links');
  const boxes = camera.append('g').attr('class', 'boxes');
  const overlay = camera.append('g').attr('class', 'overlay');
  let current: Scene | undefined;
  let followed = true;

  const behavior: ZoomBehavior<SVGSVGElement, unknown> = zoom<SVGSVGElement, unknown>()
    .scaleExtent([0.3, 4])
    .on('zoom', (event: { transform: { toString: () => string }; sourceEvent: unknown }) => {
      camera.attr('transform', event.transform.toString());
      if (event.sourceEvent !== null && event.sourceEvent !== undefined) followed = false;
    });
  root.call(behavior).on('dblclick.zoom', null);

  const fit = (animated: boolean): void => {
    if (current === undefined) return;
    const target = fitTransform(svg, current);
    followed = true;
    if (animated) behavior.transform(root.transition().duration(MOVE_MS), target);
    else behavior.transform(root, target);
  };

  return {
    async update(scene, options) {
      const first = current?.layout !== scene.layout;
      current = scene;
      drawZones(zones, scene);
      drawBoxes(boxes, scene, on);
      drawLinks(links, scene);
      if (first) fit(false);
      if (followed) follow(svg, { scene, camera: root, behavior, still: options.still });
      paintSelection(camera, scene, options.selected);
      await play(overlay, { scene, boxes, links, backwards: options.backwards, still: options.still });
    },
    highlight(id) {
      if (current !== undefined) paintSelection(camera, current, id);
    },
    fit() {
      fit(true);
    },
    zoomBy(factor) {
      followed = false;
      behavior.scaleBy(root.transition().duration(MOVE_MS), factor);
    },
    destroy() {
      root.on('.zoom', null).selectAll('*').interrupt().remove();
    },
  };
}

function fitTransform(svg: SVGSVGElement, scene: Scene): typeof zoomIdentity {
  const { width, height } = svg.getBoundingClientRect();
  const margin = 10;
  const raw = Math.min(
    (width - 2 * margin) / scene.layout.width,
    (height - 2 * margin) / scene.layout.height,
  );
  const scale = Math.min(MOST_FIT, Math.max(LEAST_FIT, raw));
  const x = Math.max(margin, (width - scene.layout.width * scale) / 2);
  const y = Math.max(margin, (height - scene.layout.height * scale) / 2);
  return zoomIdentity.translate(x, y).scale(scale);
}

/** Pans, without zooming, so that what the step is about can be seen. */
function follow(
  svg: SVGSVGElement,
  by: {
    scene: Scene;
    camera: Selection<SVGSVGElement, unknown, null, undefined>;
    behavior: ZoomBehavior<SVGSVGElement, unknown>;
    still: boolean;
  },
): void {
  const { scene } = by;
  const focused = scene.boxes.filter((box) => scene.focus.includes(box.id));
  if (focused.length === 0) return;
  const view = svg.getBoundingClientRect();
  const transform = zoomTransform(svg);
  const margin = 24;
  const left = Math.min(...focused.map((box) => transform.x + box.x * transform.k));
  const right = Math.max(...focused.map((box) => transform.x + (box.x + box.width) * transform.k));
  const top = Math.min(...focused.map((box) => transform.y + box.y * transform.k));
  const bottom = Math.max(...focused.map((box) => transform.y + (box.y + box.height + 20) * transform.k));
  const dx =
    left < margin
      ? margin - left
      : right > view.width - margin
        ? Math.max(view.width - margin - right, margin - left)
        : 0;
  const dy =
    top < margin
      ? margin - top
      : bottom > view.height - margin
        ? Math.max(view.height - margin - bottom, margin - top)
        : 0;
  if (Math.abs(dx) < 1 && Math.abs(dy) < 1) return;
  const target = zoomIdentity.translate(transform.x + dx, transform.y + dy).scale(transform.k);
  if (by.still) by.behavior.transform(by.camera, target);
  else by.behavior.transform(by.camera.transition().duration(MOVE_MS), target);
}

function drawZones(group: Group, scene: Scene): void {
  const titles = { hardware: 'Hardware', guest: 'Guest memory', hypervisor: 'Hypervisor' } as const;
  const data = (['hardware', 'guest', 'hypervisor'] as const).map((name) => ({
    name,
    ...scene.layout.zones[name],
  }));
  const zone = group
    .selectAll<SVGGElement, (typeof data)[number]>('g.zone')
    .data(data, (d) => d.name)
    .join((enter) => {
      const made = enter.append('g').attr('class', (d) => `zone ${d.name}`);
      made.append('rect').attr('rx', 12);
      made
        .append('text')
        .attr('class', 'zone-title')
        .text((d) => titles[d.name]);
      return made;
    });
  zone.attr('transform', (d) => `translate(${String(d.x)},${String(d.y)})`);
  zone
    .select('rect')
    .attr('width', (d) => d.width)
    .attr('height', (d) => d.height);
  zone.select('text').attr('x', 14).attr('y', 4);
}

function drawBoxes(group: Group, scene: Scene, on: { select: (id: string | undefined) => void }): void {
  const box = group
    .selectAll<SVGGElement, SceneBox>('g.box')
    .data(scene.boxes, (d) => d.id)
    .join((enter) => {
      const made = enter
        .append('g')
        .attr('class', 'box')
        .attr('data-box', (d) => d.id);
      made.append('rect').attr('class', 'body').attr('rx', 9);
      made.append('text').attr('class', 'title').attr('x', 8).attr('y', 15);
      made.append('text').attr('class', 'subtitle').attr('y', 15).attr('text-anchor', 'end');
      made.append('g').attr('class', 'rows');
      made.append('text').attr('class', 'fold').attr('x', 8);
      const badge = made.append('g').attr('class', 'badge');
      badge.append('rect').attr('rx', 7).attr('height', 17);
      badge.append('title').text('May the guest write this table? ro: no, it is shadowed; rw: yes');
      badge.append('text').attr('y', 12.5).attr('text-anchor', 'end');
      made

        .attr('tabindex', 0)
        .attr('role', 'group')
        .on('pointerenter focus', (_event, d) => {
          on.select(d.id);
        })
        .on('pointerleave blur', () => {
          on.select(undefined);
        });
      return made;
    });
  box
    .attr('class', (d) => `box ${d.zone} ${d.state}${d.badge === undefined ? '' : ' badged'}`)
    .attr('aria-label', (d) =>
      [d.title, d.subtitle, d.badge, ...d.rows.map((row) => `${row.index} ${row.text}`)].join(' '),
    )
    .attr('transform', (d) => `translate(${String(d.x)},${String(d.y)})`);
  box
    .select<SVGRectElement>('rect.body')
    .attr('width', (d) => d.width)
    .attr('height', (d) => d.height + extraOf(d));
  box.select('text.title').text((d) => d.title);
  box
    .select('text.subtitle')
    .attr('x', (d) => d.width - 8)
    .text((d) => d.subtitle);
  box
    .select('text.fold')
    .attr('y', (d) => foldY(d))
    .text((d) => d.fold);
  box.each(function rows(d) {
    drawRows(select(this).select<SVGGElement>('g.rows'), d);
  });
  box.select<SVGGElement>('g.badge').each(function badge(d) {
    const node = select(this).attr('display', d.badge === undefined ? 'none' : null);
    const onCpu = d.id === 'vcpu:0';
    const width = (d.badge?.length ?? 0) * 6.8 + 16;
    node.attr(
      'transform',
      `translate(${String(d.width - 8)},${String(d.height + (onCpu ? -23 : extraOf(d) - 17))})`,
    );
    node
      .select('rect')
      .attr('x', 8 - width)
      .attr('width', width)
      .attr('display', onCpu ? null : 'none');
    node.select('text').text(d.badge ?? '');
  });
}

/** Room that the line with an old value takes. */
const extraOf = (box: SceneBox): number => (box.rows.some((row) => row.old !== undefined) ? ROW - 2 : 0);
const columnsOf = (box: SceneBox): number =>
  box.id === 'tlb:0' ? Math.max(1, Math.floor((box.width - 20) / 196)) : 1;
const foldY = (box: SceneBox): number =>
  box.id === 'tlb:0'
    ? box.rows.length === 0
      ? HEAD + 15
      : box.height - 8
    : HEAD + box.rows.length * ROW + extraOf(box) + FOLD - 5;

interface PlacedRow extends SceneRow {
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

/** Rows with their places; an entry that changes has its old value as a line of its own above it. */
function placeRows(box: SceneBox): readonly PlacedRow[] {
  const columns = columnsOf(box);
  const width = (box.width - (columns > 1 ? 16 : 0)) / columns;
  let extra = 0;
  return box.rows.map((row, index) => {
    if (row.old !== undefined) extra += ROW - 2;
    return {
      ...row,
      x: (columns > 1 ? 8 : 0) + (index % columns) * width,
      y: HEAD + Math.floor(index / columns) * ROW + extra,
      width,
    };
  });
}

function drawRows(group: Selection<SVGGElement, unknown, null, undefined>, box: SceneBox): void {
  const row = group
    .selectAll<SVGGElement, PlacedRow>('g.row')
    .data(placeRows(box), (d) => d.id)
    .join((enter) => {
      const made = enter
        .append('g')
        .attr('class', 'row')
        .attr('data-row', (d) => d.id);
      made.append('title');
      made.append('rect').attr('class', 'row-body');
      made.append('text').attr('class', 'index').attr('x', 8).attr('y', 14);
      made.append('text').attr('class', 'value').attr('y', 14);
      made.append('text').attr('class', 'flags').attr('y', 14).attr('text-anchor', 'end');
      made.append('text').attr('class', 'old').attr('y', -4);
      return made;
    });
  row
    .attr('class', (d) => `row ${d.state}${d.mark === undefined ? '' : ' marked'}`)
    .attr('transform', (d) => `translate(${String(d.x)},${String(d.y)})`);
  row
    .select('rect')
    .attr('x', 1)
    .attr('y', (d) => (d.old === undefined ? 0 : 2 - ROW))
    .attr('width', (d) => d.width - 2)
    .attr('height', (d) => (d.old === undefined ? ROW : 2 * ROW - 2));
  row.select('title').text((d) => d.title ?? d.mark ?? '');
  row.select('text.index').text((d) => d.index);
  row
    .select('text.value')
    .attr('x', (d) => (d.index === '' ? 9 : 37))
    .text((d) => d.text);
  row
    .select<SVGTextElement>('text.flags')
    .attr('x', (d) => d.width - 8)
    .each(function flags(d) {
      select(this)
        .selectAll('tspan')
        .data(d.flags)
        .join('tspan')
        .attr('class', (flag) => (flag.changed ? 'flag changed' : 'flag'))
        .text((flag) => flag.text);
    });
  row
    .select('text.old')
    .attr('x', 37)
    .text((d) =>
      d.old === undefined ? '' : `${d.old.text} ${d.old.flags.map((flag) => flag.text).join('')}`,
    );
}

interface Ends {
  readonly path: string;
}

function drawLinks(group: Group, scene: Scene): void {
  const boxes = new Map(scene.boxes.map((box) => [box.id, box]));
  const data = scene.links.map((link) => ({ ...link, ...endsOf(link, boxes) }));
  const path = group
    .selectAll<SVGPathElement, SceneLink & Ends>('path')
    .data(data, (d) => d.id)
    .join('path');
  path
    .attr(
      'class',
      (d) => `link ${d.kind}${d.active ? ' active' : ''}${d.label === undefined ? '' : ' broken'}`,
    )
    .attr('data-from', (d) => d.from.box)
    .attr('data-to', (d) => d.to.box)
    .attr('data-link', (d) => d.id)
    .attr('d', (d) => d.path);
}

interface Point {
  readonly x: number;
  readonly y: number;
}

const vertical = linkVertical<{ source: Point; target: Point }, Point>()
  .x((p) => p.x)
  .y((p) => p.y);
const horizontal = linkHorizontal<{ source: Point; target: Point }, Point>()
  .x((p) => p.x)
  .y((p) => p.y);

/** From the entry's side to the top of the table below, or across to an entry or frame. */
function endsOf(link: SceneLink, boxes: ReadonlyMap<string, SceneBox>): Ends {
  const from = boxes.get(link.from.box);
  const to = boxes.get(link.to.box);
  if (from === undefined || to === undefined) return { path: '' };
  if (link.kind === 'table' || link.kind === 'page') {
    return { path: to.y > from.y + from.height ? downwards(from, to, link) : sidewards(from, to, link) };
  }
  if (link.kind === 'tlb') {
    const source = { x: from.x + 40, y: from.y + from.height };
    return {
      path: vertical({ source, target: { x: to.x + to.width - 30, y: rowY(to, link.to.row) } }) ?? '',
    };
  }
  return { path: sidewards(from, to, link) };
}

/** From the side of the entry that is nearer to the child, out into the gap, down to the child's head. */
function downwards(from: SceneBox, to: SceneBox, link: SceneLink): string {
  const right = to.x > from.x + 4;
  const x = right ? from.x + from.width : from.x;
  const y = rowY(from, link.from.row);
  const out = right ? 8 : -8;
  const end = right ? to.x + to.width - 26 : to.x + 26;
  const middle = to.y - 15;
  return `M${String(x)},${String(y)} C${String(x + out * 1.6)},${String(y)} ${String(x + out)},${String(middle)} ${String((x + end) / 2)},${String(middle)} S${String(end)},${String(middle)} ${String(end)},${String(to.y)}`;
}

/** Across: from the entry's side to the side of what it leads to. */
function sidewards(from: SceneBox, to: SceneBox, link: SceneLink): string {
  const leftwards = to.x + to.width / 2 < from.x + from.width / 2;
  const source = { x: leftwards ? from.x : from.x + from.width, y: rowY(from, link.from.row) };
  const target = {
    x: leftwards ? to.x + to.width : to.x,
    y: link.to.row === undefined ? to.y + 12 : rowY(to, link.to.row),
  };
  return horizontal({ source, target }) ?? '';
}

function rowY(box: SceneBox, row: string | undefined): number {
  const placed = placeRows(box).find((candidate) => candidate.id === row);
  return box.y + (placed === undefined ? HEAD / 2 : placed.y + ROW / 2);
}

/** What is related to the selected box lights up: the box, its links, and what they lead to. */
function paintSelection(
  camera: Selection<SVGGElement, unknown, null, undefined>,
  scene: Scene,
  id: string | undefined,
): void {
  const related = new Set<string>();
  if (id !== undefined) {
    related.add(id);
    for (const link of scene.links) {
      if (link.from.box === id) related.add(link.to.box);
      if (link.to.box === id) related.add(link.from.box);
    }
  }
  camera.classed('selecting', id !== undefined);
  camera.selectAll<SVGGElement, SceneBox>('g.box').classed('related', (d) => related.has(d.id));
  camera
    .selectAll<SVGPathElement, SceneLink>('path.link')
    .classed('related', (d) => id !== undefined && (d.from.box === id || d.to.box === id));
}

interface Playing {
  readonly scene: Scene;
  readonly boxes: Group;
  readonly links: Group;
  readonly backwards: boolean;
  readonly still: boolean;
}

/** Plays the step's motions; settles when all have ended. */
async function play(overlay: Group, playing: Playing): Promise<void> {
  overlay.selectAll('*').interrupt().remove();
  const boxes = new Map(playing.scene.boxes.map((box) => [box.id, box]));
  const runs = playing.scene.motions.slice(0, 12).flatMap((motion) => {
    const box = boxes.get(motion.box);
    const run = box === undefined ? undefined : animate(overlay, motion, { ...playing, box });
    return run === undefined ? [] : [run];
  });
  await Promise.allSettled(runs);
}

function animate(overlay: Group, motion: Motion, by: Playing & { box: SceneBox }): Promise<void> | undefined {
  const area = areaOf(by.box, motion.row);
  const mark = overlay.append('g').attr('data-motion', motion.kind).attr('class', `motion ${motion.kind}`);
  if (by.still) {
    frame(mark, area);
    return undefined;
  }
  if (motion.kind === 'fault') return shake(by.boxes, motion.box, by.backwards);
  if (motion.kind === 'read' && motion.link !== undefined)
    return pulse(mark, { links: by.links, link: motion.link, area, backwards: by.backwards });
  if (motion.kind === 'write-protect') return dropLock(mark, area, by.backwards);
  if (motion.kind === 'flush') return sweep(mark, area, by.backwards);
  if (motion.kind === 'exit') return travel(mark, { scene: by.scene, area, backwards: by.backwards });
  return flash(mark, area);
}

function areaOf(box: SceneBox, row: string | undefined): Box {
  const placed = placeRows(box).find((candidate) => candidate.id === row);
  if (placed === undefined) return box;
  return { x: box.x + placed.x, y: box.y + placed.y, width: placed.width, height: ROW };
}

const frame = (mark: Group, area: Box) =>
  mark
    .append('rect')
    .attr('class', 'frame')
    .attr('rx', 5)
    .attr('x', area.x)
    .attr('y', area.y)
    .attr('width', area.width)
    .attr('height', area.height);

async function flash(mark: Group, area: Box): Promise<void> {
  await frame(mark, area)
    .style('opacity', 1)
    .transition()
    .duration(MOVE_MS)
    .ease(easeCubicOut)
    .style('opacity', 0)
    .end();
}

/** A dot along the link that leads to the table that is read. */
async function pulse(
  mark: Group,
  by: { links: Group; link: string; area: Box; backwards: boolean },
): Promise<void> {
  const path = by.links
    .selectAll<SVGPathElement, SceneLink>('path')
    .filter((d) => d.id === by.link)
    .node();
  const length = path?.getTotalLength() ?? 0;
  if (path === null || length === 0) {
    await flash(mark, by.area);
    return;
  }
  const along = interpolateNumber(by.backwards ? length : 0, by.backwards ? 0 : length);
  const dot = mark.append('circle').attr('r', 5);
  await dot
    .transition()
    .duration(MOVE_MS)
    .ease(easeCubicOut)
    .attrTween('transform', () => (t) => {
      const point = path.getPointAtLength(along(t));
      return `translate(${String(point.x)},${String(point.y)})`;
    })
    .end();
  dot.remove();
}

async function shake(boxes: Group, id: string, backwards: boolean): Promise<void> {
  const box = boxes
    .selectAll<SVGGElement, SceneBox>('g.box')
    .filter((d) => d.id === id)
    .attr('data-motion', 'fault');
  const sign = backwards ? -1 : 1;
  await box
    .transition()
    .duration(MOVE_MS)
    .attrTween('transform', (d) => (t) => {
      const offset = sign * Math.sin(t * Math.PI * 6) * 5 * (1 - t);
      return `translate(${String(d.x + offset)},${String(d.y)})`;
    })
    .end();
  box.attr('data-motion', null);
}

const LOCK = 'M-5,-1 h10 v8 h-10 z M-3,-1 v-3 a3,3 0 0 1 6,0 v3';

/** A lock falls onto the entry that loses its write right; backwards it rises. */
async function dropLock(mark: Group, area: Box, backwards: boolean): Promise<void> {
  const x = area.x + area.width - 4;
  const y = area.y + area.height / 2 - 2;
  const from = backwards ? y : y - 42;
  const to = backwards ? y - 42 : y;
  mark
    .append('rect')
    .attr('class', 'frame')
    .attr('rx', 5)
    .attr('x', area.x)
    .attr('y', area.y)
    .attr('width', area.width)
    .attr('height', area.height);
  const lock = mark
    .append('path')
    .attr('class', 'lock')
    .attr('d', LOCK)
    .attr('transform', `translate(${String(x)},${String(from)}) scale(1.4)`);
  await lock
    .transition()
    .duration(MOVE_MS * 1.4)
    .ease(easeCubicOut)
    .attr('transform', `translate(${String(x)},${String(to)}) scale(1.4)`)
    .end();
}

/** A bar sweeps over the TLB. */
async function sweep(mark: Group, area: Box, backwards: boolean): Promise<void> {
  const from = backwards ? area.x + area.width - 8 : area.x;
  const to = backwards ? area.x : area.x + area.width - 8;
  const bar = mark
    .append('rect')
    .attr('class', 'bar')
    .attr('y', area.y + 2)
    .attr('height', area.height - 4)
    .attr('width', 8)
    .attr('x', from);
  await bar
    .transition()
    .duration(MOVE_MS * 1.4)
    .ease(easeCubicOut)
    .attr('x', to)
    .end();
  bar.remove();
}

/** A dot goes from the vCPU to the hypervisor, or back. */
async function travel(mark: Group, by: { scene: Scene; area: Box; backwards: boolean }): Promise<void> {
  const zone = by.scene.layout.zones.hypervisor;
  const cpu = { x: by.area.x + by.area.width, y: by.area.y + by.area.height / 2 };
  const there = { x: zone.x + 60, y: zone.y + 6 };
  const leaving = by.scene.boxes.some((box) => box.id === 'vcpu:0' && box.subtitle.startsWith('in exit'));
  const [from, to] = leaving !== by.backwards ? [cpu, there] : [there, cpu];
  const dot = mark.append('circle').attr('r', 7).attr('cx', from.x).attr('cy', from.y);
  await dot
    .transition()
    .duration(MOVE_MS * 1.2)
    .ease(easeCubicOut)
    .attr('cx', to.x)
    .attr('cy', to.y)
    .end();
  dot.remove();
}
