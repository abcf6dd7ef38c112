/**
 * An entry or register looked into: every bit with its name and meaning, and the line of scenario text that would
 * change it. Who changes it is part of the line: the guest's kernel through its own window, or nobody in the machine.
 */
import { frameOfWord, spte } from '../core/quantities.ts';
import { PTE_U, TABLE_NAMES_BY_LEVEL } from '../core/hardware/x86-entry.ts';
import { addressOfShadow } from '../core/kvm/behind-2007.ts';
import { paeRootPfn } from '../core/kvm/context-2007.ts';
import { levelOfRole } from '../core/kvm/role-2007.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { isPresent } from '../core/kvm/spte-2007.ts';
import type { ShadowPage } from '../core/machine/tables.ts';
import { FIRST_SHADOW_PFN } from '../core/machine/world.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { inspectBare } from './bare/inspect.ts';
import { indexText } from './entries.ts';
import { inspectCached } from './inspect-cached.ts';
import { described, guestFlip, guestWords, storeOf, windowOnto } from './inspect-guest.ts';
import { addressText, allBits, inspectRegister, REGISTERS, type Inspected, type Names } from './inspected.ts';
import { guestDialect, guestDialectIn, PAE_ROOT, shadowDialect, shadowLevel } from './kvm-dialects.ts';
import { guestTableAt, kvmShow } from './kvm-show.ts';
import { entryIn, entryOfWord } from './places.ts';
import { frameName } from './telling.ts';
import { inspectToday } from './today/inspect.ts';

/** What the row of a box stands for; undefined for rows that cannot be looked into. */
export function inspectRow(timeline: Timeline, row: string, names: Names): Inspected | undefined {
  const { machine } = timeline.program.settings;
  if (!machine.startsWith('kvm-')) return inspectBare(timeline, row, names);
  if (machine === 'kvm-shadow') return inspectToday(timeline, row, names);
  if (row.startsWith('tlb:'))
    return inspectCached(timeline, row, {
      names,
      entryName: (word) => kvmShow.entryIn(timeline, word)?.name,
      frame: (pfn) => frameName(pfn),
    });
  const register = REGISTERS.find((name) => row === `reg:${name}`);
  if (register !== undefined) return inspectRegister(timeline, register);
  if (row.startsWith('reg:pdptr')) return inspectPdpte(timeline, row.slice(4));
  if (!row.startsWith('w:')) return undefined;
  const [word = '', half = '0'] = row.slice(2).split('.');
  const frame = frameOfWord(Number(word));
  if (frame === paeRootPfn(0)) return inspectPaeRoot(timeline, Number(word));
  return frame >= FIRST_SHADOW_PFN
    ? inspectShadow(timeline, Number(word), names)
    : inspectGuest(timeline, { word: Number(word), half: Number(half) }, names);
}

function inspectGuest(
  timeline: Timeline,
  of: { word: number; half: number },
  names: Names,
): Inspected | undefined {
  const { world } = timeline;
  const table = guestTableAt(timeline, frameOfWord(of.word));
  const first = table === undefined ? undefined : entryOfWord(table.walked, of.word);
  if (table?.mode === undefined || first === undefined) return undefined;
  const { walked } = table;
  const index = first + of.half;
  const value = entryIn(walked, index, world.word(of.word));
  const dialect = guestDialectIn(world, table.mode);
  const looked = { at: walked.at, kind: dialect.kindOf(value, walked.at), value };
  const window = windowOnto(timeline, dialect, table.gfn);
  const store = storeOf(window, { walked, index, value, names });
  const flip = guestFlip(table, index);
  const bits = allBits(
    (bit) => ({
      ...described(dialect, looked, bit),
      flips: [...store(bit), { by: 'outside', text: flip(bit) }],
    }),
    walked.entryBytes * 8,
  );
  return {
    title: `Guest ${walked.at.name} entry ${indexText(index)}, guest frame ${table.gfn.toString(16)}`,
    ...guestWords(timeline, { dialect, table, index, value, window }, names),
    value,
    bits,
    authors: window === undefined ? ['outside'] : ['kernel', 'outside'],
  };
}

