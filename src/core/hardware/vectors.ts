/**
 * Recorded page walks of an independent MMU, as its recorder wrote them: one JSON object a line, numbers as hex
 * strings. Replays one through the model's walk and says where they differ.
 */
import type { Machine } from '../machine/machine.ts';
import type { AccessKind } from './registers.ts';
import { pagingRegisters } from './registers.ts';
import { walk, wordAt, type WalkOutcome } from './walk.ts';

export interface WalkVector {
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
  readonly out:
    | { readonly t: 'ok'; readonly pa: string }
    | { readonly t: 'pf'; readonly ec: string; readonly cr2: string }
    | { readonly t: 'gp'; readonly ec: string };
}

/** Modes that the walk covers; the others are refused by name. */
export const WALKED_MODES: readonly string[] = ['4level'];

const ACCESS: Readonly<Record<WalkVector['access'], AccessKind>> = { r: 'read', w: 'write', x: 'execute' };

export interface Mismatch {
  readonly id: string;
  readonly what: string;
  readonly expected: string;
  readonly got: string;
}

/** Loads a vector's entries into the machine, walks, and compares outcome and every entry afterwards. */
export function replayVector(m: Machine, vector: WalkVector): readonly Mismatch[] {
  if (!WALKED_MODES.includes(vector.mode)) {
    return [{ id: vector.id, what: 'mode', expected: vector.mode, got: 'not modelled yet' }];
  }
  m.step('setup-memory', { gfn: 0 });
  for (const [address, entry] of vector.mem) m.set('word', wordAt(BigInt(address)), BigInt(entry));
  const outcome = walk(m, {
    gva: BigInt(vector.va),
    access: ACCESS[vector.access],
    user: vector.cpl === 3,
    registers: pagingRegisters({
      cr0: BigInt(vector.cr0),
      cr3: BigInt(vector.cr3),
      cr4: BigInt(vector.cr4),
      efer: BigInt(vector.efer),
      pkru: Number(vector.pkru),
      pkrs: Number(vector.pkrs ?? '0x0'),
      ac: vector.ac === 1,
    }),
  });
  const mismatches: Mismatch[] = [];
  const expected = expectedText(vector);
  const got = outcomeText(outcome, vector.va);
  if (expected !== got) mismatches.push({ id: vector.id, what: 'outcome', expected, got });
  vector.mem.forEach(([address], index) => {
    const want = BigInt(vector.after[index] ?? '0x0');
    const have = m.word(wordAt(BigInt(address)));
    if (want !== have) {
      mismatches.push({ id: vector.id, what: `entry at ${address}`, expected: hex(want), got: hex(have) });
    }
  });
  return mismatches;
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

function expectedText({ out }: WalkVector): string {
  if (out.t === 'ok') return `ok ${hex(BigInt(out.pa))}`;
  return out.t === 'gp' ? 'gp' : `pf ${hex(BigInt(out.ec))} cr2 ${hex(BigInt(out.cr2))}`;
}

function outcomeText(outcome: WalkOutcome, va: string): string {
  if (outcome.kind === 'ok') return `ok ${hex(outcome.address)}`;
  return outcome.kind === 'not-canonical' ? 'gp' : `pf ${hex(outcome.errorCode)} cr2 ${hex(BigInt(va))}`;
}
