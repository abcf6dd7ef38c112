import { describe, expect, test } from 'vitest';
import { catalogueText, planOf } from '../testing/scenarios.ts';
import { checkScenario, formatScenario, planScenario } from './plan.ts';

const HEAD = 'mmuscope 1\nslot 0x0 64M\n';
const SMP = 'mmuscope 1\nmachine kvm-2007 era=2007c vcpus=2\nslot 0x0 64M\n';
const said = (text: string): string[] =>
  checkScenario(text).map((p) => `${String(p.line)}:${String(p.column)} ${p.message}`);

describe('three-exits', () => {
  const { program } = planOf(catalogueText('three-exits'));
  const word = (gfn: number, index: number): string =>
    `0x${(program.memory.find((w) => w.gfn === gfn && w.index === index)?.value ?? 0n).toString(16)}`;
  test('page tables take frames from 0x10 up, in the order of need', () => {
    expect(program.tables.map((table) => [table.gfn, table.level])).toEqual([
      [0x10, 4],
      [0x11, 3],
      [0x12, 2],
      [0x13, 1],
      [0x14, 3],
      [0x15, 2],
      [0x16, 1],
    ]);
  });
  test.each([
    ['the mapped page', 0x13, 0x22, '0x21067'],
    ['the absent page', 0x13, 0x23, '0x0'],
    ["the kernel's window onto the page table", 0x16, 0x13, '0x13063'],
    ['an upper entry of the user half', 0x10, 0xfe, '0x11027'],
    ['an upper entry of the kernel half', 0x10, 0x110, '0x14023'],
  ])('%s', (_name, gfn, index, value) => {
    expect(word(gfn, index)).toBe(value);
  });
  test('set-pte is a store through the window', () => {
    const access = program.body[0]?.operation;
    const store = access?.kind === 'access' ? access.onFault?.operations[0]?.operation : undefined;
    expect(store).toMatchObject({
      kind: 'access',
      access: 'write',
      privilege: 'kernel',
      gva: 0xffff880000013118n,
      value: 0x20067n,
      bytes: 8,
    });
  });
});

