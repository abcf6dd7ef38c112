import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { catalogueText, scenario, SOAKING } from '../testing/scenarios.ts';
import { formatLink, parseLink } from './links.ts';

/** 100,000 links in the soak. */
const LINKS = SOAKING ? 50_000 : 300;

const opensOrSays = async (hash: string): Promise<void> => {
  const start = process.hrtime.bigint();
  const link = await parseLink(hash);
  if (link.kind === 'problems') expect(link.sentences.join('').length).toBeGreaterThan(10);
  expect(Number(process.hrtime.bigint() - start) / 1e9).toBeLessThan(1);
};

describe('links', () => {
  test('any text is opened or refused with sentences, never an exception, never over a second', async () => {
    const anything = fc.oneof(
      fc.string({ maxLength: 300 }),
      fc.string({ unit: 'binary', maxLength: 60 }).map((tail) => `#/s/three-exits?${tail}`),
      fc.string({ maxLength: 200 }).map((tail) => `#/x/1.${tail}`),
      fc.base64String({ maxLength: 400 }).map((tail) => `#/x/1.${tail}?c=abcd&at=1.1`),
    );
    await fc.assert(fc.asyncProperty(anything, opensOrSays), { numRuns: LINKS });
  });

  test('a link that is damaged, cut or doubled is opened or refused with sentences', async () => {
    const text = catalogueText('three-exits');
    const good = await formatLink(
      { kind: 'own', text },
      { at: { operation: '1', step: 22 }, check: 'abcd', settings: { flush: 'never' } },
    );
    const edits = fc.array(fc.tuple(fc.nat(), fc.nat(30), fc.string({ maxLength: 3 })), {
      minLength: 1,
      maxLength: 4,
    });
    const damaged = edits.map((list) =>
      list.reduce((link, [at, length, insert]) => {
        const from = at % (link.length + 1);
        return link.slice(0, from) + insert + link.slice(from + length);
      }, good),
    );
    await fc.assert(
      fc.asyncProperty(damaged, async (hash) => {
        await opensOrSays(hash);
        const link = await parseLink(hash);
        // What opens has a whole text: a checksum of 32 bits lets one in four thousand million through.
        if (link.kind === 'own') expect(link.text).toBe(text);
      }),
      { numRuns: LINKS },
    );
  });

  test('what is written is read back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(scenario, fc.string({ unit: 'binary', maxLength: 300 })), async (text) => {
        const state = { at: { operation: '1', step: 1 }, check: 'abcd', settings: {} };
        const link = await parseLink(await formatLink({ kind: 'own', text }, state));
        // Lone halves of surrogate pairs have no UTF-8; they are replaced.
        expect(link).toMatchObject({
          kind: 'own',
          text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(text)),
          ...state,
        });
      }),
      { numRuns: Math.min(LINKS, 2000) },
    );
  });
});
