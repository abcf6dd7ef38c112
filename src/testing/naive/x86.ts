/**
 * A second, naive page walk of x86 (Intel SDM vol. 3, paging), one copy per paging mode and with literal bit
 * numbers, to compare the model's walk with. It shares no code with the model.
 *
 * A/D bits on the way to a fault are as the recorded vectors have them. Leaves out: CET shadow stacks, LAM, SGX,
 * implicit supervisor accesses, processors without 1 GiB pages, NX or PSE-36, AMD's reserved bit 8.
 */
import { bit, field, keep, type Memory } from './bits.ts';

export interface X86Request {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly pkru: number;
  readonly pkrs: number;
  /** EFLAGS.AC during the access. */
  readonly ac: boolean;
  readonly cpl: number;
  readonly access: 'r' | 'w' | 'x';
  readonly va: bigint;
  readonly maxPhyAddr: number;
  /** The four PDPTE registers of PAE paging; without them the walk reads the PDPTE from memory, as under NPT. */
  readonly pdptes?: readonly bigint[];
}

export type X86Mode = 'off' | '2level' | 'pae' | '4level' | '5level';

export type X86Outcome =
  | { readonly t: 'ok'; readonly pa: bigint }
  | { readonly t: 'pf'; readonly ec: number; readonly cr2: bigint }
  | { readonly t: 'gp' };

/** How the walk reaches its tables. `undefined` and `false` say that a second stage stopped the access. */
export interface TablePort {
  readonly read: (address: bigint) => bigint | undefined;
  /** Sets bits of an entry that the walk has read; where they are set already, nothing is written. */
  readonly mark: (address: bigint, bits: bigint) => boolean;
}

export interface Stopped {
  readonly t: 'stopped';
}

type Walked = X86Outcome | Stopped;

/** What the entries of a path allow together. */
export interface Page {
  readonly w: boolean;
  readonly u: boolean;
  readonly x: boolean;
  readonly key: number;
}

const STOPPED: Stopped = { t: 'stopped' };
const A = 1n << 5n;
const A_AND_D = (1n << 5n) | (1n << 6n);

export function modeOf(q: X86Request): X86Mode {
  if (!bit(q.cr0, 31)) return 'off';
  if (!bit(q.cr4, 5)) return '2level';
  if (!bit(q.efer, 10)) return 'pae';
  return bit(q.cr4, 12) ? '5level' : '4level';
}

/** One access on bare tables; writes A and D into `memory`. */
export function walkX86(q: X86Request, memory: Memory): X86Outcome {
  const outcome = walkThrough(q, {
    read: (address) => memory.get(address) ?? 0n,
    mark: (address, bits) => {
      memory.set(address, (memory.get(address) ?? 0n) | bits);
      return true;
    },
  });
  if (outcome.t === 'stopped') throw new Error('bare memory stops no walk');
  return outcome;
}

/** The same walk through a port, for tables that lie behind a second stage. */
export function walkThrough(q: X86Request, port: TablePort): Walked {
  switch (modeOf(q)) {
    case 'off':
      return { t: 'ok', pa: keep(q.va, 31, 0) };
    case '2level':
      return walk2Level(q, port);
    case 'pae':
      return walkPae(q, port);
    case '4level':
      return sameBits(q.va, 47) ? walkLong(q, port, 4) : { t: 'gp' };
    case '5level':
      return sameBits(q.va, 56) ? walkLong(q, port, 5) : { t: 'gp' };
  }
}

/** What MOV to CR3 loads under PAE paging: the four PDPTEs, or a general-protection fault. */
export function loadPdptes(q: Pick<X86Request, 'cr3' | 'maxPhyAddr'>, memory: Memory): bigint[] | 'gp' {
  const table = keep(q.cr3, 31, 5);
  const four = [0n, 8n, 16n, 24n].map((offset) => memory.get(table + offset) ?? 0n);
  return four.some((pdpte) => bit(pdpte, 0) && pdpteIsBad(pdpte, q.maxPhyAddr)) ? 'gp' : four;
}

export function pdpteIsBad(pdpte: bigint, maxPhyAddr: number): boolean {
  if (bit(pdpte, 1) || bit(pdpte, 2)) return true;
  if (bit(pdpte, 5) || bit(pdpte, 6) || bit(pdpte, 7) || bit(pdpte, 8)) return true;
  return field(pdpte, 63, maxPhyAddr) !== 0n;
}

