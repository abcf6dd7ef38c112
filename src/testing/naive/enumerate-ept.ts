/**
 * Exhaustive small sets of walks under Intel EPT: one entry at a time in every combination of rights, memory type,
 * A/D, size and single further bits, on the way to a guest table and to the final address.
 */
import type { PagedMode } from './enumerate-x86.ts';
import type { EptTables } from './ept.ts';
import { guestPages, guestPath, pagedGuest, tablesUnder, unpagedGuest, withPdptes } from './nested-paths.ts';
import {
  ACCESSES,
  BOTH,
  everyNth,
  flipsOf,
  IdentityTables,
  NESTED_ROOT,
  type Cell,
  type Path,
} from './paths.ts';
import type { X86Request } from './x86.ts';

export interface EptCase {
  readonly id: string;
  readonly guest: X86Request;
  readonly ept: EptTables;
  /** EPT and guest entries by host-physical address; guest-physical addresses map to themselves. */
  readonly memory: readonly Cell[];
}

const RWX = 0x7n;
const WRITE_BACK_RWX = 0x37n;
const MAXPHYADDR = 46;
const GUEST_ACCESSED_DIRTY = 0x60n;

/** Memory type in 5:3 and further bits of a broken entry: all types, and single bits with type 6 or 0. */
interface Filling {
  readonly name: string;
  readonly bits: bigint;
}

const TYPES: readonly Filling[] = [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n].map((type) => ({
  name: `type ${String(type)}`,
  bits: type << 3n,
}));

const singleBits = (numbers: readonly number[]): readonly Filling[] =>
  numbers.map((n) => ({ name: `bit ${String(n)}`, bits: 1n << BigInt(n) }));

const eptName = (ept: EptTables): string =>
  [
    `ept ${String(((ept.eptp >> 3n) & 7n) + 1n)} levels`,
    ept.executeOnly ? 'xo' : 'no-xo',
    ept.gigabytePages ? '1g' : 'no-1g',
    (ept.eptp & 0x40n) === 0n ? 'no-ad' : 'ad',
  ].join(' ');

const eptFor = (how: {
  levels: number;
  ad: boolean;
  executeOnly: boolean;
  gigabytePages: boolean;
}): EptTables => ({
  eptp: NESTED_ROOT | (BigInt(how.levels - 1) << 3n) | 6n | (how.ad ? 0x40n : 0n),
  executeOnly: how.executeOnly,
  gigabytePages: how.gigabytePages,
  maxPhyAddr: MAXPHYADDR,
});

/** Eight rights, with and without bit 7, with and without A and D, in each filling. */
function* brokenEntries(fillings: readonly Filling[]): Generator<{ name: string; entry: bigint }> {
  for (let xwr = 0n; xwr < 8n; xwr += 1n)
    for (const large of BOTH)
      for (const marked of BOTH)
        for (const filling of fillings) {
          const bits = xwr | (large ? 0x80n : 0n) | (marked ? 0x300n : 0n) | filling.bits;
          const name = `xwr ${xwr.toString(2)}${large ? ' large' : ''}${marked ? ' marked' : ''} ${filling.name}`;
          yield { name, entry: bits };
        }
}

/** Where an entry points: to the next table, or, when large, to the aligned page around the address. */
const pointing = (entry: bigint, target: { table: bigint; address: bigint; level: number }): bigint => {
  const large = (entry & 0x80n) !== 0n && (target.level === 2 || target.level === 3);
  const shift = BigInt(12 + 9 * (target.level - 1));
  return entry | (large || target.level === 1 ? (target.address >> shift) << shift : target.table);
};

/**
 * The final access of a guest with paging off: one EPT entry broken at each level of 4 and of 5, with every memory
 * type and 10 single bits: 124,416 cases.
 */
export function* eptFinalCases(stride = 1): Generator<EptCase> {
  const pick = everyNth(stride);
  const fillings = [...TYPES, ...singleBits([6, 10, 11, 12, 20, 29, MAXPHYADDR, 51, 52, 63])];
  for (const levels of [4, 5])
    for (const how of capabilities(levels, BOTH)) {
      const tables = new IdentityTables({ levels, links: RWX, leaf: WRITE_BACK_RWX });
      const { va } = unpagedGuest('r', MAXPHYADDR);
      const way = tables.map(va);
      for (const [depth, at] of way.entries())
        for (const broken of brokenEntries(fillings))
          for (const access of ACCESSES) {
            if (!pick()) continue;
            const memory = withBroken(tables.cells, {
              at,
              entry: broken.entry,
              address: va,
              level: levels - depth,
            });
            const id = `${eptName(how)} final level ${String(levels - depth)} ${broken.name} ${access}`;
            yield { id, guest: unpagedGuest(access, MAXPHYADDR), ept: how, memory };
          }
    }
}

/**
 * A 4-level guest, with one EPT entry broken at each level of 4 and of 5 on the way to its root or to its last table,
 * whose entries have A and D clear or set: 82,944 cases.
 */
export function* eptTableCases(stride = 1): Generator<EptCase> {
  const pick = everyNth(stride);
  const fillings = [...TYPES.filter((_, type) => type % 3 === 0), ...singleBits([12, 20, 51])];
  const pages = guestPages('4level');
  const targets = [
    { name: 'root', address: pages[0] ?? 0n },
    { name: 'last table', address: pages[3] ?? 0n },
  ];
  for (const levels of [4, 5])
    for (const how of capabilities(levels, [true])) {
      const tables = tablesUnder('4level', { levels, links: RWX, leaf: WRITE_BACK_RWX });
      for (const { name, address } of targets)
        for (const [depth, at] of tables.map(address).entries())
          for (const broken of brokenEntries(fillings))
            for (const marked of BOTH)
              for (const access of ACCESSES) {
                if (!pick()) continue;
                const level = levels - depth;
                const memory = [
                  ...withBroken(tables.cells, { at, entry: broken.entry, address, level }),
                  ...markedGuest(marked),
                ];
                const where = `${name} level ${String(level)} ${broken.name}`;
                const id = `${eptName(how)} guest ${where}${marked ? ' guest a/d set' : ''} ${access}`;
                yield { id, guest: pagedGuest('4level', access, MAXPHYADDR), ept: how, memory };
              }
    }
}

