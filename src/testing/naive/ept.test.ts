import { describe, expect, test } from 'vitest';
import { eptEntryIsBad, walkGuestOverEpt, type EptGuestOutcome, type EptTables } from './ept.ts';
import { guestPages, guestPath, pagedGuest, tablesUnder, unpagedGuest, withPdptes } from './nested-paths.ts';
import { IdentityTables, NESTED_ROOT, type Cell } from './paths.ts';
import { hex, ListedMemory } from './vector-files.ts';

const RWX = 0x7n;
const LEAF = 0x37n;
const A = 1n << 8n;
const D = 1n << 9n;

const tablesOf = (how: Partial<EptTables> & { levels?: number; ad?: boolean } = {}): EptTables => ({
  eptp: NESTED_ROOT | (BigInt((how.levels ?? 4) - 1) << 3n) | 6n | (how.ad === true ? 0x40n : 0n),
  executeOnly: how.executeOnly ?? false,
  gigabytePages: how.gigabytePages ?? true,
  maxPhyAddr: 46,
});

const textOf = (o: EptGuestOutcome): string => {
  if (o.t === 'ok') return `ok ${hex(o.hpa)}`;
  if (o.t === 'ept-violation') return `violation ${hex(o.qualification)}`;
  return o.t === 'pf' ? `pf ${hex(o.ec)}` : o.t;
};

/** Walks an unpaged guest over EPT in which the rights of the levels 4 to 1 are these. */
function finalAccess(
  rights: readonly [bigint, bigint, bigint, bigint],
  access: 'r' | 'w' | 'x',
  ept = tablesOf(),
): { text: string; cells: Cell[] } {
  const tables = new IdentityTables({ levels: 4, links: 0n, leaf: 0x30n });
  const guest = unpagedGuest(access, 46);
  tables.map(guest.va);
  const cells = tables.cells.map(([at, entry], depth): Cell => [at, entry | (rights[depth] ?? 0n)]);
  const memory = new ListedMemory(cells);
  const text = textOf(walkGuestOverEpt(guest, ept, memory));
  return { text, cells: [...memory] };
}

describe('exit qualification of the final access', () => {
  test.each<[string, readonly [bigint, bigint, bigint, bigint], 'r' | 'w' | 'x', string]>([
    ['read, leaf absent', [7n, 7n, 7n, 0n], 'r', 'violation 0x181'],
    ['write, top entry absent', [0n, 7n, 7n, 7n], 'w', 'violation 0x182'],
    ['write to R-X', [7n, 7n, 7n, 5n], 'w', 'violation 0x1aa'],
    ['fetch from RW-', [7n, 7n, 7n, 3n], 'x', 'violation 0x19c'],
    ['the AND of RW- and R-X is R--', [3n, 7n, 5n, 7n], 'x', 'violation 0x18c'],
    ['a right missing above, an absent entry below: 000', [1n, 7n, 7n, 0n], 'w', 'violation 0x182'],
    ['a right missing above, a misconfiguration below', [1n, 7n, 7n, 2n], 'w', 'ept-misconfiguration'],
    ['an absent entry above a misconfiguration', [7n, 0n, 7n, 2n], 'r', 'violation 0x181'],
    ['all rights', [7n, 7n, 7n, 7n], 'w', 'ok 0xc0a057b8'],
  ])('%s', (_name, rights, access, expected) => {
    expect(finalAccess(rights, access).text).toBe(expected);
  });

  test('an entry with X alone is a misconfiguration where the processor cannot do it', () => {
    expect(finalAccess([7n, 7n, 7n, 4n], 'x').text).toBe('ept-misconfiguration');
    const ept = tablesOf({ executeOnly: true });
    expect(finalAccess([7n, 7n, 7n, 4n], 'x', ept).text).toBe('ok 0xc0a057b8');
    expect(finalAccess([7n, 7n, 7n, 4n], 'r', ept).text).toBe('violation 0x1a1');
  });
});

describe('accessed and dirty flags for EPT', () => {
  const marksOf = (cells: readonly Cell[]): string[] => cells.map(([, entry]) => hex(entry & (A | D)));
  test('off: nothing is written', () => {
    expect(marksOf(finalAccess([7n, 7n, 7n, 7n], 'w').cells)).toEqual(['0x0', '0x0', '0x0', '0x0']);
  });
  test('on: A in each entry used, D in the leaf of a write', () => {
    const ept = tablesOf({ ad: true });
    expect(marksOf(finalAccess([7n, 7n, 7n, 7n], 'r', ept).cells)).toEqual([
      '0x100',
      '0x100',
      '0x100',
      '0x100',
    ]);
    expect(marksOf(finalAccess([7n, 7n, 7n, 7n], 'w', ept).cells)).toEqual([
      '0x100',
      '0x100',
      '0x100',
      '0x300',
    ]);
  });
  test('on, and the leaf refuses: A in the entries above it only', () => {
    const ept = tablesOf({ ad: true });
    expect(marksOf(finalAccess([7n, 7n, 7n, 5n], 'w', ept).cells)).toEqual([
      '0x100',
      '0x100',
      '0x100',
      '0x0',
    ]);
  });
});

