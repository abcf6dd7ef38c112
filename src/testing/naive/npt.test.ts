import { expect, test } from 'vitest';
import { walkNpt, type NptOutcome } from './npt.ts';
import { compareAll, hex, ListedMemory, vectorsOf } from './vector-files.ts';

interface NptVector {
  readonly id: string;
  readonly ncr3: string;
  readonly cr0: string;
  readonly cr3: string;
  readonly cr4: string;
  readonly efer: string;
  readonly pkru: string;
  readonly ac: number;
  readonly cpl: number;
  readonly access: 'r' | 'w' | 'x';
  readonly va: string;
  readonly nmem: readonly (readonly [string, string])[];
  readonly gmem: readonly (readonly [string, string, string])[];
  readonly nafter: readonly string[];
  readonly gafter: readonly string[];
  readonly out: Readonly<Record<string, string>>;
}

function outcomeText(o: NptOutcome): string {
  switch (o.t) {
    case 'ok':
      return `ok ${hex(o.pa)}`;
    case 'gp':
      return 'gp';
    case 'pf':
      return `pf ${hex(o.ec)} ${hex(o.cr2)}`;
    case 'npf':
      return `npf ${hex(o.info1)} ${hex(o.info2)}`;
  }
}

function expectedText({ out }: NptVector): string {
  const fields = ['pa', 'ec', 'cr2', 'info1', 'info2'].filter((name) => name in out);
  return [out['t'], ...fields.map((name) => out[name])].join(' ');
}

function check(v: NptVector): { expected: string; got: string } {
  const memory = new ListedMemory([
    ...v.nmem.map(([at, entry]) => [BigInt(at), BigInt(entry)] as const),
    ...v.gmem.map(([, at, entry]) => [BigInt(at), BigInt(entry)] as const),
  ]);
  const outcome = walkNpt(
    {
      cr0: BigInt(v.cr0),
      cr3: BigInt(v.cr3),
      cr4: BigInt(v.cr4),
      efer: BigInt(v.efer),
      pkru: Number(v.pkru),
      pkrs: 0,
      ac: v.ac === 1,
      cpl: v.cpl,
      access: v.access,
      va: BigInt(v.va),
      maxPhyAddr: 40,
    },
    { ncr3: BigInt(v.ncr3), levels: 4, nxe: true, maxPhyAddr: 40 },
    memory,
  );
  const nafter = v.nmem.map(([at]) => hex(memory.get(BigInt(at))));
  const gafter = v.gmem.map(([, at]) => hex(memory.get(BigInt(at))));
  return {
    expected: `${expectedText(v)} [${v.nafter.join()}] [${v.gafter.join()}]`,
    got: `${outcomeText(outcome)} [${nafter.join()}] [${gafter.join()}]`,
  };
}

test.each([
  ['npt-4level', 2658],
  ['npt-5level', 472],
  ['npt-pae', 1011],
  ['npt-2level', 896],
  ['npt-off', 470],
])('%s: the naive walk gives the recorded outcome and entries', (name, count) => {
  const { passed, differences } = compareAll(vectorsOf(name) as NptVector[], check);
  expect(differences).toEqual([]);
  expect(passed).toBe(count);
});
