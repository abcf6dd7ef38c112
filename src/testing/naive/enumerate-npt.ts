/**
 * Exhaustive small sets of walks under AMD nested paging: every single bit of every nested entry, on the way to a
 * guest table and to the final address, where the recorded vectors have nothing: 5-level nested tables, host NXE
 * off, other physical address sizes. Guest-physical addresses stay below 2^48 where the nested tables have 4 levels.
 */
import type { PagedMode } from './enumerate-x86.ts';
import { guestPath, pagedGuest, tablesUnder, unpagedGuest } from './nested-paths.ts';
import type { NestedTables } from './npt.ts';
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

export interface NptCase {
  readonly id: string;
  readonly guest: X86Request;
  readonly host: NestedTables;
  /** Nested and guest entries by host-physical address; guest-physical addresses map to themselves. */
  readonly memory: readonly Cell[];
}

const RWU = 0x7n;

const hosts = (levels: 4 | 5): readonly NestedTables[] =>
  [36, 46, 52].flatMap((maxPhyAddr) => BOTH.map((nxe) => ({ ncr3: NESTED_ROOT, levels, nxe, maxPhyAddr })));

const hostName = (host: NestedTables): string =>
  `${String(host.levels)} levels M${String(host.maxPhyAddr)}${host.nxe ? ' nxe' : ''}`;

const nestedPath = (cells: readonly Cell[]): Path => ({ name: 'nested', cells, entryBits: 64 });

/** Each bit of the nested entries below the final address, by page size, guest paging off: 24,192 cases. */
export function* nptFinalCases(stride = 1): Generator<NptCase> {
  const pick = everyNth(stride);
  for (const levels of [4, 5] as const)
    for (const pageLevel of [1, 2, 3]) {
      const nested = new IdentityTables({ levels, links: RWU, leaf: RWU });
      nested.map(unpagedGuest('r', 46).va, pageLevel);
      for (const { index, bit, cells: memory } of flipsOf(nestedPath(nested.cells)))
        for (const host of hosts(levels))
          for (const access of ACCESSES) {
            if (!pick()) continue;
            const where = `page level ${String(pageLevel)} entry ${String(index)} bit ${String(bit)}`;
            const id = `npt final ${hostName(host)} ${where} ${access}`;
            yield { id, guest: unpagedGuest(access, host.maxPhyAddr), host, memory };
          }
    }
}

/**
 * Each bit of the nested entries on the way to each page that a guest's walk uses: 24,192 cases in `2level`, 31,104
 * in `pae`, 38,016 in `4level`, 44,928 in `5level`.
 */
export function* nptTableCases(mode: PagedMode, stride = 1): Generator<NptCase> {
  const pick = everyNth(stride);
  const guestCells = guestPath(mode);
  for (const levels of [4, 5] as const) {
    const nested = tablesUnder(mode, { levels, links: RWU, leaf: RWU });
    for (const { index, bit, cells } of flipsOf(nestedPath(nested.cells)))
      for (const host of hosts(levels))
        for (const access of ACCESSES) {
          if (!pick()) continue;
          const id = `npt ${mode} ${hostName(host)} nested ${String(index)} bit ${String(bit)} ${access}`;
          const memory = [...cells, ...guestCells];
          yield { id, guest: pagedGuest(mode, access, host.maxPhyAddr), host, memory };
        }
  }
}

/**
 * Each bit of each guest entry above good nested tables of 5 levels: 1,152 cases in `2level`, 3,456 in `pae`, 4,608
 * in `4level`, 5,760 in `5level`.
 */
export function* nptGuestCases(mode: PagedMode, stride = 1): Generator<NptCase> {
  const pick = everyNth(stride);
  const nested = tablesUnder(mode, { levels: 5, links: RWU, leaf: RWU });
  const path: Path = { name: 'guest', cells: guestPath(mode), entryBits: mode === '2level' ? 32 : 64 };
  for (const { index, bit, cells } of flipsOf(path))
    for (const host of hosts(5))
      for (const access of ACCESSES) {
        if (!pick()) continue;
        const id = `npt ${mode} ${hostName(host)} guest ${String(index)} bit ${String(bit)} ${access}`;
        const memory = [...nested.cells, ...cells];
        yield { id, guest: pagedGuest(mode, access, host.maxPhyAddr), host, memory };
      }
}
