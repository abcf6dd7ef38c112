import { expect, test } from 'vitest';
import { compareAll, hex, ListedMemory, vectorsOf } from './vector-files.ts';
import { loadPdptes, modeOf, walkX86, type X86Outcome, type X86Request } from './x86.ts';

interface X86Vector {
  readonly id: string;
  readonly mode: string;
  readonly cr0: string;
  readonly cr3: string;
  readonly cr4: string;
  readonly efer: string;
  readonly pkru: string;
  readonly pkrs?: string;
  readonly ac: number;
  readonly cpl: number;
  readonly access: 'r' | 'w' | 'x';
  readonly va: string;
  readonly mem: readonly (readonly [string, string])[];
  readonly after: readonly string[];
  readonly out: { readonly t: 'ok' | 'pf' | 'gp'; readonly pa?: string; readonly ec?: string };
}

const MAXPHYADDR_OF_VECTORS = 40;

const requestOf = (v: X86Vector): X86Request => ({
  cr0: BigInt(v.cr0),
  cr3: BigInt(v.cr3),
  cr4: BigInt(v.cr4),
  efer: BigInt(v.efer),
  pkru: Number(v.pkru),
  pkrs: Number(v.pkrs ?? '0x0'),
  ac: v.ac === 1,
  cpl: v.cpl,
  access: v.access,
  va: BigInt(v.va),
  maxPhyAddr: MAXPHYADDR_OF_VECTORS,
});

/** PAE vectors list the one PDPTE in use: the other three registers are not specified and hold 0 here. */
function withPdptes(v: X86Vector, request: X86Request): X86Request {
  if (modeOf(request) !== 'pae') return request;
  const four = loadPdptes(request, new Map(v.mem.map(([at, entry]) => [BigInt(at), BigInt(entry)])));
  if (four === 'gp') throw new Error(`${v.id}: a PDPTE with reserved bits`);
  return { ...request, pdptes: four };
}

const outcomeText = (o: X86Outcome): string =>
  o.t === 'ok' ? `ok ${hex(o.pa)}` : o.t === 'gp' ? 'gp' : `pf ${hex(o.ec)} cr2 ${hex(o.cr2)}`;

function expectedText({ out, va }: X86Vector): string {
  if (out.t === 'ok') return `ok ${out.pa ?? ''}`;
  return out.t === 'gp' ? 'gp' : `pf ${out.ec ?? ''} cr2 ${va}`;
}

function check(v: X86Vector): { expected: string; got: string } {
  const memory = new ListedMemory(v.mem.map(([at, entry]) => [BigInt(at), BigInt(entry)]));
  const request = withPdptes(v, requestOf(v));
  const outcome = outcomeText(walkX86(request, memory));
  const after = v.mem.map(([at]) => hex(memory.get(BigInt(at))));
  return { expected: `${expectedText(v)} [${v.after.join()}]`, got: `${outcome} [${after.join()}]` };
}

test.each([
  ['x86-2level', 3600],
  ['x86-pae', 3600],
  ['x86-4level', 5249],
  ['x86-5level', 4075],
  ['x86-alias', 900],
  ['x86-pks', 866],
])('%s: the naive walk gives the recorded outcome and entries', (name, count) => {
  const { passed, differences } = compareAll(vectorsOf(name) as X86Vector[], check);
  expect(differences).toEqual([]);
  expect(passed).toBe(count);
});

test.each([1, 2, 5, 6, 7, 8, 36, 63])('a present PDPTE with bit %i set is refused by MOV to CR3', (n) => {
  const load = (pdpte: bigint) => loadPdptes({ cr3: 0x1020n, maxPhyAddr: 36 }, new Map([[0x1038n, pdpte]]));
  expect(load(0x2001n | (1n << BigInt(n)))).toBe('gp');
  expect(load(0x2000n | (1n << BigInt(n)))).toEqual([0n, 0n, 0n, 0x2000n | (1n << BigInt(n))]);
});
