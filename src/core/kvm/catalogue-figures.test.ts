/** Figures of the catalogue's lessons that `expect` lines cannot state: shapes, error codes, walks by the hypervisor. */
import { describe, expect, test } from 'vitest';
import { catalogueText, timelineOf } from '../../testing/scenarios.ts';
import type { StepKind } from '../machine/steps.ts';
import { hostFrameOf } from '../machine/world.ts';
import { gfn } from '../quantities.ts';
import type { Timeline } from '../../timeline/timeline.ts';

const SHARED_FRAME = hostFrameOf(gfn(0x20));

/** The reverse map of the shared frame after each operation: nothing, a pointer, or pointers by descriptor. */
function shapes(timeline: Timeline): readonly string[] {
  return timeline.operations
    .filter((operation) => operation.section === 'body')
    .map((operation) => {
      timeline.seek(operation.endStep);
      const { rmap, rnode } = timeline.world.tables;
      const head = rmap.get(SHARED_FRAME);
      if (head === undefined) return 'none';
      if (head.kind === 'one') return 'pointer';
      const sizes: number[] = [];
      for (let at: number | undefined = head.head; at !== undefined; at = rnode.get(at)?.next)
        sizes.push(rnode.get(at)?.words.length ?? 0);
      return sizes.join('+');
    });
}

const factsOf = (timeline: Timeline, kind: StepKind): readonly Readonly<Record<string, unknown>>[] =>
  Array.from({ length: timeline.length - timeline.begin }, (_, at) => timeline.step(timeline.begin + at))
    .filter((step) => step.kind === kind)
    .map((step) => step.facts as Readonly<Record<string, unknown>>);

describe('C-7: the reverse map of a frame that six shadow entries map', () => {
  const seen = shapes(timelineOf(catalogueText('rmap-shapes')));
  test('is a pointer, then one descriptor, then two of four and two', () => {
    expect(seen.slice(0, 6)).toEqual(['pointer', '2', '3', '4', '4+1', '4+2']);
  });
  test('is one pointer in a descriptor before it is nothing, and never a plain pointer again', () => {
    const shrinking = seen.slice(6);
    expect(shrinking).not.toContain('pointer');
    expect(shrinking.slice(-2)).toEqual(['1', 'none']);
  });
});

describe('C-8: three reads of a device', () => {
  const timeline = timelineOf(catalogueText('device-reads'));
  const kindsOf = (number: number): readonly StepKind[] => {
    const operation = timeline.operations.find((o) => o.section === 'body' && o.number === number);
    if (operation === undefined) throw new Error(`operation ${String(number)} ran`);
    return Array.from(
      { length: operation.endStep - operation.firstStep },
      (_, at) => timeline.step(operation.firstStep + at).kind,
    );
  };
  test.each([
    [1, 1],
    [2, 0],
    [3, 0],
  ])(
    'read %i walks the guest tables once, leaves for user space once, and makes %i device entries',
    (read, made) => {
      const kinds = kindsOf(read);
      const count = (kind: StepKind): number => kinds.filter((other) => other === kind).length;
      expect([count('guest-walk-root'), count('userspace-exit'), count('spte-mmio')]).toEqual([1, 1, made]);
      expect([count('vm-exit'), count('vm-entry')]).toEqual([1, 1]);
    },
  );
});

describe("the guest's own faults carry the error code of a walk of its own tables", () => {
  test('in the order of the lesson: 7, 5, 0x15, 4', () => {
    const codes = factsOf(timelineOf(catalogueText('guest-at-fault')), 'inject').map(
      (facts) => facts['errorCode'],
    );
    expect(codes.slice(0, 4)).toEqual([7, 5, 0x15, 4]);
  });
});
