/**
 * To what a broken rule goes back. A violation keeps only an id, which is one of three things: `flip`, a bit that
 * somebody changed from outside; a bug by its own id (`C-B3`), which is there because its era shipped it or because
 * `break` asks for it; or the bug that a wrong policy amounts to (`C-B1` is flush=never), by the setting's own name where
 * the reference has no id for it (`flush-when`).
 */
import { MISTAKES, type Mistake } from '../flush-settings.ts';
import { sourceOfBug } from '../kvm/era-2007.ts';
import { BUGS, SETTINGS, type Bug, type Settings } from '../settings.ts';

/** What an id stands for, under the settings of the run. */
export type Origin =
  | { readonly kind: 'outside' }
  /** A bug: left in as the era shipped it, or made on purpose. */
  | { readonly kind: 'shipped' | 'break'; readonly id: string; readonly meaning: string }
  /** The setting that is wrong: `flush=never`. */
  | { readonly kind: 'policy'; readonly id: string; readonly choice: string };

export function originOf(id: string, settings: Settings): Origin {
  if (id === 'flip') return { kind: 'outside' };
  const bug = BUGS.find((known) => known === id);
  if (bug !== undefined) return { kind: sourceOfBug(settings, bug) ?? 'break', id, meaning: meaningOf(bug) };
  const mistake = MISTAKES.find(({ value }) => value === id);
  if (mistake !== undefined) return { kind: 'break', id, meaning: meaningOf(mistake.value) };
  const setting = SETTINGS.find(
    ({ name, values }) => name === id || values.some((choice) => choice.bug === id),
  );
  return {
    kind: 'policy',
    id,
    choice: setting === undefined ? '' : `${setting.name}=${settings[setting.name]}`,
  };
}

const meaningOf = (bug: Bug | Mistake): string =>
  SETTINGS.flatMap(({ values }) => values).find(({ value }) => value === bug)?.meaning ?? '';
