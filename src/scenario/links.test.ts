import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SETTINGS } from '../core/settings.ts';
import { CATALOGUE_IDS, catalogueText, planOf, scenario } from '../testing/scenarios.ts';
import { record } from '../timeline/timeline.ts';
import { LINK_CORPUS } from '../testing/link-corpus.ts';
import { LINK_WORDS_1 } from './link-words.ts';
import { packText, unpackText } from './link-text.ts';
import { formatCatalogueLink, formatLink, LONGEST_CATALOGUE_LINK, parseLink } from './links.ts';
import { findCheck, stepCheck } from './step-check.ts';
import { suggestVaried } from './sweep.ts';

const PLACE = { at: { operation: '1', step: 5 }, check: 'aB3z', settings: {} } as const;

describe('links that were published', () => {
  test.each(LINK_CORPUS)('$name', async ({ hash, opens }) => {
    expect(await parseLink(hash)).toMatchObject(opens);
  });
  test('the word list of version 1 never changes', () => {
    const all = createHash('sha256').update(JSON.stringify(LINK_WORDS_1)).digest('hex');
    expect(all).toBe('ccb3484cff1f096b69b6a0432ea677d6075f4dec816b3acedf02f7c8fe332e93');
  });
});

describe('what is written is read back', () => {
  test.each(CATALOGUE_IDS)('an own link with the text of %s', async (id) => {
    const text = catalogueText(id);
    const hash = await formatLink({ kind: 'own', text }, PLACE);
    expect(await parseLink(hash)).toEqual({ kind: 'own', text, ...PLACE });
    expect(hash).toMatch(/^#\/x\/1\.[A-Za-z0-9_-]*[A-Za-z0-9]\?c=aB3z&at=1\.5$/);
  });
  test('a comparison, an empty one too', async () => {
    for (const versus of [{ flush: 'never' }, {}]) {
      const hash = await formatLink({ kind: 'catalogue', id: 'stale-tlb' }, { ...PLACE, versus });
      expect(await parseLink(hash)).toEqual({ kind: 'catalogue', id: 'stale-tlb', ...PLACE, versus });
    }
  });
  test('texts that are no scenario, in any alphabet', async () => {
    for (const text of ['', 'a', 'Füchse 狐 🦊', '\u0000\u0001\u0080ÿ', 'x'.repeat(20_000)]) {
      expect(await unpackText(await packText(text))).toEqual({ kind: 'ok', text });
    }
  });
});

describe("choices of the text's own", () => {
  const state = {
    ...PLACE,
    settings: { flush: 'never', Path: 'cr3' },
    versus: { Path: 'fault' },
    varied: [
      { name: 'cpu', values: ['svm', 'vmx-novpid'] },
      { name: 'Path', values: ['fault', 'cr3'] },
    ],
  };
  test('are read back, abbreviated and spelt out', async () => {
    const hash = formatCatalogueLink('eight-runs', state);
    expect(hash).toContain('&p=FnPath.cr3&');
    expect(await parseLink(hash)).toEqual({ kind: 'catalogue', id: 'eight-runs', ...state });
    const long = await formatLink({ kind: 'own', text: 'mmuscope 1' }, state);
    expect(long).toContain('&Path=cr3&vs.Path=fault&');
    expect(await parseLink(long)).toEqual({ kind: 'own', text: 'mmuscope 1', ...state });
  });
  test('are one value each, save in a table', async () => {
    expect((await parseLink('#/s/eight-runs?Path=fault,cr3')).kind).toBe('problems');
  });
});

describe('comparisons of runs', () => {
  const varied = [
    { name: 'cpu', values: ['svm', 'vmx-novpid'] },
    { name: 'flush', values: ['always', 'on-fault', 'never'] },
    { name: 'gpte-write', values: ['zap', 'update'] },
  ];
  test.each(['stale-tlb', 'kernel-ignores-read-only'])(
    'a table of %s, also with a comparison',
    async (id) => {
      for (const more of [{}, { versus: { flush: 'never' }, beyond: 12 }]) {
        const state = { ...PLACE, ...more, varied };
        const hash = formatCatalogueLink(id, state);
        expect(hash.length).toBeLessThanOrEqual(LONGEST_CATALOGUE_LINK);
        expect(await parseLink(hash)).toEqual({ kind: 'catalogue', id, ...state });
      }
    },
  );
  test.each([
    ['a setting that is not known', 'vary.colour=red', 'varies "colour"'],
    ['a value that is not known', 'vary.flush=always,often', 'flush=often'],
    ['an abbreviation that is not known', 'y=F?', 'asks for the setting "F?"'],
    ['a number of steps that is none', 'b=x', 'b=x'],
    ["a damaged choice of the text's own", 'Path=Cr3', 'Path=Cr3'],
    ["a damaged choice of the text's own, varied", 'vary.Path=,fault', 'Path=,fault'],
    ["a damaged choice of the text's own, abbreviated", 'p=Path..cr3', 'Path='],
  ])('%s is said', async (_name, query, said) => {
    const link = await parseLink(`#/s/stale-tlb?${query}`);
    expect(link.kind === 'problems' ? link.sentences.join() : '').toContain(said);
  });
});

describe('length', () => {
  const most = {
    'gpte-write': 'update',
    cpu: 'vmx-novpid',
    flush: 'on-fault',
    'shipped-bugs': 'C-B2,C-B3,C-B6',
  };
  test.each(CATALOGUE_IDS)('a link to %s is short, with all settings and a comparison too', (id) => {
    for (const settings of [{}, { flush: 'never' }, most]) {
      for (const versus of [undefined, most, {}]) {
        const state = {
          at: { operation: 'g12', step: 1234567 },
          check: 'aaaa',
          settings,
          ...(versus && { versus }),
        };
        expect(formatCatalogueLink(id, state).length).toBeLessThanOrEqual(LONGEST_CATALOGUE_LINK);
      }
    }
  });
  test.each(CATALOGUE_IDS)("and with the text's own choices in %s, and in a table", (id) => {
    const plan = planOf(catalogueText(id));
    const own = Object.fromEntries(plan.choices.map(({ name, values }) => [name, values.at(-1) ?? '']));
    const varied = suggestVaried(plan);
    for (const more of [
      { settings: { ...most, ...own }, versus: own },
      { settings: own, varied },
    ]) {
      const link = formatCatalogueLink(id, { ...PLACE, ...more });
      expect(link.length).toBeLessThanOrEqual(LONGEST_CATALOGUE_LINK);
    }
  });
  test('abbreviated settings are read back', async () => {
    const state = { ...PLACE, settings: most, versus: { ...most, flush: 'never' } };
    const hash = formatCatalogueLink('three-exits', state);
    expect(hash).toContain('&p=');
    expect(await parseLink(hash)).toEqual({ kind: 'catalogue', id: 'three-exits', ...state });
  });
  test('every value of every setting has an abbreviation', async () => {
    for (const setting of SETTINGS) {
      for (const { value } of setting.values) {
        const settings = { ...most, [setting.name]: value };
        const hash = formatCatalogueLink('a-name-long-enough-to-need-abbreviations', {
          ...PLACE,
          settings,
          versus: settings,
        });
        expect(await parseLink(hash)).toMatchObject({ settings, versus: settings });
      }
    }
  });
  test('a scenario of sixty lines stays below a thousand characters', async () => {
    const sixty = fc
      .sample(scenario, { numRuns: 300, seed: 1 })
      .filter((text) => text.split('\n').length >= 52);
    expect(sixty.length).toBeGreaterThan(0);
    for (const text of [
      ...sixty.map((own) => own.split('\n').slice(0, 60).join('\n')),
      catalogueText('stale-tlb'),
    ]) {
      const hash = await formatLink({ kind: 'own', text }, PLACE);
      expect(hash.length).toBeLessThan(1000);
    }
  });
  test.each(CATALOGUE_IDS)('with all its notes %s as a text of its own stays below 1,200', async (id) => {
    expect((await packText(catalogueText(id))).length).toBeLessThan(1200);
  });
});

describe('what is wrong with a link is a sentence', () => {
  test.each([
    ['cut off', '#/s/three-exits?at=', 'cut off'],
    ['a damaged step', '#/s/three-exits?at=one', 'damaged'],
    ['a damaged check', '#/s/three-exits?c=1&at=1.1', 'damaged'],
    ['an unknown setting', '#/s/three-exits?colour=red', 'does not know'],
    ['an unknown value', '#/s/three-exits?flush=perhaps', 'does not know'],
    ['an unknown abbreviation', '#/s/three-exits?p=Fx', 'does not know'],
    ['a version to come', '#/x/2.abcdef', 'newer mmuscope'],
    ['a version that never was', '#/x/0.abcdef', 'version 0'],
    ['an own link without its text', '#/x/', 'cut off'],
    ['something else', '#hello', 'no link of mmuscope'],
    ['far too long', `#${'x'.repeat(5000)}`, 'pasted twice'],
    ['an own link far too long', `#/x/1.${'x'.repeat(20_000)}`, 'pasted twice'],
  ])('%s', async (_name, hash, sentence) => {
    const link = await parseLink(hash);
    expect(link.kind === 'problems' ? link.sentences.join(' ') : 'no problem').toContain(sentence);
  });
  test('no hash is no link', async () => {
    expect((await parseLink('')).kind).toBe('none');
    expect((await parseLink('#/scenarios')).kind).toBe('scenarios');
  });
  test('an own link cut anywhere says so, and shows the text that arrived', async () => {
    const text = catalogueText('three-exits');
    const hash = await formatLink({ kind: 'own', text }, PLACE);
    for (let length = 6; length < hash.length; length += 7) {
      const link = await parseLink(hash.slice(0, length));
      expect(link.kind, hash.slice(0, length)).toBe('problems');
      if (link.kind !== 'problems') continue;
      expect(link.sentences.join(' ')).toMatch(/cut off|damaged|no link/);
      if (length > 200) expect(text.startsWith(link.text?.slice(0, 40) ?? 'no text')).toBe(true);
    }
  });
  test('an own link with one character changed says so', async () => {
    const hash = await formatLink({ kind: 'own', text: catalogueText('fork-detector') }, PLACE);
    const end = hash.indexOf('?');
    for (let at = 6; at < end; at += 11) {
      const other = hash[at] === 'A' ? 'B' : 'A';
      const link = await parseLink(hash.slice(0, at) + other + hash.slice(at + 1));
      expect(link.kind).toBe('problems');
    }
  });
  test('what unpacks to too much is refused', async () => {
    const payload = await packText('\u0001'.repeat(300_000));
    expect(await unpackText(payload)).toMatchObject({
      sentence: expect.stringContaining('bound') as unknown,
    });
  });
});

describe('the check of a shared step', () => {
  const timeline = record(planOf(catalogueText('three-exits')).program);
  test('differs between steps, and under other settings of the link', () => {
    const checks = new Set<string>();
    for (let position = timeline.begin; position <= timeline.length; position += 1)
      checks.add(stepCheck(timeline, position, {}));
    expect(checks.size).toBeGreaterThan(20);
    expect(stepCheck(timeline, timeline.length, {})).not.toBe(
      stepCheck(timeline, timeline.length, { flush: 'never' }),
    );
  });
  test('a step that has moved is found again', () => {
    const wanted = stepCheck(timeline, timeline.begin + 30, {});
    const found = findCheck(timeline, { position: timeline.begin + 25, wanted, choices: {} });
    expect(found === undefined ? '' : stepCheck(timeline, found, {})).toBe(wanted);
    expect(findCheck(timeline, { position: timeline.begin, wanted: '!!!!', choices: {} })).toBeUndefined();
  });
});