/** Canonical: all bits from `top` to 63 are the same. */
function sameBits(va: bigint, top: number): boolean {
  const upper = field(va, 63, top);
  return upper === 0n || upper === field((1n << 64n) - 1n, 63, top);
}

function walk2Level(q: X86Request, port: TablePort): Walked {
  const pdeAt = keep(q.cr3, 31, 12) + field(q.va, 31, 22) * 4n;
  const pde = port.read(pdeAt);
  if (pde === undefined) return STOPPED;
  if (!bit(pde, 0)) return absent(q);
  if (bit(pde, 7) && bit(q.cr4, 4)) {
    const m = Math.min(40, q.maxPhyAddr);
    if (field(pde, 21, m - 19) !== 0n) return reserved(q);
    const high = field(pde, m - 20, 13) << 32n;
    const page = { w: bit(pde, 1), u: bit(pde, 2), x: true, key: 0 };
    return finish(q, port, { at: pdeAt, page, pa: high | keep(pde, 31, 22) | field(q.va, 21, 0) });
  }
  if (!port.mark(pdeAt, A)) return STOPPED;
  const pteAt = keep(pde, 31, 12) + field(q.va, 21, 12) * 4n;
  const pte = port.read(pteAt);
  if (pte === undefined) return STOPPED;
  if (!bit(pte, 0)) return absent(q);
  const page = { w: bit(pde, 1) && bit(pte, 1), u: bit(pde, 2) && bit(pte, 2), x: true, key: 0 };
  return finish(q, port, { at: pteAt, page, pa: keep(pte, 31, 12) | field(q.va, 11, 0) });
}

function walkPae(q: X86Request, port: TablePort): Walked {
  const pdpte = pdpteFor(q, port);
  if (pdpte === undefined) return STOPPED;
  if (!bit(pdpte, 0)) return absent(q);
  if (q.pdptes === undefined && pdpteIsBad(pdpte, q.maxPhyAddr)) return reserved(q);
  const pdeAt = keep(pdpte, 51, 12) + field(q.va, 29, 21) * 8n;
  const pde = port.read(pdeAt);
  if (pde === undefined) return STOPPED;
  if (!bit(pde, 0)) return absent(q);
  if (paeEntryIsBad(q, pde)) return reserved(q);
  if (bit(pde, 7)) {
    if (field(pde, 20, 13) !== 0n) return reserved(q);
    const page = { w: bit(pde, 1), u: bit(pde, 2), x: !bit(pde, 63), key: 0 };
    return finish(q, port, { at: pdeAt, page, pa: keep(pde, 51, 21) | field(q.va, 20, 0) });
  }
  if (!port.mark(pdeAt, A)) return STOPPED;
  const pteAt = keep(pde, 51, 12) + field(q.va, 20, 12) * 8n;
  const pte = port.read(pteAt);
  if (pte === undefined) return STOPPED;
  if (!bit(pte, 0)) return absent(q);
  if (paeEntryIsBad(q, pte)) return reserved(q);
  const page = {
    w: bit(pde, 1) && bit(pte, 1),
    u: bit(pde, 2) && bit(pte, 2),
    x: !bit(pde, 63) && !bit(pte, 63),
    key: 0,
  };
  return finish(q, port, { at: pteAt, page, pa: keep(pte, 51, 12) | field(q.va, 11, 0) });
}

function pdpteFor(q: X86Request, port: TablePort): bigint | undefined {
  const index = field(q.va, 31, 30);
  if (q.pdptes !== undefined) return q.pdptes[Number(index)] ?? 0n;
  return port.read(keep(q.cr3, 31, 5) + index * 8n);
}

export function paeEntryIsBad(q: Pick<X86Request, 'maxPhyAddr' | 'efer'>, entry: bigint): boolean {
  if (field(entry, 62, q.maxPhyAddr) !== 0n) return true;
  return bit(entry, 63) && !bit(q.efer, 11);
}

function walkLong(q: X86Request, port: TablePort, levels: 4 | 5): Walked {
  let table = keep(q.cr3, 51, 12);
  let w = true;
  let u = true;
  let x = true;
  for (let level: number = levels; ; level -= 1) {
    const at = table + longIndex(q.va, level) * 8n;
    const entry = port.read(at);
    if (entry === undefined) return STOPPED;
    if (!bit(entry, 0)) return absent(q);
    if (longEntryIsBad(entry, { level, maxPhyAddr: q.maxPhyAddr, nxe: bit(q.efer, 11) })) return reserved(q);
    w &&= bit(entry, 1);
    u &&= bit(entry, 2);
    x &&= !bit(entry, 63);
    const pa = longLeafAddress(entry, q.va, level);
    const key = Number(field(entry, 62, 59));
    if (pa !== undefined) return finish(q, port, { at, page: { w, u, x, key }, pa });
    if (!port.mark(at, A)) return STOPPED;
    table = keep(entry, 51, 12);
  }
}

