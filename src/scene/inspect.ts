/**
 * An entry or register looked into: every bit with its name and meaning, and the line of scenario text that would
 * change it. Who changes it is part of the line: the guest's kernel through its own window, or nobody in the machine.
 */
import { frameOfWord, gfn as toGfn, gfnOfEntry, gpte, wordOf, type Gfn } from '../core/quantities.ts';
import {
  coverageOf,
  PTE_P,
  PTE_U,
  PTE_W,
  TABLE_NAMES_BY_LEVEL,
  X86_BITS,
  type EntryBit,
} from '../core/hardware/x86-entry.ts';
import { SPTE_BITS } from '../core/kvm/spte-2007.ts';
import { gfnOfPfn } from '../core/kvm/memslots.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { levelOfRole } from '../core/kvm/role-2007.ts';
import type { GuestTable } from '../core/operations/operation.ts';
import { FIRST_SHADOW_PFN, hostFrameOf } from '../core/machine/world.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { inspectBare } from './bare/inspect.ts';
import { inspectCached } from './inspect-cached.ts';
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
} from './inspected.ts';
import { kvmShow } from './kvm-show.ts';
import { frameName } from './telling.ts';

/** What the row of a box stands for; undefined for rows that cannot be looked into. */
export function inspectRow(timeline: Timeline, row: string, names: Names): Inspected | undefined {
  if (!timeline.program.settings.machine.startsWith('kvm-')) return inspectBare(timeline, row, names);
  if (row.startsWith('tlb:'))
    return inspectCached(timeline, row, {
      names,
      entryName: (word) => kvmShow.entryIn(timeline, word)?.name,
      frame: (pfn) => frameName(pfn),
    });
  const register = REGISTERS.find((name) => row === `reg:${name}`);
  if (register !== undefined) return inspectRegister(timeline, register);
  if (!row.startsWith('w:')) return undefined;
  const word = Number(row.slice(2));
  return frameOfWord(word) >= FIRST_SHADOW_PFN
    ? inspectShadow(timeline, word, names)
    : inspectGuest(timeline, word, names);
}

function inspectGuest(timeline: Timeline, word: number, names: Names): Inspected | undefined {
  const { world } = timeline;
  const frame = gfnOfPfn(frameOfWord(word));
  const table = timeline.program.tables.find((candidate) => candidate.gfn === frame);
  if (frame === undefined || table === undefined) return undefined;
  const index = word % 512;
  const value = world.word(word);
  const gva = addressOf(table, index);
  const window = windowOnto(timeline, frame);
  const gpa = (BigInt(frame) << 12n) + BigInt(index * 8);
  const bits = allBits((bit) => {
    const store = value ^ (1n << BigInt(bit));
    const kernel =
      window === undefined
        ? []
        : [
            {
              by: 'kernel' as const,
              text: `v0 kernel write ${addressText(window + BigInt(index * 8), names)} = ${hexText(store)}`,
            },
          ];
    return {
      ...describe(X86_BITS, value, bit),
      flips: [...kernel, { by: 'outside', text: `flip ${hexText(gpa)} bit=${String(bit)}` }],
    };
  });
  return {
    title: `Guest ${TABLE_NAMES_BY_LEVEL[table.level] ?? 'table'} entry ${index.toString(16).padStart(3, '0')}, guest frame ${frame.toString(16)}`,
    about: `${table.level === 1 ? 'translates' : 'from'} ${addressText(gva, names)}`,
    value,
    bits,
    actions: actionsFor(gva, value, { table, window, names }),
    authors: window === undefined ? ['outside'] : ['kernel', 'outside'],
  };
}

function inspectShadow(timeline: Timeline, word: number, names: Names): Inspected | undefined {
  const { world } = timeline;
  const page = shadowPageAt(world, frameOfWord(word));
  const table = timeline.program.tables.find((candidate) => candidate.gfn === page?.gfn);
  if (page === undefined || table === undefined) return undefined;
  const level = levelOfRole(page.role);
  const index = word % 512;
  const value = world.word(word);
  const gva = addressOf({ ...table, level }, index);
  const where = `${addressText(gva, names)}${level === 1 ? '' : ` level=${String(level)}`}`;
  const bits = allBits((bit) => ({
    ...describe(SPTE_BITS, value, bit),
    flips: [{ by: 'outside', text: `flip shadow ${where} bit=${String(bit)}` }],
  }));
  return {
    title: `Shadow ${TABLE_NAMES_BY_LEVEL[level] ?? 'table'} entry ${index.toString(16).padStart(3, '0')}, sp ${String(page.serial)}`,
    about: `${level === 1 ? 'translates' : 'from'} ${addressText(gva, names)}`,
    value,
    bits,
    actions: actionsFor(gva, value, { table: { ...table, level }, window: undefined, names }),
    authors: ['outside'],
  };
}

function actionsFor(
  gva: bigint,
  value: bigint,
  of: { table: Pick<GuestTable, 'level'>; window: bigint | undefined; names: Names },
): Inspected['actions'] {
  const address = addressText(gva, of.names);
  const who = gva >= 1n << 63n || ((value & PTE_P) !== 0n && (value & PTE_U) === 0n) ? 'kernel' : 'user';
  const level = of.table.level === 1 ? '' : ` level=${String(of.table.level)}`;
  return [
    { label: 'Read', text: `v0 ${who} read ${address}` },
    { label: 'Write', text: `v0 ${who} write ${address} = 1` },
    { label: 'Execute', text: `v0 ${who} exec ${address}` },
    { label: 'INVLPG', text: `v0 kernel invlpg ${address}` },
    ...(of.window === undefined || value === 0n
      ? []
      : [{ label: 'Clear it', text: `v0 kernel set-pte ${address}${level} -> absent` }]),
  ];
}

/** First address that an entry translates, in canonical form. */
function addressOf(table: Pick<GuestTable, 'level' | 'firstGva'>, index: number): bigint {
  const gva = table.firstGva + BigInt(index) * coverageOf(table.level);
  return (gva & (1n << 47n)) === 0n ? gva : gva | 0xffff_0000_0000_0000n;
}

/** Where the guest's kernel sees a frame and may write it: an entry of its own tables that names the frame. */
function windowOnto(timeline: Timeline, frame: Gfn): bigint | undefined {
  const leaves = timeline.program.tables.filter((table) => table.level === 1 && table.firstGva >= 1n << 47n);
  for (const table of leaves) {
    const host = hostFrameOf(toGfn(table.gfn));
    for (let index = 0; index < 512; index += 1) {
      const entry = timeline.world.word(wordOf(host, index));
      if ((entry & (PTE_P | PTE_W)) === (PTE_P | PTE_W) && gfnOfEntry(gpte(entry)) === frame)
        return addressOf(table, index);
    }
  }
  return undefined;
}

function describe(bits: readonly EntryBit[], value: bigint, bit: number): Omit<InspectedBit, 'flips'> {
  const spec = bits.find((candidate) => candidate.bit === bit);
  const set = isSet(value, bit);
  if (spec !== undefined) return { bit, set, short: spec.short, meaning: `${spec.name}: ${spec.meaning}` };
  const inFrame = bit >= 12 && bit < 52;
  return {
    bit,
    set,
    meaning: inFrame ? `bit ${String(bit)}, part of the frame number` : `bit ${String(bit)}`,
  };
}