describe('problems have a place and a remedy', () => {
  test.each<[string, string, string]>([
    ['an empty text', '', '1:1 A scenario begins with the line "mmuscope 1"'],
    ['a later version', 'mmuscope 7\n', '1:10 Version 7 of the language is not known here'],
    [
      'a misspelt word',
      `${HEAD}mpa 0x1000 -> absent\nbegin\nv0 cpuid`,
      '3:1 Found "mpa" where a statement was expected',
    ],
    ['an unknown setting', `${HEAD}policy flash=never\nbegin\nv0 cpuid`, '3:8 "flash" is no policy setting'],
    ['an unknown value', `${HEAD}policy flush=nevr\nbegin\nv0 cpuid`, '3:14 flush=nevr is not known'],
    [
      'a log of a slot that does not exist',
      `${HEAD}begin\nhost log slot=1 on`,
      '4:1 There is no slot 1: the text has 1, counted from 0',
    ],
    [
      'a fetch of a log that never began',
      `${HEAD}begin\nhost fetch-log slot=0`,
      '4:1 Slot 0 is not logged here',
    ],
    [
      'a log on a machine without one',
      `${HEAD}machine native\nbegin\nhost log slot=0 on`,
      '5:1 There is no dirty log on machine native',
    ],
    [
      'a log that is neither',
      `${HEAD}begin\nhost log slot=0 up`,
      '4:17 Found "up" where on or off was expected',
    ],
    [
      'frames that are no numbers',
      `${HEAD}begin\nhost log slot=0 on\nhost fetch-log slot=0\nexpect dirty=0x20,x`,
      '6:14 "x" is no number and no name in use, where guest frames was expected',
    ],
    [
      'no arrow',
      `${HEAD}map 0x1000 gfn 1 rw user\nbegin\nv0 cpuid`,
      '3:12 Found "gfn" where -> was expected',
    ],
    [
      'rights left out',
      `${HEAD}map 0x1000 -> gfn 1 user\nbegin\nv0 cpuid`,
      '3:25 The entry does not say whether it may be written',
    ],
    [
      'rights that contradict',
      `${HEAD}map 0x1000 -> gfn 1 rw ro user\nbegin\nv0 cpuid`,
      '3:24 ro contradicts rw',
    ],
    [
      'two maps that contradict',
      `${HEAD}map 0x1000 -> gfn 1 rw user\nmap 0x1000 -> gfn 2 rw user\nbegin\nv0 cpuid`,
      '4:1 This address is mapped by a line above, and otherwise (0x1007 there, 0x2007 here)',
    ],
    [
      'an address that is not canonical',
      `${HEAD}map 0x900000000000 -> absent\nbegin\nv0 cpuid`,
      '3:1 0x900000000000 is not canonical: bits 63 to 47 are not all equal',
    ],
    [
      'a handler without an end',
      `${HEAD}begin\nv0 user read 0x1000\n  on #PF\n    cpuid`,
      '5:3 The handler does not say how it ends',
    ],
    ['kernel work by a user', `${HEAD}begin\nv0 user invlpg 0x1000`, '4:9 invlpg is for the kernel only'],
    ['a second vCPU', `${HEAD}begin\nv1 cpuid`, '4:1 v1 does not exist: the machine has one vCPU'],
    [
      'a word of a later version',
      `${HEAD}begin\npredict refs\nv0 cpuid`,
      '4:1 "predict" is not in this version yet',
    ],
    [
      'another vCPU outside of an operation',
      `${HEAD}at walk_addr/done: v1 cpuid\nbegin\nv0 cpuid`,
      '3:1 "at" says what another vCPU does in the middle of an operation',
    ],
    [
      'another vCPU in a part of a handler',
      `${SMP}begin\nv0 user read 0x1000\n  on #PF\n    v0 cpuid\n      at walk_addr/done: v1 cpuid\n    skip`,
      '8:7 Other vCPUs act in the middle of a whole operation, not of a part of its handler',
    ],
    [
      'the vCPU of an operation in the middle of it',
      `${SMP}begin\nhost fetch-log slot=0\n  at walk_addr/done: v0 cpuid`,
      '6:22 v0 is in the middle of something itself',
    ],
    [
      'an access across a word',
      `${HEAD}begin\nv0 user write 0x1004 = 1`,
      '4:15 An access of 8 bytes here would cross an 8-byte word',
    ],
    [
      'no window onto a table',
      `${HEAD}map 0x1000 -> absent\nbegin\nv0 kernel set-pte 0x1000 -> absent`,
      '5:1 The kernel maps no window onto the table that holds this entry',
    ],
    ['an unknown counter', `${HEAD}begin\nv0 cpuid\nexpect exit=1`, '5:8 "exit" is no counter'],
    ['no begin', HEAD, '0:0 The scenario has no begin'],
    ['nothing to watch', `${HEAD}begin`, '0:0 Nothing happens after begin'],
  ])('%s', (_name, text, expected) => {
    expect(said(text)).toContain(expected);
  });
  test('several are reported at once, in order', () => {
    expect(said(`${HEAD}mpa\npolicy flash=never\nbegin\nv0 usr read 0x1`)).toHaveLength(3);
  });
  test('a near miss is offered as a fix', () => {
    expect(checkScenario(`${HEAD}policy flush=nevr\nbegin\nv0 cpuid`)[0]).toMatchObject({
      fix: 'never',
      remedy: 'Did you mean never?',
    });
  });
  test('a text over the bound is refused by name', () => {
    expect(said('x'.repeat(70_000))[0]).toContain('longer than 65536');
  });
});

test('every scenario of the catalogue is printed back but for white space', () => {
  for (const id of ['three-exits', 'fork-detector', 'stale-tlb']) {
    const text = catalogueText(id);
    expect(formatScenario(text).replace(/\s+/g, ' ')).toBe(text.replace(/\s+/g, ' '));
  }
});

test('settings of the caller win over those of the text', () => {
  const result = planScenario(catalogueText('three-exits'), { cpu: 'svm' });
  expect(result.kind === 'ok' && [result.plan.program.settings.cpu, result.plan.ownSettings.cpu]).toEqual([
    'svm',
    'vmx-novpid',
  ]);
});
