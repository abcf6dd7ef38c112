/** Extended page tables: what no recorded walk shows. The rules are Intel's (SDM vol. 3), one case each. */
import { describe, expect, test } from 'vitest';
import { must } from '../assert.ts';
import { Machine } from '../machine/machine.ts';
import { DEFAULT_SETTINGS } from '../settings.ts';
import { eptLevels } from './ept-levels.ts';
import {
  EPT_A,
  EPT_D,
  EPT_PS,
  EPT_WRITE_BACK,
  eptFormat,
  reservedInEpt,
  type EptOptions,
} from './ept-format.ts';
import { wordAt } from './format.ts';
import type { AccessKind } from './registers.ts';
import { CR0_PG, CR0_WP, CR4_LA57, CR4_PAE, EFER_LMA, EFER_NXE, pagingRegisters } from './registers.ts';
import { eptStage, nptStage, type SecondStage } from './second-stage.ts';
import { walk, type WalkOutcome } from './walk.ts';
import type { StageFault } from './second-stage.ts';

const OPTIONS: EptOptions = {
  levels: 4,
  physicalBits: 40,
  accessedDirty: true,
  executeOnly: true,
  oneGiB: true,
};
const OLD: Partial<EptOptions> = { accessedDirty: false };
const WB = EPT_WRITE_BACK;
const [R, W, X] = [1n, 2n, 4n];
const RWX = R | W | X;

type Entries = readonly (readonly [bigint, bigint])[];
/** Three tables down to a page table at 0x4000, for the addresses below 2 MiB. */
const UPPER: Entries = [
  [0x1000n, 0x2000n | RWX],
  [0x2000n, 0x3000n | RWX],
  [0x3000n, 0x4000n | RWX],
];
const PAGE = 0x9000n | WB;

function machineWith(entries: Entries): Machine {
  const m = new Machine({ settings: DEFAULT_SETTINGS });
  m.step('setup-memory', { gfn: 0 });
  for (const [address, entry] of entries) m.set('word', wordAt(address), entry);
  return m;
}

interface Question {
  readonly gpa?: bigint;
  readonly access?: AccessKind;
  readonly forTable?: boolean;
  readonly options?: Partial<EptOptions>;
}

function locate(m: Machine, question: Question): ReturnType<SecondStage['locate']> {
  const { gpa = 0n, access = 'read', forTable = false, options = {} } = question;
  const stage = eptStage({ ...OPTIONS, ...options, root: 0x1000n }, access);
  return stage.locate(m, gpa, { row: 0, forTable, trail: { words: [], values: [], counted: false } });
}

const faultText = ({ kind, code }: StageFault): string =>
  kind === 'EPT misconfiguration' ? 'misconfiguration' : `violation 0x${code.toString(16)}`;

/** `0x9123`, `violation 0x181`, `misconfiguration`. */
function ask(entries: Entries, question: Question = {}): string {
  const found = locate(machineWith(entries), question);
  return found.kind === 'ok' ? `0x${found.address.toString(16)}` : faultText(found.fault);
}
const withLeaf = (leaf: bigint): Entries => [...UPPER, [0x4000n, leaf]];

describe('read, write, execute of an entry: present if any is set, a misconfiguration if they make no sense', () => {
  test.each([
    [0n, 'violation 0x181', 'violation 0x181'],
    [R, '0x9000', '0x9000'],
    [W, 'misconfiguration', 'misconfiguration'],
    [R | W, '0x9000', '0x9000'],
    [X, 'violation 0x1a1', 'misconfiguration'],
    [R | X, '0x9000', '0x9000'],
    [W | X, 'misconfiguration', 'misconfiguration'],
    [RWX, '0x9000', '0x9000'],
  ])('a read with rights %s: %s; without execute-only pages: %s', (rights, expected, without) => {
    const leaf = withLeaf(PAGE | rights);
    expect(ask(leaf)).toBe(expected);
    expect(ask(leaf, { options: { executeOnly: false } })).toBe(without);
  });
  test('an execute-only page can be fetched from', () => {
    expect(ask(withLeaf(PAGE | X), { access: 'execute' })).toBe('0x9000');
  });
  test('bit 0 does not make an entry present by itself: a table that only grants fetching is walked through', () => {
    const entries: Entries = [[0x1000n, 0x2000n | X], ...UPPER.slice(1), [0x4000n, PAGE | RWX]];
    expect(ask(entries, { access: 'execute' })).toBe('0x9000');
    expect(ask(entries)).toBe('violation 0x1a1');
  });
});

