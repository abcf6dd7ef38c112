/**
 * Access by access on today's KVM: what a page that is out of step may give, and what it may not; and an engine that leaves
 * out what it owes.
 */
import { describe, expect, test } from 'vitest';
import { planOf } from '../../../testing/scenarios.ts';
import type { Engine } from '../../engine.ts';
import { kvmShadow } from '../../kvm-shadow/kvm-shadow.ts';
import type { Machine } from '../../machine/machine.ts';
import { Recorder } from '../../operations/recorder.ts';

const GUEST = (vcpus = 1): string => `mmuscope 1
title Harm
machine kvm-shadow${vcpus === 1 ? '' : ` vcpus=${String(vcpus)}`}
slot 0x0 16M
map 0x400000 -> gfn 0x20 rw user accessed dirty
map 0x80000000 -> table-of 0x400000 rw kernel accessed dirty
begin
v0 user read 0x400000
v0 kernel write 0x80000020 = 0`;
/** The table is out of step: no exit, and the shadow goes on as before. */
const CHANGE = 'v0 kernel set-pte 0x400000 -> gfn 0x21 rw user accessed dirty';

function run(text: string, engine: Partial<Engine> = {}): Recorder {
  const recorder = new Recorder(planOf(text).program, { engine: { ...kvmShadow, ...engine } }).finish();
  expect(recorder.stop).toBeUndefined();
  return recorder;
}
const harms = ({ machine }: Recorder): readonly string[] =>
  [...machine.world.tables.harm.values()].map(({ kind }) => kind);
const violations = ({ machine }: Recorder): readonly string[] =>
  [...machine.world.tables.violation.values()].map(({ rule, point, bug }) =>
    `${rule} at ${point} ${bug ?? ''}`.trim(),
  );
const lastValue = ({ operations }: Recorder): bigint | undefined => operations.at(-1)?.result?.value;

/** The engine's own work is not done; the vCPU only leaves and comes back. */
const NOTHING: Partial<Engine> = { invlpg: (m) => m.step('invlpg', { gva: 0n, dropped: 0 }) };

describe('a page that is out of step', () => {
  test('may give what the guest had there before, until the guest invalidates', () => {
    const before = run(`${GUEST()}\n${CHANGE}\nv0 user read 0x400000`);
    expect([lastValue(before), harms(before), violations(before)]).toEqual([0xda7a0020n, [], []]);
    const after = run(`${GUEST()}\n${CHANGE}\nv0 kernel invlpg 0x400000\nv0 user read 0x400000`);
    expect([lastValue(after), harms(after), violations(after)]).toEqual([0xda7a0021n, [], []]);
  });

  test('may give it to a vCPU that has never used it, and has not invalidated', () => {
    const seen = run(`${GUEST(2)}\n${CHANGE}\nv0 kernel invlpg 0x400000\nv1 user read 0x400000`);
    expect([lastValue(seen), harms(seen)]).toEqual([0xda7a0021n, []]);
    const other = run(`${GUEST(2)}\n${CHANGE}\nv1 user read 0x400000`);
    expect([lastValue(other), harms(other)]).toEqual([0xda7a0020n, []]);
  });

  test.each([
    ['v0 user read 0x400000', 'stale-read'],
    ['v0 user write 0x400000 = 5', 'lost-write'],
  ])('may not after INVLPG: %s', (access, kind) => {
    const text = `${GUEST()}\n${CHANGE}\nv0 kernel invlpg 0x400000\n${access}`;
    expect(harms(run(text, NOTHING))).toEqual([kind]);
  });

  test('nor after a load of CR3; the INVLPG of another page, or by another vCPU, does not count', () => {
    const cr3: Partial<Engine> = {
      writeRegister: () => ({ locked: false, body: () => true }),
    };
    const load = `${GUEST()}\n${CHANGE}\nv0 kernel load-cr3 main\nv0 user read 0x400000`;
    expect(harms(run(load, cr3))).toEqual(['stale-read']);
    expect(harms(run(load))).toEqual([]);
    const elsewhere = `${GUEST()}\n${CHANGE}\nv0 kernel invlpg 0x401000\nv0 user read 0x400000`;
    expect(harms(run(elsewhere, NOTHING))).toEqual([]);
    const other = `${GUEST(2)}\n${CHANGE}\nv1 kernel invlpg 0x400000\nv0 user read 0x400000`;
    expect(harms(run(other, NOTHING))).toEqual([]);
  });

  test('gives nothing that the tables never gave', () => {
    const text = `${GUEST(2)}\n${CHANGE}\nflip shadow 0x400000 level=1 bit=14\nv1 user read 0x400000`;
    const seen = run(text);
    expect([violations(seen), harms(seen)]).toEqual([['INV-1 at op flip'], ['stale-read']]);
  });
});

/** The requests of a vCPU are forgotten just before it looks at them. */
const forgets = (request: string): Partial<Engine> => {
  const forget = (m: Machine): void => {
    const left = (m.get('request', m.vcpu) ?? []).filter((pending) => pending !== request);
    m.amendLastStep(() => {
      m.set('request', m.vcpu, left.length === 0 ? undefined : Object.freeze(left));
    });
  };
  return {
    pageFault: (m, fault) => {
      const work = kvmShadow.pageFault(m, fault);
      return {
        ...work,
        after: () => {
          forget(m);
          work.after?.();
        },
      };
    },
    enter: (m) => {
      if (m.must('vcpu', m.vcpu).mode !== 'guest') forget(m);
      kvmShadow.enter(m);
    },
  };
};

describe('a flush that is left out', () => {
  const UPPER = `mmuscope 1
title Harm
machine kvm-shadow vcpus=2
slot 0x0 16M
map 0x400000 -> gfn 0x20 rw user accessed dirty
map 0x80001000 -> table-of 0x400000 level=2 rw kernel accessed dirty
begin
v1 user read 0x400000
v0 kernel set-pte 0x400000 level=2 -> absent
v1 user read 0x400000`;

  test('is past due when the other vCPU enters the guest, and its next hit is harm', () => {
    const broken = run(UPPER, forgets('TLB_FLUSH'));
    expect(violations(broken)).toContain('INV-6 at entry');
    expect(harms(broken)).toEqual(['stale-read']);
    const [first] = [...broken.machine.world.tables.violation.values()];
    const { journal } = broken.machine;
    expect(journal?.kind(first?.cause ?? 0)).toBe('sp-unlink');
  });

  test('nothing of it where it is made', () => {
    const whole = run(UPPER);
    expect([violations(whole), harms(whole)]).toEqual([[], []]);
    expect(whole.machine.world.tables.owed.size).toBe(0);
  });
});

test('a bit of the guest that is flipped from outside breaks INV-1, mended by what makes the shadow anew', () => {
  const text = `${GUEST()}\nv0 kernel load-cr3 main\nflip 0x13000 bit=13`;
  expect(violations(run(text))).toEqual(['INV-1 at op flip']);
});
