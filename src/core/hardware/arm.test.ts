/** AArch64 translation: what no recorded walk shows, and golden values. The rules are Arm's, one case each. */
import { describe, expect, test } from 'vitest';
import { must } from '../assert.ts';
import { Machine } from '../machine/machine.ts';
import { DEFAULT_SETTINGS } from '../settings.ts';
import { armLevels, type Granule } from './arm-levels.ts';
import { stage1Start, stage2Format, type ArmFormatOptions, inputFits } from './arm-format.ts';
import { stage1Of, stage2Of, type ArmStage } from './arm-registers.ts';
import { armStage, walkArm, type ArmRequest } from './arm-walk.ts';
import type { StageFault } from './second-stage.ts';
import type { WalkOutcome } from './walk.ts';
import { wordAt } from './format.ts';

const TG0: Readonly<Record<Granule, bigint>> = { 12: 0n, 16: 1n, 14: 2n };

interface Vtcr {
  readonly granule?: Granule;
  readonly ipaBits?: number;
  readonly sl0?: number;
  /** Encoding of the physical address size; 5 = 48 bits. */
  readonly ps?: bigint;
  readonly ha?: boolean;
  readonly hd?: boolean;
}
const flag = (set: boolean | undefined, bit: bigint): bigint => (set === true ? 1n << bit : 0n);
const vtcrOf = ({ granule = 12, ipaBits = 40, sl0 = 1, ps = 5n, ha, hd }: Vtcr): bigint =>
  BigInt(64 - ipaBits) |
  (BigInt(sl0) << 6n) |
  (TG0[granule] << 14n) |
  (ps << 16n) |
  flag(ha, 21n) |
  flag(hd, 22n);
const tcrOf = ({ granule = 12, bits = 39, ips = 5n, ha = false, hd = false }): bigint =>
  BigInt(64 - bits) | (TG0[granule as Granule] << 14n) | (ips << 32n) | flag(ha, 39n) | flag(hd, 40n);

describe('geometry of stage 2: levels, start level and concatenated tables by IPA bits', () => {
  test.each<[Granule, number, number, { levels: number; start: number; tables: number }]>([
    [12, 32, 0, { levels: 2, start: 2, tables: 4 }],
    [12, 36, 1, { levels: 3, start: 1, tables: 1 }],
    [12, 39, 1, { levels: 3, start: 1, tables: 1 }],
    [12, 40, 1, { levels: 3, start: 1, tables: 2 }],
    [12, 42, 1, { levels: 3, start: 1, tables: 8 }],
    [12, 43, 1, { levels: 3, start: 1, tables: 16 }],
    [12, 44, 2, { levels: 4, start: 0, tables: 1 }],
    [12, 48, 2, { levels: 4, start: 0, tables: 1 }],
    [14, 40, 1, { levels: 2, start: 2, tables: 16 }],
    [14, 47, 2, { levels: 3, start: 1, tables: 1 }],
    [14, 48, 2, { levels: 3, start: 1, tables: 2 }],
    [16, 40, 1, { levels: 2, start: 2, tables: 1 }],
    [16, 42, 1, { levels: 2, start: 2, tables: 1 }],
    [16, 46, 1, { levels: 2, start: 2, tables: 16 }],
    [16, 48, 2, { levels: 3, start: 1, tables: 1 }],
  ])('granule 2^%i, %i bits, SL0 %i: %o', (granule, ipaBits, sl0, expected) => {
    const { format } = stage2Of({ vtcr: vtcrOf({ granule, ipaBits, sl0 }), vttbr: 0n });
    const levels = armLevels(granule, format.inputBits, format.startLevel);
    const root = must(levels[0], 'a root level');
    const tables = Math.max(1, 2 ** (root.bits - (granule - 3)));
    expect({ levels: levels.length, start: root.level, tables }).toEqual(expected);
  });
  test.each<[Granule, readonly number[]]>([
    [12, [39, 30, 21, 12]],
    [14, [47, 36, 25, 14]],
    [16, [55, 42, 29, 16]],
  ])('granule 2^%i: shifts by level %o', (granule, shifts) => {
    expect(armLevels(granule, 64, 0).map(({ shift }) => shift)).toEqual(shifts);
  });
  test.each<[Granule, number, number]>([
    [12, 48, 0],
    [12, 40, 0],
    [12, 39, 1],
    [12, 31, 1],
    [12, 30, 2],
    [14, 48, 0],
    [14, 47, 1],
    [14, 36, 2],
    [16, 48, 1],
    [16, 42, 2],
  ])(
    'stage 1 has no concatenated tables: granule 2^%i, %i bits start at level %i',
    (granule, bits, start) => {
      expect(stage1Start(granule, bits)).toBe(start);
      const decoded = stage1Of({ tcr: tcrOf({ granule, bits }), ttbr0: 0n, sctlr: 1n });
      expect(decoded?.format).toMatchObject({ granule, inputBits: bits, startLevel: start });
    },
  );
});

