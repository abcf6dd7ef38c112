/** Pages of the guest, with their bit in the dirty log, and reverse maps, as boxes. */
import { frameOfWord, type Gfn, type Pfn } from '../core/quantities.ts';
import { gfnOfPfn, slotOfGfn } from '../core/kvm/memslots.ts';
import { pointers, RMAP_LIST } from '../core/kvm/pointer-list.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { hostFrameOf, type World } from '../core/machine/world.ts';
import { sizeText } from './dialect.ts';
import { indexText } from './entries.ts';
import { isSmall } from './layout.ts';
import { fillText } from './list-shape.ts';
import { hex, place, stateOfKeys, type Context, type SceneBox } from './parts.ts';

export function pageBoxes(context: Context): readonly SceneBox[] {
  const small = isSmall(context.cast.frames.length);
  const touches = wordsTouched(context);
  return context.cast.frames.map((gfn) => {
    const pfn = hostFrameOf(gfn);
    const count = context.cast.largePages.get(gfn) ?? 1;
    const touched = count === 1 ? touches.get(pfn) : firstWithin(touches, { pfn, count });
    const word = touched ?? pfn * 512;
    const id = `frame:${hex(gfn)}`;
    const key = `word:${String(word)}`;
    const size = count === 1 ? '' : ` ${sizeText(12 + Math.log2(count))}`;
    const log = logText(context, gfn);
    const logChanged = context.changes.has(`dirty:${String(gfn)}`);
    // Field by field: copying an object of unknown shape into a new one is what a scene of many boxes costs most.
    const { x, y, width, height } = place(context, id);
    return {
      x,
      y,
      width,
      height,
      id,
      zone: 'guest',
      title: small ? `gfn ${hex(gfn)}${size}` : `page${size}`,
      subtitle: small ? log : `gfn ${hex(gfn)}${log === '' ? '' : ` · ${log}`}`,
      rows: small
        ? []
        : [
            {
              id: `page:${hex(gfn)}`,
              index: hex((word - pfn * 512) * 8).padStart(3, '0'),
              text: hex(context.world.word(word)),
              flags: [],
              state: touched === undefined ? 'quiet' : stateOfKeys(context, [key]),
            },
          ],
      fold: '',
      state: touched === undefined && !logChanged ? 'quiet' : 'touched',
    } satisfies SceneBox;
  });
}

/**
 * Of each frame in which the step reads or changes memory, the first such word: a step may clear a whole table, and
 * there may be a hundred pages to draw.
 */
function wordsTouched({ changes, reads }: Context): ReadonlyMap<number, number> {
  const touches = new Map<number, number>();
  for (const ids of [changes.keys(), reads]) {
    for (const id of ids) {
      if (!id.startsWith('word:')) continue;
      const word = Number(id.slice(5));
      const frame = frameOfWord(word);
      if (!touches.has(frame)) touches.set(frame, word);
    }
  }
  return touches;
}

function firstWithin(
  touches: ReadonlyMap<number, number>,
  { pfn, count }: { pfn: Pfn; count: number },
): number | undefined {
  for (const [frame, word] of touches) if (frame >= pfn && frame < pfn + count) return word;
  return undefined;
}

/** Where a slot is logged: whether the frame was written since user space last fetched the log. */
function logText({ world, cast }: Context, gfn: Gfn): string {
  if (cast.kvm?.logs !== true) return '';
  if (world.get('dirty', gfn) !== undefined) return 'dirty';
  const slot = slotOfGfn(world, gfn);
  return slot !== undefined && world.get('slot', slot)?.logged === true ? 'clean' : '';
}

export function rmapBoxes(context: Context): readonly SceneBox[] {
  const small = isSmall(context.cast.rmaps.length);
  const { world } = context;
  return context.cast.rmaps.map((pfn) => {
    const words = pointers(world, RMAP_LIST, world.get('rmap', pfn));
    const state = stateOfKeys(context, [`rmap:${String(pfn)}`]);
    const [first] = words;
    const name = first === undefined ? 'nobody writes it' : entryName(world, first);
    const id = `rmap:${hex(pfn)}`;
    const frame = hex(gfnOfPfn(pfn) ?? pfn);
    const { x, y, width, height } = place(context, id);
    return {
      x,
      y,
      width,
      height,
      id,
      zone: 'hypervisor',
      title: small ? `rmap ${frame}` : rmapTitle(world, pfn),
      subtitle: small ? smallCount(world, pfn, words.length) : `gfn ${frame}`,
      rows: small
        ? []
        : [
            {
              id: `r:${hex(pfn)}`,
              index: '',
              text: words.length > 1 ? `${name} +${String(words.length - 1)}` : name,
              flags: [],
              state,
            },
          ],
      fold: '',
      state: state === 'quiet' ? 'quiet' : 'touched',
    } satisfies SceneBox;
  });
}

const chainText = (world: World, pfn: Pfn): string => fillText(world, RMAP_LIST, world.get('rmap', pfn));

/** A reverse map is a plain pointer, or descriptors of four pointers each: then it says how full each is. */
const rmapTitle = (world: World, pfn: Pfn): string => {
  const fill = chainText(world, pfn);
  return fill === '' ? 'reverse map' : `rmap ${fill} of 4`;
};

const smallCount = (world: World, pfn: Pfn, count: number): string =>
  `${count > 4 ? chainText(world, pfn) : String(count)} rw`;

/** `sp 6 [013]`. */
export function entryName(world: World, word: number): string {
  const page = shadowPageAt(world, frameOfWord(word));
  return `${page === undefined ? 'freed' : `sp ${String(page.serial)}`} [${indexText(word % 512)}]`;
}
