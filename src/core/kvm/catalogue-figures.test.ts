/** Figures of the catalogue's lessons that `expect` lines cannot state: shapes, error codes, walks by the hypervisor. */
import { describe, expect, test } from 'vitest';
import { catalogueText, timelineOf } from '../../testing/scenarios.ts';
import type { StepKind } from '../machine/steps.ts';
import { hostFrameOf } from '../machine/world.ts';
import { frameOfWord, gfn } from '../quantities.ts';
import { roleOf } from './role-2007.ts';
import { shadowPageAt } from './shadow-page.ts';
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

describe('C-5: which shadow entries stand for the entry of a 32-bit guest', () => {
  const timeline = timelineOf(catalogueText('quadrants'));
  /** Quadrants passed over by a store of the body, and the entries that it cleared: table, quadrant, index. */
  const aimOf = (number: number): { skipped: readonly unknown[]; cleared: readonly string[] } => {
    const operation = timeline.operations.find((o) => o.section === 'body' && o.number === number);
    if (operation === undefined) throw new Error(`operation ${String(number)} ran`);
    const steps = Array.from({ length: operation.endStep - operation.firstStep }, (_, at) =>
      timeline.step(operation.firstStep + at),
    );
    timeline.seek(operation.firstStep);
    const { world } = timeline;
    return {
      skipped: steps
        .filter((step) => step.kind === 'quadrant-skip')
        .map((step) => (step.facts as { quadrant: number }).quadrant)
        .sort(),
      cleared: steps
        .filter((step) => step.kind === 'spte-clear')
        .flatMap((step) =>
          step.changes.filter(({ place }) => place.table === 'word').map(({ place }) => place.key as number),
        )
        .map((word) => {
          const role = roleOf(shadowPageAt(world, frameOfWord(word))?.role ?? 0);
          return `level ${String(role.level)} quadrant ${String(role.quadrant)} entry 0x${(word % 512).toString(16)}`;
        }),
    };
  };
  test('page table entry 0x2ff: quadrant 1, entry 0xff', () => {
    expect(aimOf(1)).toEqual({ skipped: [0], cleared: ['level 1 quadrant 1 entry 0xff'] });
  });
  test('directory entry 0x300: quadrant 3, entries 0 and 1', () => {
    expect(aimOf(4)).toEqual({
      skipped: [0, 1, 2],
      cleared: ['level 2 quadrant 3 entry 0x0', 'level 2 quadrant 3 entry 0x1'],
    });
  });
  test('C-B4: the directory entry clears entry 0x100 of all four', () => {
    const broken = timelineOf(catalogueText('wrong-quadrant'));
    expect(factsOf(broken, 'quadrant-skip')).toEqual([]);
    const calls = Array.from({ length: broken.length - broken.begin }, (_, at) =>
      broken.calls(broken.begin + at).filter((call) => (call.name as string) === 'mmu_pte_write_zap_pte'),
    ).flat();
    const indices = new Map(calls.map((call) => [call.span, (call.facts as { index: number }).index]));
    expect([...indices.values()]).toEqual([0x100, 0x100, 0x100, 0x100]);
  });
});

describe('C-6: four pages are free when a process is to come back', () => {
  test('21 are given up, and 25 are free', () => {
    const timeline = timelineOf(catalogueText('pool-refill'));
    expect(factsOf(timeline, 'pool-check').map((facts) => facts['left'])).toEqual([4]);
    const last = Array.from(
      { length: timeline.length - timeline.begin },
      (_, at) => timeline.begin + at,
    ).findLast((step) => timeline.step(step).kind === 'shadow-free');
    timeline.seek((last ?? 0) + 1);
    expect(timeline.world.get('frames', 'shadow')?.pagesLeft).toBe(25);
  });
});

describe("the guest's own faults carry the error code of a walk of its own tables", () => {
  test('in the order of the lesson: 7, 5, 0x15, 4', () => {
    const codes = factsOf(timelineOf(catalogueText('guest-at-fault')), 'inject').map(
      (facts) => facts['errorCode'],
    );
    expect(codes.slice(0, 4)).toEqual([7, 5, 0x15, 4]);
  });
});