function* capabilities(levels: number, gigabyte: readonly boolean[]): Generator<EptTables> {
  for (const ad of BOTH)
    for (const executeOnly of BOTH)
      for (const gigabytePages of gigabyte) yield eptFor({ levels, ad, executeOnly, gigabytePages });
}

function withBroken(
  cells: readonly Cell[],
  broken: { at: bigint; entry: bigint; address: bigint; level: number },
): readonly Cell[] {
  return cells.map((cell): Cell => {
    if (cell[0] !== broken.at) return cell;
    const table = cell[1] & 0x000f_ffff_ffff_f000n;
    return [broken.at, pointing(broken.entry, { table, address: broken.address, level: broken.level })];
  });
}

const markedGuest = (marked: boolean): readonly Cell[] =>
  guestPath('4level').map(([at, entry]): Cell => [at, marked ? entry | GUEST_ACCESSED_DIRTY : entry]);

/**
 * A guest with paging off and two EPT entries with rights of their own, for the AND in bits 5:3 of the qualification
 * and for a misconfiguration below a missing right: 12,288 cases.
 */
export function* eptPairCases(stride = 1): Generator<EptCase> {
  const pick = everyNth(stride);
  const { va } = unpagedGuest('r', MAXPHYADDR);
  for (const levels of [4, 5]) {
    const tables = new IdentityTables({ levels, links: RWX, leaf: WRITE_BACK_RWX });
    tables.map(va);
    for (const how of capabilities(levels, [true]))
      for (const [upper, lower] of pairsOf(levels))
        for (let rights = 0n; rights < 64n; rights += 1n)
          for (const access of ACCESSES) {
            if (!pick()) continue;
            const memory = tables.cells
              .with(upper, rightsOf(tables.cells[upper], rights & 7n))
              .with(lower, rightsOf(tables.cells[lower], rights >> 3n));
            const where = `entries ${String(upper)} and ${String(lower)} rights ${rights.toString(8)}`;
            yield {
              id: `${eptName(how)} ${where} ${access}`,
              guest: unpagedGuest(access, MAXPHYADDR),
              ept: how,
              memory,
            };
          }
  }
}

const pairsOf = (levels: number): readonly (readonly [number, number])[] =>
  Array.from({ length: levels }, (_, upper) =>
    Array.from({ length: levels - 1 - upper }, (_unused, below) => [upper, upper + 1 + below] as const),
  ).flat();

function rightsOf(cell: Cell | undefined, rights: bigint): Cell {
  if (cell === undefined) throw new Error('the path has this entry');
  return [cell[0], (cell[1] & ~7n) | rights];
}

/**
 * Each bit of each guest entry above good EPT tables of 5 levels, with A/D flags for EPT off and on: PDPTEs of PAE
 * guests are in registers. 384 cases in `2level`, 768 in `pae`, 1,536 in `4level`, 1,920 in `5level`.
 */
export function* eptGuestCases(mode: PagedMode, stride = 1): Generator<EptCase> {
  const pick = everyNth(stride);
  const tables = tablesUnder(mode, { levels: 5, links: RWX, leaf: WRITE_BACK_RWX });
  const cells = mode === 'pae' ? guestPath(mode).slice(1) : guestPath(mode);
  const path: Path = { name: 'guest', cells, entryBits: mode === '2level' ? 32 : 64 };
  for (const flip of flipsOf(path))
    for (const ad of BOTH)
      for (const access of ACCESSES) {
        if (!pick()) continue;
        const ept = eptFor({ levels: 5, ad, executeOnly: true, gigabytePages: true });
        const id = `${eptName(ept)} ${mode} guest ${String(flip.index)} bit ${String(flip.bit)} ${access}`;
        const guest = withPdptes(pagedGuest(mode, access, MAXPHYADDR), mode);
        yield { id, guest, ept, memory: [...tables.cells, ...flip.cells] };
      }
}

/**
 * Each bit of the EPT entries on the way to each page that a guest's walk uses, guest in each mode, EPT of 4 and 5
 * levels, A/D flags off and on: 8,064 cases in `2level`, 10,368 in `pae`,
 * 12,672 in `4level`, 14,976 in `5level`.
 */
export function* eptFlipCases(mode: PagedMode, stride = 1): Generator<EptCase> {
  const pick = everyNth(stride);
  const cells = mode === 'pae' ? guestPath(mode).slice(1) : guestPath(mode);
  for (const levels of [4, 5]) {
    const tables = tablesUnder(mode, { levels, links: RWX, leaf: WRITE_BACK_RWX });
    for (const flip of flipsOf({ name: 'ept', cells: tables.cells, entryBits: 64 }))
      for (const ad of BOTH)
        for (const access of ACCESSES) {
          if (!pick()) continue;
          const ept = eptFor({ levels, ad, executeOnly: false, gigabytePages: true });
          const id = `${eptName(ept)} ${mode} entry ${String(flip.index)} bit ${String(flip.bit)} ${access}`;
          const guest = withPdptes(pagedGuest(mode, access, MAXPHYADDR), mode);
          yield { id, guest, ept, memory: [...flip.cells, ...cells] };
        }
  }
}
