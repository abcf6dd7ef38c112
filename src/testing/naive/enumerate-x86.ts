/**
 * Exhaustive small sets of one-dimensional x86 walks: every single bit of every entry of a good path, and all rights
 * of an upper entry and a leaf, under all registers that judge an access.
 */
import { ACCESSES, BOTH, everyNth, flipsOf, type Cell, type Path } from './paths.ts';
import type { X86Mode, X86Request } from './x86.ts';

export interface X86Case {
  readonly id: string;
  readonly request: X86Request;
  readonly memory: readonly Cell[];
}

export type PagedMode = Exclude<X86Mode, 'off'>;

export const PAGED_MODES: readonly PagedMode[] = ['2level', 'pae', '4level', '5level'];
export const MAXPHYADDRS: readonly number[] = [36, 46, 52];

interface Situation {
  readonly name: string;
  readonly access: 'r' | 'w' | 'x';
  readonly cpl: 0 | 3;
  readonly ac: boolean;
  readonly cr0: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
}

const PG_PE_ET = 0x8000_0011n;
const RWU = 0x007n;
const LARGE = 0x080n;

/** CR4 and EFER that select the mode. */
const MODE_BITS: Readonly<Record<PagedMode, { cr4: bigint; efer: bigint }>> = {
  '2level': { cr4: 0x10n, efer: 0n },
  pae: { cr4: 0x20n, efer: 0n },
  '4level': { cr4: 0x20n, efer: 0x500n },
  '5level': { cr4: 0x1020n, efer: 0x500n },
};

const ROOT = 0x1_0000n;
const VA: Readonly<Record<PagedMode, bigint>> = {
  '2level': (5n << 22n) | (6n << 12n) | 0x7b8n,
  pae: (2n << 30n) | (5n << 21n) | (6n << 12n) | 0x7b8n,
  '4level': (3n << 39n) | (4n << 30n) | (5n << 21n) | (6n << 12n) | 0x7b8n,
  '5level': (2n << 48n) | (3n << 39n) | (4n << 30n) | (5n << 21n) | (6n << 12n) | 0x7b8n,
};

/** 144 of them: access, CPL, CR0.WP, EFER.NXE, CR4.SMEP, and SMAP off, on, on with AC. */
function situations(mode: PagedMode): readonly Situation[] {
  const all: Situation[] = [];
  for (const access of ACCESSES)
    for (const cpl of [0, 3] as const)
      for (const wp of BOTH)
        for (const nxe of BOTH)
          for (const smep of BOTH)
            for (const smap of ['smap0', 'smap1', 'ac'])
              all.push({
                name: `${access}${String(cpl)}${wp ? ' wp' : ''}${nxe ? ' nxe' : ''}${smep ? ' smep' : ''} ${smap}`,
                access,
                cpl,
                ac: smap === 'ac',
                cr0: PG_PE_ET | (wp ? 1n << 16n : 0n),
                cr4: MODE_BITS[mode].cr4 | (smep ? 1n << 20n : 0n) | (smap === 'smap0' ? 0n : 1n << 21n),
                efer: MODE_BITS[mode].efer | (nxe ? 1n << 11n : 0n),
              });
  return all;
}

/** Good paths of a mode: to a small page and to each size of large page, user, writable, executable. */
export function goodPaths(mode: PagedMode): readonly Path[] {
  if (mode === '2level') {
    const pde: Cell = [ROOT + 5n * 4n, 0x2_0000n | RWU];
    const pte: Cell = [0x2_0000n + 6n * 4n, 0x70_0000n | RWU];
    const large: Cell = [ROOT + 5n * 4n, 0x0140_0000n | RWU | LARGE];
    return [
      { name: '4K', cells: [pde, pte], entryBits: 32 },
      { name: '4M', cells: [large], entryBits: 32 },
    ];
  }
  const indices = mode === 'pae' ? [5n, 6n] : mode === '4level' ? [3n, 4n, 5n, 6n] : [2n, 3n, 4n, 5n, 6n];
  const upper = indices.map((index, depth): Cell => {
    const table = mode === 'pae' ? BigInt(depth + 2) << 16n : BigInt(depth + 1) << 16n;
    return [table + index * 8n, (table + 0x1_0000n) | RWU];
  });
  const to = (name: string, length: number, leaf: bigint): Path => ({
    name,
    cells: upper.slice(0, length).with(length - 1, [upper[length - 1]?.[0] ?? 0n, leaf]),
    entryBits: 64,
  });
  const small = to('4K', indices.length, 0x70_0000n | RWU);
  const middle = to('2M', indices.length - 1, 0x0c0_0000n | RWU | LARGE);
  if (mode === 'pae') return [small, middle];
  return [small, middle, to('1G', indices.length - 2, 0x1_4000_0000n | RWU | LARGE)];
}

/** PAE: the PDPTE registers, of which the second from the top names the directory. */
const PDPTES: readonly bigint[] = [0n, 0n, 0x2_0001n, 0n];

export function requestFor(
  mode: PagedMode,
  situation: Omit<Situation, 'name'>,
  maxPhyAddr: number,
): X86Request {
  const { access, cpl, ac, cr0, cr4, efer } = situation;
  const request = { cr0, cr3: ROOT, cr4, efer, pkru: 0, pkrs: 0, ac, cpl, access, va: VA[mode], maxPhyAddr };
  return mode === 'pae' ? { ...request, pdptes: PDPTES } : request;
}

