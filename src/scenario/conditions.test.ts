import { describe, expect, test } from 'vitest';
import { planOf } from '../testing/scenarios.ts';
import type { SettingChoices } from './ast.ts';
import { explainAt, offersAt } from './assist.ts';
import { checkScenario, formatScenario } from './plan.ts';
import { settingsNotMeant } from './remarks.ts';

const textOf = (machine: string, ...lines: string[]): string =>
  ['mmuscope 1', `machine ${machine}`, 'slot 0x0 4M', 'begin', 'v0 cpuid', ...lines].join('\n');

describe('a condition is met', () => {
  const met = (condition: string, choices: SettingChoices = {}): boolean => {
    const plan = planOf(textOf('two-stage cpu=vmx-vpid', `expect exits=1 when ${condition}`), choices);
    return plan.expectations.length === 1;
  };
  test.each<[string, SettingChoices, boolean]>([
    ['tlb=4', { tlb: '4' }, true],
    ['tlb=4', {}, false],
    ['tlb=4,8', { tlb: '8' }, true],
    ['tlb=4,8', { tlb: '16' }, false],
    ['tlb!=4', {}, true],
    ['tlb!=4', { tlb: '4' }, false],
    ['tlb!=4,8', { tlb: '8' }, false],
    ['tlb!=4,8', { tlb: '16' }, true],
    ['tlb=4 psc=off', { tlb: '4' }, true],
    ['tlb=4 psc=off', { tlb: '4', psc: 'both' }, false],
    ['cpu=svm,arm64', { cpu: 'arm64' }, true],
    ['cpu!=arm64 guest=4-level', { cpu: 'arm64' }, false],
  ])('%s with %j: %j', (condition, choices, expected) => {
    expect(met(condition, choices)).toBe(expected);
  });
  test('by no setting that means nothing on the machine', () => {
    expect(met('ept-ad=on', {})).toBe(true);
    expect(met('ept-ad=on', { cpu: 'svm' })).toBe(false);
    expect(met('host!=5-level', { machine: 'native' })).toBe(false);
  });
  test('with commas that belong to the value', () => {
    const text = textOf('kvm-2007', 'expect exits=1 when shipped-bugs=C-B2,C-B3');
    const met = (bugs: string): boolean => {
      const plan = planOf(text, { 'shipped-bugs': bugs });
      return plan.expectations.length === 1;
    };
    expect([met('C-B2,C-B3'), met('C-B2')]).toEqual([true, false]);
  });
});

test('a note is said only where its condition is met', () => {
  const text = textOf(
    'native',
    'note "Always."',
    'note "Four." when guest=4-level',
    'note "Five." when guest=5-level',
  );
  const notes = (choices: SettingChoices): readonly string[] =>
    planOf(text, choices).notes.map((note) => note.text);
  expect(notes({})).toEqual(['Always.', 'Four.']);
  expect(notes({ guest: '5-level' })).toEqual(['Always.', 'Five.']);
});

test('a note at a call may have a condition too', () => {
  const text = textOf('kvm-2007', 'note at fetch "Said." when flush=never');
  expect(planOf(text).notes).toEqual([]);
  expect(planOf(text, { flush: 'never' }).notes).toMatchObject([{ text: 'Said.', at: { call: 'fetch' } }]);
});

describe('what is wrong with a condition has a place', () => {
  const said = (machine: string, condition: string): readonly string[] =>
    checkScenario(textOf(machine, `expect exits=0 when ${condition}`)).map(
      (p) => `${String(p.column)} ${p.message} | ${p.remedy}`,
    );
  test.each([
    ['native', 'gest!=pae', '21 "gest" is no machine or policy setting | Did you mean guest?'],
    ['native', 'guest=4-level,5-levl', '35 guest=5-levl is not known | Did you mean 5-level?'],
    [
      'native',
      'guest=',
      '27 guest= is not known | Use one of: 4-level, 5-level, 3-level, pae, 2-level, nonpaging.',
    ],
    [
      'native',
      'guest=4-level,3-level',
      '27 guest=3-level does not fit cpu=vmx-novpid | Use one of: guest=4-level, guest=5-level, guest=pae, guest=2-level, guest=nonpaging.',
    ],
    [
      'native',
      'host=4-level',
      '21 host means nothing on machine native | Leave it out, or write: machine two-stage.',
    ],
    [
      'native',
      'host!=4-level',
      '21 host means nothing on machine native | Leave it out, or write: machine two-stage.',
    ],
    [
      'two-stage cpu=svm',
      'ept-ad=on cpu!=vmx-vpid,vmx-novpid',
      '21 ept-ad means nothing with cpu=svm | Leave it out, or write: cpu=vmx-novpid.',
    ],
  ])('%s: when %s', (machine, condition, expected) => {
    expect(said(machine, condition)).toContain(expected);
  });
  test.each([
    ['native', 'guest=3-level,4-level cpu=arm64'],
    ['native', 'guest=pae,3-level cpu=arm64,svm'],
    ['native', 'host=5-level machine=two-stage'],
    ['two-stage cpu=svm', 'ept-ad=on cpu!=svm'],
    ['native', 'guest!=3-level'],
  ])('nothing is wrong on %s with: when %s', (machine, condition) => {
    expect(said(machine, condition)).toEqual([]);
  });
});

