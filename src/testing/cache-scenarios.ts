/** Small scenarios for the tests of the caches: what each access came to, and caches whose contents are another's. */
import { must } from '../core/assert.ts';
import type { CacheTag } from '../core/machine/tables.ts';
import { Recorder } from '../core/operations/recorder.ts';
import { counter } from '../scenario/expectations.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { planOf, timelineOf } from './scenarios.ts';

export const V = '0x400000';
export const LEAF = 'rw user accessed dirty';

const textOf = (machine: string, lines: string): string =>
  `mmuscope 1\ntitle A test\nmachine ${machine}\nslot 0x0 8M\n${lines}\n`;

/** The whole run, at its end. */
export const run = (machine: string, lines: string): Timeline => {
  const timeline = timelineOf(textOf(machine, lines));
  timeline.seek(timeline.length);
  return timeline;
};

/** What each access got: the address, or the fault's code. */
export const ends = (timeline: Timeline): readonly string[] =>
  timeline.operations.flatMap(({ section, result }) => {
    if (section !== 'body' || result === undefined) return [];
    const { completed, physical, hostFault, faults } = result;
    if (completed) return [`0x${(physical ?? 0n).toString(16)}`];
    return [hostFault?.kind ?? `fault 0x${(faults.at(-1)?.errorCode ?? 0).toString(16)}`];
  });

export const counters = (timeline: Timeline, ...names: readonly string[]): readonly number[] =>
  names.map((name) => counter(timeline, name));

interface Cost {
  readonly hits: number;
  readonly refs: number;
  readonly spared: number;
}

/**
 * Runs one access, makes everything that the caches then hold another's, as `whose` says, and runs the same access
 * again: what each of the two cost.
 */
export function costsAmongOthers(
  machine: string,
  lines: string,
  whose: Partial<CacheTag & { readonly vcpu: number }>,
): readonly [Cost, Cost] {
  const recorder = new Recorder(planOf(textOf(machine, lines)).program, { record: false });
  const m = recorder.machine;
  const count = (name: string): number => m.world.get('counter', `${name}@0`) ?? 0;
  const cost = (): Cost => ({ hits: count('tlb_hits'), refs: count('refs'), spared: count('spared') });
  recorder.advance();
  recorder.advance();
  const first = cost();
  m.amendLastStep(() => {
    for (const [key, entry] of [...m.world.tables.tlb]) {
      const other = { ...entry, ...whose };
      m.set('tlb', key, undefined);
      m.set('tlb', `${String(other.vcpu)}:${String(other.serial)}`, other);
    }
    for (const [key, table] of [...m.world.tables.psc]) {
      const other = { ...table, ...whose };
      m.set('psc', key, undefined);
      m.set('psc', `${String(other.vcpu)}:${String(other.serial)}`, other);
    }
  });
  recorder.advance();
  const { result } = must(recorder.operations.at(-1), 'the second access');
  if (result?.completed !== true) throw new Error('the second access faults');
  const both = cost();
  return [
    first,
    { hits: both.hits - first.hits, refs: both.refs - first.refs, spared: both.spared - first.spared },
  ];
}
