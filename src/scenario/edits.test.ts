import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { catalogueText, RUNS, scenario } from '../testing/scenarios.ts';
import {
  deleteOperation,
  insertMeanwhile,
  insertOperation,
  lineAfter,
  moveOperation,
  operationAtLine,
  operationLines,
  smallestChange,
  toggleOperation,
} from './edits.ts';
import { checkScenario } from './plan.ts';
import { lineInNewText } from './same-line.ts';

const TEXT = `mmuscope 1
slot 0x0 64M
map 0x1000 -> absent
given
  v0 cpuid
begin
v0 user read 0x1000
  on #PF
    skip
note "said of the read"
expect exits=1
v0 cpuid
v0 kernel invlpg 0x1000
`;

const at = (text: string, label: string) => {
  const found = operationLines(text).find((operation) => operation.label === label);
  if (found === undefined) throw new Error(`no operation ${label}`);
  return found;
};

describe('operations with lines of other vCPUs', () => {
  const TEXT = [
    'mmuscope 1',
    'begin',
    'host fetch-log slot=0',
    '  at kvm_vm_ioctl_get_dirty_log/before-clear: v1 cpuid',
    'v0 user read 0x1000',
    '  at walk_addr/done: v1 cpuid',
    '  on #PF',
    '    skip',
    '  at walk_addr/done#2: v1 cpuid',
    'v0 cpuid',
  ].join('\n');
  test('those lines belong to the operation, and go with it', () => {
    expect(operationLines(TEXT).map(({ first, last }) => [first, last])).toEqual([
      [3, 4],
      [5, 9],
      [10, 10],
    ]);
    const [first, second] = operationLines(TEXT);
    if (first === undefined || second === undefined) throw new Error('two operations');
    const moved = moveOperation(TEXT, { operation: first, direction: 'down' });
    expect(operationLines(moved?.text ?? '').map((one) => [one.first, one.last])).toEqual([
      [3, 7],
      [8, 9],
      [10, 10],
    ]);
    const disabled = toggleOperation(TEXT, second);
    expect(
      disabled
        .split('\n')
        .slice(4, 9)
        .every((line) => line.startsWith('# off: ')),
    ).toBe(true);
    expect(disabled.split('\n')[9]).toBe('v0 cpuid');
  });
});

describe('a line of another vCPU', () => {
  const TEXT = `mmuscope 1
machine kvm-2007 era=2007c vcpus=2
slot 0x0 64M
map 0x1000 -> gfn 0x40 rw user accessed dirty
given
  v0 user read 0x1000
begin
v0 user write 0x1000 = 1
  at walk_addr/done: v1 cpuid
  on #PF
      skip`;
  const LINE = 'at page-walk/level-1: v1 user read 0x1000';
  test.each([
    ['after what others do, above the handler', 1, 9, '  '],
    ['in given, as deep as needed', 0, 6, '    '],
  ])('%s', (_where, index, before, indent) => {
    const operation = operationLines(TEXT)[index];
    if (operation === undefined) throw new Error('an operation');
    const made = insertMeanwhile(TEXT, { operation, line: LINE });
    expect(made.line).toBe(before + 1);
    expect(made.text.split('\n')[before]).toBe(indent + LINE);
    expect(checkScenario(made.text)).toEqual([]);
  });
});