/** A 4-level guest in which the EPT leaf of the guest's n-th table has other rights. */
function tableAccess(how: { ad: boolean; table: number; rights: bigint; guestMarks: bigint }): {
  text: string;
  leaf: bigint;
} {
  const tables = tablesUnder('4level', { levels: 4, links: RWX, leaf: LEAF });
  const leafAt = tables.map(guestPages('4level')[how.table] ?? 0n).at(-1) ?? 0n;
  const guestCells = guestPath('4level').map(([at, entry]): Cell => [at, entry | how.guestMarks]);
  const memory = new ListedMemory([...tables.cells, ...guestCells]);
  memory.set(leafAt, (memory.get(leafAt) & ~7n) | how.rights);
  const ept = tablesOf({ ad: how.ad, executeOnly: true });
  const text = textOf(walkGuestOverEpt(pagedGuest('4level', 'r', 46), ept, memory));
  return { text, leaf: memory.get(leafAt) & (A | D) };
}

describe('guest tables behind EPT', () => {
  const MARKED = 0x60n;
  test.each([
    [
      'A/D off: reading an entry needs R only',
      { ad: false, rights: 5n, guestMarks: MARKED },
      'ok 0x1007007b8',
    ],
    ['A/D off: a read refused', { ad: false, rights: 4n, guestMarks: MARKED }, 'violation 0xa1'],
    ['A/D off: setting the guest A bit needs W', { ad: false, rights: 5n, guestMarks: 0n }, 'violation 0xab'],
    [
      'A/D on: reading an entry counts as a write',
      { ad: true, rights: 5n, guestMarks: MARKED },
      'violation 0xab',
    ],
    ['A/D on: absent', { ad: true, rights: 0n, guestMarks: MARKED }, 'violation 0x83'],
    ['A/D off: absent', { ad: false, rights: 0n, guestMarks: MARKED }, 'violation 0x81'],
    ['no X needed', { ad: true, rights: 3n, guestMarks: 0n }, 'ok 0x1007007b8'],
  ])('%s', (_name, how, expected) => {
    expect(tableAccess({ ...how, table: 0 }).text).toBe(expected);
    expect(tableAccess({ ...how, table: 3 }).text).toBe(expected);
  });
  test('A/D on: a read of the guest sets D on the EPT leaf of a guest table', () => {
    expect(tableAccess({ ad: true, rights: 7n, guestMarks: MARKED, table: 2 }).leaf).toBe(A | D);
    expect(tableAccess({ ad: true, rights: 7n, guestMarks: MARKED, table: 4 }).leaf).toBe(A);
  });
});

test('a PAE guest takes the PDPTE from its register, and its page may be absent from EPT', () => {
  const guest = withPdptes(pagedGuest('pae', 'r', 46), 'pae');
  const tables = tablesUnder('pae', { levels: 4, links: RWX, leaf: LEAF });
  const pdpteLeaf = tables.map(guestPages('pae')[0] ?? 0n).at(-1) ?? 0n;
  const memory = new ListedMemory([...tables.cells, ...guestPath('pae').slice(1)]);
  memory.set(pdpteLeaf, 0n);
  expect(textOf(walkGuestOverEpt(guest, tablesOf(), memory))).toBe('ok 0xc07007b8');
});

test("the guest's own fault comes before a violation of the final address", () => {
  const guest = pagedGuest('4level', 'w', 46);
  const tables = tablesUnder('4level', { levels: 4, links: RWX, leaf: LEAF });
  const dataLeaf = tables.map(guestPages('4level')[4] ?? 0n).at(-1) ?? 0n;
  const readOnly = guestPath('4level').map(([at, entry], depth): Cell => [
    at,
    depth === 3 ? entry & ~2n : entry,
  ]);
  const memory = new ListedMemory([...tables.cells, ...readOnly, [dataLeaf, 0n]]);
  expect(textOf(walkGuestOverEpt(guest, tablesOf(), memory))).toBe('pf 0x7');
});

describe('misconfigured entries', () => {
  const badBits = (entry: bigint, level: number, ept = tablesOf()): number[] =>
    Array.from({ length: 64 }, (_, n) => n).filter((n) =>
      eptEntryIsBad(ept, entry | (1n << BigInt(n)), level),
    );
  const HIGH = [46, 47, 48, 49, 50, 51];
  test.each([
    ['level 5', RWX, 5, [3, 4, 5, 6, 7, ...HIGH]],
    ['level 4', RWX, 4, [3, 4, 5, 6, 7, ...HIGH]],
    ['level 3, table', RWX, 3, [3, 4, 5, 6, ...HIGH]],
    ['level 2, table', RWX, 2, [3, 4, 5, 6, ...HIGH]],
    ['level 3, leaf: type 6 to 7', 0xb7n, 3, [3, ...range(12, 29), ...HIGH]],
    ['level 2, leaf: type 6 to 7', 0xb7n, 2, [3, ...range(12, 20), ...HIGH]],
    ['level 2, leaf: type 0 to 2', 0x87n, 2, [4, ...range(12, 20), ...HIGH]],
    ['level 1, type 1 to 3', 0x0fn, 1, [4, ...HIGH]],
    ['level 1, bit 7 is ignored', 0xb7n, 1, [3, ...HIGH]],
  ])('%s', (_name, entry, level, bits) => {
    expect(badBits(entry, level)).toEqual(bits);
  });
  test('a 1 GiB leaf where the processor has none', () => {
    expect(eptEntryIsBad(tablesOf({ gigabytePages: false }), 0xb7n, 3)).toBe(true);
  });
  test.each([1, 2, 3, 4, 5])('rights at level %i: 010, 110, and 100 without the capability', (level) => {
    const bad = (ept: EptTables) =>
      [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n].filter((xwr) => eptEntryIsBad(ept, xwr, level)).map(String);
    expect(bad(tablesOf())).toEqual(['2', '4', '6']);
    expect(bad(tablesOf({ executeOnly: true }))).toEqual(['2', '6']);
  });
});

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, n) => first + n);
}
