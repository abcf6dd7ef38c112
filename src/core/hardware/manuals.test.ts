/**
 * What the manuals themselves list or work out, case by case: EPT, and translation tables with each granule.
 *
 * Intel SDM vol. 3C by the numbers of the editions in which "VMX support for address translation" is chapter 28; later
 * editions count the chapters of VMX one higher. The lists and tables 24-8, 27-7 and 28-4 to 28-6 have been looked up;
 * of tables 28-1 to 28-3 only the contents, under the numbers of later editions.
 * Arm ARM (DDI 0487) by the numbers of issue A, whose text of D4.2.3 and D4.2.6 has been looked up; of its starting
 * levels only the topic is named where the table's number could not be confirmed.
 */
import { describe, expect, test } from 'vitest';
import { Machine } from '../machine/machine.ts';
import { DEFAULT_SETTINGS } from '../settings.ts';
import { armLevels, type Granule } from './arm-levels.ts';
import { stage1Of, stage2Of } from './arm-registers.ts';
import { armStage } from './arm-walk.ts';
import { eptLevels } from './ept-levels.ts';
import { EPT_MISCONFIGURED, eptFormat } from './ept-format.ts';
import { wordAt } from './format.ts';
import type { AccessKind } from './registers.ts';
import { eptStage } from './second-stage.ts';

type Cells = readonly (readonly [bigint, bigint])[];

function machineWith(cells: Cells): Machine {
  const m = new Machine({ settings: DEFAULT_SETTINGS });
  m.step('setup-memory', { gfn: 0 });
  for (const [address, entry] of cells) m.set('word', wordAt(address), entry);
  return m;
}

const bit = (n: number): bigint => 1n << BigInt(n);
const bitsFrom = (high: number, low: number): readonly number[] =>
  Array.from({ length: high - low + 1 }, (_, at) => low + at);

/** MAXPHYADDR. */
const N = 40;
const WB = 6n << 3n;

interface Ept {
  /** Table 24-8: memory type in 2:0, page-walk length minus 1 in 5:3, accessed and dirty flags in 6, the root in N-1:12. */
  readonly eptp?: bigint;
  readonly executeOnly?: boolean;
}

const EPTP = 0x1000n | (3n << 3n) | 6n;
const AD = bit(6);

const optionsOf = ({ eptp = EPTP, executeOnly = true }: Ept): Parameters<typeof eptStage>[0] => ({
  root: eptp & 0x000f_ffff_ffff_f000n,
  levels: (eptp >> 3n) % 8n === 4n ? 5 : 4,
  physicalBits: N,
  accessedDirty: (eptp & AD) !== 0n,
  executeOnly,
  oneGiB: true,
});

/** Entries of a walk of address 0: EPT PML4E, PDPTE, PDE and PTE. The last that is given is the leaf. */
const way = (entries: readonly bigint[]): Cells =>
  entries.map((entry, depth) => {
    const next = depth === entries.length - 1 ? 0n : BigInt(depth + 2) << 12n;
    return [BigInt(depth + 1) << 12n, entry | next] as const;
  });

interface Asked {
  readonly access?: AccessKind;
  readonly forTable?: boolean;
  /** The guest's walk goes on to set a flag in the table. */
  readonly update?: true;
}

function eptEnd(cells: Cells, asked: Asked = {}, ept: Ept = {}): string {
  const { access = 'read', forTable = false, update } = asked;
  const m = machineWith(cells);
  const use = { row: 0, forTable, trail: { words: [], values: [], counted: false } };
  const found = eptStage(optionsOf(ept), access).locate(m, 0n, use);
  if (found.kind === 'fault') return `${found.fault.kind} 0x${found.fault.code.toString(16)}`;
  const refused = update === true ? found.refuseWrite?.() : undefined;
  return refused === undefined ? 'ok' : `${refused.kind} 0x${refused.code.toString(16)}`;
}

const MISCONFIGURED = 'EPT misconfiguration 0x0';
const GOOD = [7n, 7n, 7n, 7n | WB] as const;
const withEntry = (depth: number, entry: bigint): readonly bigint[] => GOOD.with(depth, entry);

