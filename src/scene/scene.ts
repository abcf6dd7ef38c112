/**
 * The world at the cursor, as things to draw: boxes with rows, links that end at entries or frames, and motions. Pure:
 * everything comes out of the world, the step and the cast; nothing is worked out about what the MMU would do.
 */
import type { Timeline } from '../timeline/timeline.ts';
import type { Cast } from './cast.ts';
import type { Layout } from './layout.ts';
import { type Context, type Scene } from './parts.ts';
import { tableBoxes, pageBoxes, rmapBoxes } from './table-boxes.ts';
import { hardwareBoxes } from './hardware-boxes.ts';
import { allLinks } from './scene-links.ts';
import { motionsOf } from './scene-motions.ts';

export function sceneAt(
  timeline: Timeline,
  drawn: { cast: Cast; layout: Layout; names: ReadonlyMap<string, bigint> },
): Scene {
  const step = timeline.position > timeline.begin ? timeline.step(timeline.position - 1) : undefined;
  const context: Context = {
    world: timeline.world,
    cast: drawn.cast,
    layout: drawn.layout,
    step,
    changes: new Map(
      step?.changes.map((change) => [`${change.place.table}:${String(change.place.key)}`, change]),
    ),
    reads: new Set(step?.reads.map((place) => `${place.table}:${String(place.key)}`)),
    nameOf: (gva) => [...drawn.names].find(([, value]) => value >> 12n === gva >> 12n)?.[0],
  };
  const boxes = [
    ...hardwareBoxes(context),
    ...tableBoxes(context),
    ...pageBoxes(context),
    ...rmapBoxes(context),
  ];
  const known = new Set(boxes.filter((box) => box.state !== 'absent').map((box) => box.id));
  const links = allLinks(context).filter((link) => known.has(link.from.box) && known.has(link.to.box));
  const focus = boxes.filter((box) => box.state === 'touched' || box.state === 'new').map((box) => box.id);
  return { layout: drawn.layout, boxes, links, motions: motionsOf(context, { boxes, links }), focus };
}
