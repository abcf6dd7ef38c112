/**
 * To what a broken rule goes back. A violation keeps only an id, which is one of three things: `flip`, a bit that
 * somebody changed from outside; a bug by its own id (`C-B3`), which is there because its era shipped it or because
 * `break` asks for it; or the bug that a wrong policy amounts to (`C-B1` is flush=never).
 */
import { hasBug, sourceOfBug } from '../kvm/era-2007.ts';
import type { Machine } from '../machine/machine.ts';
import type { World } from '../machine/world.ts';
import { BUGS, SETTINGS, type Bug, type Settings } from '../settings.ts';

/** A bit has changed from outside, in the step marked last: what breaks from now on may go back to it. */
export const noteFlip = (m: Machine): void => {
  m.serial('flip');
};
export const isFlipped = (world: World): boolean => (world.get('serial', 'flip') ?? 0) > 0;

/** Bugs that can break a rule, the likeliest first. */
const BUGS_OF_RULE: Readonly<Record<string, readonly Bug[]>> = {
  'INV-1': ['C-B4', 'nonpaging-write'],
  'INV-2': ['C-B2'],
  'INV-3': ['nonpaging-write'],
  'INV-12': ['E-B4'],
  'INV-13': ['C-B5', 'nx-slip', 'C-B3', 'nonpaging-write'],
  'INV-14': ['C-B5'],
};

/** Rules that a write through a stale TLB entry breaks, because nobody saw it. */
const BROKEN_UNSEEN: readonly string[] = ['INV-1', 'INV-12'];

/**
 * The id of what has most likely broken a rule on this machine; undefined where nothing known can have. A flush that is
 * owed knows its own.
 */
export function suspectOf(m: Machine, rule: string): string | undefined {
  if (isFlipped(m.world)) return 'flip';
  const overdue = [...m.world.tables.owed.values()].find((owed) => owed.overdue === true)?.bug;
  if (BROKEN_UNSEEN.includes(rule) && overdue !== undefined) return overdue;
  return BUGS_OF_RULE[rule]?.find((bug) => hasBug(m, bug));
}

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
  const setting = SETTINGS.find(({ values }) => values.some((choice) => choice.bug === id));
  return {
    kind: 'policy',
    id,
    choice: setting === undefined ? '' : `${setting.name}=${settings[setting.name]}`,
  };
}

const meaningOf = (bug: Bug): string =>
  SETTINGS.flatMap(({ values }) => values).find(({ value }) => value === bug)?.meaning ?? '';
