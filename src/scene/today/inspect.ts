/**
 * An entry, a register, a role or a remembered root of a KVM of today looked into: every bit with its name and meaning,
 * and the line of scenario text that would change it, where one would.
 */
import { PTE_U, TABLE_NAMES_BY_LEVEL } from '../../core/hardware/x86-entry.ts';
import { levelOfRole, ROLE_FIELDS, roleField } from '../../core/kvm-shadow/role.ts';
import { isMmio, isPresent, mmioEntryOf } from '../../core/kvm-shadow/spte.ts';
import type { ShadowPage } from '../../core/machine/tables.ts';
import { FIRST_SHADOW_PFN } from '../../core/machine/world.ts';
import { frameOfWord } from '../../core/quantities.ts';
import type { Timeline } from '../../timeline/timeline.ts';
import { indexText } from '../entries.ts';
import { inspectCached } from '../inspect-cached.ts';
import { described, guestFlip, guestWords, storeOf, windowOnto } from '../inspect-guest.ts';
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
import { guestDialect, guestDialectIn, PAE_ROOT } from '../kvm-dialects.ts';
import { entryIn, entryOfWord } from '../places.ts';
import { frameName } from '../telling.ts';
import { todaysCast } from './cast.ts';
import { addressOf, isPaeRootFrame } from './details.ts';
import { levelAt, namesOf, sptDialect } from './dialect.ts';
import { pagesByBox } from './table-boxes.ts';
import { guestTableAt, todaysShow } from './show.ts';
import { rightsText, standsFor } from './names.ts';
import { rootText } from './hardware.ts';
import { gfnOfLeaf, pageAt } from './world.ts';

export function inspectToday(timeline: Timeline, row: string, names: Names): Inspected | undefined {
  if (row.startsWith('tlb:'))
    return inspectCached(timeline, row, {
      names,
      entryName: (word) => todaysShow.entryIn(timeline, word)?.name,
      frame: (pfn) => frameName(pfn),
    });
  const register = REGISTERS.find((name) => row === `reg:${name}`);
  if (register !== undefined) return inspectRegister(timeline, register);
  if (row.startsWith('reg:pdptr')) return inspectPdpte(timeline, row.slice(4));
  if (row.startsWith('sp:')) return inspectRole(timeline, row);
  if (row.startsWith('roots:')) return inspectRoots(timeline, Number(row.slice('roots:'.length)));
  if (row.startsWith('mmio:')) return inspectDevice(timeline, Number(row.slice('mmio:'.length)), names);
  if (!row.startsWith('w:')) return undefined;
  const [text = '', half = '0'] = row.slice(2).split('.');
  const word = Number(text);
  const frame = frameOfWord(word);
  if (frame >= FIRST_SHADOW_PFN) return inspectShadow(timeline, word, names);
  const vcpu = isPaeRootFrame(timeline.world, frame);
  return vcpu === undefined
    ? inspectGuest(timeline, { word, half: Number(half) }, names)
    : inspectPaeRoot(timeline, word, vcpu);
}

const NOTHING = { actions: [], authors: [] } as const;

/** The role of a shadow page, bit by bit. */
function inspectRole(timeline: Timeline, id: string): Inspected | undefined {
  const page = pagesByBox({ world: timeline.world, cast: todaysCast(timeline) }).get(id);
  if (page === undefined) return undefined;
  const value = BigInt(page.role);
  const facts = ROLE_FIELDS.map(({ name, meaning }) => ({
    name,
    text: `${String(roleField(page.role, name))}: ${name === 'access' ? `${rightsText(roleField(page.role, name))}; ` : ''}${meaning}`,
  }));
  return {
    ...NOTHING,
    title: `Role of sp ${String(page.serial)}: ${hexText(value)}`,
    about: standsFor(page),
    value,
    bits: allBits((bit) => roleBit(page, bit), ROLE_BITS),
    facts,
  };
}
const ROLE_BITS = 32;

function roleBit({ role }: ShadowPage, bit: number): InspectedBit {
  const field = ROLE_FIELDS.find(({ at, bits }) => bit >= at && bit < at + bits);
  const set = isSet(BigInt(role), bit);
  if (field === undefined) return { bit, set, meaning: `bit ${String(bit)}, unused`, flips: [] };
  const part = field.bits === 1 ? '' : `, bit ${String(bit - field.at)} of it`;
  return {
    bit,
    set,
    short: SHORT[field.name] ?? field.name,
    meaning: `${field.name}: ${field.meaning}${part}`,
    flips: [],
  };
}

