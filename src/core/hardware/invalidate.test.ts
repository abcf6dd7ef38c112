import { describe, expect, test } from 'vitest';
import type { CacheTag, PscEntry, TlbEntry } from '../machine/tables.ts';
import { pfn } from '../quantities.ts';
import {
  INVALIDATIONS,
  SWEEP_OF_WORLD_SWITCH,
  sweepOfCr3,
  sweepOfGuest,
  sweepOfSpace,
} from './invalidate.ts';
import type { InvalidationName } from './invalidations.ts';

const A = 0x40_0000n;
const B = 0x80_0000n;
const NOW: CacheTag = { asid: 1, pcid: 2, root: 7 };

interface Held extends Partial<TlbEntry> {
  readonly at?: bigint;
}

const entry = ({ at = A, ...facts }: Held): TlbEntry => ({
  vcpu: 0,
  serial: 1,
  kind: 'combined',
  ...NOW,
  vpn: Number(at >> 12n),
  pageBits: 12,
  pfn: pfn(1),
  readable: true,
  writable: true,
  user: true,
  executable: true,
  userExecutable: true,
  global: false,
  dirty: true,
  protectionKey: 0,
  filledFrom: [],
  filledValues: [],
  filledUnder: '',
  used: 0,
  ...facts,
});

/** What a cache may hold, by a name that says what is special about it. */
const HELD: Readonly<Record<string, TlbEntry>> = {
  A: entry({}),
  'A large': entry({ pageBits: 21 }),
  'A global': entry({ global: true }),
  'A global, other pcid': entry({ global: true, pcid: 3 }),
  'A other pcid': entry({ pcid: 3 }),
  'A other asid': entry({ asid: 9 }),
  'A other root': entry({ root: 8 }),
  'A linear': entry({ kind: 'linear', root: 0 }),
  B: entry({ at: B }),
  'gpa A': entry({ kind: 'guest-physical', pcid: 0 }),
  'gpa B': entry({ kind: 'guest-physical', pcid: 0, at: B }),
  'gpa A, other root': entry({ kind: 'guest-physical', pcid: 0, root: 8 }),
};

const ALL = Object.keys(HELD);
const without = (...names: string[]): string[] => ALL.filter((name) => !names.includes(name));

/** Entries that are left, by the manuals' words for each operation. */
const LEFT: Readonly<Record<InvalidationName, readonly string[]>> = {
  invlpg: without('A', 'A large', 'A global', 'A global, other pcid', 'A other root', 'A linear'),
  'invpcid-address': without('A other pcid'),
  'invpcid-single': without('A other pcid'),
  'invpcid-all': ['A other asid', 'gpa A', 'gpa B', 'gpa A, other root'],
  'invpcid-all-nonglobal': [
    'A global',
    'A global, other pcid',
    'A other asid',
    'gpa A',
    'gpa B',
    'gpa A, other root',
  ],
  'invvpid-address': without('A other asid'),
  'invvpid-single': without('A other asid'),
  'invvpid-all': ['gpa A', 'gpa B', 'gpa A, other root'],
  'invvpid-single-keep-globals': without('A other asid'),
  'invept-single': ['A other root', 'A linear', 'gpa A, other root'],
  'invept-all': ['A linear'],
  invlpga: without('A other asid'),
  'tlb-control-all': [],
  'tlb-control-asid': ['A other asid'],
  'tlb-control-asid-nonglobal': ['A global', 'A global, other pcid', 'A other asid'],
  'tlbi-vae1is': without('A', 'A large', 'A global', 'A global, other pcid', 'A other root', 'A linear'),
  'tlbi-vmalle1is': ['A other asid', 'gpa A', 'gpa B', 'gpa A, other root'],
  'tlbi-vmalle1': ['A other asid', 'gpa A', 'gpa B', 'gpa A, other root'],
  'tlbi-ipas2e1is': without('gpa A', 'gpa A, other root'),
  'tlbi-vmalls12e1is': ['A other asid'],
  'tlbi-alle1is': [],
};

/** What is named where an operation names a tag: PCID 3, VPID or ASID 9. */
const tagNamed = (name: InvalidationName): number => (name.startsWith('invpcid') ? 3 : 9);

const leftBy = (drops: (held: TlbEntry) => boolean): string[] =>
  Object.entries(HELD).flatMap(([name, held]) => (drops(held) ? [] : [name]));

describe('what every invalidation leaves behind', () => {
  test.each(INVALIDATIONS.map((operation) => [operation.name, operation] as const))(
    '%s',
    (name, operation) => {
      const target = { address: A, tag: tagNamed(name) };
      expect(leftBy((held) => operation.drops(held, NOW, target))).toEqual(LEFT[name]);
    },
  );

  test.each([
    [
      'MOV CR3, bit 63 clear: the new PCID without globals',
      sweepOfCr3(NOW, { pcid: 3, keep: false }),
      without('A other pcid'),
    ],
    ['MOV CR3, bit 63 set: nothing', sweepOfCr3(NOW, { pcid: 3, keep: true }), ALL],
    [
      'CR4.PGE, CR4.PCIDE cleared, CR0.PG cleared: all of the guest, globals too',
      sweepOfGuest(NOW),
      ['A other asid', 'gpa A', 'gpa B', 'gpa A, other root'],
    ],
    [
      'CR4.PAE, CR4.SMEP set: the current PCID',
      sweepOfSpace(NOW),
      ['A global, other pcid', 'A other pcid', 'A other asid', 'gpa A', 'gpa B', 'gpa A, other root'],
    ],
    [
      'VM entry and exit without VPID: all but guest-physical',
      SWEEP_OF_WORLD_SWITCH,
      ['gpa A', 'gpa B', 'gpa A, other root'],
    ],
  ] as const)('%s', (_name, sweep, left) => {
    expect(leftBy(sweep.drops)).toEqual(left);
  });
});

describe('paging-structure caches', () => {
  const table = (facts: Partial<PscEntry>): PscEntry => ({
    ...NOW,
    vcpu: 0,
    serial: 1,
    stage: 'guest',
    depth: 1,
    prefix: 0n,
    shift: 39,
    table: 0n,
    place: 0n,
    writable: true,
    rights: {},
    filledFrom: [],
    filledValues: [],
    filledUnder: '',
    ...facts,
  });
  const TABLES = {
    own: table({}),
    'other pcid': table({ pcid: 3 }),
    'other asid': table({ asid: 9 }),
    host: table({ stage: 'host', pcid: 0 }),
  };
  test.each([
    ['invlpg', ['other pcid', 'other asid', 'host']],
    ['invpcid-single', ['own', 'other asid', 'host']],
    ['invpcid-all', ['other asid', 'host']],
    ['invept-all', []],
    ['invvpid-all', ['host']],
    ['tlbi-vmalle1is', ['other asid', 'host']],
    ['tlbi-ipas2e1is', ['own', 'other pcid', 'other asid']],
    ['tlb-control-all', []],
  ] as const)('%s leaves %j', (name, left) => {
    const operation = INVALIDATIONS.find((candidate) => candidate.name === name);
    const target = { address: A, tag: tagNamed(name) };
    const kept = Object.entries(TABLES).flatMap(([key, held]) =>
      operation?.dropsTable(held, NOW, target) === true ? [] : [key],
    );
    expect(kept).toEqual(left);
  });
});
