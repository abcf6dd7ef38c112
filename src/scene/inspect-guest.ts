/** What looking into an entry of a guest's tables gives, on every machine: lines that change it, and its bits by name. */
import type { EntryKind, TableLevel } from '../core/hardware/format.ts';
import { hostFrameOf } from '../core/machine/world.ts';
import type { GuestTable } from '../core/operations/operation.ts';
import type { Settings } from '../core/settings.ts';
import type { Timeline } from '../timeline/timeline.ts';
import type { CastTable } from './cast.ts';
import type { Dialect } from './dialect.ts';
import { targetOf } from './entries.ts';
import { addressText, hexText, isSet, type Inspected, type InspectedBit, type Names } from './inspected.ts';
import { entriesOf, entryIn, shiftOfEntry, wordOfEntry, type Walked } from './places.ts';

export interface Looked {
  readonly at: TableLevel;
  readonly kind: EntryKind;
  readonly value: bigint;
}

const isArm = ({ cpu }: Settings): boolean => cpu === 'arm64';

/** The line that flips a bit of a guest's entry; where two entries share a word, of the word. */
export function guestFlip(
  { walked, gfn }: Pick<CastTable, 'walked' | 'gfn'>,
  index: number,
): (bit: number) => string {
  const offset = wordOfEntry(walked, index) - wordOfEntry(walked, 0);
  const gpa = (BigInt(gfn) << 12n) + BigInt(offset * 8);
  return (bit) => `flip ${hexText(gpa)} bit=${String(bit + shiftOfEntry(walked, index))}`;
}

/** The store with which the guest's kernel flips a bit through its own window. */
export function storeOf(
  window: bigint | undefined,
  of: { walked: Walked; index: number; value: bigint; names: Names },
): (bit: number) => InspectedBit['flips'] {
  const { entryBytes } = of.walked;
  if (window === undefined) return () => [];
  const address = addressText(window + BigInt(of.index * entryBytes), of.names);
  const size = entryBytes === 4 ? ' bytes=4' : '';
  return (bit) => [
    { by: 'kernel', text: `v0 kernel write ${address} = ${hexText(of.value ^ (1n << BigInt(bit)))}${size}` },
  ];
}

/** Where the guest's kernel sees a frame and may write it: an entry of its own tables that names the frame. */
export function windowOnto(timeline: Timeline, dialect: Dialect, frame: number): bigint | undefined {
  const writable = dialect.letters.find((letter) => letter.text === 'W');
  const { settings, tables } = timeline.program;
  const signed = settings.guest === '4-level' || settings.guest === '5-level';
  const lowest = signed && !isArm(settings) ? 1n << 47n : 0n;
  for (const known of tables) {
    const at = dialect.levels.find((candidate) => candidate.level === known.level);
    if (at?.shift !== 12 || known.firstGva < lowest) continue;
    const walked = { pfn: hostFrameOf(known.gfn), at, entryBytes: dialect.entryBytes };
    for (let index = 0; index < entriesOf(walked); index += 1) {
      const entry = entryIn(walked, index, timeline.world.word(wordOfEntry(walked, index)));
      if (targetOf(dialect, at, entry) !== frame || writable === undefined) continue;
      if (((entry & writable.mask) !== 0n) !== (writable.inverted === true))
        return firstAddress(dialect, { known, at, index });
    }
  }
  return undefined;
}

export function guestWords(
  timeline: Timeline,
  of: { dialect: Dialect; table: CastTable; index: number; value: bigint; window: bigint | undefined },
  names: Names,
): Pick<Inspected, 'about' | 'actions'> {
  const { settings, tables } = timeline.program;
  const known = tables.find((candidate) => candidate.gfn === of.table.gfn);
  if (known === undefined) return { about: `frame ${of.table.gfn.toString(16)}`, actions: [] };
  const { at } = of.table.walked;
  const address = firstAddress(of.dialect, { known, at, index: of.index });
  const text = addressText(address, names);
  const leaf = of.dialect.kindOf(of.value, at) === 'leaf' || of.table.storey === 1;
  const userBit = of.dialect.letters.find((letter) => letter.text === 'U')?.mask ?? 0n;
  const upper = !isArm(settings) && address >= 1n << 63n;
  const who = upper || (of.value !== 0n && leaf && (of.value & userBit) === 0n) ? 'kernel' : 'user';
  const level = of.table.storey === 1 ? '' : ` level=${String(at.level)}`;
  const drop = isArm(settings)
    ? { label: 'TLBI', text: `v0 kernel tlbi vae1is ${text}` }
    : { label: 'INVLPG', text: `v0 kernel invlpg ${text}` };
  return {
    about: `${leaf ? 'translates' : 'from'} ${text}`,
    actions: [
      { label: 'Read', text: `v0 ${who} read ${text}` },
      { label: 'Write', text: `v0 ${who} write ${text} = 1` },
      { label: 'Execute', text: `v0 ${who} exec ${text}` },
      drop,
      ...(of.window === undefined || of.value === 0n
        ? []
        : [{ label: 'Clear it', text: `v0 kernel set-pte ${text}${level} -> absent` }]),
    ],
  };
}

/** First address that an entry translates; in long mode in canonical form. */
export function firstAddress(
  dialect: Dialect,
  { known, at, index }: { known: GuestTable; at: TableLevel; index: number },
): bigint {
  const address = known.firstGva + (BigInt(index) << BigInt(at.shift));
  const root = dialect.levels[0];
  const top = root === undefined ? 0 : root.shift + root.bits;
  return !isArmFormat(dialect) && (top === 48 || top === 57)
    ? BigInt.asUintN(64, BigInt.asIntN(top, address))
    : address;
}

/** One bit by its name, or as part of the frame number. */
export function described(
  dialect: Dialect,
  { at, kind, value }: Looked,
  bit: number,
): Omit<InspectedBit, 'flips'> {
  const set = isSet(value, bit);
  const spec = dialect.bits(kind, at).find((candidate) => candidate.bit === bit);
  if (spec !== undefined) return { bit, set, short: spec.short, meaning: `${spec.name}: ${spec.meaning}` };
  const lowest = kind === 'leaf' ? at.shift : 12;
  const highest = dialect.entryBytes === 4 ? 32 : isArmFormat(dialect) ? 48 : 52;
  const inFrame = bit >= lowest && bit < highest;
  return {
    bit,
    set,
    meaning: inFrame ? `bit ${String(bit)}, part of the frame number` : `bit ${String(bit)}`,
  };
}

const isArmFormat = ({ levels }: Dialect): boolean => levels[0]?.name.startsWith('level') ?? false;
