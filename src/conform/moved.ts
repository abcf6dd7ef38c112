/**
 * Guest memory of the language ends at 128M, and some recorded slots lie above. The text has such a slot lower down, and
 * every entry that names a page of it names that place instead; accesses go by virtual addresses and stay as they are.
 */
import { PAGE } from './numbers.ts';
import type { RecordedScenario } from './recording.ts';

const END = 1n << 27n;
/** From here on; as every recorded slot there, at a multiple of 2 MiB. */
const FREE = 0x400_0000n;
const ALIGNED = 0x20_0000n;
const FRAME_BITS = 0x000f_ffff_ffff_f000n;

interface Range {
  readonly slot: number;
  readonly from: bigint;
  readonly bytes: bigint;
  readonly to: bigint;
}

export class Moved {
  private readonly ranges: readonly Range[];
  private readonly scenario: RecordedScenario;

  constructor(scenario: RecordedScenario) {
    this.scenario = scenario;
    let next = FREE;
    this.ranges = scenario.memslots.flatMap(({ slot, gpa, size }): readonly Range[] => {
      const [from, bytes] = [BigInt(gpa), BigInt(size)];
      if (from + bytes <= END) return [];
      const to = next;
      next = ((to + bytes + ALIGNED - 1n) / ALIGNED) * ALIGNED;
      return [{ slot, from, bytes, to }];
    });
  }

  /** Where the text has a guest physical address. */
  address(gpa: bigint): bigint {
    const range = this.ranges.find(({ from, bytes }) => gpa >= from && gpa < from + bytes);
    return range === undefined ? gpa : gpa - range.from + range.to;
  }

  /** What the text has for an entry of the guest's tables. */
  entry(value: bigint): bigint {
    const frame = value & FRAME_BITS;
    return (value & ~FRAME_BITS) | this.address(frame);
  }

  slotAt(slot: number): bigint {
    return this.address(BigInt(this.recorded(slot)));
  }

  /** Said behind the line of a slot. */
  remarkOn(slot: number): string {
    if (!this.ranges.some((range) => range.slot === slot)) return '';
    return `  # at ${this.recorded(slot)} in the recording; memory of this machine ends at 128M`;
  }

  private recorded(slot: number): string {
    return this.scenario.memslots.find((record) => record.slot === slot)?.gpa ?? '0x0';
  }
}

export const frameOf = (entry: bigint): bigint => (entry & FRAME_BITS) / PAGE;
