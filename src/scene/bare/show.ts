/** How machines without KVM are shown: fetched when the first of them is opened. */
import type { Timeline, StepView } from '../../timeline/timeline.ts';
import type { Context, NamedEntry, Show } from '../parts.ts';
import { entryAt, pageBoxes, tableBoxes, type Dialects } from './boxes.ts';
import { bareCast } from './cast.ts';
import { tableName } from '../dialect.ts';
import { guestDialect, hostDialect } from './formats.ts';
import { hardwareBoxes } from './hardware.ts';
import { allLinks } from './links.ts';
import { entryIn as partOf, shiftOfEntry } from '../places.ts';

export { bareCast } from './cast.ts';

export const bareShow: Show = {
  boxes: (context) => {
    const dialects = dialectsOf(context);
    const { settings } = context;
    return [
      ...hardwareBoxes(context, { settings, dialects }),
      ...tableBoxes(context, dialects),
      ...pageBoxes(context),
    ];
  },
  links: (context) => allLinks(context, dialectsOf(context)),
  entryIn,
};

const dialectsOf = ({ settings }: Pick<Context, 'settings'>): Dialects => ({
  guest: guestDialect(settings),
  host: hostDialect(settings),
});

function entryIn(timeline: Timeline, word: number, step?: StepView): NamedEntry | undefined {
  const { tables } = bareCast(timeline);
  const { world, program } = timeline;
  const change = step?.changes.find(({ place }) => place.table === 'word' && place.key === word);
  const found = entryAt(tables, word, {
    prefer: step?.facts['index'],
    values: [world.word(word), (change?.before as bigint | undefined) ?? 0n],
  });
  if (found === undefined) return undefined;
  const walked = found.table.walked;
  const dialects = dialectsOf(program);
  const dialect = found.table.zone === 'guest' ? dialects.guest : dialects.host;
  if (dialect === undefined) return undefined;
  const kind = dialect.kindOf(partOf(walked, found.index, world.word(word)), walked.at);
  const where =
    found.table.zone === 'guest'
      ? `frame ${found.table.gfn.toString(16)}`
      : `host frame ${walked.pfn.toString(16)}`;
  return {
    name: `${tableName(dialect, walked.at)} entry [${found.index.toString(16).padStart(3, '0')}], ${where}`,
    bits: dialect.bits(kind, walked.at),
    ...(walked.entryBytes === 4 ? { half: shiftOfEntry(walked, found.index) } : {}),
  };
}