test('printing keeps a condition as it was written', () => {
  const line = 'note "Said." when guest=4-level,5-level cpu!=arm64';
  expect(formatScenario(line)).toBe(line);
});

describe('help with conditions', () => {
  const offered = (line: string): { from: number; offers: readonly string[] } => {
    const text = `mmuscope 1\nmachine native\n${line}`;
    const { from, offers } = offersAt(text, text.length);
    return { from: from - text.length + line.length, offers: offers.map((offer) => offer.text) };
  };
  test('the word itself behind a note', () => {
    expect(offered('note "Said." ').offers).toEqual(['when']);
  });
  test('settings, and their values', () => {
    expect(offered('note "Said." when ').offers).toContain('guest=');
    expect(offered('expect refs=1 when guest!=').offers).toContain('pae');
  });
  test('in a list the next value, behind the comma', () => {
    expect(offered('expect refs=1 when guest=pae,2-')).toMatchObject({ from: 29 });
    expect(offered('expect refs=1 when guest=pae,').offers).toContain('2-level');
  });
  test('what a list means', () => {
    const text = 'machine native\nexpect refs=1 when guest!=pae,2-level';
    expect(explainAt(text, text.length)?.meaning).toContain('2-level: 32-bit addresses, 4-byte entries');
    expect(explainAt(text, text.indexOf('guest') + 1)?.meaning).toBe('The paging mode of the guest.');
  });
});

describe('a fresh mapping', () => {
  const words = (flags: string): readonly string[] =>
    planOf(
      [
        'mmuscope 1',
        'machine native',
        'slot 0x0 4M',
        `map 0x0 -> gfn 0x40 ${flags}`,
        'begin',
        'v0 cpuid',
      ].join('\n'),
    ).program.memory.map(({ gfn, value }) => `${gfn.toString(16)} ${value.toString(16)}`);
  test('leaves A clear in the entries that lead to it', () => {
    expect(words('rw user accessed')).toEqual(['10 11027', '11 12027', '12 13027', '13 40027']);
    expect(words('rw user fresh')).toEqual(['10 11007', '11 12007', '12 13007', '13 40007']);
  });
  test('is no flag of a store', () => {
    const text = [
      'mmuscope 1',
      'slot 0x0 4M',
      'map 0x1000 -> absent',
      'begin',
      'v0 kernel set-pte 0x1000 -> gfn 0x20 rw user fresh',
    ];
    expect(checkScenario(text.join('\n')).map(({ message }) => message)).toEqual([
      'Found "fresh" where a flag was expected',
    ]);
  });
});

describe('the settings that a text was written for', () => {
  const text = textOf('native guest=4-level', 'note "Said."', 'try "Nested" machine=two-stage cpu=svm');
  test.each<[SettingChoices, readonly string[]]>([
    [{}, []],
    [{ guest: '5-level' }, ['guest=4-level']],
    [{ guest: '5-level', tlb: '4' }, ['guest=4-level', 'tlb=unlimited']],
    // What the author suggests, the author has in mind.
    [{ machine: 'two-stage', cpu: 'svm' }, []],
    [{ machine: 'two-stage' }, ['machine native']],
    [{ machine: 'two-stage', cpu: 'svm', host: '5-level' }, ['machine native', 'cpu=vmx-novpid']],
  ])('are said under %j: %j', (choices, expected) => {
    expect(settingsNotMeant(planOf(text, choices))).toEqual(expected);
  });
});

test('figures are claimed on the machine of the text, and on those that a condition names; all else on every machine', () => {
  const text = textOf(
    'native guest=4-level',
    'expect refs=0',
    'expect exits=0 when machine=two-stage',
    'expect tlb_misses=0 when guest=4-level',
    'expect no harm',
  );
  const claimed = (choices: SettingChoices): readonly string[] =>
    planOf(text, choices).expectations.map((expectation) => expectation.text);
  expect(claimed({})).toEqual(['expect refs=0', 'expect tlb_misses=0 when guest=4-level', 'expect no harm']);
  expect(claimed({ machine: 'two-stage' })).toEqual([
    'expect exits=0 when machine=two-stage',
    'expect no harm',
  ]);
});