/**
 * Each bit of each entry of each good path flipped, under 144 situations. In `2level` also with CR4.PSE clear.
 * 27,648 cases in `2level` and in `pae`, 82,944 in `4level`, 110,592 in `5level`, for each MAXPHYADDR.
 */
export function* x86FlipCases(mode: PagedMode, maxPhyAddr: number, stride = 1): Generator<X86Case> {
  const pick = everyNth(stride);
  const pages = mode === '2level' ? [0x10n, 0n] : [0n];
  const all = situations(mode);
  for (const path of goodPaths(mode))
    for (const { index, bit, cells } of flipsOf(path))
      for (const situation of all)
        for (const pse of pages) {
          if (!pick()) continue;
          const request = requestFor(mode, situation, maxPhyAddr);
          const cr4 = mode === '2level' ? (request.cr4 & ~0x10n) | pse : request.cr4;
          const where = `${path.name} entry ${String(index)} bit ${String(bit)}${pse === 0x10n ? ' pse' : ''}`;
          const id = `${mode} M${String(maxPhyAddr)} ${where} ${situation.name}`;
          yield { id, request: { ...request, cr4 }, memory: cells };
        }
}

const KEY = 9;
/** PKE, PKS, and the pair of bits of the key, which is access-disable and write-disable. */
const KEYS = [0, 1, 2, 3].flatMap((pair) => BOTH.flatMap((pke) => BOTH.map((pks) => ({ pair, pke, pks }))));

/**
 * All rights of an upper entry and of the leaf, under 144 situations; long modes also with protection keys. 9,216
 * cases in `2level` and `pae`, 147,456 in `4level` and `5level`.
 */
export function* x86RightsCases(mode: PagedMode, stride = 1): Generator<X86Case> {
  const pick = everyNth(stride);
  const path = goodPaths(mode)[0];
  if (path === undefined) return;
  const long = mode === '4level' || mode === '5level';
  const keys = long ? KEYS : KEYS.slice(0, 1);
  const last = path.cells.length - 1;
  for (const upper of [0, 1, 2, 3, 4, 5, 6, 7])
    for (const leaf of [0, 1, 2, 3, 4, 5, 6, 7])
      for (const situation of situations(mode))
        for (const key of keys) {
          if (!pick()) continue;
          const cells = path.cells
            .with(last - 1, withRights(path.cells[last - 1], upper, path.entryBits))
            .with(last, withRights(path.cells[last], leaf | (long ? KEY << 3 : 0), path.entryBits));
          const request = requestFor(mode, situation, 46);
          const cr4 = request.cr4 | (key.pke ? 1n << 22n : 0n) | (key.pks ? 1n << 24n : 0n);
          const register = (key.pair << (2 * KEY)) >>> 0;
          const named = `key ${String(key.pair)}${key.pke ? ' pke' : ''}${key.pks ? ' pks' : ''}`;
          yield {
            id: `${mode} rights ${String(upper)}/${String(leaf)} ${named} ${situation.name}`,
            request: { ...request, cr4, pkru: register, pkrs: register },
            memory: cells,
          };
        }
}

/** `rights`: bit 0 = RW, 1 = US, 2 = XD (where entries have one), 6:3 = protection key. */
function withRights(cell: Cell | undefined, rights: number, entryBits: 32 | 64): Cell {
  if (cell === undefined) throw new Error('a path has two entries');
  const [at, entry] = cell;
  const low = (entry & ~0x6n) | (BigInt(rights & 3) << 1n);
  if (entryBits === 32) return [at, low];
  return [at, low | (BigInt(rights & 4) << 61n) | (BigInt(rights >> 3) << 59n)];
}

/** What MOV to CR3 is given under PAE paging. */
export interface PdpteCase {
  readonly id: string;
  readonly cr3: bigint;
  readonly maxPhyAddr: number;
  readonly memory: readonly Cell[];
}

/** Each bit of each of the four PDPTEs flipped, from present and from absent ones: 1,536 cases. */
export function* pdpteCases(stride = 1): Generator<PdpteCase> {
  const pick = everyNth(stride);
  for (const maxPhyAddr of MAXPHYADDRS)
    for (const present of [0n, 1n]) {
      const cells = [2n, 3n, 4n, 5n].map((n, index): Cell => [
        0x1_0020n + BigInt(index) * 8n,
        (n << 16n) | present,
      ]);
      for (const { index, bit, cells: memory } of flipsOf({ name: 'pdptes', cells, entryBits: 64 })) {
        if (!pick()) continue;
        const id = `pdpte ${String(index)} bit ${String(bit)} P=${String(present)} M${String(maxPhyAddr)}`;
        yield { id, cr3: 0x1_0038n, maxPhyAddr, memory };
      }
    }
}

/** Linear addresses around every boundary of being canonical: 192 cases in each long mode. */
export function* canonicalCases(mode: '4level' | '5level'): Generator<X86Case> {
  const situation = situations(mode)[0];
  const path = goodPaths(mode)[0];
  if (situation === undefined || path === undefined) return;
  const request = requestFor(mode, situation, 46);
  const all = (1n << 64n) - 1n;
  for (let bit = 0n; bit < 64n; bit += 1n)
    for (const [name, va] of [
      ['only bit', 1n << bit],
      ['all bits from', all ^ ((1n << bit) - 1n)],
      ['all bits but', all ^ (1n << bit)],
    ] as const) {
      yield { id: `${mode} va ${name} ${String(bit)}`, request: { ...request, va }, memory: path.cells };
    }
}
