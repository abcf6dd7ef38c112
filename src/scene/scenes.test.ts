/** Scenes that are made ahead are the scenes that would have been made, and leave everything where it was. */
import { describe, expect, test } from 'vitest';
import { catalogueText, planOf } from '../testing/scenarios.ts';
import { record } from '../timeline/timeline.ts';
import { prepare, shared } from './ahead.ts';
import { castOf } from './cast.ts';
import { layOut } from './layout.ts';
import { sceneAt } from './scene.ts';
import { Scenes } from './scenes.ts';

function three(): Scenes {
  const plan = planOf(catalogueText('three-exits'));
  const timeline = record(plan.program);
  const cast = castOf(timeline);
  return new Scenes(timeline, { cast, layout: layOut(cast, { width: 900, height: 560 }), names: plan.names });
}

describe('scenes around the cursor', () => {
  test('one that was made ahead is the one that would have been made', () => {
    const scenes = three();
    const { begin, length } = scenes.timeline;
    for (let position = begin; position <= length; position += 1) {
      const scene = scenes.at(position);
      while (prepare(scenes, position));
      expect(scenes.timeline.position).toBe(position);
      expect(scene).toEqual(sceneAt(scenes.timeline, scenes.drawn));
    }
  });
  test('what two neighbours have in common is one object in both', () => {
    const scenes = three();
    const { begin } = scenes.timeline;
    const here = scenes.at(begin + 4);
    while (prepare(scenes, begin + 4));
    for (const position of [begin + 5, begin + 3]) {
      expect(scenes.has(position)).toBe(true);
      const there = scenes.at(position);
      const known = new Set(here.boxes);
      expect(there.boxes.some((box) => known.has(box))).toBe(true);
      for (const box of there.boxes.filter((each) => !known.has(each)))
        expect(here.boxes).not.toContainEqual(box);
    }
  });
  test('nothing lies before the begin or behind the end', () => {
    const scenes = three();
    const { begin, length } = scenes.timeline;
    for (const [edge, inside] of [
      [begin, begin + 1],
      [length, length - 1],
    ] as const) {
      scenes.at(edge);
      while (prepare(scenes, edge));
      expect(scenes.has(inside)).toBe(true);
    }
    expect(scenes.has(begin - 1) || scenes.has(length + 1)).toBe(false);
  });
});

describe('shared', () => {
  const known = { a: [{ x: 1 }, { x: 2 }], b: 5n };
  test.each([
    ['alike', { a: [{ x: 1 }, { x: 2 }], b: 5n }, true, true],
    ['another number', { a: [{ x: 1 }, { x: 2 }], b: 6n }, false, true],
    ['one more', { a: [{ x: 1 }, { x: 2 }, { x: 3 }], b: 5n }, false, true],
    ['one less', { a: [{ x: 1 }], b: 5n }, false, true],
    ['another first', { a: [{ x: 9 }, { x: 2 }], b: 5n }, false, false],
    ['a key more', { a: [{ x: 1 }, { x: 2 }], b: 5n, c: undefined }, false, true],
  ])('%s', (_name, next, whole, first) => {
    const made = shared<unknown>(known, next) as typeof known;
    expect(made).toEqual(next);
    expect(made === known).toBe(whole);
    expect(made.a[0] === known.a[0]).toBe(first);
  });
  test('an array is no object with the same keys', () => {
    expect(shared<unknown>({ 0: 1 }, [1])).toEqual([1]);
  });
});