const SHORT: Readonly<Record<string, string>> = {
  level: 'lev',
  has_4_byte_gpte: '4b',
  quadrant: 'q',
  direct: 'dir',
  access: 'acc',
  invalid: 'inv',
  efer_nx: 'nx',
  cr0_wp: 'wp',
  smep_andnot_wp: 'smep',
  smap_andnot_wp: 'smap',
  ad_disabled: 'noad',
  guest_mode: 'nest',
  passthrough: 'pass',
  smm: 'smm',
};

function inspectRoots({ world }: Timeline, vcpu: number): Inspected | undefined {
  const mmu = world.get('mmu', vcpu);
  if (mmu === undefined) return undefined;
  return {
    ...NOTHING,
    title: `Roots of vCPU ${String(vcpu)}`,
    about: 'A CR3 load to a remembered root needs no new one.',
    value: 0n,
    bits: [],
    facts: [
      { name: 'in use', text: rootText(world, mmu.root) },
      ...mmu.prevRoots.map((root, at) => ({
        name: `before, ${String(at + 1)}`,
        text: rootText(world, root),
      })),
    ],
  };
}

function inspectDevice({ world }: Timeline, vcpu: number, names: Names): Inspected | undefined {
  const known = world.get('mmio', vcpu);
  if (known === undefined) return undefined;
  const now = world.get('vm', 'kvm')?.generation;
  return {
    ...NOTHING,
    title: `What vCPU ${String(vcpu)} remembers of a device`,
    about:
      now === undefined || known.generation === now
        ? 'it still counts'
        : 'the memory slots have changed since: it no longer counts',
    value: 0n,
    bits: [],
    facts: [
      { name: 'address', text: known.gva === 0n ? 'forgotten' : addressText(known.gva, names) },
      { name: 'frame', text: hexText(BigInt(known.gfn)) },
      { name: 'rights', text: rightsText(known.access) },
      ...(now === undefined
        ? []
        : [{ name: 'generation', text: `${String(known.generation)}, now ${String(now)}` }]),
    ],
  };
}

function inspectGuest(
  timeline: Timeline,
  of: { word: number; half: number },
  names: Names,
): Inspected | undefined {
  const { world } = timeline;
  const frame = frameOfWord(of.word);
  const found = guestTableAt(timeline, frame);
  if (found?.mode === undefined) return undefined;
  const table = { ...found, walked: { ...found.walked, pfn: frame } };
  const { walked } = table;
  const first = entryOfWord(walked, of.word);
  if (first === undefined) return undefined;
  const index = first + of.half;
  const value = entryIn(walked, index, world.word(of.word));
  const dialect = guestDialectIn(world, found.mode);
  const looked = { at: walked.at, kind: dialect.kindOf(value, walked.at), value };
  const window = windowOnto(timeline, dialect, table.gfn);
  const store = storeOf(window, { walked, index, value, names });
  const flip = guestFlip(table, index);
  return {
    title: `Guest ${walked.at.name} entry ${indexText(index)}, guest frame ${table.gfn.toString(16)}`,
    ...guestWords(timeline, { dialect, table, index, value, window }, names),
    value,
    bits: allBits(
      (bit) => ({
        ...described(dialect, looked, bit),
        flips: [...store(bit), { by: 'outside', text: flip(bit) }],
      }),
      walked.entryBytes * 8,
    ),
    authors: window === undefined ? ['outside'] : ['kernel', 'outside'],
  };
}

/** A root entry of PAE that the vCPU keeps. */
function inspectPdpte({ world }: Timeline, name: string): Inspected {
  const value = world.get('reg', `0.${name}`) ?? 0n;
  const dialect = guestDialect('pae');
  const looked = { at: PAE_ROOT, kind: dialect.kindOf(value, PAE_ROOT), value };
  return {
    ...NOTHING,
    title: `PDPTE${name.slice(-1)} of the guest, as its vCPU keeps it`,
    about: 'loaded with CR3',
    value,
    bits: allBits((bit) => ({ ...described(dialect, looked, bit), flips: [] })),
  };
}