describe('memory type of a leaf: 0, 1, 4, 5, 6 exist', () => {
  test.each([
    [0n, '0x9000'],
    [1n, '0x9000'],
    [2n, 'misconfiguration'],
    [3n, 'misconfiguration'],
    [4n, '0x9000'],
    [5n, '0x9000'],
    [6n, '0x9000'],
    [7n, 'misconfiguration'],
  ])('type %s: %s', (type, expected) => {
    expect(ask(withLeaf(0x9000n | RWX | (type << 3n)))).toBe(expected);
  });
});

describe('reserved bits of a present entry', () => {
  const level = (number: number): ReturnType<typeof eptLevels>[number] =>
    must(
      eptLevels(5).find((at) => at.level === number),
      'a level',
    );
  test.each<[string, number, boolean, Partial<EptOptions>, bigint]>([
    ['PML5 entry: 7:3 and 51:40', 5, false, {}, 0x000fff00000000f8n],
    ['PML4 entry: 7:3 and 51:40', 4, false, {}, 0x000fff00000000f8n],
    ['PDPT entry naming a table: 6:3', 3, false, {}, 0x000fff0000000078n],
    ['PD entry naming a table: 6:3', 2, false, {}, 0x000fff0000000078n],
    ['1 GiB page: 29:12', 3, true, {}, 0x000fff003ffff000n],
    [
      '1 GiB page that the processor does not offer: bit 7 too',
      3,
      true,
      { oneGiB: false },
      0x000fff003ffff080n,
    ],
    ['2 MiB page: 20:12', 2, true, {}, 0x000fff00001ff000n],
    ['2 MiB page does not need 1 GiB pages', 2, true, { oneGiB: false }, 0x000fff00001ff000n],
    ['4 KiB page', 1, true, {}, 0x000fff0000000000n],
    ['4 KiB page with MAXPHYADDR 36', 1, true, { physicalBits: 36 }, 0x000ffff000000000n],
    ['4 KiB page with MAXPHYADDR 46', 1, true, { physicalBits: 46 }, 0x000fc00000000000n],
    ['4 KiB page with MAXPHYADDR 52', 1, true, { physicalBits: 52 }, 0n],
  ])('%s', (_name, number, leaf, options, mask) => {
    expect(reservedInEpt(level(number), leaf, { ...OPTIONS, ...options })).toBe(mask);
  });

  test.each<[string, Entries, string]>([
    ['memory type in a PML4 entry', [[0x1000n, 0x2000n | RWX | (1n << 3n)]], 'misconfiguration'],
    ['a page at level 4', [[0x1000n, RWX | EPT_PS]], 'misconfiguration'],
    ['bit 7 of a PML4 entry', [[0x1000n, 0x2000n | RWX | EPT_PS]], 'misconfiguration'],
    [
      'bit 6 of a PDPT entry',
      [...UPPER.slice(0, 1), [0x2000n, 0x3000n | RWX | (1n << 6n)]],
      'misconfiguration',
    ],
    [
      'bit 3 of a PD entry',
      [...UPPER.slice(0, 2), [0x3000n, 0x4000n | RWX | (1n << 3n)]],
      'misconfiguration',
    ],
    ['an address above MAXPHYADDR', withLeaf(PAGE | RWX | (1n << 40n)), 'misconfiguration'],
    ['the highest address bit of the processor', withLeaf(PAGE | RWX | (1n << 39n)), '0x8000009000'],
    ['the same in an entry that is not present', withLeaf(PAGE | (1n << 40n)), 'violation 0x181'],
    ['bit 7 of a page-table entry is ignored', withLeaf(PAGE | RWX | EPT_PS), '0x9000'],
    [
      'IPAT, bits 11:10 and 63:52 are ignored',
      withLeaf(PAGE | RWX | (1n << 6n) | 0xfff0000000000c00n),
      '0x9000',
    ],
  ])('%s: %s', (_name, entries, expected) => {
    expect(ask(entries)).toBe(expected);
  });
});

