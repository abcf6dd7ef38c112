/** Pages of the guest, and reverse maps by slot, level and guest frame, as boxes. */
import type { World } from '../../core/machine/world.ts';
import { isWritable } from '../../core/kvm-shadow/spte.ts';
import { slotAt } from '../../core/kvm-shadow/vm.ts';
import type { Gfn } from '../../core/quantities.ts';
import { sizeText } from '../dialect.ts';
import { indexText } from '../entries.ts';
import { isSmall } from '../layout.ts';
import { hex, place, stateOfKeys, type Context, type SceneBox } from '../parts.ts';
import { fillOf, frameBehind, listedIn, pageAt } from './world.ts';

/** Bits of an address within a page, by level. */
const SHIFTS = [12, 21, 30] as const;

export function pageBoxes(context: Context): readonly SceneBox[] {
  const small = isSmall(context.cast.frames.length);
  const touches = wordsTouched(context);
  return context.cast.frames.map((gfn) => pageBox(context, { gfn, small, touches }));
}

function pageBox(
  context: Context,
  { gfn, small, touches }: { gfn: Gfn; small: boolean; touches: readonly number[] },
): SceneBox {
  const { world, cast } = context;
  const backed = slotAt(world, gfn, 0) !== undefined;
  const pfn = frameBehind(world, gfn);
  const count = cast.largePages.get(gfn) ?? 1;
  const touched = touches.find((word) => word >= pfn * 512 && word < (pfn + count) * 512);
  const word = touched ?? pfn * 512;
  const id = `frame:${hex(gfn)}`;
  const size = count === 1 ? '' : ` ${sizeText(12 + Math.log2(count))}`;
  const log = logText(context, gfn);
  const kind = backed ? 'page' : 'device';
  return {
    ...place(context, id),
    id,
    zone: 'guest',
    title: small ? `${backed ? 'gfn' : 'dev'} ${hex(gfn)}${size}` : `${kind}${size}`,
    subtitle: small ? log : `gfn ${hex(gfn)}${log === '' ? '' : ` · ${log}`}`,
    rows:
      small || !backed
        ? []
        : [
            {
              id: `page:${hex(gfn)}`,
              index: hex((word - pfn * 512) * 8).padStart(3, '0'),
              text: hex(world.word(word)),
              flags: [],
              state: touched === undefined ? 'quiet' : stateOfKeys(context, [`word:${String(word)}`]),
            },
          ],
    fold: '',
    state:
      touched !== undefined || context.changes.has(`dirty:${String(gfn)}`) || isMoved(context, gfn)
        ? 'touched'
        : 'quiet',
  };
}

/** Whether the host gives the frame other memory, or takes it away, in this step. */
function isMoved({ world, changes }: Context, gfn: Gfn): boolean {
  const at = slotAt(world, gfn, 0);
  return at !== undefined && changes.has(`hostPage:${String((at.slot.hva ?? 0) + gfn - at.slot.firstGfn)}`);
}

/** Memory words that the step reads or changes. */
const wordsTouched = (context: Context): readonly number[] =>
  [...context.changes.keys(), ...context.reads].flatMap((id) =>
    id.startsWith('word:') ? [Number(id.slice(5))] : [],
  );

/** Where a slot is logged: whether the frame was written since user space last fetched the log. */
function logText({ world, cast }: Context, gfn: Gfn): string {
  if (cast.kvm?.logs !== true) return '';
  if (world.get('dirty', gfn) !== undefined) return 'dirty';
  return slotAt(world, gfn, 0)?.slot.logged === true ? 'clean' : '';
}

export function rmapBoxes(context: Context): readonly SceneBox[] {
  const lists = context.cast.kvm?.today?.lists ?? [];
  const small = isSmall(lists.length);
  const several = new Set(lists.map((key) => key.split('.')[0])).size > 1;
  return lists.map((key) => rmapBox(context, { key, small, several }));
}

function rmapBox(
  context: Context,
  { key, small, several }: { key: string; small: boolean; several: boolean },
): SceneBox {
  const { world } = context;
  const [slot = '', level = '1', frame = ''] = key.split('.');
  const words = listedIn(world, key);
  const state = stateOfKeys(context, [`slotRmap:${key}`]);
  const size = level === '1' ? '' : ` ${sizeText(SHIFTS[Number(level) - 1] ?? 12)}`;
  const [first] = words;
  const name = first === undefined ? 'nobody maps it' : entryName(world, first);
  const writable = words.filter((word) => isWritable(world.word(word))).length;
  const fill = fillOf(world, 'rnode', world.get('slotRmap', key));
  const id = `rmap:${key}`;
  const inSmm = world.get('slot', Number(slot))?.smm === true;
  return {
    ...place(context, id),
    id,
    zone: 'hypervisor',
    title: `rmap ${frame}${size}${inSmm ? ' SMM' : ''}`,
    subtitle: small
      ? smallText(words.length, writable)
      : [several ? `slot ${slot}` : '', fill.length === 0 ? '' : `${fill.join('+')} of 14`]
          .filter((part) => part !== '')
          .join(' · '),
    rows: small
      ? []
      : [
          {
            id: `r:${key}`,
            index: '',
            text: words.length > 1 ? `${name} +${String(words.length - 1)}` : name,
            flags:
              words.length === 0
                ? []
                : [
                    {
                      text: `${String(writable)} rw`,
                      set: writable > 0,
                      changed: false,
                      meaning: 'entries through which the frame can be written',
                    },
                  ],
            state,
          },
        ],
    fold: '',
    state: state === 'quiet' ? 'quiet' : 'touched',
  };
}

const smallText = (count: number, writable: number): string =>
  count === 0 ? '–' : `${String(count)}, ${String(writable)} rw`;

/** `sp 6 [013]`. */
export function entryName(world: World, word: number): string {
  const page = pageAt(world, word);
  return `${page === undefined ? 'freed' : `sp ${String(page.serial)}`} [${indexText(word % 512)}]`;
}
