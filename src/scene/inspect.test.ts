import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { insertOperation, lineAfter } from '../scenario/edits.ts';
import { planScenario } from '../scenario/plan.ts';
import { hostFrameOf } from '../core/machine/world.ts';
import { wordOf } from '../core/quantities.ts';
import { DEFAULT_SETTINGS } from '../core/settings.ts';
import { catalogueText, planOf, RUNS, scenario, timelineOf } from '../testing/scenarios.ts';
import { record, type Timeline } from '../timeline/timeline.ts';
import { castOf } from './cast.ts';
import { inspectRow, REGISTERS, type Inspected } from './inspect.ts';
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

describe('an entry of another format', () => {
  /** The recorder does not matter here: memory stands as the text says. */
  const inspected = (machine: string, ...lines: string[]): Inspected | undefined => {
    const text = ['mmuscope 1', `machine ${machine}`, 'slot 0x0 64M', ...lines, 'begin', 'v0 cpuid'].join(
      '\n',
    );
    const { program, names } = planOf(text);
    const timeline = record({ ...program, settings: DEFAULT_SETTINGS });
    const seen = Object.create(timeline, { program: { value: program } }) as Timeline;
    const table = program.tables.at(-1);
    return table === undefined
      ? undefined
      : inspectRow(seen, `w:${String(wordOf(hostFrameOf(table.gfn), 0))}`, names);
  };
  test('of arm64 has its own bits and instructions', () => {
    const found = inspected('native cpu=arm64 guest=3-level', 'map 0x400000 -> gfn 0x21 ro user');
    expect(found?.title).toBe('Guest level 3 entry 000, guest frame 12');
    expect(found?.bits.find((bit) => bit.short === 'RO')?.set).toBe(true);
    expect(found?.actions.map(({ text }) => text)).toContain('v0 kernel tlbi vae1is 0x400000');
  });
  test('of 4 bytes shares its word with another', () => {
    const found = inspected(
      'native guest=2-level',
      'map 0x400000 -> gfn 0x21 rw user',
      'map 0x401000 -> gfn 0x22 ro user',
    );
    expect(found?.title).toBe('Guest PT entries 000 and 001, guest frame 11');
    expect(found?.bits.filter((bit) => bit.short === 'W').map((bit) => [bit.bit, bit.set])).toEqual([
      [33, false],
      [1, true],
    ]);
  });
});
