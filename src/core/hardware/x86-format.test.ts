/** x86 formats with processors other than the recorded one (MAXPHYADDR 40), and PDPTEs held in registers. */
import { describe, expect, test } from 'vitest';
import { must } from '../assert.ts';
import type { PagingMode } from './paging-mode.ts';
import { Machine } from '../machine/machine.ts';
import { DEFAULT_SETTINGS } from '../settings.ts';
import { wordAt } from './format.ts';
import {
  CR0_PG,
  CR0_WP,
  CR4_PAE,
  CR4_PGE,
  CR4_PSE,
  EFER_LMA,
  pagingRegisters,
  registerMask,
  rootOf,
} from './registers.ts';
import { walk, type WalkOutcome } from './walk.ts';
import { isCanonical } from './x86-entry.ts';
import { levelsOf, reservedIn, x86Format } from './x86-format.ts';

const levelOf = (mode: PagingMode, level: number): ReturnType<typeof levelsOf>[number] =>
  must(
    levelsOf(mode).find((at) => at.level === level),
    'a level',
  );

describe('reserved bits of a present entry by mode, level, MAXPHYADDR and EFER.NXE', () => {
  test.each<[PagingMode, number, 'small' | 'large', number, boolean, bigint]>([
    ['4-level', 1, 'small', 36, true, 0x000ffff000000000n],
    ['4-level', 1, 'small', 46, true, 0x000fc00000000000n],
    ['4-level', 1, 'small', 52, true, 0n],
    ['4-level', 1, 'small', 52, false, 0x8000000000000000n],
    ['4-level', 4, 'small', 46, true, 0x000fc00000000080n],
    ['4-level', 2, 'large', 46, true, 0x000fc000001fe000n],
    ['4-level', 3, 'large', 46, false, 0x800fc0003fffe000n],
    ['5-level', 5, 'small', 52, true, 0x80n],
    ['5-level', 4, 'small', 52, true, 0x80n],
    ['pae', 1, 'small', 36, true, 0x7ffffff000000000n],
    ['pae', 1, 'small', 36, false, 0xfffffff000000000n],
    ['pae', 2, 'large', 36, true, 0x7ffffff0001fe000n],
    ['pae', 3, 'small', 40, true, 0xffffff00000001e6n],
    ['pae', 3, 'small', 52, true, 0xfff00000000001e6n],
    ['2-level', 2, 'small', 40, true, 0n],
    ['2-level', 2, 'large', 32, true, 0x3fe000n],
    ['2-level', 2, 'large', 36, true, 0x3e0000n],
    ['2-level', 2, 'large', 40, true, 0x200000n],
    ['2-level', 2, 'large', 52, true, 0x200000n],
  ])('%s, level %i, %s, MAXPHYADDR %i, NXE %s', (mode, level, size, physicalBits, nxe, mask) => {
    const options = { mode, physicalBits, nxe, pse: true };
    expect(reservedIn(options, levelOf(mode, level), size === 'large')).toBe(mask);
  });
});

describe('PSE-36: bits 20:13 of a 4 MiB entry are address bits 39:32, as far as the processor has them', () => {
  test.each([
    [32, 0x8040_0000n],
    [36, 0xf_8040_0000n],
    [40, 0xff_8040_0000n],
    [52, 0xff_8040_0000n],
  ])('MAXPHYADDR %i', (physicalBits, address) => {
    const format = x86Format({ mode: '2-level', physicalBits, nxe: false, pse: true });
    expect(format.pageAddress(0x805f_e083n, levelOf('2-level', 2))).toBe(address);
  });
});

describe('the root by mode', () => {
  test.each<[PagingMode, bigint]>([
    ['2-level', 0xffff_f000n],
    ['pae', 0xffff_ffe0n],
    ['4-level', 0x000f_ffff_ffff_f000n],
    ['5-level', 0x000f_ffff_ffff_f000n],
  ])('%s keeps these bits of CR3', (mode, mask) => {
    expect(rootOf(0xffff_ffff_ffff_ffffn, mode)).toBe(mask);
  });
});

