import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RUNS } from '../../testing/scenarios.ts';
import { stage1Format } from './arm-format.ts';
import { encodeEntry, guestLevels, guestPageLevels, type EntryFlags, type EntryMode } from './encode.ts';
import { PHYSICAL_BITS } from './registers.ts';
import { PTE_A, PTE_D, PTE_G, PTE_P } from './x86-entry.ts';
import type { PagingMode } from './paging-mode.ts';
import { x86Format } from './x86-format.ts';

const flags: fc.Arbitrary<EntryFlags> = fc.record({
  writable: fc.boolean(),
  user: fc.boolean(),
  accessed: fc.boolean(),
  dirty: fc.boolean(),
  noExecute: fc.boolean(),
  global: fc.boolean(),
  key: fc.nat(15),
});

/** A frame of 28 bits at the start of a page of that size, as far as the entry can name it. */
const frameOf = (any: number, shift: number, bits: number): number => {
  const size = 2 ** (shift - 12);
  return Math.floor((any % 2 ** (bits - 12)) / size) * size;
};

test.each<PagingMode>(['2-level', 'pae', '4-level', '5-level'])(
  '%s: what is encoded is read back',
  (mode) => {
    const settings = { cpu: 'svm', guest: mode };
    const format = x86Format({ mode, physicalBits: PHYSICAL_BITS, nxe: true, pse: true });
    const long = mode === '4-level' || mode === '5-level';
    fc.assert(
      fc.property(flags, fc.nat(2 ** 28 - 1), fc.nat(), fc.boolean(), (own, any, pick, page) => {
        const at = guestLevels(settings)[pick % guestLevels(settings).length];
        if (at === undefined) throw new Error('no level');
        const leaf = at.level === 1 || (page && guestPageLevels(settings).includes(at.level));
        const bits = mode === '2-level' && !(leaf && at.level === 2) ? 32 : PHYSICAL_BITS;
        const frame = frameOf(any, leaf ? at.shift : 12, bits);
        const kind = leaf ? 'page' : 'table';
        const entry = encodeEntry({ mode, kind, level: at.level, frame, flags: own });
        expect(entry >> BigInt(format.entryBytes * 8)).toBe(0n);
        expect(format.kindOf(entry, at)).toBe(leaf ? 'leaf' : 'table');
        const named = leaf ? format.pageAddress(entry, at) : format.tableAddress(entry);
        expect(named).toBe(BigInt(frame) << 12n);
        if (mode === 'pae' && at.level === 3) {
          expect(entry & 0xfffn).toBe(PTE_P);
          return;
        }
        expect(format.narrow(format.allRights, entry, { kind: leaf ? 'leaf' : 'table', at })).toEqual({
          writable: own.writable,
          user: own.user,
          executable: mode === '2-level' || !own.noExecute,
          protectionKey: long && leaf ? own.key : 0,
        });
        expect([entry & PTE_A, entry & PTE_D, entry & PTE_G].map((bit) => bit !== 0n)).toEqual([
          own.accessed,
          own.dirty,
          own.global,
        ]);
      }),
      { numRuns: RUNS },
    );
  },
);

test.each(['3-level', '4-level'])('arm64, %s: what is encoded is read back', (guest) => {
  const mode: EntryMode = 'arm64';
  const settings = { cpu: 'arm64', guest };
  const levels = guestLevels(settings);
  const startLevel = levels[0]?.level ?? 0;
  const inputBits = guest === '3-level' ? 39 : 48;
  const format = stage1Format({
    granule: 12,
    inputBits,
    startLevel,
    outputBits: 40,
    ha: false,
    hd: false,
    hpd: false,
  });
  expect(format.levels).toEqual(levels);
  fc.assert(
    fc.property(flags, fc.nat(2 ** 28 - 1), fc.nat(), fc.boolean(), (own, any, pick, page) => {
      const at = levels[pick % levels.length];
      if (at === undefined) throw new Error('no level');
      const leaf = at.level === 3 || (page && guestPageLevels(settings).includes(at.level));
      const frame = frameOf(any, leaf ? at.shift : 12, 40);
      const entry = encodeEntry({ mode, kind: leaf ? 'page' : 'table', level: at.level, frame, flags: own });
      expect(format.kindOf(entry, at)).toBe(leaf ? 'leaf' : 'table');
      const named = leaf ? format.pageAddress(entry, at) : format.tableAddress(entry);
      expect(named).toBe(BigInt(frame) << 12n);
      expect(format.narrow(format.allRights, entry, { kind: leaf ? 'leaf' : 'table', at })).toEqual({
        readOnly: !own.writable,
        el0: own.user,
        pxn: own.noExecute,
        uxn: own.noExecute,
        accessed: leaf ? own.accessed : true,
      });
    }),
    { numRuns: RUNS },
  );
});