describe('levels and page sizes', () => {
  const GPA = 0x0000_0180_8060_5123n;
  const four: Entries = [
    [0x1000n + 8n * 3n, 0x2000n | RWX],
    [0x2000n + 8n * 2n, 0x3000n | RWX],
    [0x3000n + 8n * 3n, 0x4000n | RWX],
    [0x4000n + 8n * 5n, PAGE | RWX],
  ];
  test.each<[string, Entries, bigint, Partial<EptOptions>, string]>([
    ['9 bits of the address for each of 4 levels', four, GPA, {}, '0x9123'],
    [
      'a fifth level takes bits 56:48',
      [[0x1000n + 8n * 2n, 0x8000n | RWX], ...four.slice(1), [0x8000n + 8n * 3n, 0x2000n | RWX]],
      GPA | (2n << 48n),
      { levels: 5 },
      '0x9123',
    ],
    ['2 MiB page', [...four.slice(0, 2), [0x3018n, 0x4000_0000n | WB | EPT_PS | RWX]], GPA, {}, '0x40005123'],
    ['1 GiB page', [...four.slice(0, 1), [0x2010n, 0x4000_0000n | WB | EPT_PS | RWX]], GPA, {}, '0x40605123'],
    [
      '1 GiB page that the processor does not offer',
      [...four.slice(0, 1), [0x2010n, 0x4000_0000n | WB | EPT_PS | RWX]],
      GPA,
      { oneGiB: false },
      'misconfiguration',
    ],
  ])('%s', (_name, entries, gpa, options, expected) => {
    expect(ask(entries, { gpa, options })).toBe(expected);
  });
  test('pageBits is the size of the page', () => {
    const found = locate(machineWith([...four.slice(0, 2), [0x3018n, WB | EPT_PS | RWX]]), { gpa: GPA });
    expect(found).toMatchObject({ kind: 'ok', pageBits: 21 });
  });
});

describe('exit qualification: 2:0 asked, 5:3 granted by all entries together, 7 always, 8 the access itself', () => {
  const path = (...rights: readonly bigint[]): Entries => [
    ...UPPER.map(([address, entry], depth) => [address, (entry & ~RWX) | (rights[depth] ?? RWX)] as const),
    [0x4000n, PAGE | (rights[3] ?? RWX)],
  ];
  test.each<[string, Entries, Question, string]>([
    ['read of an absent page', path(RWX, RWX, RWX, 0n), {}, 'violation 0x181'],
    ['write to an absent page', path(RWX, RWX, RWX, 0n), { access: 'write' }, 'violation 0x182'],
    ['fetch from an absent page', path(RWX, RWX, RWX, 0n), { access: 'execute' }, 'violation 0x184'],
    ['an entry above is absent: nothing is granted', path(RWX, 0n), {}, 'violation 0x181'],
    ['the root entry is absent', path(0n), {}, 'violation 0x181'],
    ['write to r-x', path(RWX, RWX, RWX, R | X), { access: 'write' }, 'violation 0x1aa'],
    ['write to r--', path(RWX, RWX, RWX, R), { access: 'write' }, 'violation 0x18a'],
    ['fetch from rw-', path(RWX, RWX, RWX, R | W), { access: 'execute' }, 'violation 0x19c'],
    ['read of --x', path(RWX, RWX, RWX, X), {}, 'violation 0x1a1'],
    ['the PML4 entry refuses writing', path(R | X), { access: 'write' }, 'violation 0x1aa'],
    ['the PDPT entry refuses fetching', path(RWX, R | W), { access: 'execute' }, 'violation 0x19c'],
    ['two entries together leave reading', path(R | X, R | W), { access: 'write' }, 'violation 0x18a'],
    [
      "a guest's table, A/D on: a read and a write",
      path(RWX, RWX, RWX, 0n),
      { forTable: true },
      'violation 0x83',
    ],
    [
      "a guest's table, A/D off: a read",
      path(RWX, RWX, RWX, 0n),
      { forTable: true, options: OLD },
      'violation 0x81',
    ],
    [
      "a guest's table for a fetch: a read",
      path(0n),
      { forTable: true, access: 'execute', options: OLD },
      'violation 0x81',
    ],
    ['a table on a read-only page, A/D on', path(RWX, RWX, RWX, R), { forTable: true }, 'violation 0x8b'],
    [
      'a table on a read-only page, A/D off',
      path(RWX, RWX, RWX, R),
      { forTable: true, options: OLD },
      '0x9000',
    ],
    [
      'a table on a page without fetching',
      path(RWX, RWX, RWX, R | W),
      { forTable: true, access: 'execute' },
      '0x9000',
    ],
  ])('%s', (_name, entries, question, expected) => {
    expect(ask(entries, question)).toBe(expected);
  });
  test('a misconfiguration has no qualification', () => {
    const found = locate(machineWith(withLeaf(PAGE | W)), {});
    expect(found).toMatchObject({ kind: 'fault', fault: { kind: 'EPT misconfiguration', code: 0n } });
  });
  test('a violation tells the address with its low bits, a misconfiguration too', () => {
    const gpaOf = (entries: Entries): bigint | undefined => {
      const found = locate(machineWith(entries), { gpa: 0x123n });
      return found.kind === 'fault' ? found.fault.gpa : undefined;
    };
    expect([gpaOf(withLeaf(0n)), gpaOf(withLeaf(W))]).toEqual([0x123n, 0x123n]);
  });
});

