/** Every step of a KVM of today has its sentence, whatever its facts, and none is longer than those of 2007. */
import { beforeAll, describe, expect, it } from 'vitest';
import { REQUESTS } from '../core/kvm-shadow/flush.ts';
import type { FactType } from '../core/machine/step-spec.ts';
import { STEPS, type StepKind } from '../core/machine/steps.ts';
import { STEPS_TODAY } from '../core/machine/steps-today.ts';
import { DEFAULT_SETTINGS, type Settings } from '../core/settings.ts';
import { loadSentences, sentenceOf } from './sentences.ts';
import { INSTEAD_TODAY } from './sentences-today.ts';

const TODAY: Settings = { ...DEFAULT_SETTINGS, machine: 'kvm-shadow', era: '6.12', cpu: 'svm' };

/** Values that a fact of text has, by step and fact. */
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  'pfn-none.why': ['being deleted', 'no slot', 'read-only slot', 'fault'],
  'host-fault-in.why': ['zeros', 'new', 'copy on write', 'writable again'],
  'unsync-refuse.why': ['tracked', 'syncing', 'prefetch'],
  'prefetch-refuse.why': ['entry', 'no memory', 'log', 'host'],
  'fast-fix.result': ['fixed', 'spurious', 'invalid'],
  'flush-remote.why': ['a large page gives way to a table', 'a guest table is write-protected'],
  'flush-own.how': ['all', 'current', 'guest', 'address'],
  'request-make.request': REQUESTS,
  'request-take.request': REQUESTS,
  'slot-set.change': ['create', 'delete', 'flags', 'invalid'],
  'host-map.how': ['memory', 'away', 'writable', 'read-only', 'collapsed'],
};
const NUMBERS = [0, 1, 2, 3, 6, 0x4_0000_1784, 0x7fff_ffff] as const;
const WORDS = [0n, 1n, 0x8000_0000_1234_5e67n, 0xffff_8000_0001_4000n] as const;

function valuesOf(kind: StepKind, name: string, type: FactType): readonly unknown[] {
  if (type === 'b') return [false, true];
  if (type === 'w') return WORDS;
  if (type === 'n') return name === 'level' ? [1, 2, 3, 4, 5] : name === 'by' ? [1, -1] : NUMBERS;
  return TEXTS[`${kind}.${name}`] ?? [];
}

/** Facts in which every value of every fact occurs, with yes and no in every combination. */
function* factsOf(kind: StepKind): Generator<Readonly<Record<string, unknown>>> {
  const facts = Object.entries(STEPS[kind].facts as Readonly<Record<string, FactType>>);
  const lists = facts.map(([name, type]) => valuesOf(kind, name, type));
  const yesNo = facts.filter(([, type]) => type === 'b').length;
  const rounds = Math.max(1, ...lists.map((list) => list.length)) * 2 ** yesNo;
  for (let round = 0; round < rounds; round += 1) {
    let bit = 0;
    yield Object.fromEntries(
      facts.map(([name, type], at) => {
        const list = lists[at] ?? [];
        const index = type === 'b' ? (round >> bit++) & 1 : (round >> yesNo) % list.length;
        return [name, list[index]];
      }),
    );
  }
}

const KINDS = [
  ...new Set([...Object.keys(STEPS_TODAY), ...Object.keys(INSTEAD_TODAY)]),
] as readonly StepKind[];

/** A caption has room for two lines of either. */
const LONGEST = 140;

describe('sentences of today', () => {
  beforeAll(() => loadSentences());

  it.each(KINDS)('%s', (kind) => {
    for (const facts of factsOf(kind)) {
      expect(Object.values(facts), 'facts of the test').not.toContain(undefined);
      const { what, why } = sentenceOf({ kind, facts }, TODAY);
      for (const sentence of [what, why]) {
        expect(sentence).toMatch(/^([A-Z]|0x|sp |vCPU ).*\.$/);
        expect(sentence).not.toMatch(/undefined|NaN|\[object|[A-Z]+_[A-Z]/);
        expect(sentence.length, sentence).toBeLessThanOrEqual(LONGEST);
      }
    }
  });

  it('says of shared steps what is true on the machine that the run is of', () => {
    const step = { kind: 'vm-entry', facts: { asid: 1, dropped: 0, freshAsid: false } } as const;
    expect(sentenceOf(step, TODAY).why).toContain('has been done');
    expect(sentenceOf(step, DEFAULT_SETTINGS).why).toContain('Nobody asked for a flush');
  });
});