describe('operations of a text', () => {
  test('are found with their handlers and notes, as links name them', () => {
    expect(
      operationLines(TEXT).map(({ label, first, last, lastNote }) => [label, first, last, lastNote]),
    ).toEqual([
      ['g1', 5, 5, 5],
      ['1', 7, 9, 10],
      ['2', 12, 12, 12],
      ['3', 13, 13, 13],
    ]);
  });
  test('a new one comes after the notes and expectations of the one before', () => {
    expect([lineAfter(TEXT, '0'), lineAfter(TEXT, '1'), lineAfter(TEXT, 'g1'), lineAfter(TEXT, '3')]).toEqual(
      [6, 11, 5, 13],
    );
    const added = insertOperation(TEXT, { after: 11, operation: 'v0 user read 0x1000' });
    expect(added.text.split('\n')[11]).toBe('v0 user read 0x1000');
    expect(added.line).toBe(12);
    expect(insertOperation(TEXT, { after: 5, operation: 'v0 cpuid' }).text.split('\n')[5]).toBe('  v0 cpuid');
  });
  test('a text without begin gets one', () => {
    const added = insertOperation('mmuscope 1\nslot 0x0 64M', { after: 2, operation: 'v0 cpuid' });
    expect(added).toEqual({ text: 'mmuscope 1\nslot 0x0 64M\nbegin\nv0 cpuid', line: 4 });
    expect(checkScenario(added.text)).toEqual([]);
  });
  test('deleting takes the handler and the notes, not the expectations', () => {
    expect(deleteOperation(TEXT, at(TEXT, '1')).split('\n').slice(5, 8)).toEqual([
      'begin',
      'expect exits=1',
      'v0 cpuid',
    ]);
  });
  test('disabling keeps the lines as a comment, and enabling brings them back', () => {
    const disabled = toggleOperation(TEXT, at(TEXT, '1'));
    expect(disabled.split('\n').slice(6, 9)).toEqual([
      '# off: v0 user read 0x1000',
      '# off:   on #PF',
      '# off:     skip',
    ]);
    expect(checkScenario(disabled)).toEqual([]);
    const found = operationAtLine(disabled, 7);
    expect(found).toMatchObject({ disabled: true, first: 7, last: 9 });
    expect(found === undefined ? '' : toggleOperation(disabled, found)).toBe(TEXT);
  });
  test('moving exchanges neighbours, with what stands between them left in place', () => {
    const moved = moveOperation(TEXT, { operation: at(TEXT, '2'), direction: 'up' });
    expect(moved?.text.split('\n').slice(6, 12)).toEqual([
      'v0 cpuid',
      'expect exits=1',
      'v0 user read 0x1000',
      '  on #PF',
      '    skip',
      'note "said of the read"',
    ]);
    expect(moved?.line).toBe(7);
    expect(moveOperation(TEXT, { operation: at(TEXT, '3'), direction: 'down' })).toBeUndefined();
    expect(moveOperation(TEXT, { operation: at(TEXT, '1'), direction: 'up' })).toBeUndefined();
  });
});

describe('laws', () => {
  test('disabling and enabling is identity; moving down and up again is, too', () => {
    fc.assert(
      fc.property(scenario, fc.nat(), (text, place) => {
        const all = operationLines(text).filter((operation) => !operation.disabled);
        const operation = all[place % Math.max(1, all.length)];
        if (operation === undefined) return;
        const disabled = toggleOperation(text, operation);
        const found = operationAtLine(disabled, operation.first);
        expect(found?.disabled).toBe(true);
        expect(found === undefined ? '' : toggleOperation(disabled, found)).toBe(text);
        const moved = moveOperation(text, { operation, direction: 'down' });
        const there = moved === undefined ? undefined : operationAtLine(moved.text, moved.line);
        if (moved === undefined || there === undefined) return;
        expect(moveOperation(moved.text, { operation: there, direction: 'up' })?.text).toBe(text);
      }),
      { numRuns: RUNS },
    );
  });
  test('the smallest change makes the one text out of the other', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        const { from, to, insert } = smallestChange(before, after);
        expect(before.slice(0, from) + insert + before.slice(to)).toBe(after);
      }),
      { numRuns: RUNS },
    );
  });
  test('a line that stays is found again in the new text', () => {
    const text = catalogueText('three-exits');
    const lines = text.split('\n');
    fc.assert(
      fc.property(fc.nat(lines.length - 1), fc.nat(lines.length), (line, insertAt) => {
        const now = [...lines.slice(0, insertAt), 'v0 cpuid # new', ...lines.slice(insertAt)].join('\n');
        expect(now.split('\n')[lineInNewText(text, now, line + 1) - 1]).toBe(lines[line]);
      }),
      { numRuns: RUNS },
    );
  });
});
