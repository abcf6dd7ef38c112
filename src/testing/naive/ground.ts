/**
 * What lies at guest physical addresses, as the naive model of correct TLBs is told: memory, memory that may only be
 * read, or a device, of which a read gets all ones and a store leaves no trace.
 */
export type Lies = 'memory' | 'read-only' | 'device';

/** At one moment. */
export type Ground = (at: bigint) => Lies;

export const memoryUpTo =
  (end: bigint): Ground =>
  (at) =>
    at < end ? 'memory' : 'device';

/** What a device answers. */
export const allOnes = (bytes: number): bigint => (1n << BigInt(bytes * 8)) - 1n;
