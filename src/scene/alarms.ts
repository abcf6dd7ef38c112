/** What breaks and what is harmed in a step, as sentences: fetched for the first step in which anything does. */
import { rulesOf } from '../core/audit/rules-of.ts';
import { originOf, type Origin } from '../core/audit/origin.ts';
import type { Harm, Violation } from '../core/machine/tables.ts';
import type { Settings } from '../core/settings.ts';
import type { StepView } from '../timeline/timeline.ts';
import { HARM_WORDS } from './harm-words.ts';

const ORIGINS: Readonly<Record<Origin['kind'], string>> = {
  outside: 'a bit was changed from outside before',
  shipped: 'a bug that this era shipped',
  break: 'a mistake made on purpose',
  policy: 'a policy that is wrong on purpose',
};

function originWords(bug: string, settings: Settings): string {
  const origin = originOf(bug, settings);
  return origin.kind === 'outside' ? ORIGINS.outside : `${origin.id}, ${ORIGINS[origin.kind]}`;
}

/** Rules that break and harm that is done in this very step, as sentences. */
export function alarmsOf(step: StepView, settings: Settings): readonly string[] {
  return step.changes.flatMap(({ place, before, after }) => {
    if (place.table === 'harm' && after !== undefined) return [HARM_WORDS[(after as Harm).kind]];
    if (place.table !== 'violation' || before !== undefined) return [];
    const { rule, bug } = after as Violation;
    return [
      `Rule ${rule} breaks here${bug === undefined ? '' : ` (${originWords(bug, settings)})`}. ${rulesOf(settings)[rule]?.words ?? ''}`,
    ];
  });
}
