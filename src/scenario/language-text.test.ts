import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { checkScenario } from './plan.ts';

/** Lines of the description's section about machines without KVM, each in the machine that has it. */
const blocks =
  readFileSync(new URL('LANGUAGE.md', import.meta.url), 'utf8')
    .split('## Machines without KVM')[1]
    ?.split('## Links')[0]
    ?.split('```') ?? [];
const lines = blocks.filter((_block, at) => at % 2 === 1).flatMap((block) => block.trim().split('\n'));
const MACHINES = ['vmx-vpid', 'svm', 'arm64'].map((cpu) => `machine two-stage cpu=${cpu}`);

test.each(lines)('%s', (line) => {
  const texts = (line.startsWith('machine') ? [line] : MACHINES).map((machine) =>
    [
      'mmuscope 1',
      machine,
      'slot 0x0 64M',
      'map 0x1000 -> absent',
      ...(line.startsWith('map') ? [line] : []),
      ...(line.startsWith('machine') && line.includes('nonpaging') ? [] : ['space B kernel=main']),
      'begin',
      'v0 cpuid',
      ...(/^(map|machine)/.test(line) ? [] : [line]),
    ].join('\n'),
  );
  expect(texts.map((text) => checkScenario(text).length)).toContain(0);
});

const today =
  readFileSync(new URL('LANGUAGE.md', import.meta.url), 'utf8')
    .split('On `machine kvm-shadow` guest memory')[1]
    ?.split('```')[1]
    ?.trim()
    .split('\n') ?? [];
const WITHOUT_OPERATION = /^(slot|generation)/;

test('a block of lines is about guest memory of a process', () => {
  expect(today.length).toBeGreaterThan(8);
});

test.each(today.filter((line) => !line.startsWith(' ')))('%s', (line) => {
  const deeper = line.startsWith('v0') ? today.filter((other) => other.startsWith(' ')) : [];
  const text = [
    'mmuscope 1',
    'machine kvm-shadow log-clear=apart',
    'slot 0x0 64M',
    `slot 0x5000000 8M${line.includes('add-slot') ? ' absent' : ''}`,
    'let V = 0x1000',
    'map V -> absent',
    ...(WITHOUT_OPERATION.test(line) ? [line] : []),
    'begin',
    'v0 cpuid',
    ...(line.includes('clear-log') ? ['host log slot=0 on'] : []),
    ...(WITHOUT_OPERATION.test(line) ? [] : [line, ...deeper]),
  ].join('\n');
  expect(checkScenario(text)).toEqual([]);
});
