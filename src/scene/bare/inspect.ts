/** An entry, register or translation of a machine without KVM, looked into. */
import { isArm } from '../../core/bare/registers.ts';
import type { EntryKind, TableLevel } from '../../core/hardware/format.ts';
import { hostFrameOf } from '../../core/machine/world.ts';
import type { GuestTable } from '../../core/operations/operation.ts';
import type { Timeline } from '../../timeline/timeline.ts';
import type { CastTable } from '../cast.ts';
import { inspectCached } from '../inspect-cached.ts';
import {
  addressText,
  allBits,
  hexText,
  inspectRegister,
  isSet,
  REGISTERS,
  type Inspected,
  type InspectedBit,
  type Names,
} from '../inspected.ts';
import { frameText, tagName } from './hardware.ts';
import { bareCast } from './cast.ts';
import { targetOf, walkedOf } from './entries.ts';
import { guestDialect, hostDialect, tableName, type Dialect } from './formats.ts';
import { entriesOf, entryIn, entryOfWord, shiftOfEntry, wordOfEntry } from './places.ts';
import { bareShow } from './show.ts';

export function inspectBare(timeline: Timeline, row: string, names: Names): Inspected | undefined {
  const { settings } = timeline.program;
  if (row.startsWith('tlb:') || row.startsWith('psc:')) {
    const cast = bareCast(timeline);
    return inspectCached(timeline, row, {
      names,
      entryName: (word) => bareShow.entryIn(timeline, word)?.name,
      frame: (pfn) => `${cast.bare?.nested === true ? 'host frame' : 'frame'} ${frameText({ cast }, pfn)}`,
      tags: [tagName(settings), isArm(settings) ? 'ASID' : 'PCID'],
    });
  }
  if (row.startsWith('reg:')) return inspectBareRegister(timeline, row.slice(4));
  return row.startsWith('w:') ? inspectEntry(timeline, row, names) : undefined;
}

function inspectBareRegister(timeline: Timeline, name: string): Inspected | undefined {
  const { settings } = timeline.program;
  const register = REGISTERS.find((candidate) => candidate === name);
  if (register === undefined) return inspectPdpte(timeline, name);
  const found = inspectRegister(timeline, register);
  const cpu = settings.machine === 'two-stage' ? found.about : 'CPU 0';
  if (!isArm(settings)) return { ...found, title: register.toUpperCase(), about: cpu };
  // No line of the language writes it but `load-cr3`.
  const bits = found.bits.map((bit) => ({ ...bit, flips: [] }));
  return { ...found, title: 'TTBR0_EL1', about: cpu, bits, authors: [], registers: [] };
}

/** A root entry of PAE that the processor keeps: only MOV CR3 changes it. */
function inspectPdpte(timeline: Timeline, name: string): Inspected | undefined {
  const { world, program } = timeline;
  const dialect = guestDialect(program.settings);
  const at = dialect?.levels[0];
  if (!name.startsWith('pdptr') || dialect === undefined || at === undefined) return undefined;
  const value = world.get('reg', `0.${name}`) ?? 0n;
  const kind = dialect.kindOf(value, at);
  return {
    title: `PDPTE${name.slice(-1)}, as the processor keeps it`,
    about: 'loaded by MOV CR3',
    value,
    bits: allBits((bit) => ({ ...described(dialect, { at, kind, value }, bit), flips: [] })),
    actions: [],
    authors: [],
  };
}

interface Looked {
  readonly at: TableLevel;
  readonly kind: EntryKind;
  readonly value: bigint;
}