/** A root entry of PAE that the vCPU keeps: only a load of CR3, or the beginning of PAE paging, changes it. */
function inspectPdpte({ world }: Timeline, name: string): Inspected {
  const value = world.get('reg', `0.${name}`) ?? 0n;
  const dialect = guestDialect('pae');
  const looked = { at: PAE_ROOT, kind: dialect.kindOf(value, PAE_ROOT), value };
  return {
    title: `PDPTE${name.slice(-1)} of the guest, as its vCPU keeps it`,
    about: 'loaded with CR3',
    value,
    bits: allBits((bit) => ({ ...described(dialect, looked, bit), flips: [] })),
    actions: [],
    authors: [],
  };
}

function inspectPaeRoot({ world, program }: Timeline, word: number): Inspected {
  const value = world.word(word);
  const dialect = shadowDialect(program.settings, PAE_ROOT.level);
  const looked = { at: PAE_ROOT, kind: dialect.kindOf(value, PAE_ROOT), value };
  const page = shadowPageAt(world, Number(value >> 12n) as never);
  return {
    title: `Shadow root entry ${String(word % 512)} of vCPU 0`,
    about: page === undefined ? 'leads nowhere' : `leads to sp ${String(page.serial)}`,
    value,
    bits: allBits((bit) => ({ ...described(dialect, looked, bit), flips: [] })),
    actions: [],
    authors: [],
  };
}

function inspectShadow(timeline: Timeline, word: number, names: Names): Inspected | undefined {
  const { world, program } = timeline;
  const page = shadowPageAt(world, frameOfWord(word));
  if (page === undefined) return undefined;
  const at = shadowLevel(levelOfRole(page.role));
  const index = word % 512;
  const value = world.word(word);
  const first = firstAddress(timeline, page);
  const gva =
    first === undefined ? undefined : canonical(timeline, first + (BigInt(index) << BigInt(at.shift)));
  const dialect = shadowDialect(program.settings, at.level);
  const looked = { at, kind: dialect.kindOf(value, at), value };
  const where =
    gva === undefined
      ? undefined
      : `${addressText(gva, names)}${at.level === 1 ? '' : ` level=${String(at.level)}`}`;
  return {
    title: `Shadow ${TABLE_NAMES_BY_LEVEL[at.level] ?? 'table'} entry ${indexText(index)}, sp ${String(page.serial)}`,
    about:
      gva === undefined
        ? 'nothing leads to this page now'
        : `${at.level === 1 ? 'translates' : 'from'} ${addressText(gva, names)}`,
    value,
    bits: allBits((bit) => ({
      ...described(dialect, looked, bit),
      flips: where === undefined ? [] : [{ by: 'outside', text: `flip shadow ${where} bit=${String(bit)}` }],
    })),
    actions: gva === undefined ? [] : actionsFor(gva, value, names),
    authors: where === undefined ? [] : ['outside'],
  };
}

/** By the page's parents; of a page that nothing leads to, by the guest's table that it stands for. */
function firstAddress({ world, program }: Timeline, page: ShadowPage): bigint | undefined {
  const known = program.tables.find(({ gfn }) => gfn === page.gfn);
  return addressOfShadow(world, page) ?? known?.firstGva;
}

/** In long mode the upper bits repeat the highest that is translated. */
const canonical = ({ program }: Timeline, gva: bigint): bigint =>
  program.settings.guest === '4-level' ? BigInt.asUintN(64, BigInt.asIntN(48, gva)) : gva & 0xffff_ffffn;

function actionsFor(gva: bigint, value: bigint, names: Names): Inspected['actions'] {
  const address = addressText(gva, names);
  const who = gva >= 1n << 63n || (isPresent(spte(value)) && (value & PTE_U) === 0n) ? 'kernel' : 'user';
  return [
    { label: 'Read', text: `v0 ${who} read ${address}` },
    { label: 'Write', text: `v0 ${who} write ${address} = 1` },
    { label: 'Execute', text: `v0 ${who} exec ${address}` },
    { label: 'INVLPG', text: `v0 kernel invlpg ${address}` },
  ];
}
