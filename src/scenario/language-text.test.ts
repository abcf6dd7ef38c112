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