describe('control registers', () => {
  test.each([
    [0n, 32],
    [1n, 36],
    [2n, 40],
    [3n, 42],
    [4n, 44],
    [5n, 48],
  ])('physical address size %s is %i bits, in VTCR_EL2 and TCR_EL1', (ps, bits) => {
    expect(stage2Of({ vtcr: vtcrOf({ ps }), vttbr: 0n }).format.outputBits).toBe(bits);
    const stage1 = stage1Of({ tcr: tcrOf({ ips: ps }), ttbr0: 0n, sctlr: 1n });
    expect(stage1?.format.outputBits).toBe(bits);
  });
  test.each([
    [
      { ha: false, hd: false },
      { ha: false, hd: false },
    ],
    [
      { ha: true, hd: false },
      { ha: true, hd: false },
    ],
    [
      { ha: true, hd: true },
      { ha: true, hd: true },
    ],
    [
      { ha: false, hd: true },
      { ha: false, hd: false },
    ],
  ])('%o: dirty state is managed only together with the access flag', (asked, expected) => {
    expect(stage2Of({ vtcr: vtcrOf(asked), vttbr: 0n }).format).toMatchObject(expected);
    const stage1 = stage1Of({ tcr: tcrOf(asked), ttbr0: 0n, sctlr: 1n });
    expect(stage1?.format).toMatchObject(expected);
  });
  test.each([
    [24, false],
    [25, true],
    [48, true],
    [49, false],
  ])('input addresses of %i bits: %s', (inputBits, fits) => {
    expect(inputFits({ inputBits })).toBe(fits);
  });
  test('a reserved TG0 is taken as 4 KiB, in either stage', () => {
    const tg0 = 3n << 14n;
    expect(stage1Of({ tcr: 16n | tg0, ttbr0: 0n, sctlr: 1n })?.format.granule).toBe(12);
    expect(stage2Of({ vtcr: 16n | tg0, vttbr: 0n }).format.granule).toBe(12);
  });
  test('a root is aligned to its own size', () => {
    const root = 0x8000_fffen;
    expect(stage1Of({ tcr: tcrOf({ bits: 48 }), ttbr0: root, sctlr: 1n })?.root).toBe(0x8000_f000n);
    expect(stage1Of({ tcr: tcrOf({ bits: 40 }), ttbr0: root, sctlr: 1n })?.root).toBe(0x8000_fff0n);
    expect(stage2Of({ vtcr: vtcrOf({ ipaBits: 40, sl0: 1 }), vttbr: root }).root).toBe(0x8000_e000n);
  });
  test('neither VMID nor ASID nor CnP is part of the root; SCTLR.M off is no stage 1', () => {
    expect(stage2Of({ vtcr: vtcrOf({}), vttbr: 0x00ab_0000_8000_0001n }).root).toBe(0x8000_0000n);
    const raw = { tcr: tcrOf({}), ttbr0: 0x00ab_0000_8000_0001n };
    expect(stage1Of({ ...raw, sctlr: 1n })).toMatchObject({ root: 0x8000_0000n, wxn: false });
    expect(stage1Of({ ...raw, sctlr: 1n | (1n << 19n) })).toMatchObject({ wxn: true });
    expect(stage1Of({ ...raw, sctlr: 1n << 19n })).toBeUndefined();
  });
});

