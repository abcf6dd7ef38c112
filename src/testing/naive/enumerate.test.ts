import { describe, expect, test } from 'vitest';
import {
  answerArm,
  answerEpt,
  answerNpt,
  answerX86,
  ARM_SETS,
  EPT_SETS,
  NPT_SETS,
  X86_SETS,
  type Answer,
  type CaseSet,
} from './enumerate.ts';
import { pdpteCases } from './enumerate-x86.ts';
import type { Cell } from './paths.ts';
import { loadPdptes } from './x86.ts';

const STRIDE = 101;
const MOST = 150_000;

interface Thinned {
  readonly picked: number;
  readonly ids: number;
  /** Cases that list an address twice. */
  readonly doubled: string[];
  readonly outcomes: readonly string[];
}

function thin<C extends { id: string; memory: readonly Cell[] }>(
  set: CaseSet<C>,
  answer: (given: C) => Answer<{ readonly t: string }>,
): Thinned {
  const ids = new Set<string>();
  const outcomes = new Set<string>();
  const doubled: string[] = [];
  let picked = 0;
  for (const given of set.cases(STRIDE)) {
    picked += 1;
    ids.add(given.id);
    if (new Set(given.memory.map(([at]) => at)).size !== given.memory.length) doubled.push(given.id);
    outcomes.add(answer(given).outcome.t);
  }
  return { picked, ids: ids.size, doubled, outcomes: [...outcomes].sort() };
}

function check<C extends { id: string; memory: readonly Cell[] }>(
  sets: readonly CaseSet<C>[],
  answer: (given: C) => Answer<{ readonly t: string }>,
): readonly string[] {
  const seen = new Set<string>();
  for (const set of sets) {
    const { picked, ids, doubled, outcomes } = thin(set, answer);
    expect(set.size, set.name).toBeLessThanOrEqual(MOST);
    expect(picked, set.name).toBe(set.name.startsWith('canonical') ? set.size : Math.ceil(set.size / STRIDE));
    expect(ids, set.name).toBe(picked);
    expect(doubled, set.name).toEqual([]);
    for (const outcome of outcomes) seen.add(outcome);
  }
  return [...seen].sort();
}

describe('exhaustive sets: sizes as stated, ids unique, every kind of outcome occurs', () => {
  test('x86', () => {
    expect(check(X86_SETS, answerX86)).toEqual(['gp', 'ok', 'pf']);
  });
  test('NPT', () => {
    expect(check(NPT_SETS, answerNpt)).toEqual(['npf', 'ok', 'pf']);
  });
  test('EPT', () => {
    expect(check(EPT_SETS, answerEpt)).toEqual(['ept-misconfiguration', 'ept-violation', 'ok', 'pf']);
  });
  test('Arm', () => {
    expect(check(ARM_SETS, answerArm)).toEqual(['ok', 's1', 's2']);
  });
  test('PDPTEs: MOV to CR3 refuses reserved bits of present ones only', () => {
    const refused = [...pdpteCases()].filter(
      ({ memory, ...given }) => loadPdptes(given, new Map(memory)) === 'gp',
    );
    const reservedBits = 6 * 3 + (64 - 36) + (64 - 46) + (64 - 52);
    expect(refused.length).toBe(reservedBits * 4);
  });
});
