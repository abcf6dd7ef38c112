/** The rules to which a machine is held; those of 2007 where none applies. Words: fetched when first wanted. */
import type { Settings } from '../settings.ts';
import { RULES_2007, type Rules } from './rules.ts';
import { RULES_TODAY } from './today/rules.ts';

export const rulesOf = ({ machine }: Pick<Settings, 'machine'>): Rules =>
  machine === 'kvm-shadow' ? RULES_TODAY : RULES_2007;
