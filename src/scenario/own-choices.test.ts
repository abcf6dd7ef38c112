import { describe, expect, test } from 'vitest';
import { planOf, timelineOf } from '../testing/scenarios.ts';
import { compareRuns } from '../timeline/compare.ts';
import { record } from '../timeline/timeline.ts';
import { explainAt, offersAt } from './assist.ts';
import { judge } from './expectations.ts';
import { checkScenario, formatScenario } from './plan.ts';
import { choicesNotOffered } from './not-offered.ts';

const CHOICE = 'choice Path=fault,cr3 "How T comes into use."';
const HEAD = ['mmuscope 1', 'machine kvm-2007', CHOICE, 'slot 0x0 4M', 'map 0x1000 -> gfn 0x20 rw user'];
const textOf = (...lines: string[]): string => [...HEAD, 'begin', ...lines].join('\n');
const PROGRAM = textOf(
  'v0 cpuid',
  'v0 user read 0x1000 when Path=fault',
  'note "Read."',
  'v0 kernel load-cr3 main when Path=cr3',
  'note "Loaded."',
  'expect exits=2 when Path=cr3',
  'v0 cpuid',
  'note "Last."',
);

describe('lines that are for some runs only', () => {
  test('are left out of the others, and keep their numbers', () => {
    const ran = (choices: Record<string, string>): readonly string[] =>
      timelineOf(PROGRAM, choices)
        .operations.filter(({ section }) => section === 'body')
        .map(({ number, text }) => `${String(number)} ${text}`);
    const fault = ['1 v0 cpuid', '2 v0 user read 0x1000', '4 v0 cpuid'];
    expect(ran({})).toEqual(fault);
    expect(ran({ Path: 'fault' })).toEqual(fault);
    expect(ran({ Path: 'cr3' })).toEqual(['1 v0 cpuid', '3 v0 kernel load-cr3 main', '4 v0 cpuid']);
  });
  test('take their notes with them, and not what is expected at that place', () => {
    const plan = planOf(PROGRAM, { Path: 'cr3' });
    const numbers = plan.program.body.map(({ number }) => number);
    const said = plan.notes.filter(({ after }) => numbers.includes(after)).map(({ text }) => text);
    expect(said).toEqual(['Loaded.', 'Last.']);
    expect(judge(record(plan.program), plan.expectations)).toMatchObject([{ passed: true }]);
    const other = planOf(textOf('v0 cpuid', 'v0 cpuid when Path=cr3', 'expect exits=1'));
    expect(judge(record(other.program), other.expectations)).toMatchObject([{ passed: true }]);
  });
  test('are named, with all that is indented below them', () => {
    const text = textOf('v0 cpuid', 'v0 user read 0x2000 when Path=cr3', '  on #PF', '    skip', 'v0 cpuid');
    expect([...planOf(text).leftOut]).toEqual([8, 9, 10]);
    expect([...planOf(text, { Path: 'cr3' }).leftOut]).toEqual([]);
  });
  test('may stand in a handler, and beside another vCPU', () => {
    const text = textOf(
      'v0 user write 0x1000',
      '  on #PF',
      '    cpuid when Path=cr3',
      '    retry',
      '  at walk_addr/done: v1 cpuid when Path=cr3',
    ).replace('kvm-2007', 'kvm-2007 era=2007c vcpus=2');
    const counted = (Path: string): readonly unknown[] =>
      planOf(text, { Path }).program.body.map(({ operation, meanwhile }) => [
        operation.kind === 'access' ? operation.onFault?.operations.length : 0,
        meanwhile?.length ?? 0,
      ]);
    expect([counted('fault'), counted('cr3')]).toEqual([[[0, 0]], [[1, 1]]]);
  });
  test('are entries too, and ask for settings as well', () => {
    const memory = (choices: Record<string, string>): readonly string[] =>
      planOf(
        [
          ...HEAD.slice(0, 4),
          'map 0x1000 -> gfn 0x20 rw user when Path=fault',
          'map 0x1000 -> gfn 0x21 rw user when Path=cr3',
          'entry 0x40000 = 0x7 when cpu=svm',
          'begin',
          'v0 cpuid',
        ].join('\n'),
        choices,
      ).program.memory.map(({ value }) => value.toString(16));
    expect(memory({}).at(-1)).toBe('20007');
    expect(memory({ Path: 'cr3' }).at(-1)).toBe('21007');
    expect(memory({ cpu: 'svm' }).at(-1)).toBe('7');
  });
  test('are no difference of what the guest saw', () => {
    const { differences } = compareRuns(timelineOf(PROGRAM), timelineOf(PROGRAM, { Path: 'cr3' }));
    const lines = differences.filter((difference) => difference.level === 'steps' && difference.leftOut);
    expect(lines.map(({ operation }) => operation)).toEqual(['2', '3']);
    expect(differences.filter(({ level }) => level === 'visible')).toEqual([]);
  });
});

