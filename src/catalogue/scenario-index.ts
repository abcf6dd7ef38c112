// The index of the catalogue, made from the scenario files themselves: a file dropped into public/scenarios is in the
// catalogue, and nothing else has to be told. Reads only the title and the order from a text; checking it is the
// scenario language's job.

/** One scenario of the catalogue. `id` is the file's name without its extension; `lines` is the length of the text. */
export interface ScenarioIndexEntry {
  readonly id: string;
  readonly title: string;
  readonly lines: number;
}

/** `# order: <n>` in a text puts it before those with a larger number, and those before the texts without one. */
export function indexOfScenarios(texts: ReadonlyMap<string, string>): ScenarioIndexEntry[] {
  return [...texts]
    .map(([id, text]) => ({ order: orderOf(text), entry: entryOf(id, text) }))
    .sort((a, b) => compare(a.order, b.order) || compare(a.entry.id, b.entry.id))
    .map(({ entry }) => entry);
}

function entryOf(id: string, text: string): ScenarioIndexEntry {
  const title = /^title (.*)$/m.exec(text)?.[1]?.trim();
  return { id, title: title ?? id, lines: text.trimEnd().split('\n').length };
}

function orderOf(text: string): number {
  const order = /^# order: (\d+)\s*$/m.exec(text)?.[1];
  return order === undefined ? Infinity : Number(order);
}

function compare<T extends number | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