describe('canonical addresses', () => {
  test.each<[PagingMode, bigint, boolean]>([
    ['4-level', 0x0000_7fff_ffff_ffffn, true],
    ['4-level', 0x0000_8000_0000_0000n, false],
    ['4-level', 0xffff_7fff_ffff_ffffn, false],
    ['4-level', 0xffff_8000_0000_0000n, true],
    ['5-level', 0x00ff_ffff_ffff_ffffn, true],
    ['5-level', 0x0100_0000_0000_0000n, false],
    ['5-level', 0xfeff_ffff_ffff_ffffn, false],
    ['5-level', 0xff00_0000_0000_0000n, true],
    ['pae', 0x7000_0000_0000_0000n, true],
  ])('%s: %s: %s', (mode, address, canonical) => {
    expect(isCanonical(address, mode)).toBe(canonical);
  });
});

type Entries = readonly (readonly [bigint, bigint])[];
function machineWith(entries: Entries): Machine {
  const m = new Machine({ settings: DEFAULT_SETTINGS });
  m.step('setup-memory', { gfn: 0 });
  for (const [address, entry] of entries) m.set('word', wordAt(address), entry);
  return m;
}
const textOf = (outcome: WalkOutcome): string =>
  outcome.kind === 'ok' ? `0x${outcome.address.toString(16)}` : outcome.kind;

describe('PAE with its four root entries in registers', () => {
  const registers = pagingRegisters({ cr0: CR0_PG | CR0_WP, cr3: 0x1000n, cr4: CR4_PAE, efer: 0n });
  const TABLES: Entries = [
    [0x2000n, 0x3007n],
    [0x3000n, 0x9007n],
  ];
  const pdptrs = [0n, 0n, 0n, 0x2001n];
  const request = { gva: 0xc000_0123n, access: 'read', user: true } as const;
  test('bits 31:30 choose the register; memory is read twice, the register gets no mark', () => {
    const m = machineWith(TABLES);
    expect(textOf(walk(m, { ...request, registers: { ...registers, pdptrs } }))).toBe('0x9123');
    expect([m.get('counter', 'refs@0'), m.get('counter', 'adw@0')]).toEqual([2, 2]);
    expect(m.word(wordAt(0x1018n))).toBe(0n);
  });
  test('without registers the entry is read from memory, 8 bytes each from CR3 on', () => {
    const m = machineWith([...TABLES, [0x1018n, 0x2001n]]);
    expect(textOf(walk(m, { ...request, registers }))).toBe('0x9123');
    expect([m.get('counter', 'refs@0'), m.word(wordAt(0x1018n))]).toEqual([3, 0x2001n]);
  });
  test('an absent register is a fault without a reference', () => {
    const m = machineWith(TABLES);
    const outcome = walk(m, { ...request, gva: 0n, registers: { ...registers, pdptrs } });
    expect(outcome).toMatchObject({ kind: 'page-fault', errorCode: 4, level: 3 });
    expect(m.get('counter', 'refs@0')).toBeUndefined();
  });
  test('an address of more than 32 bits loses the upper ones', () => {
    const wide = { ...request, gva: 0xffff_ffff_c000_0123n, registers: { ...registers, pdptrs } };
    expect(textOf(walk(machineWith(TABLES), wide))).toBe('0x9123');
  });
});

describe('32-bit paging: bit 7 of a directory entry makes a large page only under CR4.PSE', () => {
  test.each([
    [CR4_PSE, '0x401123'],
    [0n, '0x9123'],
  ])('CR4 %s: %s', (cr4, expected) => {
    const registers = pagingRegisters({ cr0: CR0_PG, cr3: 0x1000n, cr4, efer: 0n });
    // Read as a directory entry of 4 MiB pages it names 4 MiB; as a table it lies at 4 MiB.
    const m = machineWith([
      [0x1000n, 0x0040_0087n],
      [0x40_0000n, 0x9007n << 32n],
    ]);
    expect(textOf(walk(m, { gva: 0x1123n, access: 'read', user: true, registers }))).toBe(expected);
  });
});

