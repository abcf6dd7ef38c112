/**
 * What a text lets its reader choose beside the settings of the machine: `choice Path=fault,cr3 "How T comes into use."`.
 * Lines of the text ask for it behind `when`. Its name begins with a capital letter, as no setting ever does: so a text
 * keeps its meaning when a later version has more settings, and links name both alike.
 */
import { BOUNDS } from '../core/bounds.ts';
import type { OwnChoice, OwnName, SettingChoices } from './ast.ts';
import type { Cursor } from './cursor.ts';

/** No capital but the first: abbreviated links tell names apart by their capitals. */
const NAME = /^[A-Z][a-z0-9]{0,11}$/;
const VALUE = /^[a-z0-9][a-z0-9-]{0,11}$/;

export const isOwnName = (name: string): name is OwnName => /^[A-Z]/.test(name);

/** Whether a link may carry the pair; whether a text offers it is seen when the text is there. */
export const couldBeOwn = (name: string, value: string): boolean => NAME.test(name) && VALUE.test(value);

/** `choice Path=fault,cr3 "What it decides."`; the first value is taken where nobody chooses. */
export function readOwnChoice(cursor: Cursor, known: ReadonlyMap<string, OwnChoice>): OwnChoice {
  const remedy = `Write at most ${String(BOUNDS.ownChoices)} such lines: choice Path=fault,cr3 "What it decides."`;
  const named = cursor.word('a name', remedy);
  const { text: name } = named;
  if (!NAME.test(name) || known.has(name) || known.size === BOUNDS.ownChoices)
    cursor.fail(named, { message: `${JSON.stringify(name)} is no name of one more choice`, remedy });
  cursor.equals();
  const place = cursor.next();
  const [first = '', ...more] = place?.text.split(',') ?? [];
  const values = [first, ...more] as const;
  const different = new Set(values).size;
  if (
    !values.every((value) => VALUE.test(value)) ||
    different < Math.max(2, values.length) ||
    different > BOUNDS.ownValues
  )
    cursor.fail(place, {
      message: `A choice has 2 to ${String(BOUNDS.ownValues)} values (ownValues), different and in small letters`,
      remedy,
    });
  return { name: name as OwnName, values, meaning: cursor.text(remedy) };
}

/** What is chosen in a run: what the caller names where the text offers it, otherwise the first value. */
export const picksOf = (
  choices: readonly OwnChoice[],
  overrides: SettingChoices,
): Readonly<Record<string, string>> =>
  Object.fromEntries(
    choices.map(({ name, values }) => {
      const wanted = overrides[name];
      return [name, wanted !== undefined && values.includes(wanted) ? wanted : values[0]];
    }),
  );
