/** Bits of an entry by the numbers that the manuals print. */

export const bit = (value: bigint, n: number): boolean => ((value >> BigInt(n)) & 1n) === 1n;

/** The field from bit `high` down to bit `low`, both included, shifted to bit 0; 0 where `high` < `low`. */
export const field = (value: bigint, high: number, low: number): bigint =>
  high < low ? 0n : (value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);

/** The same field left where it stands, all other bits clear: an address out of an entry. */
export const keep = (value: bigint, high: number, low: number): bigint =>
  field(value, high, low) << BigInt(low);

/** Physical memory by the address of each entry; what is not listed reads as 0. */
export type Memory = Map<bigint, bigint>;
