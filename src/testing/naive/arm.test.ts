import { describe, expect, test } from 'vitest';
import { walkArm, type ArmOutcome, type ArmRequest } from './arm.ts';
import { compareAll, hex, ListedMemory, vectorsOf } from './vector-files.ts';

interface ArmVector {
  readonly id: string;
  readonly vtcr: string;
  readonly vttbr: string;
  readonly hcr: string;
  readonly sctlr: string;
  readonly tcr: string;
  readonly ttbr0: string;
  readonly pan: number;
  readonly el: 0 | 1;
  readonly access: 'r' | 'w' | 'x';
  readonly va: string;
  readonly nmem: readonly (readonly [string, string])[];
  readonly gmem: readonly (readonly [string, string, string])[];
  readonly nafter: readonly string[];
  readonly gafter: readonly string[];
  readonly nolevel?: number;
  readonly out:
    | { readonly t: 'ok'; readonly pa: string }
    | { readonly t: 's1' | 's2'; readonly esr: string; readonly far: string; readonly hpfar?: string };
}

const PERMISSION = 0b0011;

/** The parts of a fault that are to be compared; `-` where the vectors' README has them ignored. */
function faultText(
  f: {
    t: string;
    ec: number;
    il: number;
    wnr: number;
    s1ptw: number;
    fsc: number;
    far: string;
    hpfar: string;
  },
  nolevel: boolean,
): string {
  const unknownIpa = f.t === 's1' || (f.fsc >> 2 === PERMISSION && f.s1ptw === 0);
  const data = f.ec === 0x24 || f.ec === 0x25;
  return [
    f.t,
    `ec=${hex(f.ec)} il=${String(f.il)}`,
    `wnr=${data && f.s1ptw === 0 ? String(f.wnr) : '-'} s1ptw=${String(f.s1ptw)}`,
    `fsc=${hex(nolevel ? f.fsc & ~3 : f.fsc)} far=${f.far}`,
    `hpfar=${unknownIpa ? '-' : f.hpfar}`,
  ].join(' ');
}

function expectedText({ out, nolevel }: ArmVector): string {
  if (out.t === 'ok') return `ok ${out.pa}`;
  const esr = Number(BigInt(out.esr));
  return faultText(
    {
      t: out.t,
      ec: (esr >>> 26) & 0x3f,
      il: (esr >>> 25) & 1,
      wnr: (esr >>> 6) & 1,
      s1ptw: (esr >>> 7) & 1,
      fsc: esr & 0x3f,
      far: out.far,
      hpfar: out.hpfar ?? '-',
    },
    nolevel === 1,
  );
}

const outcomeText = (o: ArmOutcome, v: ArmVector): string =>
  o.t === 'ok'
    ? `ok ${hex(o.pa)}`
    : faultText({ ...o, far: hex(o.far), hpfar: hex(o.hpfar ?? 0n) }, v.nolevel === 1);

function check(v: ArmVector): { expected: string; got: string } {
  const memory = new ListedMemory([
    ...v.nmem.map(([at, entry]) => [BigInt(at), BigInt(entry)] as const),
    ...v.gmem.map(([, at, entry]) => [BigInt(at), BigInt(entry)] as const),
  ]);
  const outcome = walkArm(
    {
      vtcr: BigInt(v.vtcr),
      vttbr: BigInt(v.vttbr),
      hcr: BigInt(v.hcr),
      sctlr: BigInt(v.sctlr),
      tcr: BigInt(v.tcr),
      ttbr0: BigInt(v.ttbr0),
      pan: v.pan === 1,
      el: v.el,
      access: v.access,
      va: BigInt(v.va),
      paBits: 48,
    },
    memory,
  );
  const nafter = v.nmem.map(([at]) => hex(memory.get(BigInt(at))));
  const gafter = v.gmem.map(([, at]) => hex(memory.get(BigInt(at))));
  return {
    expected: `${expectedText(v)} [${v.nafter.join()}] [${v.gafter.join()}]`,
    got: `${outcomeText(outcome, v)} [${nafter.join()}] [${gafter.join()}]`,
  };
}

test.each([
  ['arm-s2', 2061],
  ['arm-s1s2', 3222],
])('%s: the naive walk gives the recorded outcome and descriptors', (name, count) => {
  const { passed, differences } = compareAll(vectorsOf(name) as ArmVector[], check);
  expect(differences).toEqual([]);
  expect(passed).toBe(count);
});

const EL1_READ: ArmRequest = {
  vtcr: 0n,
  vttbr: 0x4000_0000n,
  hcr: 0n,
  sctlr: 0n,
  tcr: 0n,
  ttbr0: 0x5000_0000n,
  pan: false,
  el: 1,
  access: 'r',
  va: 0n,
  paBits: 48,
};

