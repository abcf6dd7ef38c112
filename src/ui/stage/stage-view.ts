/**
 * The picture of a scene, drawn by d3 inside an SVG that React only frames. Boxes, rows and links enter, update and
 * leave keyed by id; motions play once a step, backwards when the cursor went back. `update` gives a promise that is
 * settled when everything stands still.
 */
import { select, type BaseType, type Selection } from 'd3-selection';
import { ROW } from '../../scene/layout.ts';
import type { Flag, Scene, SceneBox, SceneLink } from '../../scene/parts.ts';
import { STRINGS } from '../strings.ts';
import { Camera, type Viewport } from './camera.ts';
import { endsOf, extraOf, foldY, placeRows, shapeOf, type Ends, type PlacedRow } from './geometry.ts';

export interface StageView {
  update(
    scene: Scene,
    options: {
      viewport: Viewport;
      backwards: boolean;
      still: boolean;
      selected: string | undefined;
    },
  ): Promise<void>;
  highlight(id: string | undefined): void;
  fit(): void;
  zoomBy(factor: number): void;
  destroy(): void;
}

type Group = Selection<SVGGElement, unknown, null, undefined>;

export interface StageEvents {
  readonly select: (id: string | undefined) => void;
  /** A row was pressed: an entry or a register to look into. */
  readonly inspect: (row: string) => void;
}

/**
 * `host` is the window onto the picture. The camera moves the picture as a whole by a CSS transform: a transform inside
 * the SVG would make the browser lay out every text in it at each frame of a pan.
 */
export function createStage(host: HTMLElement, on: StageEvents): StageView {
  const root = select(host);
  root.selectAll('*').remove();
  const picture = root.append('svg').attr('class', 'picture').attr('role', 'presentation');
  const camera = picture.append('g').attr('class', 'camera');
  const zones = camera.append('g').attr('class', 'zones');
  const links = camera.append('g').attr('class', 'links');
  const boxes = camera.append('g').attr('class', 'boxes');
  const overlay = camera.append('g').attr('class', 'overlay');
  const eye = new Camera(host, ({ x, y, k }) => {
    picture.style('transform', `translate(${String(x)}px, ${String(y)}px) scale(${String(k)})`);
    overview?.look({ x, y, k }, eye.viewport);
  });
  let current: Scene | undefined;
  let moving: typeof import('./motions.ts') | undefined;
  let overview: import('./overview.ts').Overview | undefined;

  return {
    async update(scene, options) {
      const first = current?.layout !== scene.layout;
      const before = first ? undefined : current;
      current = scene;
      eye.viewport = options.viewport;
      if (first) {
        picture.attr('width', scene.layout.width).attr('height', scene.layout.height);
        drawZones(zones, scene);
      }
      drawNote(zones, scene);
      drawBoxes(boxes, { scene, before, on });
      drawLinks(links, scene);
      if (first) eye.fit(scene, false);
      eye.follow(scene, !options.still);
      paintSelection(camera, scene, options.selected);
      moving?.clearMotions(overlay);
      // The new state is painted first, then what moved moves.
      if (!options.still) await painted();
      await eye.handOver();
      moving ??= await import('./motions.ts');
      if (current !== scene) return;
      // Where there is much to draw, a small picture of it all says where one is.
      if (overview === undefined && scene.layout.boxes.size > MANY_BOXES)
        overview = (await import('./overview.ts')).createOverview(host, eye);
      overview?.update(scene);
      await moving.play(overlay, { scene, boxes, links, backwards: options.backwards, still: options.still });
    },
    highlight(id) {
      if (current !== undefined) paintSelection(camera, current, id);
    },
    fit() {
      if (current !== undefined) eye.fit(current, true);
    },
    zoomBy(factor) {
      eye.zoomBy(factor);
    },
    destroy() {
      moving?.clearMotions(overlay);
      overview?.destroy();
      eye.destroy();
      root.selectAll('*').remove();
    },
  };
}

/** A shadow page can be looked into as a whole: its role. */
const ofRole = (id: string): boolean => id.startsWith('sp:');

