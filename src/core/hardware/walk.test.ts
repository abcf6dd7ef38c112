import { describe, expect, test } from 'vitest';
import { readVectors, replayAll } from '../../cli/walk.ts';
import { must } from '../assert.ts';
import { Machine } from '../machine/machine.ts';
import { DEFAULT_SETTINGS } from '../settings.ts';
import {
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  EFER_LMA,
  EFER_NXE,
  pagingRegisters,
  registerMask,
  type RawRegisters,
} from './registers.ts';
import { wordAt } from './format.ts';
import { walk, type WalkOutcome, type WalkRequest } from './walk.ts';
import { levelsOf, reservedIn } from './x86-format.ts';

describe('every recorded walk of an independent MMU: outcome, address, codes, entries afterwards', () => {
  test.each([
    ['x86-2level', 3600],
    ['x86-pae', 3600],
    ['x86-4level', 5249],
    ['x86-5level', 4075],
    ['x86-alias', 900],
    ['x86-pks', 866],
    ['npt-off', 470],
    ['npt-2level', 896],
    ['npt-pae', 1011],
    ['npt-4level', 2658],
    ['npt-5level', 472],
    ['arm-s2', 2061],
    ['arm-s1s2', 3222],
  ])('%s: all %i', (name, count) => {
    const report = replayAll(readVectors(`src/testing/vectors/${name}.jsonl.gz`));
    expect(report.mismatches).toEqual([]);
    expect(report.passed).toBe(count);
  });
});

describe('reserved bits with MAXPHYADDR 40', () => {
  test.each([
    ['small, NX on', { level: 3, large: false, nxe: true }, 0x000fff0000000000n],
    ['2 MiB leaf, NX on', { level: 2, large: true, nxe: true }, 0x000fff00001fe000n],
    ['1 GiB leaf, NX on', { level: 3, large: true, nxe: true }, 0x000fff003fffe000n],
    ['small, NX off', { level: 3, large: false, nxe: false }, 0x800fff0000000000n],
    ['2 MiB leaf, NX off', { level: 2, large: true, nxe: false }, 0x800fff00001fe000n],
    ['PML4 entry: bit 7 too', { level: 4, large: false, nxe: true }, 0x000fff0000000080n],
  ])('%s', (_name, options, mask) => {
    const { level, large, nxe } = options;
    const at = must(
      levelsOf('4-level').find((candidate) => candidate.level === level),
      'a level',
    );
    expect(reservedIn({ mode: '4-level', physicalBits: 40, nxe, pse: true }, at, large)).toBe(mask);
  });
});

const START: RawRegisters = { cr0: CR0_PG | CR0_WP, cr3: 0x1000n, cr4: CR4_PAE, efer: EFER_NXE | EFER_LMA };
const PATH: readonly (readonly [bigint, bigint])[] = [
  [0x1000n, 0x2007n],
  [0x2000n, 0x3007n],
  [0x3000n, 0x4007n],
];

function machineWith(leaf: bigint, path = PATH): Machine {
  const m = new Machine({ settings: DEFAULT_SETTINGS });
  m.step('setup-memory', { gfn: 0 });
  for (const [address, entry] of [...path, [0x4000n, leaf] as const]) m.set('word', wordAt(address), entry);
  return m;
}

const go = (m: Machine, request: Partial<WalkRequest>, raw: Partial<RawRegisters> = {}): WalkOutcome =>
  walk(m, {
    gva: 0n,
    access: 'read',
    user: true,
    registers: pagingRegisters({ ...START, ...raw }),
    ...request,
  });
const codeOf = (outcome: WalkOutcome): string =>
  outcome.kind === 'page-fault' ? `0x${outcome.errorCode.toString(16)}` : outcome.kind;
const counterOf = (m: Machine, name: string): number => m.get('counter', `${name}@0`) ?? 0;

describe('error codes', () => {
  const SMEP = registerMask('cr4', 'smep');
  const SMAP = registerMask('cr4', 'smap');
  const PKE = registerMask('cr4', 'pke');
  const NX = 1n << 63n;
  test.each<[string, bigint, Partial<WalkRequest>, Partial<RawRegisters>, string]>([
    ['user write to a read-only page', 0x9005n, { access: 'write' }, {}, '0x7'],
    ['user write to an absent page', 0n, { access: 'write' }, {}, '0x6'],
    ['kernel read of an absent page', 0n, { user: false }, {}, '0x0'],
    ['user fetch from a no-execute page', 0x9007n | NX, { access: 'execute' }, {}, '0x15'],
    [
      'kernel fetch from a user page under SMEP',
      0x9007n,
      { access: 'execute', user: false },
      { cr4: CR4_PAE | SMEP },
      '0x11',
    ],
    ['kernel read of a user page under SMAP', 0x9007n, { user: false }, { cr4: CR4_PAE | SMAP }, '0x1'],
    [
      'kernel write to a user page under SMAP',
      0x9007n,
      { user: false, access: 'write' },
      { cr4: CR4_PAE | SMAP },
      '0x3',
    ],
    ['the same with AC set is allowed', 0x9007n, { user: false }, { cr4: CR4_PAE | SMAP, ac: true }, 'ok'],
    [
      'user read refused by a protection key',
      0x9007n | (1n << 59n),
      {},
      { cr4: CR4_PAE | PKE, pkru: 0b0100 },
      '0x25',
    ],
    ['user read with a reserved bit', 0x9007n | (1n << 45n), {}, {}, '0xd'],
    [
      'CR0.WP=0: the kernel writes a read-only page',
      0x9005n,
      { user: false, access: 'write' },
      { cr0: CR0_PG },
      'ok',
    ],
  ])('%s', (_name, leaf, request, raw, expected) => {
    expect(codeOf(go(machineWith(leaf), request, raw))).toBe(expected);
  });
});

describe('references and accessed bits', () => {
  test('a first user read makes 4 references and sets 4 accessed bits; a write then sets one dirty bit', () => {
    const m = machineWith(0x9007n);
    go(m, {});
    expect([counterOf(m, 'refs'), counterOf(m, 'adw')]).toEqual([4, 4]);
    go(m, { access: 'write' });
    expect([counterOf(m, 'refs'), counterOf(m, 'adw')]).toEqual([8, 5]);
  });
  test('a fault at the leaf leaves three accessed bits above it', () => {
    const m = machineWith(0x9003n);
    expect(codeOf(go(m, {}))).toBe('0x5');
    expect(counterOf(m, 'adw')).toBe(3);
  });
  test('a 1 GiB leaf with bit 13 set is a reserved-bit fault', () => {
    const m = machineWith(0n, [
      [0x1000n, 0x2007n],
      [0x2000n, 0x40002087n],
    ]);
    expect(codeOf(go(m, { user: false }))).toBe('0x9');
  });
  test('an address that is not canonical is refused without a reference', () => {
    const m = machineWith(0x9007n);
    expect(go(m, { gva: 0x0000_8000_0000_0000n }).kind).toBe('not-canonical');
    expect(counterOf(m, 'refs')).toBe(0);
  });
  test('the same address is canonical with 57-bit addresses', () => {
    const m = machineWith(0x9007n, [
      [0x1000n, 0x5007n],
      [0x5800n, 0x2007n],
      [0x2000n, 0x3007n],
      [0x3000n, 0x4007n],
    ]);
    expect(go(m, { gva: 0x0000_8000_0000_0000n }, { cr4: CR4_PAE | CR4_LA57 }).kind).toBe('ok');
  });
});