function inspectEntry(timeline: Timeline, row: string, names: Names): Inspected | undefined {
  const [word = '', half = '0'] = row.slice(2).split('.');
  const { world, program } = timeline;
  const table = bareCast(timeline).tables.find(
    (candidate) => entryOfWord(walkedOf(candidate), Number(word)) !== undefined,
  );
  if (table === undefined) return undefined;
  const guest = table.zone === 'guest';
  const dialect = guest ? guestDialect(program.settings) : hostDialect(program.settings);
  if (dialect === undefined) return undefined;
  const walked = walkedOf(table);
  const index = (entryOfWord(walked, Number(word)) ?? 0) + Number(half);
  const value = entryIn(walked, index, world.word(Number(word)));
  const { at } = walked;
  const looked = { at, kind: dialect.kindOf(value, at), value };
  const flip = flipOf(table, index);
  const window = guest ? windowOnto(timeline, dialect, table.gfn) : undefined;
  const store = storeOf(window, { table, index, value, names });
  const bits = allBits(
    (bit) => ({
      ...described(dialect, looked, bit),
      flips: [...store(bit), { by: 'outside', text: flip(bit) }],
    }),
    walked.entryBytes * 8,
  );
  const name = `${tableName(dialect, at)} entry ${index.toString(16).padStart(3, '0')}`;
  const own = { dialect, table, index, value, window };
  return {
    title: guest
      ? `${capital(name)}, frame ${table.gfn.toString(16)}`
      : `${capital(name)}, host frame ${walked.pfn.toString(16)}`,
    ...(guest
      ? guestWords(timeline, own, names)
      : { about: `translates guest address ${hexText(hostAddress(table, index))}`, actions: [] }),
    value,
    bits,
    authors: window === undefined ? ['outside'] : ['kernel', 'outside'],
  };
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** First guest physical address that a host's entry serves. */
const hostAddress = (table: CastTable, index: number): bigint =>
  (BigInt(table.gfn) << 12n) + (BigInt(index) << BigInt(walkedOf(table).at.shift));

/** The line that flips a bit of an entry; where two entries share a word, of the word. */
function flipOf(table: CastTable, index: number): (bit: number) => string {
  const walked = walkedOf(table);
  if (table.zone === 'hypervisor') {
    const where = `${hexText(hostAddress(table, index))} level=${String(walked.at.level)}`;
    return (bit) => `flip host ${where} bit=${String(bit)}`;
  }
  const offset = wordOfEntry(walked, index) - wordOfEntry(walked, 0);
  const gpa = (BigInt(table.gfn) << 12n) + BigInt(offset * 8);
  return (bit) => `flip ${hexText(gpa)} bit=${String(bit + shiftOfEntry(walked, index))}`;
}

/** The store with which the guest's kernel flips a bit through its own window. */
function storeOf(
  window: bigint | undefined,
  of: { table: CastTable; index: number; value: bigint; names: Names },
): (bit: number) => InspectedBit['flips'] {
  const { entryBytes } = walkedOf(of.table);
  if (window === undefined) return () => [];
  const address = addressText(window + BigInt(of.index * entryBytes), of.names);
  const size = entryBytes === 4 ? ' bytes=4' : '';
  return (bit) => [
    { by: 'kernel', text: `v0 kernel write ${address} = ${hexText(of.value ^ (1n << BigInt(bit)))}${size}` },
  ];
}

/** Where the guest's kernel sees a frame and may write it: an entry of its own tables that names the frame. */
function windowOnto(timeline: Timeline, dialect: Dialect, frame: number): bigint | undefined {
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

function guestWords(
  timeline: Timeline,
  of: { dialect: Dialect; table: CastTable; index: number; value: bigint; window: bigint | undefined },
  names: Names,
): Pick<Inspected, 'about' | 'actions'> {
  const { settings, tables } = timeline.program;
  const known = tables.find((candidate) => candidate.gfn === of.table.gfn);
  if (known === undefined) return { about: `frame ${of.table.gfn.toString(16)}`, actions: [] };
  const { at } = walkedOf(of.table);
  const address = firstAddress(of.dialect, { known, at, index: of.index });
  const text = addressText(address, names);
  const leaf = of.dialect.kindOf(of.value, at) === 'leaf' || of.table.storey === 1;
  const userBit = of.dialect.letters.find((letter) => letter.text === 'U')?.mask ?? 0n;
  const who = of.value !== 0n && leaf && (of.value & userBit) === 0n ? 'kernel' : 'user';
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
function firstAddress(
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
function described(dialect: Dialect, { at, kind, value }: Looked, bit: number): Omit<InspectedBit, 'flips'> {
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