describe('Intel SDM vol. 3C, 28.2.3.1: an EPT misconfiguration occurs where', () => {
  test.each([0, 1, 2, 3])('bits 2:0 are 010b (write-only) or 110b (write/execute), in entry %i', (depth) => {
    const type = depth === 3 ? WB : 0n;
    expect(eptEnd(way(withEntry(depth, 0b010n | type)))).toBe(MISCONFIGURED);
    expect(eptEnd(way(withEntry(depth, 0b110n | type)))).toBe(MISCONFIGURED);
  });
  test.each([0, 1, 2, 3])('bits 2:0 are 100b and the processor does not support it, in entry %i', (depth) => {
    const entries = way(withEntry(depth, 0b100n | (depth === 3 ? WB : 0n)));
    expect(eptEnd(entries, { access: 'execute' }, { executeOnly: false })).toBe(MISCONFIGURED);
    expect(eptEnd(entries, { access: 'execute' })).toBe('ok');
  });
  test.each([0, 1, 2, 3])('an address bit beyond the physical-address width is set, in entry %i', (depth) => {
    for (const n of bitsFrom(51, N)) {
      const entry = (GOOD[depth] ?? 0n) | bit(n);
      expect(eptEnd(way(withEntry(depth, entry)))).toBe(MISCONFIGURED);
    }
  });
  test.each([2n, 3n, 7n])('the memory type of the last entry is %s', (type) => {
    expect(eptEnd(way([7n, 7n, 7n, 7n | (type << 3n)]))).toBe(MISCONFIGURED);
    expect(eptEnd(way([7n, 7n, 7n | bit(7) | (type << 3n)]))).toBe(MISCONFIGURED);
    expect(eptEnd(way([7n, 7n | bit(7) | (type << 3n)]))).toBe(MISCONFIGURED);
  });
  test.each([0n, 1n, 4n, 5n, 6n])('but memory type %s exists', (type) => {
    expect(eptEnd(way([7n, 7n, 7n, 7n | (type << 3n)]))).toBe('ok');
  });
});

describe('Intel SDM vol. 3C, tables 28-1 to 28-6: which bits of a present entry must be 0, and which are ignored', () => {
  // The columns: level, whether bit 7 makes it a leaf, the bits that must be 0 beside 51:N, the bits that are ignored.
  test.each<[string, number, bigint, readonly number[], readonly number[]]>([
    ['28-1, EPT PML4E', 4, 7n, bitsFrom(7, 3), [9, 10, 11, ...bitsFrom(63, 52)]],
    [
      '28-2, EPT PDPTE of a 1-GByte page',
      3,
      7n | bit(7) | WB,
      bitsFrom(29, 12),
      [10, 11, ...bitsFrom(63, 52)],
    ],
    ['28-3, EPT PDPTE of a page directory', 3, 7n, bitsFrom(6, 3), [9, 10, 11, ...bitsFrom(63, 52)]],
    ['28-4, EPT PDE of a 2-MByte page', 2, 7n | bit(7) | WB, bitsFrom(20, 12), [10, 11, ...bitsFrom(63, 52)]],
    ['28-5, EPT PDE of a page table', 2, 7n, bitsFrom(6, 3), [9, 10, 11, ...bitsFrom(63, 52)]],
    ['28-6, EPT PTE', 1, 7n | WB, [], [7, 10, 11, ...bitsFrom(63, 52)]],
  ])('table %s', (_name, level, entry, reserved, ignored) => {
    const format = eptFormat(optionsOf({}));
    const at = eptLevels(4).find((candidate) => candidate.level === level);
    if (at === undefined) throw new Error('no such level');
    const kind = format.kindOf(entry, at);
    expect(kind).not.toBe(EPT_MISCONFIGURED);
    for (const n of [...reserved, ...bitsFrom(51, N)])
      expect([n, format.kindOf(entry | bit(n), at)]).toEqual([n, EPT_MISCONFIGURED]);
    for (const n of ignored) expect([n, format.kindOf(entry | bit(n), at)]).toEqual([n, kind]);
  });
  test('28.2.2: an entry is not present if bits 2:0 are all 0, and then no other bit is looked at', () => {
    for (const n of bitsFrom(63, 3))
      expect([n, eptEnd(way(withEntry(3, bit(n))))]).toEqual([n, 'EPT violation 0x181']);
  });
  test('28.2.2: bits 47:39, 38:30, 29:21 and 20:12 choose the entries; large pages keep bits 29:0 and 20:0', () => {
    expect(eptLevels(4).map(({ shift, bits }) => [shift + bits - 1, shift])).toEqual([
      [47, 39],
      [38, 30],
      [29, 21],
      [20, 12],
    ]);
  });
});