describe("a hypervisor's own descriptors (4 KiB granule, stage 2)", () => {
  const options: ArmFormatOptions = {
    granule: 12,
    inputBits: 40,
    startLevel: 1,
    outputBits: 48,
    ha: false,
    hd: false,
    hpd: false,
  };
  const format = stage2Format(options);
  const decode = (descriptor: bigint, level: number): unknown => {
    const at = must(
      format.levels.find((candidate) => candidate.level === level),
      'a level',
    );
    const kind = format.kindOf(descriptor, at);
    if (kind === 'table') return { kind, address: format.tableAddress(descriptor) };
    if (kind !== 'leaf') return { kind };
    const { read, write, executeNever, accessed } = format.narrow(format.allRights, descriptor, { kind, at });
    const rights = `${read ? 'r' : '-'}${write ? 'w' : '-'}${executeNever === 0 ? 'x' : '-'}`;
    return { kind, address: format.pageAddress(descriptor, at), rights, accessed };
  };
  test.each<[string, bigint, number, unknown]>([
    [
      'page rwx',
      0x0000_0000_1002_07ffn,
      3,
      { kind: 'leaf', address: 0x1002_0000n, rights: 'rwx', accessed: true },
    ],
    [
      'page rw-',
      0x0040_0000_1002_07ffn,
      3,
      { kind: 'leaf', address: 0x1002_0000n, rights: 'rw-', accessed: true },
    ],
    [
      'page r--',
      0x0040_0000_1002_077fn,
      3,
      { kind: 'leaf', address: 0x1002_0000n, rights: 'r--', accessed: true },
    ],
    [
      '2 MiB block',
      0x0040_0000_1020_07fdn,
      2,
      { kind: 'leaf', address: 0x1020_0000n, rights: 'rw-', accessed: true },
    ],
    [
      'access flag clear',
      0x0040_0000_1002_03ffn,
      3,
      { kind: 'leaf', address: 0x1002_0000n, rights: 'rw-', accessed: false },
    ],
    ['table', 0x0000_0000_2000_0003n, 2, { kind: 'table', address: 0x2000_0000n }],
    ['locked while it is broken and remade', 0x400n, 3, { kind: 'absent' }],
    ['a block descriptor at level 3', 0x0040_0000_1020_07fdn, 3, { kind: 'absent' }],
  ])('%s', (_name, descriptor, level, expected) => {
    expect(decode(descriptor, level)).toEqual(expected);
  });
});

type Entries = readonly (readonly [bigint, bigint])[];
const ROOT = 0x10_0000n;
const TABLE = 3n;
/** Valid, page, read and write, accessed. */
const PAGE = 3n | (3n << 6n) | (1n << 10n);
const BLOCK = PAGE & ~2n;
const [AF, DBM, S2_WRITE] = [1n << 10n, 1n << 51n, 1n << 7n];

function machineWith(entries: Entries): Machine {
  const m = new Machine({ settings: DEFAULT_SETTINGS });
  m.step('setup-memory', { gfn: 0 });
  for (const [address, entry] of entries) m.set('word', wordAt(address), entry);
  return m;
}

function textOf(outcome: WalkOutcome<StageFault>): string {
  if (outcome.kind === 'ok') return `0x${outcome.address.toString(16)}`;
  if (outcome.kind === 'host-fault') return `stage 2 0x${outcome.fault.code.toString(16)}`;
  return outcome.kind === 'page-fault' ? `stage 1 0x${outcome.errorCode.toString(16)}` : outcome.kind;
}

/** Walks over a stage 2. */
function over(m: Machine, stage2: ArmStage, request: ArmRequest): WalkOutcome<StageFault> {
  const stage = armStage(stage2, request);
  return walkArm(m, { ...request, host: (ipa, use) => stage.locate(m, ipa, use) });
}

function ask2(entries: Entries, vtcr: Vtcr, request: Partial<ArmRequest> = {}): string {
  const stage2 = stage2Of({ vtcr: vtcrOf(vtcr), vttbr: ROOT });
  const registers = { pan: false };
  return textOf(over(machineWith(entries), stage2, { va: 0n, access: 'read', el: 1, registers, ...request }));
}