describe('accessed and dirty flags, when EPTP asks for them', () => {
  const marks = (entries: Entries, question: Question): string => {
    const m = machineWith(entries);
    locate(m, question);
    return entries
      .map(([address]) => m.word(wordAt(address)))
      .map((entry) => `${(entry & EPT_A) === 0n ? '-' : 'A'}${(entry & EPT_D) === 0n ? '-' : 'D'}`)
      .join(' ');
  };
  test.each<[string, bigint, Question, string]>([
    ['a read sets A in every entry', RWX, {}, 'A- A- A- A-'],
    ['a fetch does', RWX, { access: 'execute' }, 'A- A- A- A-'],
    ['a write sets D in the leaf only', RWX, { access: 'write' }, 'A- A- A- AD'],
    ["reaching a guest's table counts as a write", RWX, { forTable: true }, 'A- A- A- AD'],
    ['a refused write marks what it passed, not the leaf', R, { access: 'write' }, 'A- A- A- --'],
    ['an absent leaf the same', 0n, {}, 'A- A- A- --'],
    ['off: a write sets nothing', RWX, { access: 'write', options: OLD }, '-- -- -- --'],
    ["off: nor does reaching a guest's table", RWX, { forTable: true, options: OLD }, '-- -- -- --'],
  ])('%s', (_name, rights, question, expected) => {
    expect(marks(withLeaf(PAGE | rights), question)).toBe(expected);
  });
  test('a large leaf gets the marks, the table below none', () => {
    const entries: Entries = [...UPPER.slice(0, 2), [0x3000n, WB | EPT_PS | RWX]];
    expect(marks(entries, { access: 'write' })).toBe('A- A- AD');
  });
  test('a misconfigured entry is not marked, the ones above are', () => {
    expect(marks(withLeaf(PAGE | W), {})).toBe('A- A- A- --');
  });
  test('the format without the flags changes no entry', () => {
    const [at] = eptLevels(4).slice(-1);
    const { afterUse } = eptFormat({ ...OPTIONS, ...OLD });
    expect(afterUse(PAGE | RWX, { kind: 'leaf', at: must(at, 'a level'), write: true })).toBe(PAGE | RWX);
  });
});

/** Host tables that map the first 2 MiB to itself by 4 KiB pages; `bits` are the low bits of every entry. */
function identity(levels: 4 | 5, bits: { table: bigint; page: bigint }): Entries {
  const tables = Array.from({ length: levels - 1 }, (_, depth): readonly [bigint, bigint] => {
    const address = 0x10_0000n + BigInt(depth) * 0x1000n;
    return [address, (address + 0x1000n) | bits.table];
  });
  const last = 0x10_0000n + BigInt(levels - 1) * 0x1000n;
  const pages = Array.from({ length: 512 }, (_, index): readonly [bigint, bigint] => [
    last + 8n * BigInt(index),
    (BigInt(index) << 12n) | bits.page,
  ]);
  return [...tables, ...pages];
}

/** A guest that maps 0 to its page 0x9000, its root at 0x1000. */
const guestTables = (levels: 4 | 5, leaf: bigint): Entries =>
  Array.from({ length: levels }, (_, depth) => [
    BigInt(depth + 1) * 0x1000n,
    depth === levels - 1 ? leaf : (BigInt(depth + 2) * 0x1000n) | 7n,
  ]);

function nested(
  m: Machine,
  by: { guest: 4 | 5; stage: SecondStage; access?: AccessKind },
): WalkOutcome<StageFault> {
  const { guest, stage, access = 'read' } = by;
  const registers = pagingRegisters({
    cr0: CR0_PG | CR0_WP,
    cr3: 0x1000n,
    cr4: CR4_PAE | (guest === 5 ? CR4_LA57 : 0n),
    efer: EFER_LMA | EFER_NXE,
  });
  return walk<StageFault>(m, {
    gva: 0x123n,
    access,
    user: true,
    registers,
    host: (gpa, use) => stage.locate(m, gpa, use),
  });
}
const counterOf = (m: Machine, name: string): number => m.get('counter', `${name}@0`) ?? 0;