describe('outside long mode', () => {
  const TABLES: Entries = [
    [0x1000n, 0x2001n],
    [0x2000n, 0x3003n],
    [0x3000n, 0x9003n],
  ];
  test.each([
    ['pks', { pkrs: 1 }],
    ['pke', { pkru: 1 }],
  ])('%s: protection keys do nothing', (name, keys) => {
    const cr4 = CR4_PAE | registerMask('cr4', name);
    const registers = pagingRegisters({ cr0: CR0_PG, cr3: 0x1000n, cr4, efer: 0n, ...keys });
    const request = { gva: 0x123n, access: 'read', user: false, registers } as const;
    expect(textOf(walk(machineWith(TABLES), request))).toBe('0x9123');
  });
  test('without paging an address loses what lies above 32 bits and stands for itself', () => {
    const registers = pagingRegisters({ cr0: 0n, cr3: 0n, cr4: 0n, efer: 0n });
    const request = { gva: 0x1_0000_9123n, access: 'write', user: true, registers } as const;
    expect(textOf(walk(machineWith([]), request))).toBe('0x9123');
  });
});

describe('marks in an entry of 4 bytes', () => {
  const registers = pagingRegisters({ cr0: CR0_PG, cr3: 0x1000n, cr4: 0n, efer: 0n });
  test.each([
    ['the upper half of a word', 0x1123n, 0x0000_9067_0000_8007n],
    ['the lower half', 0x0123n, 0x0000_9007_0000_8067n],
  ])('%s: the other half stays', (_name, gva, after) => {
    const m = machineWith([
      [0x1000n, 0x2007n],
      [0x2000n, 0x0000_9007_0000_8007n],
    ]);
    walk(m, { gva, access: 'write', user: true, registers });
    expect(m.word(wordAt(0x2000n))).toBe(after);
  });
});

describe('what a walk tells about the translation', () => {
  const PATH: Entries = [
    [0x1000n, 0x2007n],
    [0x2000n, 0x3007n],
    [0x3000n, 0x4007n],
  ];
  const GLOBAL = 1n << 8n;
  const after = (leaf: bigint, options: { access?: 'read' | 'write'; pge?: bigint }): WalkOutcome => {
    const { access = 'read', pge = 0n } = options;
    const registers = pagingRegisters({ cr0: CR0_PG, cr3: 0x1000n, cr4: CR4_PAE | pge, efer: EFER_LMA });
    return walk(machineWith([...PATH, [0x4000n, leaf]]), { gva: 0n, access, user: true, registers });
  };
  test('global: G in the leaf, and CR4.PGE', () => {
    expect(after(0x9007n | GLOBAL, { pge: CR4_PGE })).toMatchObject({ global: true });
    expect(after(0x9007n | GLOBAL, {})).toMatchObject({ global: false });
    expect(after(0x9007n, { pge: CR4_PGE })).toMatchObject({ global: false });
  });
  test('dirty: once the page has been written', () => {
    expect(after(0x9007n, {})).toMatchObject({ dirty: false });
    expect(after(0x9007n, { access: 'write' })).toMatchObject({ dirty: true });
    expect(after(0x9047n, {})).toMatchObject({ dirty: true });
  });
  test('the words read, and what they hold after the walk', () => {
    expect(after(0x9007n, { access: 'write' })).toMatchObject({
      words: [0x1000n, 0x2000n, 0x3000n, 0x4000n].map(wordAt),
      values: [0x2027n, 0x3027n, 0x4027n, 0x9067n],
    });
  });
});
