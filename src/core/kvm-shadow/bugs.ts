/** Mistakes that a shadow MMU of today may be told to make. Each is one condition at the place where it belongs. */
import type { Machine } from '../machine/machine.ts';
import type { TodaysBug } from '../settings.ts';

export const hasBug = (m: Pick<Machine, 'settings'>, bug: TodaysBug): boolean =>
  m.settings.break.split(',').includes(bug);
