/**
 * The world at the cursor, as things to draw: boxes with rows, links that end at entries or frames, and motions. Pure:
 * everything comes out of the world, the step and the cast; nothing is worked out about what the MMU would do.
 */
import type { StepView, Timeline } from '../timeline/timeline.ts';
import type { Cast } from './cast.ts';
import type { Layout } from './layout.ts';
import { rowId, type Context, type Scene, type Show } from './parts.ts';
import { kvmShow } from './kvm-show.ts';
import { motionsOf } from './scene-motions.ts';

/** What stays the same from one scene of a run to the next. */
export interface Drawn {
  readonly cast: Cast;
  readonly layout: Layout;
  readonly names: ReadonlyMap<string, bigint>;
  readonly show?: Show;
}

export function sceneAt(timeline: Timeline, drawn: Drawn): Scene {
  const step = timeline.position > timeline.begin ? timeline.step(timeline.position - 1) : undefined;
  const context: Context = {
    world: timeline.world,
    settings: timeline.program.settings,
    cast: drawn.cast,
    layout: drawn.layout,
    step,
    changes: new Map(
      step?.changes.map((change) => [`${change.place.table}:${String(change.place.key)}`, change]),
    ),
    reads: new Set(step?.reads.map((place) => `${place.table}:${String(place.key)}`)),
    refused: readBefore(timeline, step),
    nameOf: (gva) => [...drawn.names].find(([, value]) => value >> 12n === gva >> 12n)?.[0],
  };
  const { show = kvmShow } = drawn;
  const boxes = show.boxes(context);
  const known = new Set(boxes.filter((box) => box.state !== 'absent').map((box) => box.id));
  const links = show.links(context).filter((link) => known.has(link.from.box) && known.has(link.to.box));
  const focus = boxes.filter((box) => box.state === 'touched' || box.state === 'new').map((box) => box.id);
  const note = show.note?.(context);
  return {
    layout: drawn.layout,
    boxes,
    links,
    motions: show.motions?.(context, { boxes, links }) ?? motionsOf(context, { boxes, links }),
    focus,
    ...(note === undefined ? {} : { note }),
  };
}

function readBefore(timeline: Timeline, step: StepView | undefined): ReadonlySet<string> {
  if (step === undefined || step.index === 0) return new Set();
  const words = timeline.journal
    .readsOf(step.index - 1)
    .flatMap((place) => (place.table === 'word' ? [rowId(Number(place.key))] : []));
  return new Set(words.flatMap((row) => [row, `${row}.0`, `${row}.1`]));
}
