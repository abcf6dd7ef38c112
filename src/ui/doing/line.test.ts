/** Whatever the form offers on a machine is a line that the machine takes. */
import { describe, expect, test } from 'vitest';
import { PREEMPTION_NAMES } from '../../core/machine/preemption.ts';
import { must } from '../../core/assert.ts';
import { completeSettings } from '../../core/settings.ts';
import { checkScenario } from '../../scenario/plan.ts';
import { catalogueText, timelineOf } from '../../testing/scenarios.ts';
import { actorsOf, EMPTY, fitted, lineOf, placesOf, registersOf, verbsOf, type Form } from './line.ts';
import { pointsOf } from './points.ts';

const MACHINES = [
  'kvm-2007',
  'kvm-2007 era=2006 guest=2-level',
  'kvm-2007 guest=pae cpu=svm',
  'kvm-2007 guest=nonpaging',
  'kvm-2007 era=2007c vcpus=3',
  'native',
  'native guest=pae',
  'native cpu=arm64',
  'two-stage',
  'two-stage cpu=arm64 guest=3-level',
];

const settingsOf = (machine: string): ReturnType<typeof completeSettings> => {
  const [name = '', ...pairs] = machine.split(' ');
  const chosen: Record<string, string> = { machine: name };
  for (const [setting = '', value = ''] of pairs.map((pair) => pair.split('='))) chosen[setting] = value;
  return completeSettings(chosen);
};

const ADDRESS = '0x400000';
function textOf(machine: string, lines: readonly string[]): string {
  const paging = !machine.includes('nonpaging');
  const kernel = machine.includes('2-level') || machine.includes('pae') ? '0x80000000' : '0x40000000';
  const maps = [
    `map ${ADDRESS} -> gfn 0x20 rw user accessed`,
    `map ${kernel} -> table-of ${ADDRESS} rw kernel accessed`,
  ];
  return [
    'mmuscope 1',
    `machine ${machine}`,
    'slot 0x0 64M',
    ...(paging ? maps : []),
    'begin',
    ...(machine.startsWith('kvm') ? ['host log slot=0 on'] : []),
    ...lines,
  ].join('\n');
}

const problems = (machine: string, lines: readonly string[]): readonly string[] =>
  checkScenario(textOf(machine, lines)).map(({ message }) => message);

describe.each(MACHINES)('%s', (machine) => {
  const settings = settingsOf(machine);
  const form: Form = { ...EMPTY, address: ADDRESS, target: 'gfn 0x21 rw user accessed' };
  const lineFor = (part: Partial<Form>): string => lineOf(fitted({ ...form, ...part }, settings, 0));

  test('every verb', () => {
    for (const verb of verbsOf(settings, 'after').flatMap(({ verbs }) => verbs))
      expect([verb, problems(machine, [lineFor({ verb })])]).toEqual([verb, []]);
  });
  test('every register', () => {
    if (settings.cpu === 'arm64') return;
    for (const register of registersOf(settings))
      expect([register, problems(machine, [lineFor({ verb: 'set', register, value: '0' })])]).toEqual([
        register,
        [],
      ]);
  });
  test('every place of a flip', () => {
    for (const place of placesOf(settings)) {
      const address = place === 'shadow' ? ADDRESS : '0x10000';
      const level = settings.cpu === 'arm64' ? '3' : '1';
      const line = lineFor({ verb: 'flip', place, address, level, bit: '0' });
      expect([line, problems(machine, [line])]).toEqual([line, []]);
    }
  });
  test('in the middle of an operation only other vCPUs act', () => {
    const others = actorsOf(settings, { when: 'walk_addr/done', busy: 0 });
    expect(others).toEqual(machine.includes('vcpus=3') ? [1, 2] : []);
    if (others.length === 0) return;
    for (const point of PREEMPTION_NAMES)
      for (const verb of verbsOf(settings, point).flatMap(({ verbs }) => verbs)) {
        const line = lineFor({ when: point, visit: '2', verb });
        expect(line).toMatch(/^at \S+#2: v1 /);
        expect([line, problems(machine, ['v0 cpuid', `  ${line}`])]).toEqual([line, []]);
      }
  });
});

test('points of calls that the operation makes are near, the others far', () => {
  const timeline = timelineOf(catalogueText('stale-tlb'));
  const [, , , faulting] = timeline.operations.filter(({ section }) => section !== 'setup');
  const { near, far } = pointsOf(timeline, must(faulting, 'an operation'));
  expect(near).toContain('walk_addr/done');
  expect(near).toContain('page-walk/level-1');
  expect(far).toContain('kvm_flush_remote_tlbs/before-kick');
  expect([...near, ...far].sort()).toEqual([...PREEMPTION_NAMES].sort());
});
