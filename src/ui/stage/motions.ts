/** The motions of a step: a pulse for a read, a shake for a fault, a lock for a write-protect, and so on. Backwards they reverse. */
import { easeCubicOut } from 'd3-ease';
import { interpolateNumber } from 'd3-interpolate';
import type { Selection } from 'd3-selection';
import 'd3-transition';
import type { Box } from '../../scene/layout.ts';
import type { Motion, Scene, SceneBox, SceneLink } from '../../scene/parts.ts';
import { areaOf } from './geometry.ts';
import { MOVE_MS } from './moving.ts';

type Group = Selection<SVGGElement, unknown, null, undefined>;

interface Playing {
  readonly scene: Scene;
  readonly boxes: Group;
  readonly links: Group;
  readonly backwards: boolean;
  readonly still: boolean;
}

export function clearMotions(overlay: Group): void {
  overlay.selectAll('*').interrupt().remove();
}

/** Plays the step's motions; settles when all have ended. */
export async function play(overlay: Group, playing: Playing): Promise<void> {
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
  if (motion.kind === 'exit') return travel(mark, { scene: by.scene, motion, area, backwards: by.backwards });
  if (motion.kind === 'ipi') return strike(mark, { scene: by.scene, motion, area, backwards: by.backwards });
  return flash(mark, area);
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
    .style('stroke-opacity', 1)
    .transition()
    .duration(MOVE_MS)
    .ease(easeCubicOut)
    .style('stroke-opacity', 0)
    .end();
  // Now, and not when the next step comes: that would have to wait for it.
  mark.remove();
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
    .attrTween('transform', () => (t) => {
      const offset = sign * Math.sin(t * Math.PI * 6) * 5 * (1 - t);
      return `translate(${String(offset)},0)`;
    })
    .end();
  box.attr('data-motion', null).attr('transform', null);
}

const LOCK = 'M-5,-1 h10 v8 h-10 z M-3,-1 v-3 a3,3 0 0 1 6,0 v3';

/** A lock falls onto the entry that loses its write right; backwards it rises. */
async function dropLock(mark: Group, area: Box, backwards: boolean): Promise<void> {
  const x = area.x + area.width - 4;
  const y = area.y + area.height / 2 - 2;
  const from = backwards ? y : y - 42;
  const to = backwards ? y - 42 : y;
  frame(mark, area);
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

interface Flight {
  readonly scene: Scene;
  readonly motion: Motion;
  readonly area: Box;
  readonly backwards: boolean;
}

/** A dot goes from the vCPU to the hypervisor, or back. */
function travel(mark: Group, { scene, motion, area, backwards }: Flight): Promise<void> {
  const zone = scene.layout.zones.hypervisor ?? scene.layout.zones.guest;
  const cpu = { x: area.x + area.width, y: area.y + area.height / 2 };
  const there = { x: zone.x + 60, y: zone.y + 6 };
  const leaving = scene.boxes.some((box) => box.id === motion.box && box.subtitle.startsWith('in exit'));
  return fly(mark, leaving !== backwards ? [cpu, there] : [there, cpu]);
}

/** An interrupt goes from one vCPU to another; from above, where no vCPU sent it. */
function strike(mark: Group, { scene, motion, area, backwards }: Flight): Promise<void> {
  const sender = scene.boxes.find((box) => box.id === motion.from);
  const there = { x: area.x + area.width / 2, y: area.y + area.height / 2 };
  const here =
    sender === undefined
      ? { x: there.x, y: area.y - 30 }
      : { x: sender.x + sender.width / 2, y: sender.y + sender.height / 2 };
  return fly(mark, backwards ? [there, here] : [here, there]);
}

interface Spot {
  readonly x: number;
  readonly y: number;
}

async function fly(mark: Group, [from, to]: readonly [Spot, Spot]): Promise<void> {
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