describe('stage 2 with every granule', () => {
  const K4 = (3n << 30n) | (5n << 21n) | (7n << 12n) | 0xabcn;
  const K16 = (9n << 25n) | (7n << 14n) | 0x2abcn;
  const K64 = (9n << 29n) | (7n << 16n) | 0xeabcn;
  const tables4: Entries = [
    [ROOT + 8n * 3n, 0x20_0000n | TABLE],
    [0x20_0000n + 8n * 5n, 0x21_0000n | TABLE],
    [0x21_0000n + 8n * 7n, 0x4000_0000n | PAGE],
  ];
  const page16 = (index: bigint): Entries => [
    [ROOT + 8n * index, 0x20_0000n | TABLE],
    [0x20_0000n + 8n * 7n, 0x4000_4000n | PAGE],
  ];
  const page64: Entries = [
    [ROOT + 8n * 9n, 0x20_0000n | TABLE],
    [0x20_0000n + 8n * 7n, 0x4001_0000n | PAGE],
  ];
  const second = tables4.map(([address, entry]) =>
    address < 0x20_0000n ? ([address + 0x1000n, entry] as const) : ([address, entry] as const),
  );
  test.each<[string, Entries, Vtcr, bigint, string]>([
    ['4 KiB page', tables4, {}, K4, '0x40000abc'],
    [
      'bit 39 of a 40-bit address chooses the second of two root tables',
      second,
      {},
      K4 | (1n << 39n),
      '0x40000abc',
    ],
    [
      'level 0 takes bits 47:39',
      [[ROOT + 8n * 2n, 0x30_0000n | TABLE], [0x30_0000n + 8n * 3n, 0x20_0000n | TABLE], ...tables4.slice(1)],
      { ipaBits: 48, sl0: 2 },
      K4 | (2n << 39n),
      '0x40000abc',
    ],
    [
      '4 KiB granule, 2 MiB block',
      [...tables4.slice(0, 1), [0x20_0028n, 0x4020_0000n | BLOCK]],
      {},
      K4,
      '0x40207abc',
    ],
    [
      'bits of a block below its size are not part of the address',
      [...tables4.slice(0, 1), [0x20_0028n, 0x4020_0000n | BLOCK | (1n << 16n)]],
      {},
      K4 & ~0x1_f000n,
      '0x40200abc',
    ],
    ['4 KiB granule, 1 GiB block', [[ROOT + 24n, 0x4000_0000n | BLOCK]], {}, K4, '0x40a07abc'],
    [
      '4 KiB granule, no block at level 0',
      [[ROOT, BLOCK]],
      { ipaBits: 48, sl0: 2 },
      0n,
      'stage 2 0x92000004',
    ],
    ['16 KiB page', page16(9n), { granule: 14, sl0: 1 }, K16, '0x40006abc'],
    [
      '16 KiB granule: 16 root tables in a row',
      page16(15n * 2048n + 9n),
      { granule: 14, sl0: 1 },
      K16 | (15n << 36n),
      '0x40006abc',
    ],
    [
      '16 KiB granule, 32 MiB block',
      [[ROOT + 8n * 9n, 0x4000_0000n | BLOCK]],
      { granule: 14, sl0: 1 },
      K16,
      '0x4001eabc',
    ],
    [
      '16 KiB granule, no block at level 1',
      [[ROOT, BLOCK]],
      { granule: 14, ipaBits: 47, sl0: 2 },
      0n,
      'stage 2 0x92000005',
    ],
    ['64 KiB page', page64, { granule: 16, sl0: 1 }, K64, '0x4001eabc'],
    [
      '64 KiB page: bits 15:12 are not part of the address',
      page64.map(([address, entry]) => [address, entry | 0xf000n]),
      { granule: 16, sl0: 1 },
      K64,
      '0x4001eabc',
    ],
    [
      '64 KiB granule, 512 MiB block',
      [[ROOT + 8n * 9n, 0x4000_0000n | BLOCK]],
      { granule: 16, sl0: 1 },
      K64,
      '0x4007eabc',
    ],
    [
      '64 KiB granule, no block at level 1',
      [[ROOT, BLOCK]],
      { granule: 16, ipaBits: 48, sl0: 2 },
      0n,
      'stage 2 0x92000005',
    ],
  ])('%s', (_name, entries, vtcr, va, expected) => {
    expect(ask2(entries, vtcr, { va })).toBe(expected);
  });
});

/** Stage 2 that maps the first 2 MiB to itself; the descriptor of page 0 may be another. */
const identity = (first?: bigint): Entries => [
  [ROOT, 0x10_2000n | TABLE],
  [0x10_2000n, 0x10_3000n | TABLE],
  ...Array.from({ length: 512 }, (_, index): readonly [bigint, bigint] => [
    0x10_3000n + 8n * BigInt(index),
    index === 0 && first !== undefined ? first : (BigInt(index) << 12n) | PAGE,
  ]),
];

