import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { guestProgram, onMachine } from '../../testing/guest-programs.ts';
import { planOf, RUNS } from '../../testing/scenarios.ts';
import { Recorder } from '../operations/recorder.ts';
import type { SettingChoices } from '../../scenario/ast.ts';

const ERAS = ['6.12', '6.1', '2011'] as const;

const policies: fc.Arbitrary<SettingChoices> = fc.record({
  cpu: fc.constantFrom('svm', 'vmx-vpid'),
  'nx-huge-pages': fc.constantFrom('off', 'on'),
});

/** What the guest sees of each operation: values, completion, faults with their codes. */
function seenBy(text: string, settings: SettingChoices = {}): readonly string[] {
  const recorder = new Recorder(planOf(text, settings).program, { record: false }).finish();
  expect(recorder.stop).toBeUndefined();
  return recorder.operations.map(({ text: own, result }) => {
    const faults = result?.faults.map((f) => `${f.gva.toString(16)}/${f.errorCode.toString(16)}`) ?? [];
    return `${own}: ${String(result?.completed)} ${result?.value?.toString(16) ?? ''} ${faults.join(' ')}`;
  });
}

describe("a guest that obeys the architecture sees under today's shadow MMU what it sees without a hypervisor", () => {
  test.each(ERAS)('era %s', (era) => {
    fc.assert(
      fc.property(guestProgram, policies, (program, choices) => {
        const native = seenBy(onMachine(program, 'machine native cpu=vmx-novpid'));
        const shadow = seenBy(onMachine(program, `machine kvm-shadow era=${era}`), choices);
        expect(shadow).toEqual(native);
      }),
      { numRuns: RUNS },
    );
  });
});
