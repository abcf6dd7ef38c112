/** The naive model of correct TLBs, by hand: what it allows and what it does not. */
import { describe, expect, test } from 'vitest';
import { CorrectTlbs, type Access } from './correct-tlbs.ts';

const [CR3, PD, PT] = [0x1000n, 0x2000n, 0x3000n];
const VA = 0x40_0000n;
const PDE = PD + 2n * 8n;
/** Present, writable, user, accessed, dirty; and the same read-only. */
const [RW, RO] = [0x67n, 0x65n];
const REGISTERS = { cr0: 0x8001_0001n, cr3: CR3, cr4: 0x20n, efer: 0x800n };

/** PAE tables that map VA to frame 0x20. */
const MEMORY = new Map([
  [CR3, PD | 1n],
  [PDE, PT | RW],
  [PT, 0x20000n | RW],
]);

function machine(cpus = 1): CorrectTlbs {
  const registers = Array.from({ length: cpus }, () => REGISTERS);
  return new CorrectTlbs({ memory: (at) => MEMORY.get(at) ?? 0n, end: 0x100_0000n, registers });
}
const read: Access = { va: VA, access: 'r', user: true, stores: [] };
const write: Access = { ...read, access: 'w', stores: [{ value: 5n, bytes: 8 }] };

/** The kernel, through a mapping that is no part of this, stores an entry. */
function store(tlbs: CorrectTlbs, at: bigint, value: bigint): void {
  tlbs.begin(0, { va: VA, access: 'w', user: false, stores: [] });
  tlbs.changed(0, at, value);
  tlbs.complaints.length = 0;
}

describe('a correct TLB', () => {
  test('gives what the tables say', () => {
    const tlbs = machine();
    tlbs.begin(0, read);
    tlbs.reached(0, 0x20000n);
    expect([tlbs.complaints, tlbs.stale]).toEqual([[], 0]);
    tlbs.begin(0, read);
    tlbs.reached(0, 0x21000n);
    expect(tlbs.complaints).toEqual(['v0 user r 0x400000: reached 0x21000, not one of: 0x20000 wu d']);
  });
  test('B-2: may serve a write after the right is gone, until INVLPG; then only the fault is right', () => {
    const tlbs = machine();
    store(tlbs, PT, 0x20000n | RO);
    tlbs.begin(0, write);
    tlbs.reached(0, 0x20000n);
    tlbs.changed(0, 0x20000n, 5n);
    expect([tlbs.complaints, tlbs.stale]).toEqual([[], 1]);
    tlbs.invalidate(0, VA + 0x123n);
    tlbs.begin(0, write);
    tlbs.faulted(0, 7);
    expect(tlbs.complaints).toEqual([]);
    tlbs.begin(0, write);
    tlbs.reached(0, 0x20000n);
    expect(tlbs.complaints).toHaveLength(1);
  });
  test('B-1: may refuse once by what it holds, though the tables allow; the fault drops it', () => {
    const tlbs = machine();
    store(tlbs, PT, 0x20000n | RO);
    tlbs.invalidate(0);
    store(tlbs, PT, 0x20000n | RW);
    for (const complaints of [0, 1]) {
      tlbs.begin(0, write);
      tlbs.faulted(0, 7);
      expect(tlbs.complaints).toHaveLength(complaints);
    }
  });
  test('caches nothing that is absent: such a fault must be true while the access lasts', () => {
    const tlbs = machine();
    store(tlbs, PT, 0n);
    store(tlbs, PT, 0x20000n | RW);
    tlbs.begin(0, read);
    tlbs.faulted(0, 4);
    expect(tlbs.complaints).toHaveLength(1);
    store(tlbs, PT, 0n);
    tlbs.begin(0, read);
    store(tlbs, PT, 0n);
    tlbs.begin(0, read);
    tlbs.faulted(0, 4);
    expect(tlbs.complaints).toEqual([]);
  });
  test('of one processor is not emptied by the INVLPG of another', () => {
    const tlbs = machine(2);
    store(tlbs, PT, 0x21000n | RW);
    tlbs.invalidate(0, VA);
    tlbs.begin(1, read);
    tlbs.reached(1, 0x20000n);
    expect(tlbs.complaints).toEqual([]);
    tlbs.begin(0, read);
    tlbs.reached(0, 0x20000n);
    expect(tlbs.complaints).toHaveLength(1);
  });
  test('keeps global pages when CR3 is loaded, and no others', () => {
    const [global, plain] = [machine(), machine()].map((tlbs, at) => {
      const paged = { ...REGISTERS, cr4: 0xa0n };
      tlbs.loaded(0, 'cr4', paged);
      store(tlbs, PT, 0x21000n | RW | (at === 0 ? 0x100n : 0n));
      store(tlbs, PT, 0x22000n | RW);
      tlbs.loaded(0, 'cr3', paged);
      tlbs.begin(0, read);
      tlbs.reached(0, 0x21000n);
      return tlbs.complaints.length;
    });
    expect([global, plain]).toEqual([0, 1]);
  });
  test('mixes no entries of different moments', () => {
    const tlbs = machine();
    const other = 0x4000n;
    store(tlbs, PDE, other | RW);
    store(tlbs, other, 0x21000n | RW);
    store(tlbs, PDE, PT | RW);
    store(tlbs, other, 0x22000n | RW);
    tlbs.begin(0, read);
    tlbs.reached(0, 0x22000n);
    expect(tlbs.complaints).toHaveLength(1);
  });
});

describe('memory', () => {
  test('changes by the stores of an access and by its marks, and by nothing else', () => {
    const tlbs = machine();
    store(tlbs, PT, 0x20007n);
    tlbs.invalidate(0);
    tlbs.begin(0, write);
    tlbs.changed(0, PT, 0x20067n);
    tlbs.reached(0, 0x20000n);
    tlbs.changed(0, 0x20000n, 5n);
    tlbs.end();
    expect(tlbs.complaints).toEqual([]);
    tlbs.changed(0, 0x20000n, 6n);
    expect(tlbs.complaints).toEqual(['v0: 0x20000 became 0x6 from 0x5']);
  });
  test('is not read through a page without its marks, and a store is not lost', () => {
    const tlbs = machine();
    store(tlbs, PT, 0x20007n);
    tlbs.invalidate(0);
    tlbs.begin(0, write);
    tlbs.reached(0, 0x20000n);
    tlbs.end();
    expect(tlbs.complaints).toHaveLength(2);
  });
});
