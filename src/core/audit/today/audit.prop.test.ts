/** Generated guests under today's KVM: no rule breaks and nothing is harmed, whether the guest obeys or is careless. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Manners } from '../../../testing/guest-deeds.ts';
import { guestProgram, onMachine } from '../../../testing/guest-programs.ts';
import { planOf, RUNS } from '../../../testing/scenarios.ts';
import { programText, vcpuProgram } from '../../../testing/vcpu-programs.ts';
import { watch, wrongs } from '../../../testing/watched-run.ts';
import { Recorder } from '../../operations/recorder.ts';
import { record } from '../../../timeline/timeline.ts';
import { idText } from '../../machine/tables.ts';
import { scan } from './scan.ts';

const ERAS = ['6.12', '6.1', '2011'] as const;
const choices = fc.record({
  cpu: fc.constantFrom('svm', 'vmx-vpid'),
  'nx-huge-pages': fc.constantFrom('off', 'on'),
});

describe('a guest that obeys the architecture', () => {
  test.each(ERAS)('breaks no rule, whatever it does: %s', (era) => {
    fc.assert(
      fc.property(guestProgram, choices, (program, settings) => {
        const text = onMachine(program, `machine kvm-shadow era=${era}`);
        const recorder = new Recorder(planOf(text, settings).program, { record: false });
        while (!recorder.done) recorder.advance();
        const { tables } = recorder.machine.world;
        expect({ text, violations: [...tables.violation.values()] }).toEqual({ text, violations: [] });
        expect({ text, harm: [...tables.harm.values()] }).toEqual({ text, harm: [] });
        expect(scan(recorder.machine.world)).toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });
});

const MANNERS: readonly Manners[] = ['obeys', 'careless'];
describe('guests on several vCPUs', () => {
  test.each(ERAS.flatMap((era) => MANNERS.map((manners) => [era, manners] as const)))(
    'break no rule and are not harmed: %s, %s',
    (era, manners) => {
      fc.assert(
        fc.property(vcpuProgram({ manners, vcpus: [1, 2, 3] }), choices, (program, settings) => {
          const text = programText(program, `machine kvm-shadow era=${era}`);
          const wrong = wrongs(watch(planOf(text, settings).program));
          expect({ text, settings, wrong }).toEqual({ text, settings, wrong: [] });
        }),
        { numRuns: Math.ceil(RUNS / 2) },
      );
    },
  );
});

test('re-checking only what changed says what a full scan says', () => {
  fc.assert(
    fc.property(guestProgram, choices, (program, settings) => {
      const text = `${onMachine(program, 'machine kvm-shadow')}\nflip 0x10000 bit=1`;
      const recorder = new Recorder(planOf(text, settings).program);
      while (!recorder.done) {
        recorder.advance();
        const { world } = recorder.machine;
        const full = scan(world).map(
          ({ rule, subject }) => `${rule} ${typeof subject === 'number' ? idText('word', subject) : subject}`,
        );
        const kept = [...world.tables.violation.values()].filter(
          ({ mended, rule }) => mended !== true && rule !== 'INV-6' && rule !== 'INV-14',
        );
        expect(new Set(kept.map(({ rule, subject }) => `${rule} ${subject}`))).toEqual(new Set(full));
      }
    }),
    { numRuns: Math.ceil(RUNS / 2) },
  );
});

test('at the interrupt of a flush another vCPU waits for the lock before it changes tables', () => {
  const text = `mmuscope 1
title Locked
machine kvm-shadow vcpus=2
slot 0x0 64M
map 0x400000 -> gfn 0x200 rw user accessed dirty
map 0xc00000 level=2 -> gfn 0x800 ro kernel
map 0x80004000 -> table-of 0x400000 level=2 rw kernel accessed dirty
begin
v0 user read 0xc00008
v0 kernel set-pte 0xc00000 level=2 -> gfn 0x800 ro kernel
v0 user read 0xc00008
v0 user read 0x400008
  at kvm_make_all_cpus_request/kicked: v1 kernel read 0x400008
v0 kernel set-pte 0x400000 level=2 -> table ro kernel
v0 user read 0x400008
v0 kernel set-pte 0xc00000 level=2 -> gfn 0x800 ro kernel
  at page-walk/level-1: v1 kernel load-cr3 main`;
  expect(wrongs(watch(planOf(text).program))).toEqual([]);
});

describe('mmu_lock', () => {
  const lines = (...operations: readonly string[]): string =>
    [
      'mmuscope 1',
      'title Locked',
      'machine kvm-shadow vcpus=2',
      'slot 0x0 64M',
      'map 0x400000 -> gfn 0x200 rw user accessed dirty',
      'map 0x800000 -> gfn 0x201 rw user accessed dirty',
      'begin',
      ...operations,
    ].join('\n');
  const kindsOf = (text: string): readonly string[] => {
    const timeline = record(planOf(text).program);
    const last = timeline.operations.at(-1);
    return Array.from({ length: timeline.length }, (_, at) => timeline.step(at))
      .filter((_step, at) => at >= (last?.firstStep ?? 0))
      .map(({ vcpu, kind }) => `${String(vcpu)} ${kind}`);
  };
  const used = ['v0 user write 0x400000 = 1', 'v1 user write 0x400000 = 2'];

  test('is held while entries are taken for the host: a fault waits until the host has gone on', () => {
    const kinds = kindsOf(
      lines(
        ...used,
        'host swap-out 0x200000',
        '  at kvm_make_all_cpus_request/kicked: v1 user read 0x800000',
      ),
    );
    const [waits, ends] = [kinds.indexOf('1 lock-wait'), kinds.indexOf('0 notifier-end')];
    expect(waits).toBeGreaterThan(kinds.indexOf('1 vm-exit'));
    expect(ends).toBeGreaterThan(waits);
    expect(kinds.indexOf('1 leaf-set')).toBeGreaterThan(ends);
  });
  test('is free while the dirty log has everybody flush (B.7), and while the host changes its own tables', () => {
    const logged = ['host log slot=0 on', ...used, 'host fetch-log slot=0'];
    const forLog = lines(...logged, '  at kvm_make_all_cpus_request/kicked: v1 user read 0x800000');
    expect(kindsOf(forLog)).not.toContain('1 lock-wait');
    const inWindow = lines(
      ...used,
      'host swap-out 0x200000',
      '  at mmu_notifier/started: v1 user read 0x800000',
    );
    expect(kindsOf(inWindow)).not.toContain('1 lock-wait');
  });
  test('is not needed by who only has to flush: it is in the guest again before the lock is free', () => {
    const kinds = kindsOf(
      lines(
        ...used,
        'host swap-out 0x200000',
        '  at kvm_make_all_cpus_request/kicked#2: v0 user read 0x800000',
      ),
    );
    expect(kinds.indexOf('0 vm-entry')).toBeGreaterThan(0);
    expect(kinds.indexOf('0 vm-entry')).toBeLessThan(kinds.indexOf('0 lock-wait'));
  });
});
