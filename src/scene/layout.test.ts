import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CATALOGUE_IDS, catalogueText, RUNS, scenario, timelineOf } from '../testing/scenarios.ts';
import { castOf } from './cast.ts';
import { layOut, type Box, type Layout } from './layout.ts';
import { sceneAt } from './scene.ts';
import { sentenceOf } from './sentences.ts';
import { todaysCast } from './today/cast.ts';

const VIEWPORTS = [
  { width: 950, height: 560 },
  { width: 1020, height: 440 },
  { width: 370, height: 470 },
] as const;

function overlaps(layout: Layout): string[] {
  const all = [...layout.boxes];
  const meet = (a: Box, b: Box): boolean =>
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
  return all.flatMap(([id, box], index) =>
    all
      .slice(index + 1)
      .filter(([, other]) => meet(box, other))
      .map(([other]) => `${id} ~ ${other}`),
  );
}

/** Boxes that stick out of the zones. */
const outside = ({ boxes, zones }: Layout): string[] =>
  [...boxes].flatMap(([id, box]) =>
    [zones.hardware, zones.guest, zones.hypervisor].some((zone) => zone !== undefined && holds(zone, box))
      ? []
      : [id],
  );
const holds = (zone: Box, box: Box): boolean =>
  box.x >= zone.x &&
  box.y >= zone.y &&
  box.x + box.width <= zone.x + zone.width &&
  box.y + box.height <= zone.y + zone.height;

/** A guest with a table in each of many places: over thirty tables in all. */
const MANY = [
  'mmuscope 1',
  'slot 0x0 64M',
  ...Array.from(
    { length: 8 },
    (_, index) =>
      `map 0x${(0x400000 + index * 0x40000000).toString(16)} -> gfn 0x${(0x100 + index).toString(16)} rw user accessed dirty`,
  ),
  'begin',
  ...Array.from(
    { length: 8 },
    (_, index) => `v0 user read 0x${(0x400000 + index * 0x40000000).toString(16)}`,
  ),
].join('\n');

describe('the layout', () => {
  test.each(CATALOGUE_IDS)('of %s puts no two boxes in one place, and each into a zone', (id) => {
    const timeline = timelineOf(catalogueText(id));
    const cast = timeline.program.settings.machine === 'kvm-shadow' ? todaysCast(timeline) : castOf(timeline);
    for (const viewport of VIEWPORTS) {
      const layout = layOut(cast, viewport);
      expect(overlaps(layout)).toEqual([]);
      expect(outside(layout)).toEqual([]);
    }
  });
  test('of an empty guest and of one with many tables neither', () => {
    const empty = timelineOf('mmuscope 1\nslot 0x0 64M\nbegin\nv0 cpuid');
    const many = timelineOf(MANY);
    expect(castOf(many).tables.length).toBeGreaterThanOrEqual(30);
    for (const timeline of [empty, many]) {
      for (const viewport of VIEWPORTS) {
        const layout = layOut(castOf(timeline), viewport);
        expect([...overlaps(layout), ...outside(layout)]).toEqual([]);
      }
    }
  });
  test('of any generated scenario neither, and every step has a scene and a sentence', () => {
    fc.assert(
      fc.property(scenario, (text) => {
        const timeline = timelineOf(text);
        const cast = castOf(timeline);
        const layout = layOut(cast, VIEWPORTS[0]);
        expect([...overlaps(layout), ...outside(layout)]).toEqual([]);
        for (let position = timeline.begin; position <= timeline.length; position += 7) {
          timeline.seek(position);
          const scene = sceneAt(timeline, { cast, layout, names: new Map() });
          expect(scene.boxes.length).toBe(layout.boxes.size);
          if (position > timeline.begin)
            expect(sentenceOf(timeline.step(position - 1), timeline.program.settings).what).not.toMatch(
              /undefined|NaN/,
            );
        }
      }),
      { numRuns: Math.ceil(RUNS / 8) },
    );
  });
});