describe('what is wrong with a choice has a place', () => {
  const said = (...lines: string[]): readonly string[] =>
    checkScenario([...HEAD.slice(0, 4), ...lines, 'begin', 'v0 cpuid'].join('\n')).map(
      ({ line, column, message }) => `${String(line)}:${String(column)} ${message}`,
    );
  test.each([
    ['choice path=a,b "x"', '5:8 "path" is no name of one more choice'],
    ['choice PathTwo=a,b "x"', '5:8 "PathTwo" is no name of one more choice'],
    ['choice Path=a,b "x"', '5:8 "Path" is no name of one more choice'],
    ['choice Way=a "x"', '5:12 A choice has 2 to 8 values (ownValues), different and in small letters'],
    ['choice Way=a,a "x"', '5:12 A choice has 2 to 8 values (ownValues), different and in small letters'],
    ['choice Way=a,B "x"', '5:12 A choice has 2 to 8 values (ownValues), different and in small letters'],
    [
      'choice Way=a,b,c,d,e,f,g,h,i "x"',
      '5:12 A choice has 2 to 8 values (ownValues), different and in small letters',
    ],
    ['choice Way=a,b', '5:15 The line ends where a text in quotes was expected'],
    ['expect exits=0 when Path=no', '5:26 Path=no is not known'],
    ['expect exits=0 when Pth=cr3', '5:21 "Pth" is no machine or policy setting'],
    ['map 0x1000 -> absent when', '5:26 "when" needs a setting'],
    ['machine native Path=cr3', '5:16 "Path" is no machine setting'],
  ])('%s', (line, expected) => {
    expect(said(line)).toContain(expected);
  });
  test('what a link chooses and the text does not offer is said', () => {
    const { choices } = planOf(PROGRAM);
    expect(choicesNotOffered(choices, { Path: 'cr3', flush: 'never' })).toEqual([]);
    expect(choicesNotOffered(choices, { Path: 'no' })).toEqual(['Path is fault or cr3, not no.']);
    expect(choicesNotOffered(choices, { Way: 'a' })).toEqual(['This text has no choice "Way".']);
  });
});

describe('help with a choice', () => {
  const offered = (line: string): readonly string[] => {
    const text = `${HEAD.join('\n')}\n${line}`;
    return offersAt(text, text.length).offers.map((offer) => offer.text);
  };
  test.each([
    ['v0 user read 0x1000 ', 'when'],
    ['map 0x2000 -> gfn 0x20 ', 'when'],
    ['v0 user read 0x1000 when ', 'Path='],
    ['v0 user read 0x1000 when Path=', 'cr3'],
    ['expect exits=0 when Path!=', 'cr3'],
    ['try "Other" ', 'Path='],
    ['', 'choice'],
  ])('%j offers %s', (line, word) => {
    expect(offered(line)).toContain(word);
  });
  test('hover says what it decides', () => {
    const text = `${HEAD.join('\n')}\nexpect exits=0 when Path=cr3`;
    expect(explainAt(text, text.length)?.meaning).toBe('How T comes into use. One of: fault, cr3.');
    expect(explainAt(text, text.lastIndexOf('Path') + 1)?.meaning).toContain('How T comes into use.');
  });
});

test('printing keeps choices and conditions as they were written', () => {
  expect(formatScenario(PROGRAM)).toBe(PROGRAM);
});
