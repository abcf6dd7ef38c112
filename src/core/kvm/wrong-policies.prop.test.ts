/**
 * Under each wrong policy generated programs find one that goes wrong, and does not under the right policy; one of each,
 * made small, is kept as a scenario. `npm run counterexamples -- <setting=value>` finds and shrinks one anew.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { findProgram, keptName, shows } from '../../testing/counterexamples.ts';
import { planOf, RUNS, SOAKING } from '../../testing/scenarios.ts';
import { choicesFor, WRONG_POLICIES, wrongValues } from '../../testing/wrong-policies.ts';
import { judge } from '../../scenario/expectations.ts';
import { formatScenario } from '../../scenario/plan.ts';
import { record } from '../../timeline/timeline.ts';

const folder = fileURLToPath(new URL('../../testing/counterexamples/', import.meta.url));
const kept = (id: string): string => readFileSync(`${folder}${keptName(id)}`, 'utf8');
const searches = Object.entries(WRONG_POLICIES);

test('every wrong value of a setting has its line, and no line is for anything else', () => {
  expect(Object.keys(WRONG_POLICIES).sort()).toEqual([...wrongValues()].sort());
});

test('a program is kept for each, and nothing else', () => {
  expect(readdirSync(folder).sort()).toEqual(searches.map(([id]) => keptName(id)).sort());
});

describe.each(searches)('%s', (id, search) => {
  test('the kept program does what it says', () => {
    const text = kept(id);
    expect(formatScenario(text)).toBe(text);
    const { wrong, right } = choicesFor(id);
    for (const choices of [{}, wrong, right]) {
      const { program, expectations } = planOf(text, choices);
      const results = judge(record(program), expectations);
      expect(results.length).toBeGreaterThan(0);
      expect(results.filter(({ passed }) => !passed)).toEqual([]);
    }
  });
  test('the kept program goes wrong, and goes well under the right policy', () => {
    expect(shows(kept(id), id)).toBe(true);
  });
  test('generated programs find one', () => {
    // Always the same programs in `npm test`, so that chance decides nothing; any in a soak.
    const budget = SOAKING
      ? { runs: RUNS, shrink: false }
      : { runs: search.runs ?? RUNS, shrink: false, seed: 3 };
    expect(findProgram(id, search, budget)).toBeDefined();
  });
});
