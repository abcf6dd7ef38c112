/**
 * What a page walk costs at the least: a straight loop over an array of words, for 4-level tables with 4 KiB pages alone.
 * It records nothing, counts nothing, knows no formats, checks no reserved bits and tells no reasons.
 */

const PRESENT = 1n;
const WRITABLE = 2n;
const USER = 4n;
const ACCESSED = 0x20n;
const DIRTY = 0x40n;
const NO_EXECUTE = 1n << 63n;
const FRAME = 0x000f_ffff_ffff_f000n;

export interface PlainAccess {
  readonly write: boolean;
  readonly execute: boolean;
}

export interface PlainRoots {
  readonly guest: bigint;
  /** Second tables, through which every address of the first goes, and the page itself. */
  readonly host?: bigint;
}

const TABLE_ACCESS: PlainAccess = { write: true, execute: false };

/** The physical address that user code reaches at `address`, or undefined for any fault. */
export function plainWalk(
  memory: BigUint64Array,
  roots: PlainRoots,
  address: bigint,
  access: PlainAccess,
): bigint | undefined {
  const { guest, host } = roots;
  const { write, execute } = access;
  let table = guest;
  let granted = WRITABLE | USER;
  let forbidden = 0n;
  for (let shift = 39n; shift >= 12n; shift -= 9n) {
    const at = table | (((address >> shift) & 0x1ffn) << 3n);
    const found = host === undefined ? at : plainWalk(memory, { guest: host }, at, TABLE_ACCESS);
    if (found === undefined) return undefined;
    const place = Number(found >> 3n);
    const entry = memory[place] ?? 0n;
    if ((entry & PRESENT) === 0n) return undefined;
    granted &= entry;
    forbidden |= entry & NO_EXECUTE;
    if (shift === 12n) {
      const refused = (write && (granted & WRITABLE) === 0n) || (execute && forbidden !== 0n);
      if (refused || (granted & USER) === 0n) return undefined;
    }
    const marked = entry | (shift === 12n && write ? ACCESSED | DIRTY : ACCESSED);
    if (marked !== entry) memory[place] = marked;
    table = entry & FRAME;
  }
  const page = table | (address & 0xfffn);
  return host === undefined ? page : plainWalk(memory, { guest: host }, page, access);
}
