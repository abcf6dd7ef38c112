/** Guests whose tables and data lie in 1 GiB regions of their own, and second-stage tables under them. */
import { goodPaths, requestFor, type PagedMode } from './enumerate-x86.ts';
import { IdentityTables, type Cell } from './paths.ts';
import type { X86Request } from './x86.ts';

const GIGABYTE = 0x4000_0000n;

/** A guest with paging off: its linear address is the guest-physical one. */
export const unpagedGuest = (access: 'r' | 'w' | 'x', maxPhyAddr: number): X86Request => ({
  cr0: 0x11n,
  cr3: 0n,
  cr4: 0n,
  efer: 0n,
  pkru: 0,
  pkrs: 0,
  ac: false,
  cpl: 0,
  access,
  va: 0xc0a0_57b8n,
  maxPhyAddr,
});

/** A guest in user mode with WP and NXE on. Under PAE paging it has no PDPTE registers. */
export function pagedGuest(mode: PagedMode, access: 'r' | 'w' | 'x', maxPhyAddr: number): X86Request {
  const long = mode === '4level' || mode === '5level';
  const { pdptes: _registers, ...request } = requestFor(
    mode,
    {
      access,
      cpl: 3,
      ac: false,
      cr0: 0x8001_0011n,
      cr4: mode === '2level' ? 0x10n : mode === '5level' ? 0x1020n : 0x20n,
      efer: long ? 0xd00n : 0x800n,
    },
    maxPhyAddr,
  );
  return request;
}

/** The same with the PDPTE registers that loading them from `guestPath` gives. */
export function withPdptes(guest: X86Request, mode: PagedMode): X86Request {
  const pdpte = guestPath(mode)[0]?.[1] ?? 0n;
  return mode === 'pae' ? { ...guest, pdptes: [0n, 0n, pdpte, 0n] } : guest;
}

/** A good path to a small page by guest-physical address, under PAE paging with the PDPTE in memory. */
export function guestPath(mode: PagedMode): readonly Cell[] {
  const path = goodPaths(mode)[0]?.cells ?? [];
  const cells: readonly Cell[] = mode === 'pae' ? [[0x1_0010n, 0x2_0001n], ...path] : path;
  return cells.map(([at, entry], depth): Cell => {
    const region = BigInt(depth) * GIGABYTE;
    return [at + region, entry + region + GIGABYTE];
  });
}

/** The guest-physical pages that a walk of `guestPath` uses: each table, then the data. */
export function guestPages(mode: PagedMode): readonly bigint[] {
  const cells = guestPath(mode);
  const data = (cells.at(-1)?.[1] ?? 0n) & 0x000f_ffff_ffff_f000n;
  return [...cells.map(([at]) => at), data];
}

/** Second-stage tables that map those pages to themselves. */
export function tablesUnder(
  mode: PagedMode,
  how: { levels: number; links: bigint; leaf: bigint },
): IdentityTables {
  const tables = new IdentityTables(how);
  for (const page of guestPages(mode)) tables.map(page);
  return tables;
}
