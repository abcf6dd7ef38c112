import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { catalogueText, RUNS } from '../testing/scenarios.ts';
import { explainAt, offersAt } from './assist.ts';

/** The text with a bar where the cursor stands. */
function offered(marked: string): readonly string[] {
  const offset = marked.indexOf('|');
  return offersAt(marked.replace('|', ''), offset).offers.map((offer) => offer.text);
}
const HEAD =
  'mmuscope 1\nslot 0x0 64M\nlet V = 0x1000\nmap V -> absent\nmap 0x2000 -> absent\nspace B kernel=main\n';

describe('what may stand there', () => {
  test.each([
    ['statements at the beginning of a line', `${HEAD}|`, 'begin'],
    ['machines', 'machine era=|', '2007b'],
    ['policies by name', 'policy fl|', 'flush='],
    ['values of a policy', 'policy flush=|', 'never'],
    ['values that are being written', 'policy flush=ne|', 'never'],
    ['who acts', 'v0 |', 'kernel'],
    ['operations', 'v0 user |', 'read'],
    ['names in scope', `${HEAD}v0 user read |`, 'V'],
    ['addresses in use', `${HEAD}v0 user read |`, '0x2000'],
    ['targets of an entry', `${HEAD}v0 kernel set-pte V -> |`, 'gfn'],
    ['flags', 'map 0x1000 -> gfn 0x1 |', 'rw'],
    ['address spaces', `${HEAD}v0 kernel load-cr3 |`, 'B'],
    ['counters', 'expect ex|', 'exits='],
    ['settings of a condition', 'expect exits=1 when |', 'flush='],
    ['calls', 'note at |', 'rmap_write_protect'],
    ['register bits', 'v0 kernel set |', 'cr0.wp = '],
    ['ends of a handler', 'begin\nv0 user read 0x1\n  on #PF\n    |', 'retry'],
  ])('%s', (_name, text, expected) => {
    expect(offered(text)).toContain(expected);
  });
  test.each([
    ['in a text in quotes', 'note "exi|"'],
    ['in a comment', 'begin # exi|'],
  ])('nothing %s', (_name, text) => {
    expect(offered(text)).toEqual([]);
  });
});

describe('what a word means', () => {
  const meaning = (text: string, word: string): string | undefined =>
    explainAt(text, text.lastIndexOf(word) + 1)?.meaning;
  test.each([
    ['policy flush=never', 'flush', 'When write-protecting'],
    ['policy flush=never', 'never', 'nowhere'],
    [`${HEAD}v0 user read V`, 'V', 'PT 001'],
    ['v0 user read 0x7f3c5a823010', '0x7f3c5a823010', 'offset 010'],
    ['map 0x1000 -> gfn 0x20 rw', '0x20', 'guest address 0x20000'],
    ['expect exits=3', 'exits', 'left the guest'],
    ['expect violation INV-6', 'INV-6', 'TLB entry'],
  ])('%s: %s', (text, word, expected) => {
    expect(meaning(text, word)).toContain(expected);
  });
});

test('helps at any place of any text without an exception', () => {
  const text = catalogueText('stale-tlb');
  fc.assert(
    fc.property(fc.nat(text.length), fc.string({ maxLength: 8 }), (at, insert) => {
      const changed = text.slice(0, at) + insert + text.slice(at);
      const { from } = offersAt(changed, at + insert.length);
      expect(from).toBeLessThanOrEqual(at + insert.length);
      explainAt(changed, at);
    }),
    { numRuns: RUNS },
  );
});