describe('stage-2 aborts: class by access, IL, WnR, status and level', () => {
  const XN = (field: bigint): bigint => PAGE | (field << 53n);
  test.each<[string, Entries, Partial<ArmRequest>, string]>([
    ['read, translation, level 3', identity(0n), {}, '0x92000007'],
    ['write, translation, level 3', identity(0n), { access: 'write' }, '0x92000047'],
    ['fetch, translation, level 3', identity(0n), { access: 'execute' }, '0x82000007'],
    ['translation, level 2', identity().filter(([address]) => address !== 0x10_2000n), {}, '0x92000006'],
    ['translation, level 1', [], {}, '0x92000005'],
    ['input address beyond 40 bits: level 0', identity(), { va: 1n << 40n }, '0x92000004'],
    ['access flag', identity(PAGE & ~AF), {}, '0x9200000b'],
    [
      'access flag goes before permission',
      identity(PAGE & ~AF & ~S2_WRITE),
      { access: 'write' },
      '0x9200004b',
    ],
    ['permission, write', identity(PAGE & ~S2_WRITE), { access: 'write' }, '0x9200004f'],
    ['permission, read of a write-only page', identity(PAGE & ~(1n << 6n)), {}, '0x9200000f'],
    ['XN 1: EL1 may not fetch', identity(XN(1n)), { access: 'execute' }, '0x8200000f'],
    ['XN 2: nobody', identity(XN(2n)), { access: 'execute', el: 0 }, '0x8200000f'],
    ['XN 3: EL0 may not fetch', identity(XN(3n)), { access: 'execute', el: 0 }, '0x8200000f'],
  ])('%s', (_name, entries, request, syndrome) => {
    expect(ask2(entries, {}, request)).toBe(`stage 2 ${syndrome}`);
  });
  test.each<[string, Entries, Partial<ArmRequest>]>([
    ['XN 0: EL1 may fetch', identity(XN(0n)), { access: 'execute' }],
    ['XN 1: EL0 may fetch', identity(XN(1n)), { access: 'execute', el: 0 }],
    ['XN 3: EL1 may fetch', identity(XN(3n)), { access: 'execute' }],
    ['XN does not stop a read', identity(XN(2n)), {}],
  ])('%s', (_name, entries, request) => {
    expect(ask2(entries, {}, request)).toBe('0x0');
  });
  test.each<[string, Entries, Vtcr, string]>([
    [
      'an output address of 41 bits where 40 exist: level 3',
      identity(PAGE | (1n << 40n)),
      { ps: 2n },
      'stage 2 0x92000003',
    ],
    ['a table beyond 40 bits: level 1', [[ROOT, TABLE | (1n << 40n)]], { ps: 2n }, 'stage 2 0x92000001'],
    ['the highest bit that exists', identity(PAGE | (1n << 39n)), { ps: 2n }, '0x8000000000'],
  ])('%s', (_name, entries, vtcr, expected) => {
    expect(ask2(entries, vtcr)).toBe(expected);
  });
});

describe('SL0 must fit the IPA size: from one bit in the root table to 16 tables in a row, else level 0 aborts', () => {
  test.each<[Granule, number, number, boolean]>([
    [12, 43, 1, true],
    [12, 44, 1, false],
    [12, 31, 1, true],
    [12, 30, 1, false],
    [12, 34, 0, true],
    [12, 35, 0, false],
    [12, 40, 2, true],
    [12, 39, 2, false],
    [12, 40, 3, false],
    [14, 40, 1, true],
    [14, 41, 1, false],
    [14, 48, 3, false],
    [16, 46, 1, true],
    [16, 47, 1, false],
    [16, 48, 3, false],
  ])('granule 2^%i, %i bits, SL0 %i: %s', (granule, ipaBits, sl0, fits) => {
    const text = ask2([[ROOT, 0x20_0000n | TABLE]], { granule, ipaBits, sl0 });
    expect(text === 'stage 2 0x92000004').toBe(!fits);
  });
});

