import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { catalogueText, RUNS, scenario, SOAKING } from '../testing/scenarios.ts';
import { bareScenario } from '../testing/bare-scenarios.ts';
import { readLines, printLines } from './lines.ts';
import { checkScenario, formatScenario } from './plan.ts';
import { interpret } from './statements.ts';

const meaning = (text: string): string =>
  JSON.stringify(interpret(readLines(text)).statements, (key, value: unknown) =>
    typeof value === 'bigint' ? value.toString(16) : key === 'line' || key === 'lastLine' ? undefined : value,
  );

/** Texts that were good once: pieces cut out, doubled, exchanged. */
const mutatedBare = fc
  .tuple(bareScenario, fc.nat(), fc.nat(12), fc.string({ maxLength: 6 }))
  .map(([text, at, length, insert]) => {
    const from = at % (text.length + 1);
    return text.slice(0, from) + insert + text.slice(from + length);
  });
const mutated = fc
  .tuple(
    fc.constantFrom('three-exits', 'fork-detector', 'stale-tlb'),
    fc.array(fc.tuple(fc.nat(), fc.nat(40), fc.string({ maxLength: 6 })), { maxLength: 5 }),
  )
  .map(([id, edits]) =>
    edits.reduce((text, [at, length, insert]) => {
      const from = at % (text.length + 1);
      return text.slice(0, from) + insert + text.slice(from + length);
    }, catalogueText(id)),
  );

describe('the language', () => {
  test('parse of print is identity, and printing is idempotent', () => {
    fc.assert(
      fc.property(fc.oneof(scenario, bareScenario, mutated), (text) => {
        const printed = printLines(readLines(text));
        expect(meaning(printed)).toBe(meaning(text));
        expect(formatScenario(printed)).toBe(printed);
      }),
      { numRuns: RUNS },
    );
  });
  test('every bare machine can run what is written for it', () => {
    fc.assert(
      fc.property(bareScenario, (text) => {
        expect(checkScenario(text)).toEqual([]);
      }),
      { numRuns: RUNS * 5 },
    );
  });
  test('any text is accepted or refused with sentences, never an exception, never over a second', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 400 }), mutated, mutatedBare), (text) => {
        const start = process.hrtime.bigint();
        for (const problem of checkScenario(text))
          expect(problem.message.length * problem.remedy.length).toBeGreaterThan(0);
        expect(Number(process.hrtime.bigint() - start) / 1e9).toBeLessThan(1);
      }),
      { numRuns: SOAKING ? 100_000 : 400 },
    );
  });
});