describe('Intel SDM vol. 3C, 28.2.3.2: without a misconfiguration, an EPT violation occurs where', () => {
  const READ = { access: 'read' } as const;
  const WRITE = { access: 'write' } as const;
  const FETCH = { access: 'execute' } as const;
  const TABLE = { forTable: true } as const;
  test.each<[string, number, bigint, Asked, Ept, string]>([
    ['an entry is not present', 1, 0n, READ, {}, 'EPT violation 0x181'],
    ['a data read, and bit 0 is clear in any entry', 2, 0b100n, READ, {}, 'EPT violation 0x1a1'],
    ['a data write, and bit 1 is clear in any entry', 0, 0b101n, WRITE, {}, 'EPT violation 0x1aa'],
    ['a fetch, and bit 2 is clear in any entry', 1, 0b011n, FETCH, {}, 'EPT violation 0x19c'],
    ['reading a guest paging structure is a data read', 2, 0b100n, TABLE, {}, 'EPT violation 0xa1'],
    [
      'updating accessed and dirty flags is a data write',
      3,
      0b101n | WB,
      { forTable: true, update: true },
      {},
      'EPT violation 0xab',
    ],
    [
      'with bit 6 of EPTP, access to a guest paging structure is a write',
      3,
      0b101n | WB,
      TABLE,
      { eptp: EPTP | AD },
      'EPT violation 0xab',
    ],
    ['without it, it is not', 3, 0b101n | WB, TABLE, {}, 'ok'],
  ])('%s', (_name, depth, entry, asked, ept, expected) => {
    expect(eptEnd(way(withEntry(depth, entry)), asked, ept)).toBe(expected);
  });
  test('28.2.3.3: rights are judged after the last entry; a misconfiguration on the way comes first', () => {
    expect(eptEnd(way([0b101n, 7n, 7n, 0b010n | WB]), WRITE)).toBe(MISCONFIGURED);
    expect(eptEnd(way([0b101n, 7n, 0n, 0b010n | WB]), WRITE)).toBe('EPT violation 0x182');
  });
});

describe('Intel SDM vol. 3C, table 27-7: the exit qualification of an EPT violation', () => {
  const qualification = (cells: Cells, asked: Asked, ept?: Ept): bigint =>
    BigInt(eptEnd(cells, asked, ept).replace('EPT violation ', ''));
  test.each<[string, number, Asked, Ept]>([
    ['0: a data read', 0, { access: 'read' }, {}],
    ['1: a data write', 1, { access: 'write' }, {}],
    ['2: an instruction fetch', 2, { access: 'execute' }, {}],
  ])('bit %s', (_name, n, asked, ept) => {
    const code = qualification(way(withEntry(2, 0n)), asked, ept);
    expect(code & 7n).toBe(bit(n));
  });
  test('bits 0 and 1, with accessed and dirty flags on: both, for a guest paging structure', () => {
    expect(qualification(way(withEntry(2, 0n)), { forTable: true }, { eptp: EPTP | AD }) & 7n).toBe(3n);
  });
  test.each([0b001n, 0b011n, 0b101n, 0b100n, 0b111n])(
    'bits 5:3: the AND of bits 2:0 of all entries, here with %s in the middle',
    (rights) => {
      const denied = { access: (rights & 2n) === 0n ? 'write' : 'execute' } as const;
      const cells = way([7n, rights, (rights & 4n) === 0n ? 7n : 0b101n, 0b101n | WB]);
      const code = eptEnd(cells, denied);
      const granted = rights & 0b101n;
      const refused = denied.access === 'write' || (granted & 4n) === 0n;
      expect(code.startsWith('EPT violation')).toBe(refused);
      if (refused) expect((BigInt(code.replace('EPT violation ', '')) >> 3n) & 7n).toBe(granted);
    },
  );
  test('bit 7: the guest linear-address field is valid; bit 8: the access is to its translation, or to a table', () => {
    expect(qualification(way(withEntry(2, 0n)), { access: 'read' }) >> 7n).toBe(3n);
    expect(qualification(way(withEntry(2, 0n)), { forTable: true }) >> 7n).toBe(1n);
  });
});