/** From here on a picture rarely fits its window with text that can be read. */
const MANY_BOXES = 30;

const painted = (): Promise<void> =>
  new Promise((resolve) => {
    requestAnimationFrame(() => {
      setTimeout(resolve, 0);
    });
  });

const ZONES = ['hardware', 'guest', 'hypervisor'] as const;

function drawZones(group: Group, scene: Scene): void {
  const { zones } = scene.layout;
  const alone = zones.hypervisor === undefined;
  const data = ZONES.flatMap((name) => {
    const area = zones[name];
    const title = name === 'guest' && alone ? STRINGS.memory : STRINGS[name];
    return area === undefined ? [] : [{ name, title, ...area }];
  });
  const zone = group
    .selectAll<SVGGElement, (typeof data)[number]>('g.zone')
    .data(data, (d) => d.name)
    .join((enter) => {
      const made = enter.append('g').attr('class', (d) => `zone ${d.name}`);
      made.append('rect').attr('rx', 12);
      made.append('text').attr('class', 'zone-title');
      return made;
    });
  setText(zone.select('text'), (d) => d.title);
  zone.attr('transform', (d) => `translate(${String(d.x)},${String(d.y)})`);
  zone
    .select('rect')
    .attr('width', (d) => d.width)
    .attr('height', (d) => d.height);
  zone.select('text').attr('x', 14).attr('y', 4);
}

/** At the right end of the hypervisor's zone, what it has once. */
function drawNote(group: Group, { note, layout }: Scene): void {
  const area = layout.zones.hypervisor;
  const text = group
    .selectAll<SVGTextElement, string>('text.zone-note')
    .data(note === undefined || area === undefined ? [] : [note.text])
    .join((enter) => {
      const made = enter.append('text').attr('class', 'zone-note').attr('text-anchor', 'end');
      made.append('tspan');
      made.append('title');
      return made;
    });
  if (note === undefined || area === undefined) return;
  text
    .attr('x', area.x + area.width - 12)
    .attr('y', area.y + 4)
    .classed('changed', note.changed);
  setText(text.select('tspan'), (own) => own);
  setText(text.select('title').datum(note.title), (own) => own);
}

/** Only boxes that differ from what is drawn are touched: most of a scene stands still in most steps. */
function drawBoxes(
  group: Group,
  { scene, before, on }: { scene: Scene; before: Scene | undefined; on: StageEvents },
): void {
  const drawn = new Map(before?.boxes.map((box) => [box.id, box]));
  const box = group
    .selectAll<SVGGElement, SceneBox>('g.box')
    .data(scene.boxes, (d) => d.id)
    .join((enter) => {
      const made = enter
        .append('g')
        .attr('class', 'box')
        .attr('data-box', (d) => d.id);
      made.append('rect').attr('class', 'body').attr('rx', 9);
      made.append('path').attr('class', 'shape');
      made.append('text').attr('class', 'title').attr('x', 8).attr('y', 15);
      made.append('text').attr('class', 'subtitle').attr('y', 15).attr('text-anchor', 'end');
      made.append('g').attr('class', 'rows');
      made.append('text').attr('class', 'fold').attr('x', 8);
      const badge = made.append('g').attr('class', 'badge');
      badge.append('rect').attr('rx', 7).attr('height', 17);
      badge.append('title').text(STRINGS.badge);
      badge.append('text').attr('y', 12.5).attr('text-anchor', 'end');
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
    })
    .filter((d) => !isSame(drawn.get(d.id), d));
  box
    .attr(
      'class',
      (d) =>
        `box ${d.zone} ${d.state}${d.badge === undefined ? '' : ' badged'}${d.look === undefined ? '' : ` ${d.look}`}`,
    )
    .attr('aria-label', (d) =>
      [d.title, d.subtitle, d.badge, ...d.rows.map((row) => `${row.index} ${row.text}`)].join(' '),
    )
    .attr('transform', (d) => `translate(${String(d.x)},${String(d.y)})`);
  box
    .select<SVGRectElement>('rect.body')
    .attr('width', (d) => d.width)
    .attr('height', (d) => d.height + extraOf(d));
  box.select('path.shape').attr('d', shapeOf);
  setText(box.select('text.title'), (d) => d.title);
  setText(
    box.select('text.subtitle').attr('x', (d) => d.width - 8),
    (d) => d.subtitle,
  );
  setText(
    box.select('text.fold').attr('y', (d) => foldY(d)),
    (d) => d.fold,
  );
  box.each(function rows(d) {
    drawRows(select(this).select<SVGGElement>('g.rows'), d, on);
  });
  box.select<SVGGElement>('g.badge').each(function badge(d) {
    const node = select(this).attr('display', d.badge === undefined ? 'none' : null);
    const onCpu = d.id.startsWith('vcpu:');
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
    setText(node.select('text').datum(d.badge ?? ''), (own) => own);
  });
}

