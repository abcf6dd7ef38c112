import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { insertOperation, lineAfter } from '../scenario/edits.ts';
import { planScenario } from '../scenario/plan.ts';
import { catalogueText, planOf, RUNS, scenario, timelineOf } from '../testing/scenarios.ts';
import { record, type Timeline } from '../timeline/timeline.ts';
import { castOf } from './cast.ts';
import { inspectRow } from './inspect.ts';
import { REGISTERS, type Inspected } from './inspected.ts';
import { layOut } from './layout.ts';
import { sceneAt } from './scene.ts';

const rowsOf = (timeline: Timeline, names: ReadonlyMap<string, bigint>): readonly string[] => {
  const cast = castOf(timeline);
  const scene = sceneAt(timeline, { cast, layout: layOut(cast, { width: 950, height: 560 }), names });
  return scene.boxes.flatMap((box) => box.rows.map((row) => row.id));
};

describe('an entry looked into', () => {
  const plan = planOf(catalogueText('three-exits'));
  const timeline = record(plan.program);
  const all = rowsOf(timeline, plan.names).flatMap((row) => inspectRow(timeline, row, plan.names) ?? []);
  const titled = (title: string): Inspected | undefined => all.find((found) => found.title.startsWith(title));

  test('of the guest is changed by its kernel through the window, or from outside', () => {
    const entry = titled('Guest PT entry 023');
    expect(entry?.about).toBe('translates V');
    const writable = entry?.bits.find((bit) => bit.short === 'W');
    expect(writable?.flips).toEqual([
      { by: 'kernel', text: 'v0 kernel write K+0x118 = 0x20065' },
      { by: 'outside', text: 'flip 0x13118 bit=1' },
    ]);
    expect(entry?.actions.map((action) => action.text)).toContain('v0 user read V');
  });
  test('of a shadow table is changed from outside only', () => {
    const entry = titled('Shadow PT entry 023');
    expect(entry?.authors).toEqual(['outside']);
    expect(entry?.bits.at(-1)?.flips).toEqual([{ by: 'outside', text: 'flip shadow V bit=0' }]);
  });
  test('of a register names the bits that it knows', () => {
    const register = inspectRow(timeline, 'reg:cr0', plan.names);
    expect(register?.bits.find((bit) => bit.short === 'WP')?.flips[0]?.text).toBe('v0 kernel set cr0.wp = 0');
  });
});

test('every bit that the stage offers can be flipped: the line it adds is accepted, and runs without an exception', () => {
  fc.assert(
    fc.property(scenario, fc.nat(), fc.nat(), fc.nat(63), (text, place, which, at) => {
      const plan = planOf(text);
      const timeline = timelineOf(text);
      timeline.seek(timeline.begin + (place % (timeline.length - timeline.begin + 1)));
      const rows = [...rowsOf(timeline, plan.names), ...REGISTERS.map((name) => `reg:${name}`)];
      const found = inspectRow(timeline, rows[which % rows.length] ?? '', plan.names);
      if (found === undefined) return;
      const [label = '0'] = timeline.nameOf(timeline.position).split('.');
      const lines = [...(found.bits[at]?.flips ?? []), ...found.actions];
      for (const { text: operation } of lines) {
        const added = insertOperation(text, { after: lineAfter(text, label), operation });
        const planned = planScenario(added.text);
        expect(planned.kind === 'ok' ? [] : planned.problems.map((problem) => problem.message)).toEqual([]);
        if (planned.kind === 'ok') record(planned.plan.program);
      }
    }),
    { numRuns: RUNS },
  );
});
