/** What is chosen, and the text does not offer: for links and the command line, which name choices before the text is read. */
import type { OwnChoice } from './ast.ts';
import { isOwnName } from './own-choices.ts';

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
