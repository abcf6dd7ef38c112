/**
 * What a text lets its reader choose beside the settings of the machine: `choice Path=fault,cr3 "How T comes into use."`.
 * Lines of the text ask for it behind `when`. Its name begins with a capital letter, as no setting ever does: so a text
 * keeps its meaning when a later version has more settings, and links name both alike.
 */
import { BOUNDS } from '../core/bounds.ts';
import type { OwnChoice, OwnName, SettingChoices, Span } from './ast.ts';
import type { Cursor } from './cursor.ts';

/** No capital but the first: abbreviated links tell names apart by their capitals. */
const NAME = /^[A-Z][a-z0-9]{0,11}$/;
const VALUE = /^[a-z0-9][a-z0-9-]{0,11}$/;
const EXAMPLE = 'Write for example: choice Path=fault,cr3 "How the table comes into use."';

export const isOwnName = (name: string): name is OwnName => /^[A-Z]/.test(name);

/** Whether a link may carry the pair; whether a text offers it is seen when the text is there. */
export const couldBeOwn = (name: string, value: string): boolean => NAME.test(name) && VALUE.test(value);

/** `choice Path=fault,cr3 "What it decides."`; the first value is taken where nobody chooses. */
export function readOwnChoice(cursor: Cursor, known: ReadonlyMap<string, OwnChoice>): OwnChoice {
  const named = cursor.word('a name', EXAMPLE);
  const { text: name } = named;
  if (!NAME.test(name) || known.has(name))
    cursor.fail(named, {
      message: known.has(name)
        ? `${name} is chosen above already`
        : `${JSON.stringify(name)} is no name of a choice`,
      remedy: 'Choose a name of up to 12 letters and digits that begins with a capital: Path.',
    });
  if (known.size === BOUNDS.ownChoices)
    cursor.fail(named, {
      message: `A text has at most ${String(BOUNDS.ownChoices)} choices (ownChoices)`,
      remedy: 'Remove one.',
    });
  cursor.equals();
  const place = cursor.next();
  const values = readValues(cursor, place);
  const meaning = cursor.text(EXAMPLE);
  return { name: name as OwnName, values, meaning };
}

function readValues(
  cursor: Cursor,
  place: (Span & { readonly text: string }) | undefined,
): OwnChoice['values'] {
  const [first = '', ...more] = place?.text.split(',') ?? [];
  const values = [first, ...more] as const;
  const wrong = values.find((value) => !VALUE.test(value));
  if (wrong !== undefined)
    cursor.fail(place, {
      message: `${JSON.stringify(wrong)} is no value of a choice`,
      remedy: 'Write values of up to 12 small letters, digits and -, joined by commas: fault,cr3.',
    });
  if (new Set(values).size < values.length || values.length < 2 || values.length > BOUNDS.ownValues)
    cursor.fail(place, {
      message: `A choice has 2 to ${String(BOUNDS.ownValues)} different values (ownValues)`,
      remedy: 'Write for example: Path=fault,cr3.',
    });
  return values;
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

/** What a link or a command line chooses that the text does not offer, as sentences. */
export function choicesNotOffered(
  offered: readonly OwnChoice[],
  wanted: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  return Object.entries(wanted).flatMap(([name, value]) => {
    if (!isOwnName(name) || value === undefined) return [];
    const choice = offered.find((own) => own.name === name);
    if (choice === undefined) return [`This text has no choice "${name}".`];
    return value.split(',').every((one) => choice.values.includes(one))
      ? []
      : [`${name} is ${choice.values.join(' or ')}, not ${value}.`];
  });
}