/** Whether two plain values are alike, however deep. */
function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return keys.every((key) => isSame(left[key], right[key]));
}

function drawRows(
  group: Selection<SVGGElement, unknown, null, undefined>,
  box: SceneBox,
  on: StageEvents,
): void {
  const row = group
    .selectAll<SVGGElement, PlacedRow>('g.row')
    .data(placeRows(box), (d) => d.id)
    .join((enter) => {
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
  setText(row.select('title'), (d) => d.title ?? d.mark ?? '');
  setText(row.select('text.index'), (d) => d.index);
  setText(
    row.select('text.value').attr('x', (d) => d.textX),
    (d) => d.text,
  );
  row
    .select<SVGTextElement>('text.flags')
    .attr('x', (d) => d.width - 8)
    .each(function flags(d) {
      drawFlags(this, d.flags);
    });
  setText(
    row.select('text.old').attr('x', (d) => d.textX),
    (d) => (d.old === undefined ? '' : `${d.old.text} ${d.old.flags.map((flag) => flag.text).join('')}`),
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

/** Like d3's `text`, but a text that stays is left alone: a new text node would be laid out anew. */
function setText<E extends BaseType, D, P extends BaseType>(
  selection: Selection<E, D, P, unknown>,
  text: (datum: D) => string,
): void {
  selection.each(function set(d) {
    const value = text(d);
    if (this instanceof Element && this.textContent !== value) this.textContent = value;
  });
}

/** How each link was drawn last. */
const LOOKS = new WeakMap<SVGPathElement, string>();

function drawLinks(group: Group, scene: Scene): void {
  const boxes = new Map(scene.boxes.map((box) => [box.id, box]));
  const data = scene.links.map((link) => ({ ...link, ...endsOf(link, boxes) }));
  const path = group
    .selectAll<SVGPathElement, SceneLink & Ends>('path')
    .data(data, (d) => d.id)
    .join('path')
    .filter(function differs(d) {
      const look = `${d.kind} ${String(d.active)} ${d.label ?? ''} ${d.path}`;
      if (LOOKS.get(this) === look) return false;
      LOOKS.set(this, look);
      return true;
    });
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

/** What is related to the selected box, or to the box of the selected row, lights up: it, its links, where they lead. */
function paintSelection(
  camera: Selection<SVGGElement, unknown, null, undefined>,
  scene: Scene,
  id: string | undefined,
): void {
  const own = new Set(
    id === undefined
      ? []
      : scene.boxes
          .filter((box) => box.id === id || box.rows.some((row) => row.id === id))
          .map((box) => box.id),
  );
  const related = new Set(own);
  for (const link of scene.links) {
    if (own.has(link.from.box)) related.add(link.to.box);
    if (own.has(link.to.box)) related.add(link.from.box);
  }
  if (own.size === 0 && !camera.classed('selecting')) return;
  camera.classed('selecting', own.size > 0);
  camera.selectAll<SVGGElement, SceneBox>('g.box').classed('related', (d) => related.has(d.id));
  camera.selectAll<SVGGElement, PlacedRow>('g.row').classed('selected', (d) => d.id === id);
  camera
    .selectAll<SVGPathElement, SceneLink>('path.link')
    .classed('related', (d) => own.has(d.from.box) || own.has(d.to.box));
}