describe('a two-dimensional walk of n guest and m host levels makes n*m + n + m references', () => {
  const NPT = { physicalBits: 40, nxe: true, root: 0x10_0000n } as const;
  test.each([
    [4, 4, 24],
    [4, 5, 29],
    [5, 4, 29],
    [5, 5, 35],
  ] as const)('%i and %i: %i', (guest, host, refs) => {
    const ept = machineWith([
      ...guestTables(guest, 0x9007n),
      ...identity(host, { table: RWX, page: RWX | WB }),
    ]);
    const eptOf = eptStage({ ...OPTIONS, levels: host, root: 0x10_0000n }, 'read');
    expect(nested(ept, { guest, stage: eptOf })).toMatchObject({ kind: 'ok', address: 0x9123n });
    expect(counterOf(ept, 'refs')).toBe(refs);
    const npt = machineWith([...guestTables(guest, 0x9007n), ...identity(host, { table: 7n, page: 7n })]);
    const nptOf = nptStage({ ...NPT, mode: host === 4 ? '4-level' : '5-level' }, 'read');
    expect(nested(npt, { guest, stage: nptOf })).toMatchObject({ kind: 'ok', address: 0x9123n });
    expect(counterOf(npt, 'refs')).toBe(refs);
  });
});

describe('the page of two dimensions is the smaller of both', () => {
  const small = identity(4, { table: RWX, page: RWX | WB });
  const large: Entries = [...small.slice(0, 2), [0x10_2000n, WB | EPT_PS | RWX]];
  const guestLarge: Entries = [...guestTables(4, 0n).slice(0, 2), [0x3000n, 0x87n]];
  test.each<[string, Entries, Entries, number]>([
    ['4 KiB on 4 KiB', guestTables(4, 0x9007n), small, 12],
    ['4 KiB on 2 MiB', guestTables(4, 0x9007n), large, 12],
    ['2 MiB on 4 KiB', guestLarge, small, 12],
    ['2 MiB on 2 MiB', guestLarge, large, 21],
  ])('%s', (_name, guest, host, pageBits) => {
    const stage = eptStage({ ...OPTIONS, root: 0x10_0000n }, 'read');
    expect(nested(machineWith([...guest, ...host]), { guest: 4, stage })).toMatchObject({ pageBits });
  });
});

describe("a guest's accessed and dirty flags go through EPT as writes", () => {
  const READ_ONLY_TABLES = identity(4, { table: RWX, page: RWX | WB }).map(([address, entry]) =>
    address >= 0x10_3000n && address < 0x10_3000n + 8n * 6n
      ? ([address, entry & ~W] as const)
      : ([address, entry] as const),
  );
  const MARKED = 0x27n;
  const marked: Entries = guestTables(4, 0x9000n | MARKED).map(([address, entry]) => [
    address,
    entry | MARKED,
  ]);
  const end = (guest: Entries, access: AccessKind, accessedDirty: boolean): string => {
    const m = machineWith([...guest, ...READ_ONLY_TABLES]);
    const stage = eptStage({ ...OPTIONS, accessedDirty, root: 0x10_0000n }, access);
    const outcome = nested(m, { guest: 4, stage, access });
    return outcome.kind === 'host-fault' ? faultText(outcome.fault) : outcome.kind;
  };
  test.each<[string, Entries, AccessKind, boolean, string]>([
    [
      'A/D off, A missing in the root entry: a read and a write',
      guestTables(4, 0x9007n),
      'read',
      false,
      'violation 0xab',
    ],
    ['A/D off, A set everywhere: the walk only reads', marked, 'read', false, 'ok'],
    ['A/D off, D missing in the leaf', marked, 'write', false, 'violation 0xab'],
    ['A/D on: the first table is refused', marked, 'read', true, 'violation 0xab'],
  ])('%s', (_name, guest, access, accessedDirty, expected) => {
    expect(end(guest, access, accessedDirty)).toBe(expected);
  });
  test('a refused mark leaves the guest entry as it is', () => {
    const m = machineWith([...guestTables(4, 0x9007n), ...READ_ONLY_TABLES]);
    nested(m, { guest: 4, stage: eptStage({ ...OPTIONS, ...OLD, root: 0x10_0000n }, 'read') });
    expect(m.word(wordAt(0x1000n))).toBe(0x2007n);
  });
});
