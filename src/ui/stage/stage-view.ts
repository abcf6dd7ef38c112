/**
 * The picture of a scene, drawn by d3 inside an SVG that React only frames. Boxes, rows and links enter, update and
 * leave keyed by id; motions play once a step, backwards when the cursor went back. `update` gives a promise that is
 * settled when everything stands still.
 */
import { select, type Selection } from 'd3-selection';
import type { Scene } from '../../scene/parts.ts';
import { afterPaint } from '../../store/after-paint.ts';
import { STRINGS } from '../strings.ts';
import { Camera, type Viewport } from './camera.ts';
import { drawBoxes, type StageEvents } from './draw-boxes.ts';
import { drawLinks } from './draw-links.ts';
import { setText } from './sparing.ts';

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
  /** What the first picture can do without. */
  let later: typeof import('./later.ts') | undefined;
  let overview: import('./overview.ts').Overview | undefined;

  return {
    async update(scene, options) {
      const first = current?.layout !== scene.layout;
      current = scene;
      eye.viewport = options.viewport;
      if (first) {
        picture.attr('width', scene.layout.width).attr('height', scene.layout.height);
        drawZones(zones, scene);
      }
      boxes.each(function draw() {
        drawBoxes(this, scene, on);
      });
      links.each(function draw() {
        drawLinks(this, scene);
      });
      if (first) eye.fit(scene, false);
      eye.follow(scene, !options.still);
      later?.paintSelection(camera, scene, options.selected);
      later?.clearMotions(overlay);
      // The new state is painted first, then what moved moves.
      if (!options.still) await new Promise<void>(afterPaint);
      await eye.handOver();
      later ??= await import('./later.ts');
      if (current !== scene) return;
      later.drawNote(zones, scene);
      // Where there is much to draw, a small picture of it all says where one is.
      if (overview === undefined && scene.layout.boxes.size > MANY_BOXES)
        overview = (await import('./overview.ts')).createOverview(host, eye);
      overview?.update(scene);
      await later.play(overlay, { scene, boxes, links, backwards: options.backwards, still: options.still });
    },
    highlight(id) {
      if (current !== undefined) later?.paintSelection(camera, current, id);
    },
    fit() {
      if (current !== undefined) eye.fit(current, true);
    },
    zoomBy(factor) {
      eye.zoomBy(factor);
    },
    destroy() {
      later?.clearMotions(overlay);
      overview?.destroy();
      eye.destroy();
      root.selectAll('*').remove();
    },
  };
}

/** From here on a picture rarely fits its window with text that can be read. */
const MANY_BOXES = 30;

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
  zone
    .select('rect')
    .attr('x', (d) => d.x)
    .attr('y', (d) => d.y)
    .attr('width', (d) => d.width)
    .attr('height', (d) => d.height);
  zone
    .select('text')
    .attr('x', (d) => d.x + 14)
    .attr('y', (d) => d.y + 4);
}