describe('Intel SDM vol. 3C, 28.2.4: accessed and dirty flags for EPT', () => {
  const marksAfter = (asked: Asked, eptp: bigint): readonly string[] => {
    const m = machineWith(way(GOOD));
    const use = {
      row: 0,
      forTable: asked.forTable === true,
      trail: { words: [], values: [], counted: false },
    };
    eptStage(optionsOf({ eptp }), asked.access ?? 'read').locate(m, 0n, use);
    return way(GOOD).map(([address]) => ((m.word(wordAt(address)) >> 8n) & 3n).toString(2));
  };
  test.each<[string, Asked, bigint, readonly string[]]>([
    ['bit 6 of EPTP clear: neither is set', { access: 'write' }, EPTP, ['0', '0', '0', '0']],
    [
      'a read sets the accessed flag of every entry used',
      { access: 'read' },
      EPTP | AD,
      ['1', '1', '1', '1'],
    ],
    ['a write also the dirty flag of the last', { access: 'write' }, EPTP | AD, ['1', '1', '1', '11']],
    ['access to a guest paging structure is a write', { forTable: true }, EPTP | AD, ['1', '1', '1', '11']],
  ])('%s', (_name, asked, eptp, expected) => {
    expect(marksAfter(asked, eptp)).toEqual(expected);
  });
});

const TG0: Readonly<Record<Granule, bigint>> = { 12: 0n, 16: 1n, 14: 2n };
const OF_48_BITS = { 12: 0, 14: 0, 16: 1 } as const;

describe('Arm ARM, D4.2.3: the bits of the input address that each level resolves', () => {
  // Table D4-10, and the formula in its text: IA[min(47, (3-x)(n-3)+2n-4) : n+(3-x)(n-3)] for level x, granule 2^n.
  test.each<[Granule, readonly (readonly [number, number, number])[]]>([
    [
      12,
      [
        [0, 47, 39],
        [1, 38, 30],
        [2, 29, 21],
        [3, 20, 12],
      ],
    ],
    [
      14,
      [
        [0, 47, 47],
        [1, 46, 36],
        [2, 35, 25],
        [3, 24, 14],
      ],
    ],
    [
      16,
      [
        [1, 47, 42],
        [2, 41, 29],
        [3, 28, 16],
      ],
    ],
  ])('granule 2^%i: level, highest and lowest bit %j', (granule, expected) => {
    const levels = armLevels(granule, 48, OF_48_BITS[granule]);
    expect(levels.map(({ level, shift, bits }) => [level, shift + bits - 1, shift])).toEqual(expected);
    for (const { level, shift, bits } of levels) {
      const further = (3 - level) * (granule - 3);
      expect([shift + bits - 1, shift]).toEqual([Math.min(47, further + 2 * granule - 4), granule + further]);
    }
  });
  // The size of the root table, in bytes, and the lowest bit of its address.
  test.each<[string, Granule, number, number, { root: number; low: number; resolves: string }]>([
    ['example D4-1: 35 bits', 12, 35, 1, { root: 256, low: 8, resolves: '34:30' }],
    ['48 bits with 64KB', 16, 48, 1, { root: 512, low: 9, resolves: '47:42' }],
    [
      'example D4-2: 40 bits at stage 2, two tables in a row',
      12,
      40,
      1,
      { root: 8192, low: 13, resolves: '39:30' },
    ],
  ])('%s', (_name, granule, bits, start, { root, low, resolves }) => {
    const [first] = armLevels(granule, bits, start);
    if (first === undefined) throw new Error('no level');
    expect(2 ** first.bits * 8).toBe(root);
    expect(2 ** low).toBe(root);
    expect(`${String(first.shift + first.bits - 1)}:${String(first.shift)}`).toBe(resolves);
  });
});

describe('Arm ARM, starting level of stage 1 by T0SZ (table D4-11 for 4KB; the numbers for 16KB and 64KB unconfirmed)', () => {
  test.each<[Granule, number, number, number]>([
    [12, 16, 24, 0],
    [12, 25, 33, 1],
    [12, 34, 39, 2],
    [14, 16, 16, 0],
    [14, 17, 27, 1],
    [14, 28, 38, 2],
    [14, 39, 39, 3],
    [16, 16, 21, 1],
    [16, 22, 34, 2],
    [16, 35, 39, 3],
  ])('granule 2^%i, T0SZ %i to %i: level %i', (granule, least, most, level) => {
    for (const t0sz of bitsFrom(most, least)) {
      const tcr = BigInt(t0sz) | (TG0[granule] << 14n) | (5n << 32n);
      const stage1 = stage1Of({ tcr, ttbr0: 0n, sctlr: 1n });
      expect([t0sz, stage1?.format.startLevel]).toEqual([t0sz, level]);
    }
  });
});