function inspectPaeRoot({ world }: Timeline, word: number, vcpu: number): Inspected {
  const value = world.word(word);
  const dialect = sptDialect(false);
  const looked = { at: PAE_ROOT, kind: dialect.kindOf(value, PAE_ROOT), value };
  const page = pageAt(world, Number(value >> 12n) * 512);
  return {
    ...NOTHING,
    title: `Shadow root entry ${String(word % 512)} of vCPU ${String(vcpu)}`,
    about: page === undefined ? 'leads nowhere' : `leads to sp ${String(page.serial)}`,
    value,
    bits: allBits((bit) => ({ ...described(dialect, looked, bit), flips: [] })),
  };
}

function inspectShadow(timeline: Timeline, word: number, names: Names): Inspected | undefined {
  const { world } = timeline;
  const page = pageAt(world, word);
  if (page === undefined) return undefined;
  const level = levelOfRole(page.role);
  const at = levelAt(level);
  const index = word % 512;
  const value = world.word(word);
  const first = addressOf(world, page);
  const gva =
    first === undefined ? undefined : canonical(timeline, first + (BigInt(index) << BigInt(at.shift)));
  const where =
    gva === undefined
      ? undefined
      : `${addressText(gva, names)}${level === 1 ? '' : ` level=${String(level)}`}`;
  return {
    title: `Shadow ${TABLE_NAMES_BY_LEVEL[level] ?? 'table'} entry ${indexText(index)}, sp ${String(page.serial)}`,
    about: aboutShadow(timeline, { word, gva, level }, names),
    value,
    bits: allBits((bit) => ({
      ...bitOf(value, level, bit),
      flips: where === undefined ? [] : [{ by: 'outside', text: `flip shadow ${where} bit=${String(bit)}` }],
    })),
    actions: gva === undefined ? [] : actionsFor(gva, value, names),
    authors: where === undefined ? [] : ['outside'],
  };
}

/** What the entry is for; of one that stands for a device, for which. */
function aboutShadow(
  { world }: Timeline,
  { word, gva, level }: { word: number; gva: bigint | undefined; level: number },
  names: Names,
): string {
  const entry = world.word(word);
  const where =
    gva === undefined
      ? 'nothing leads to this page now'
      : `${level === 1 ? 'translates' : 'from'} ${addressText(gva, names)}`;
  if (isMmio(entry)) {
    const { gfn, generation } = mmioEntryOf(entry);
    const numbered = world.get('vm', 'kvm')?.generation !== undefined;
    return `${where}; a device at frame ${gfn.toString(16)}${numbered ? `, generation ${String(generation)}` : ''}`;
  }
  const gfn = isPresent(entry) && level === 1 ? gfnOfLeaf(world, word) : undefined;
  return gfn === undefined ? where : `${where}; guest frame ${gfn.toString(16)}`;
}

function bitOf(value: bigint, level: number, bit: number): Omit<InspectedBit, 'flips'> {
  const set = isSet(value, bit);
  const spec = namesOf(value, levelAt(level)).find((candidate) => candidate.bit === bit);
  if (spec !== undefined) return { bit, set, short: spec.short, meaning: `${spec.name}: ${spec.meaning}` };
  const part = bit >= 12 && bit < 51 ? ', part of the frame number' : '';
  return { bit, set, meaning: `bit ${String(bit)}${part}` };
}

/** In long mode the upper bits repeat the highest that is translated. */
function canonical({ program }: Timeline, gva: bigint): bigint {
  const { guest } = program.settings;
  if (guest !== '4-level' && guest !== '5-level') return gva & 0xffff_ffffn;
  return BigInt.asUintN(64, BigInt.asIntN(guest === '4-level' ? 48 : 57, gva));
}

function actionsFor(gva: bigint, value: bigint, names: Names): Inspected['actions'] {
  const address = addressText(gva, names);
  const who = gva >= 1n << 63n || (isPresent(value) && (value & PTE_U) === 0n) ? 'kernel' : 'user';
  return [
    { label: 'Read', text: `v0 ${who} read ${address}` },
    { label: 'Write', text: `v0 ${who} write ${address} = 1` },
    { label: 'Execute', text: `v0 ${who} exec ${address}` },
    { label: 'INVLPG', text: `v0 kernel invlpg ${address}` },
  ];
}
