/**
 * Makes a run's next scenes before they are asked for. What such a scene has in common with the one that is shown is one
 * object in both, so that whoever draws it touches only what differs.
 */
import { sceneAt } from './scene.ts';
import type { Scenes } from './scenes.ts';

/**
 * Makes a neighbour of a position that is missing, the following one first; false where none is. The timeline stands
 * where it stood.
 */
export function prepare(scenes: Scenes, position: number): boolean {
  const { timeline, drawn } = scenes;
  const { begin, length, position: before } = timeline;
  const missing = [position + 1, position - 1].find(
    (wanted) => wanted >= begin && wanted <= length && !scenes.has(wanted),
  );
  if (missing === undefined) return false;
  const shown = scenes.at(position);
  timeline.seek(missing);
  const next = sceneAt(timeline, drawn);
  const boxes = sharedById(shown.boxes, next.boxes);
  scenes.keep(missing, { ...next, boxes, links: sharedById(shown.links, next.links) });
  timeline.seek(before);
  return true;
}

function sharedById<T extends { readonly id: string }>(
  known: readonly T[],
  next: readonly T[],
): readonly T[] {
  const byId = new Map(known.map((part) => [part.id, part]));
  return next.map((part) => shared(byId.get(part.id), part));
}

/** `next`, with every part that is like the same part of `known` taken from there; `known` itself where all are alike. */
export function shared<T>(known: T | undefined, next: T): T {
  if (known === next || !isObject(known) || !isObject(next) || Array.isArray(known) !== Array.isArray(next))
    return next;
  const parts = Object.entries(next).map(([key, value]) => [key, shared(known[key], value)] as const);
  const alike =
    parts.length === Object.keys(known).length && parts.every(([key, value]) => Object.is(known[key], value));
  if (alike) return known;
  return (Array.isArray(next) ? parts.map(([, value]) => value) : Object.fromEntries(parts)) as T;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