describe('Arm ARM, starting level of stage 2 by SL0, and concatenated tables (topic D4.2.6; table numbers unconfirmed)', () => {
  /** The end of a walk whose root entries are all invalid: at the start level, or at level 0 where SL0 does not fit. */
  function abortLevel(granule: Granule, inputBits: number, sl0: number): number {
    const vtcr = BigInt(64 - inputBits) | (BigInt(sl0) << 6n) | (TG0[granule] << 14n) | (5n << 16n);
    const stage = stage2Of({ vtcr, vttbr: 0x8000_0000n });
    const use = { row: 0, forTable: false, trail: { words: [], values: [], counted: false } };
    const found = armStage(stage, { access: 'read', el: 1 }).locate(machineWith([]), 0n, use);
    if (found.kind !== 'fault') throw new Error('an invalid entry translates nothing');
    return use.trail.words.length === 0 ? -1 : Number(found.fault.code & 3n);
  }
  // Granule, SL0, level, and from how many to how many input bits: one index bit to 16 tables; but T0SZ is 39 at the
  // most (without FEAT_TTST), so no input has fewer than 25 bits.
  test.each<[Granule, number, number, number, number]>([
    [12, 0, 2, 25, 34],
    [12, 1, 1, 31, 43],
    [12, 2, 0, 40, 48],
    [14, 0, 3, 25, 29],
    [14, 1, 2, 26, 40],
    [14, 2, 1, 37, 48],
    [16, 0, 3, 25, 33],
    [16, 1, 2, 30, 46],
    [16, 2, 1, 43, 48],
  ])('granule 2^%i, SL0 %i: level %i, for %i to %i bits', (granule, sl0, level, least, most) => {
    for (const bits of bitsFrom(48, 14)) {
      const expected = bits >= least && bits <= most ? level : -1;
      expect([bits, abortLevel(granule, bits, sl0)]).toEqual([bits, expected]);
    }
  });
  test.each<[Granule, number, number, number]>([
    [12, 40, 1, 2],
    [12, 41, 1, 4],
    [12, 42, 1, 8],
    [12, 43, 1, 16],
    [12, 34, 2, 16],
    [14, 40, 2, 16],
    [14, 48, 1, 2],
    [16, 46, 2, 16],
    [16, 43, 2, 2],
  ])(
    'granule 2^%i, %i bits from level %i: %i tables; each bit more doubles them',
    (granule, bits, level, tables) => {
      const [first] = armLevels(granule, bits, level);
      expect(2 ** ((first?.bits ?? 0) - (granule - 3))).toBe(tables);
    },
  );
  test('16KB and 48 bits: stage 2 starts with two tables at level 1, and cannot start at level 0', () => {
    expect(abortLevel(14, 48, 2)).toBe(1);
    expect(abortLevel(14, 48, 3)).toBe(-1);
  });
});

describe('Arm ARM, D4.3.1: where block descriptors exist, and what they map', () => {
  const AF = bit(10);
  const S2RW = 3n << 6n;
  const NORMAL = 0xfn << 2n;
  /** A walk at stage 2 from the level itself whose first entry is a block. */
  function block(granule: Granule, level: number): string {
    const sl0 = granule === 12 ? 2 - level : 3 - level;
    const [first] = armLevels(granule, 48, level);
    const inputBits = Math.min(48, (first?.shift ?? 0) + 4);
    const vtcr = BigInt(64 - inputBits) | (BigInt(sl0) << 6n) | (TG0[granule] << 14n) | (5n << 16n);
    const m = machineWith([[0x8000_0000n, 1n | AF | S2RW | NORMAL]]);
    const use = { row: 0, forTable: false, trail: { words: [], values: [], counted: false } };
    const stage = stage2Of({ vtcr, vttbr: 0x8000_0000n });
    const found = armStage(stage, { access: 'read', el: 1 }).locate(m, 0n, use);
    return found.kind === 'fault'
      ? `translation fault, level ${String(found.fault.code & 3n)}`
      : `2^${String(found.pageBits)}`;
  }
  test.each<[Granule, number, string]>([
    [12, 0, 'translation fault, level 0'],
    [12, 1, '2^30'],
    [12, 2, '2^21'],
    [14, 1, 'translation fault, level 1'],
    [14, 2, '2^25'],
    [16, 1, 'translation fault, level 1'],
    [16, 2, '2^29'],
  ])('granule 2^%i, level %i: %s', (granule, level, expected) => {
    expect(block(granule, level)).toBe(expected);
  });
});
