/** How KVM's machines are shown: guest tables, their shadows, reverse maps. */
import { must } from '../core/assert.ts';
import { frameOfWord, spte } from '../core/quantities.ts';
import { paeRootPfn } from '../core/kvm/context-2007.ts';
import { traitsOf } from '../core/kvm/era-2007.ts';
import { levelOfRole } from '../core/kvm/role-2007.ts';
import { isPresent, spteBits } from '../core/kvm/spte-2007.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { FIRST_SHADOW_PFN } from '../core/machine/world.ts';
import type { StepView, Timeline } from '../timeline/timeline.ts';
import { castOf, type CastTable } from './cast.ts';
import { PDPTE_BITS } from '../core/hardware/x86-entry.ts';
import { indexText } from './entries.ts';
import { pageBoxes, rmapBoxes } from './frame-boxes.ts';
import { hardwareBoxes } from './hardware-boxes.ts';
import { guestDialectIn } from './kvm-dialects.ts';
import type { NamedEntry, SceneBox, Show } from './parts.ts';
import { entryIn as partOf, entryOfWord, shiftOfEntry } from './places.ts';
import { allLinks } from './scene-links.ts';
import { tableBoxes } from './table-boxes.ts';

export const kvmShow: Show = {
  boxes: (context) => {
    const boxes = [
      ...hardwareBoxes(context),
      ...tableBoxes(context),
      ...pageBoxes(context),
      ...rmapBoxes(context),
    ];
    // Last, so on top: folded tables that this step opens over their neighbours.
    const opened = boxes.filter(isOpened);
    return opened.length === 0 ? boxes : [...boxes.filter((box) => !isOpened(box)), ...opened];
  },
  links: allLinks,
  entryIn,
};

const isOpened = ({ folded, rows }: SceneBox): boolean => folded === true && rows.length > 0;

/** The guest's table that lies in a host frame. */
export const guestTableAt = (timeline: Timeline, frame: number): CastTable | undefined =>
  castOf(timeline).tables.find(({ mode, walked }) => mode !== undefined && walked.pfn === frame);

function entryIn(timeline: Timeline, word: number, step?: StepView): NamedEntry | undefined {
  const { world } = timeline;
  const frame = frameOfWord(word);
  if (frame >= FIRST_SHADOW_PFN) return shadowEntryIn(timeline, word);
  if (frame === paeRootPfn(0))
    return { name: `pae_root [${indexText(word % 512)}], vCPU 0`, bits: PDPTE_BITS };
  const table = guestTableAt(timeline, frame);
  if (table === undefined) return undefined;
  const { walked } = table;
  const first = must(entryOfWord(walked, word), 'an entry of the table');
  const change = step?.changes.find(({ place }) => place.table === 'word' && place.key === word);
  const before = (change?.before as bigint | undefined) ?? world.word(word);
  const alike = partOf(walked, first, before) === partOf(walked, first, world.word(word));
  const said = step?.facts['index'];
  const upper =
    walked.entryBytes === 4 && (said === first + 1 || (said !== first && change !== undefined && alike));
  const index = upper ? first + 1 : first;
  const dialect = guestDialectIn(world, table.mode ?? '4-level');
  const kind = dialect.kindOf(partOf(walked, index, world.word(word)), walked.at);
  return {
    name: `guest entry, ${walked.at.name} gfn ${table.gfn.toString(16)} [${indexText(index)}]`,
    bits: dialect.bits(kind, walked.at),
    ...(walked.entryBytes === 4 ? { half: shiftOfEntry(walked, index) } : {}),
  };
}

function shadowEntryIn({ world, program }: Timeline, word: number): NamedEntry {
  const page = shadowPageAt(world, frameOfWord(word));
  const { softwareBits } = traitsOf(program.settings);
  const level = page === undefined ? 1 : levelOfRole(page.role);
  return {
    name: `shadow entry, ${page === undefined ? 'freed page' : `sp ${String(page.serial)}`} [${indexText(word % 512)}]`,
    bits: spteBits(level, { present: isPresent(spte(world.word(word))), softwareBits }),
  };
}
