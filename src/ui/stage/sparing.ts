/**
 * d3's joins and setters for a picture of which most stands still in most steps: an element is touched only where what
 * it shows differs from what it shows already. Setting an attribute of an SVG element to the value that it has would
 * still make the browser lay it out and paint it again.
 */
import { select, selectAll, type BaseType, type EnterElement, type Selection } from 'd3-selection';

/** What a group holds, in the order of the data that it was drawn from. */
interface Drawn {
  readonly data: readonly { readonly id: string }[];
  readonly elements: readonly SVGElement[];
}

const DRAWN = new WeakMap<SVGGElement, Drawn>();

/**
 * Joins data, keyed by id, to a group's elements of one kind, and gives only those that are new or whose datum is not
 * like the one that they were drawn from. A group holds one kind.
 */
export function joinChanged<E extends SVGElement, D extends { readonly id: string }>(
  group: SVGGElement,
  data: readonly D[],
  by: {
    selector: string;
    make: (enter: Selection<EnterElement, D, SVGGElement, unknown>) => Selection<E, D, SVGGElement, unknown>;
  },
): Selection<E, D, null, undefined> {
  const before = DRAWN.get(group);
  const asBefore = before?.data.length === data.length && data.every((d, at) => d.id === before.data[at]?.id);
  const elements = asBefore
    ? (before.elements as readonly E[])
    : select(group)
        .selectAll<E, D>(by.selector)
        .data(data, (d) => d.id)
        .join(by.make)
        .nodes();
  DRAWN.set(group, { data, elements });
  const old = new Map(before?.data.map((d) => [d.id, d]));
  const changed = elements.flatMap((element, at) => {
    const datum = data[at];
    return datum === undefined || isSame(old.get(datum.id), datum) ? [] : [{ element, datum }];
  });
  return selectAll<E, unknown>(changed.map(({ element }) => element)).data(changed.map(({ datum }) => datum));
}

/** Whether two plain values are alike, however deep. */
function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return keys.every((key) => isSame(left[key], right[key]));
}

/** Like d3's `attr`, for a value that stays; null takes the attribute away. */
export function setAttr<E extends BaseType, D, P extends BaseType>(
  selection: Selection<E, D, P, unknown>,
  name: string,
  value: (datum: D) => string | number | null,
): void {
  selection.each(function set(d) {
    if (!(this instanceof Element)) return;
    const now = value(d);
    if (now === null) this.removeAttribute(name);
    else if (this.getAttribute(name) !== String(now)) this.setAttribute(name, String(now));
  });
}

/** Where a text or rectangle stands. */
export function putAt<E extends BaseType, D, P extends BaseType>(
  selection: Selection<E, D, P, unknown>,
  { x, y }: { x: (datum: D) => number; y: (datum: D) => number },
): void {
  setAttr(selection, 'x', x);
  setAttr(selection, 'y', y);
}

/** Like d3's `text`, for a text that stays: a new text node would be laid out anew. */
export function setText<E extends BaseType, D, P extends BaseType>(
  selection: Selection<E, D, P, unknown>,
  text: (datum: D) => string,
): void {
  selection.each(function set(d) {
    const value = text(d);
    if (this instanceof Element && this.textContent !== value) this.textContent = value;
  });
}