export function longIndex(va: bigint, level: number): bigint {
  if (level === 5) return field(va, 56, 48);
  if (level === 4) return field(va, 47, 39);
  if (level === 3) return field(va, 38, 30);
  if (level === 2) return field(va, 29, 21);
  return field(va, 20, 12);
}

/** The address that a leaf gives, or undefined where the entry names a further table. */
export function longLeafAddress(entry: bigint, va: bigint, level: number): bigint | undefined {
  if (level === 3 && bit(entry, 7)) return keep(entry, 51, 30) | field(va, 29, 0);
  if (level === 2 && bit(entry, 7)) return keep(entry, 51, 21) | field(va, 20, 0);
  if (level === 1) return keep(entry, 51, 12) | field(va, 11, 0);
  return undefined;
}

export function longEntryIsBad(
  entry: bigint,
  how: { level: number; maxPhyAddr: number; nxe: boolean },
): boolean {
  if (field(entry, 51, how.maxPhyAddr) !== 0n) return true;
  if (bit(entry, 63) && !how.nxe) return true;
  if (how.level === 5 && bit(entry, 7)) return true;
  if (how.level === 4 && bit(entry, 7)) return true;
  if (how.level === 3 && bit(entry, 7)) return field(entry, 29, 13) !== 0n;
  if (how.level === 2 && bit(entry, 7)) return field(entry, 20, 13) !== 0n;
  return false;
}

function finish(q: X86Request, port: TablePort, leaf: { at: bigint; page: Page; pa: bigint }): Walked {
  const keyRefuses = protectionKeyRefuses(q, leaf.page);
  if (keyRefuses || rightsRefuse(q, leaf.page)) {
    return { t: 'pf', ec: 1 | requestCode(q) | (keyRefuses ? 32 : 0), cr2: q.va };
  }
  if (!port.mark(leaf.at, q.access === 'w' ? A_AND_D : A)) return STOPPED;
  return { t: 'ok', pa: leaf.pa };
}

/** Whether the bits of the entries alone refuse the access. */
export function rightsRefuse(q: X86Request, page: Page): boolean {
  const nxe = bit(q.efer, 11) && bit(q.cr4, 5);
  if (q.cpl === 3) {
    if (!page.u) return true;
    if (q.access === 'w') return !page.w;
    return q.access === 'x' && nxe && !page.x;
  }
  if (q.access === 'x') {
    if (nxe && !page.x) return true;
    return page.u && bit(q.cr4, 20);
  }
  if (page.u && bit(q.cr4, 21) && !q.ac) return true;
  return q.access === 'w' && !page.w && bit(q.cr0, 16);
}

/** A user access to a supervisor page is refused without its key being looked at. */
export function protectionKeyRefuses(q: X86Request, page: Page): boolean {
  if (!bit(q.efer, 10) || q.access === 'x') return false;
  if (!page.u && q.cpl === 3) return false;
  if (page.u && !bit(q.cr4, 22)) return false;
  if (!page.u && !bit(q.cr4, 24)) return false;
  const pair = BigInt(page.u ? q.pkru : q.pkrs) >> BigInt(2 * page.key);
  if (bit(pair, 0)) return true;
  return bit(pair, 1) && q.access === 'w' && (q.cpl === 3 || bit(q.cr0, 16));
}

/** The part of an error code that the request alone decides. */
export function requestCode(q: X86Request): number {
  let ec = 0;
  if (q.access === 'w') ec |= 2;
  if (q.cpl === 3) ec |= 4;
  if (q.access === 'x' && (bit(q.cr4, 20) || (bit(q.cr4, 5) && bit(q.efer, 11)))) ec |= 16;
  return ec;
}

const absent = (q: X86Request): Walked => ({ t: 'pf', ec: requestCode(q), cr2: q.va });
const reserved = (q: X86Request): Walked => ({ t: 'pf', ec: 1 | 8 | requestCode(q), cr2: q.va });
