/** An entry, register or translation of a machine without KVM, looked into. */
import { isArm } from '../../core/bare/registers.ts';
import type { Timeline } from '../../timeline/timeline.ts';
import type { CastTable } from '../cast.ts';
import { tableName } from '../dialect.ts';
import { inspectCached } from '../inspect-cached.ts';
import { described, guestFlip, guestWords, storeOf, windowOnto } from '../inspect-guest.ts';
import { allBits, hexText, inspectRegister, REGISTERS, type Inspected, type Names } from '../inspected.ts';
import { entryIn, entryOfWord } from '../places.ts';
import { bareCast } from './cast.ts';
import { guestDialect, hostDialect } from './formats.ts';
import { frameText, tagName } from './hardware.ts';
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

function inspectEntry(timeline: Timeline, row: string, names: Names): Inspected | undefined {
  const [word = '', half = '0'] = row.slice(2).split('.');
  const { world, program } = timeline;
  const table = bareCast(timeline).tables.find(
    (candidate) => entryOfWord(candidate.walked, Number(word)) !== undefined,
  );
  if (table === undefined) return undefined;
  const guest = table.zone === 'guest';
  const dialect = guest ? guestDialect(program.settings) : hostDialect(program.settings);
  if (dialect === undefined) return undefined;
  const walked = table.walked;
  const index = (entryOfWord(walked, Number(word)) ?? 0) + Number(half);
  const value = entryIn(walked, index, world.word(Number(word)));
  const { at } = walked;
  const looked = { at, kind: dialect.kindOf(value, at), value };
  const flip = flipOf(table, index);
  const window = guest ? windowOnto(timeline, dialect, table.gfn) : undefined;
  const store = storeOf(window, { walked, index, value, names });
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
  (BigInt(table.gfn) << 12n) + (BigInt(index) << BigInt(table.walked.at.shift));

/** The line that flips a bit of an entry; where two entries share a word, of the word. */
function flipOf(table: CastTable, index: number): (bit: number) => string {
  const walked = table.walked;
  if (table.zone === 'hypervisor') {
    const where = `${hexText(hostAddress(table, index))} level=${String(walked.at.level)}`;
    return (bit) => `flip host ${where} bit=${String(bit)}`;
  }
  return guestFlip(table, index);
}