describe('hardware management of access flag and dirty state, stage 2', () => {
  const after = (leaf: bigint, vtcr: Vtcr, access: ArmRequest['access']): string => {
    const m = machineWith(identity(leaf));
    const stage2 = stage2Of({ vtcr: vtcrOf(vtcr), vttbr: ROOT });
    const outcome = over(m, stage2, { va: 0n, access, el: 1, registers: { pan: false } });
    const now = m.word(wordAt(0x10_3000n));
    return `${outcome.kind === 'ok' ? 'ok' : 'abort'} ${(now & AF) === 0n ? '-' : 'AF'} ${(now & S2_WRITE) === 0n ? '-' : 'W'}`;
  };
  const HA = { ha: true } as const;
  const HD = { ha: true, hd: true } as const;
  const old = PAGE & ~AF;
  const clean = (PAGE & ~S2_WRITE) | DBM;
  test.each<[string, bigint, Vtcr, ArmRequest['access'], string]>([
    ['without HA a clear flag aborts', old, {}, 'read', 'abort - W'],
    ['HA sets the flag', old, HA, 'read', 'ok AF W'],
    ['HD alone sets nothing', old, { hd: true }, 'read', 'abort - W'],
    ['HA alone does not make a page with DBM writable', clean, HA, 'write', 'abort AF -'],
    ['HD with DBM: a write makes the page writable', clean, HD, 'write', 'ok AF W'],
    ['HD with DBM: a read does not', clean, HD, 'read', 'ok AF -'],
    ['HD without DBM: a write is refused', clean & ~DBM, HD, 'write', 'abort AF -'],
    ['a refused access leaves the flag clear', old & ~S2_WRITE, HA, 'write', 'abort - -'],
  ])('%s', (_name, leaf, vtcr, access, expected) => {
    expect(after(leaf, vtcr, access)).toBe(expected);
  });
});

describe('both stages: aborts of stage 2 on tables of stage 1', () => {
  /** Stage-1 tables at 0x1000, 0x2000, 0x3000 (39 bits, levels 1 to 3) map 0 to 0x9000, for EL0 too. */
  const stage1 = (leaf: bigint): Entries => [
    [0x1000n, 0x2000n | TABLE],
    [0x2000n, 0x3000n | TABLE],
    [0x3000n, leaf],
  ];
  const LEAF = 0x9000n | 3n | (1n << 6n) | AF;
  const host = (page: bigint, change: (entry: bigint) => bigint): Entries =>
    identity().map(([address, entry]) => [
      address,
      address === 0x10_3000n + 8n * page ? change(entry) : entry,
    ]);
  const ask = (entries: Entries, request: Partial<ArmRequest>, ttbr0 = 0x1000n, ha = false): string => {
    const registers = {
      stage1: must(stage1Of({ tcr: tcrOf({ ha }), ttbr0, sctlr: 1n }), 'a stage 1'),
      pan: false,
    };
    const stage2 = stage2Of({ vtcr: vtcrOf({}), vttbr: ROOT });
    return textOf(
      over(machineWith(entries), stage2, { va: 0x123n, access: 'read', el: 0, registers, ...request }),
    );
  };
  const gone = (): bigint => 0n;
  const readOnly = (entry: bigint): bigint => entry & ~S2_WRITE;
  const never = (entry: bigint): bigint => entry | (2n << 53n);
  test.each<[string, Entries, Partial<ArmRequest>, string]>([
    ['a page by way of both', host(0n, gone), {}, '0x9123'],
    ['the page is not mapped: no S1PTW', host(9n, gone), { access: 'write' }, 'stage 2 0x92000047'],
    ['a table is not mapped: S1PTW', host(3n, gone), {}, 'stage 2 0x92000087'],
    [
      'for a write: the table was being read, so WnR is 0',
      host(3n, gone),
      { access: 'write' },
      'stage 2 0x92000087',
    ],
    ['for a fetch: an instruction abort', host(3n, gone), { access: 'execute' }, 'stage 2 0x82000087'],
    ['a table on a read-only page may be read', host(3n, readOnly), {}, '0x9123'],
    ['a table on a page without fetching may be read', host(3n, never), { access: 'execute' }, '0x9123'],
    [
      'a table on a write-only page may not be read',
      host(3n, (entry) => entry & ~(1n << 6n)),
      {},
      'stage 2 0x9200008f',
    ],
  ])('%s', (_name, second, request, expected) => {
    expect(ask([...stage1(LEAF), ...second], request)).toBe(expected);
  });
  test('a table beyond the IPA size, for a write: translation, level 0, S1PTW, WnR 0', () => {
    const entries = [...stage1(LEAF), ...identity()];
    expect(ask(entries, { access: 'write' }, 1n << 40n)).toBe('stage 2 0x92000084');
    expect(ask(entries, {}, 1n << 40n)).toBe('stage 2 0x92000084');
  });
  test('setting the access flag writes the table: on a read-only page a write with S1PTW', () => {
    const entries = [...stage1(LEAF & ~AF), ...host(3n, readOnly)];
    expect(ask(entries, {}, 0x1000n, true)).toBe('stage 2 0x920000cf');
    expect(ask(entries, {}, 0x1000n, false)).toBe('stage 1 0x9200000b');
  });
});
