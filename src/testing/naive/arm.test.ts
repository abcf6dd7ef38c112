import { expect, test } from 'vitest';
import { walkArm, type ArmOutcome } from './arm.ts';
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
