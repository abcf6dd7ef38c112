/** Whom a broken rule is put down to, when it is found; what the id stands for is in origin.ts. */
import { hasMistake } from '../flush-settings.ts';
import { hasBug } from '../kvm/era-2007.ts';
import type { Machine } from '../machine/machine.ts';
import type { OwedFlush } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { BUGS_OF_SEVERAL, type Bug } from '../settings.ts';

/** A bit has changed from outside, in the step marked last: what breaks from now on may go back to it. */
export const noteFlip = (m: Machine): void => {
  m.serial('flip');
};
export const isFlipped = (world: World): boolean => (world.get('serial', 'flip') ?? 0) > 0;

/** Bugs that can break a rule, the likeliest first. */
const BUGS_OF_RULE: Readonly<Record<string, readonly Bug[]>> = {
  'INV-1': ['C-B4', 'walk-race', 'nonpaging-write'],
  'INV-2': ['C-B2'],
  'INV-3': ['nonpaging-write'],
  'INV-12': ['E-B4'],
  'INV-13': ['C-B5', 'nx-slip', 'C-B3', 'walk-race', 'nonpaging-write'],
  'INV-14': ['C-B5'],
};

/** Rules that a write through a stale TLB entry breaks, because nobody saw it. */
const BROKEN_UNSEEN: readonly string[] = ['INV-1', 'INV-12'];

/**
 * The id of what has most likely broken a rule on this machine; undefined where nothing known can have. A flush that is
 * owed knows its own.
 */
export const suspectOf = (m: Machine, rule: string): string | undefined =>
  suspectAnywhere(m, rule) ?? BUGS_OF_RULE[rule]?.find((bug) => hasBug(m, bug) && !isAlone(m, bug));

/** A vCPU alone meets nobody. */
const isAlone = ({ settings }: Machine, bug: Bug): boolean =>
  BUGS_OF_SEVERAL.includes(bug) && Number(settings.vcpus) === 1;

/** The same for a machine that has no bugs of its own. */
export function suspectAnywhere(m: Machine, rule: string): string | undefined {
  if (isFlipped(m.world)) return 'flip';
  const overdue = [...m.world.tables.owed.values()].find((owed) => owed.overdue === true)?.bug;
  return BROKEN_UNSEEN.includes(rule) ? overdue : undefined;
}

/** The wrong policy by which a flush that was asked for did not reach what it was for: of its own vCPU, or of another. */
export function suspectedFlush(m: Machine, owed: OwedFlush): OwedFlush {
  if (owed.bug !== undefined) return owed;
  const { settings } = m;
  const wrong = [
    settings['flush-when'] === 'before' ? 'flush-when' : undefined,
    hasMistake(m, 'B-B4') ? 'B-B4' : undefined,
    hasMistake(m, 'B-B1') ? 'B-B1' : undefined,
    settings['flush-size'] === 'one-page' ? 'flush-size' : undefined,
  ].find((id) => id !== undefined);
  return wrong === undefined ? owed : { ...owed, bug: wrong };
}