/** `ok <pa>`, or the stage with its fault status code. */
function told(request: Partial<ArmRequest>, cells: readonly (readonly [bigint, bigint])[]): string {
  const outcome = walkArm({ ...EL1_READ, ...request }, new ListedMemory(cells));
  return outcome.t === 'ok' ? `ok ${hex(outcome.pa)}` : `${outcome.t} ${hex(outcome.fsc)}`;
}

describe('stage 2 of the larger granules, worked out by hand', () => {
  const S2 = { hcr: 1n };
  const LEAF = 0x7fcn;
  test('64K, 42 bits from level 2: index 41:29, then 28:16', () => {
    const way = { ...S2, vtcr: 0x8005_4056n, va: 0x2_4001_2348n };
    expect(
      told(way, [
        [0x4000_0090n, 0x4001_0003n],
        [0x4001_0008n, 0x7_0000_0003n | LEAF],
      ]),
    ).toBe('ok 0x700002348');
    expect(told(way, [[0x4000_0090n, 0x7_2000_0001n | LEAF]])).toBe('ok 0x720012348');
  });
  test('16K, 40 bits from level 2: sixteen concatenated tables, index 39:25', () => {
    const way = { ...S2, vtcr: 0x8005_8058n, va: 0xf0_0200_4010n };
    expect(
      told(way, [
        [0x4003_c008n, 0x4100_0003n],
        [0x4100_0008n, 0x7_0000_0003n | LEAF],
      ]),
    ).toBe('ok 0x700000010');
    expect(told(way, [[0x4003_c008n, 0x7_0200_0001n | LEAF]])).toBe('ok 0x702004010');
  });
  test.each([
    ['16K: 41 bits from level 2 would be 32 tables', 0x8005_8057n, 's2 0x4'],
    ['64K: 29 bits from level 2 leave no index', 0x8005_4063n, 's2 0x4'],
    ['4K: SL0 = 3 is reserved', 0x8005_00d8n, 's2 0x4'],
    ['TG0 = 3 is reserved', 0x8005_c058n, 's2 0x4'],
  ])('%s', (_name, vtcr, expected) => {
    expect(told({ ...S2, vtcr, va: 0x1000n }, [])).toBe(expected);
  });
  test('an address with more bits than the input size, and a root beyond PS', () => {
    expect(told({ ...S2, vtcr: 0x8005_8058n, va: 1n << 40n }, [])).toBe('s2 0x4');
    expect(told({ ...S2, vtcr: 0x8000_8058n, vttbr: 1n << 32n, va: 0n }, [])).toBe('s2 0x0');
  });
  test('16K, 47 bits from level 1: a block at level 1 is reserved', () => {
    const cell = [0x4000_0000n, 0x1n | LEAF] as const;
    expect(told({ ...S2, vtcr: 0x8005_8091n }, [cell])).toBe('s2 0x5');
  });
});

describe('stage 1, worked out by hand', () => {
  const S1 = { sctlr: 1n };
  test('16K, 48 bits from level 0: one bit of index', () => {
    const cells = [
      [0x5000_0008n, 0x5001_0003n],
      [0x5001_0008n, 0x5002_0003n],
      [0x5002_0010n, 0x7_0400_0401n],
    ] as const;
    expect(told({ ...S1, tcr: 0x5_0000_8010n, va: 0x8010_0500_4010n }, cells)).toBe('ok 0x705004010');
  });
  test('64K, 48 bits from level 1: index 47:42; IPS of 40 bits; a block at level 1 is reserved', () => {
    const way = { ...S1, tcr: 0x2_0000_4010n, va: 0x8400_0000_0000n };
    const root = 0x5000_0108n;
    expect(told(way, [[root, 0x1n]])).toBe('s1 0x5');
    expect(told(way, [[root, 0x100_0000_0003n]])).toBe('s1 0x1');
    expect(
      told(way, [
        [root, 0x5001_0003n],
        [0x5001_0000n, 0x7_2000_0401n],
      ]),
    ).toBe('ok 0x720000000');
  });
  test('an address above the input size, as those of TTBR1, and with stage 1 off one above the physical size', () => {
    expect(told({ ...S1, tcr: 0x5_0000_8010n, va: 0xffff_0000_0000_0000n }, [])).toBe('s1 0x4');
    expect(told({ va: 1n << 48n }, [])).toBe('s1 0x0');
  });
  test('a page made writable by DBM counts as writable for WXN', () => {
    const way = { tcr: 0x5_0000_0019n | (3n << 39n), access: 'x' as const };
    const cells = [
      [0x5000_0000n, 0x5001_0003n],
      [0x5001_0000n, 0x7_0000_0481n | (1n << 51n)],
    ] as const;
    expect(told({ ...way, sctlr: 1n }, cells)).toBe('ok 0x700000000');
    expect(told({ ...way, sctlr: 1n | (1n << 19n) }, cells)).toBe('s1 0xe');
  });
});
