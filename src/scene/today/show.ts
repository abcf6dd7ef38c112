/** How a KVM of today is shown: fetched when its machine is first opened. */
import { paeRootFrame } from '../../core/kvm-shadow/shadow-walk.ts';
import { levelOfRole } from '../../core/kvm-shadow/role.ts';
import { FIRST_SHADOW_PFN } from '../../core/machine/world.ts';
import { must } from '../../core/assert.ts';
import { vcpusOf } from '../../core/settings.ts';
import { frameOfWord } from '../../core/quantities.ts';
import type { StepView, Timeline } from '../../timeline/timeline.ts';
import type { CastTable } from '../cast.ts';
import { indexText } from '../entries.ts';
import { hardwareBoxes } from '../hardware-boxes.ts';
import { guestDialectIn, PAE_ROOT } from '../kvm-dialects.ts';
import type { NamedEntry, SceneBox, Show } from '../parts.ts';
import { entryIn as partOf, entryOfWord, shiftOfEntry } from '../places.ts';
import { todaysCast } from './cast.ts';
import { levelAt, namesOf } from './dialect.ts';
import { pageBoxes, rmapBoxes } from './frame-boxes.ts';
import { HARDWARE_WORDS } from './hardware.ts';
import { allLinks } from './links.ts';
import { motionsOf } from './motions.ts';
import { noteOf } from './note.ts';
import { tableBoxes } from './table-boxes.ts';
import { frameBehind, pageAt } from './world.ts';

export { todaysCast } from './cast.ts';

export const todaysShow: Show = {
  boxes: (context) => {
    const boxes = [
      ...hardwareBoxes(context, HARDWARE_WORDS),
      ...tableBoxes(context),
      ...pageBoxes(context),
      ...rmapBoxes(context),
    ];
    // Last, so on top: folded tables that this step opens over their neighbours.
    const opened = boxes.filter(isOpened);
    return opened.length === 0 ? boxes : [...boxes.filter((box) => !isOpened(box)), ...opened];
  },
  links: allLinks,
  motions: motionsOf,
  note: noteOf,
  entryIn,
};

const isOpened = ({ folded, rows }: SceneBox): boolean => folded === true && rows.length > 0;

/** The guest's table that lies in a host frame now. */
export const guestTableAt = (timeline: Timeline, frame: number): CastTable | undefined =>
  todaysCast(timeline).tables.find(
    ({ mode, gfn }) => mode !== undefined && frameBehind(timeline.world, gfn) === frame,
  );

function entryIn(timeline: Timeline, word: number, step?: StepView): NamedEntry | undefined {
  const { world, program } = timeline;
  const frame = frameOfWord(word);
  const value = world.word(word);
  if (frame >= FIRST_SHADOW_PFN) {
    const page = pageAt(world, word);
    return {
      name: `shadow entry, ${page === undefined ? 'freed page' : `sp ${String(page.serial)}`} [${indexText(word % 512)}]`,
      bits: namesOf(value, levelAt(page === undefined ? 1 : levelOfRole(page.role))),
    };
  }
  const vcpu = vcpusOf(program.settings).find((own) => paeRootFrame(own) === frame);
  if (vcpu !== undefined)
    return {
      name: `pae_root [${indexText(word % 512)}], vCPU ${String(vcpu)}`,
      bits: namesOf(value, PAE_ROOT),
    };
  return guestEntryIn(timeline, word, step);
}

function guestEntryIn(timeline: Timeline, word: number, step?: StepView): NamedEntry | undefined {
  const { world } = timeline;
  const table = guestTableAt(timeline, frameOfWord(word));
  if (table === undefined) return undefined;
  const walked = { ...table.walked, pfn: frameOfWord(word) };
  const value = world.word(word);
  const first = must(entryOfWord(walked, word), 'an entry of the table');
  const change = step?.changes.find(({ place }) => place.table === 'word' && place.key === word);
  const before = (change?.before as bigint | undefined) ?? value;
  const alike = partOf(walked, first, before) === partOf(walked, first, value);
  const index = walked.entryBytes === 4 && change !== undefined && alike ? first + 1 : first;
  const dialect = guestDialectIn(world, table.mode ?? '4-level');
  const kind = dialect.kindOf(partOf(walked, index, value), walked.at);
  return {
    name: `guest entry, ${walked.at.name} gfn ${table.gfn.toString(16)} [${indexText(index)}]`,
    bits: dialect.bits(kind, walked.at),
    ...(walked.entryBytes === 4 ? { half: shiftOfEntry(walked, index) } : {}),
  };
}
