/** Every broken rule, and whether the list still fits the sources that it breaks. */
import { readFileSync } from 'node:fs';
import { BROKEN_ARM_RIGHTS, BROKEN_ARM_SYNDROMES } from './arm-access.ts';
import { BROKEN_ARM_FLAGS, BROKEN_ARM_GEOMETRY } from './arm-tables.ts';
import { BROKEN_EPT } from './ept.ts';
import { BROKEN_PSC } from './psc.ts';
import type { BrokenRule } from './rule.ts';
import { BROKEN_TLB } from './tlb.ts';
import { BROKEN_NPT, BROKEN_WALK } from './walk.ts';
import { BROKEN_X86_REGISTERS, BROKEN_X86_RIGHTS } from './x86-access.ts';
import { BROKEN_X86_LEGACY } from './x86-legacy.ts';
import { BROKEN_X86_LONG } from './x86-long.ts';

export const RULES: readonly BrokenRule[] = [
  ...BROKEN_X86_LONG,
  ...BROKEN_X86_LEGACY,
  ...BROKEN_X86_REGISTERS,
  ...BROKEN_X86_RIGHTS,
  ...BROKEN_WALK,
  ...BROKEN_NPT,
  ...BROKEN_EPT,
  ...BROKEN_ARM_GEOMETRY,
  ...BROKEN_ARM_FLAGS,
  ...BROKEN_ARM_RIGHTS,
  ...BROKEN_ARM_SYNDROMES,
  ...BROKEN_TLB,
  ...BROKEN_PSC,
];

/** From the root of the project. */
export const pathOf = (rule: BrokenRule): string => `src/core/hardware/${rule.file}`;

/** What is wrong with the list: a text to find that does not stand exactly once in its file, an id that is there twice. */
export function misplaced(): readonly string[] {
  const ids = RULES.map(({ id }) => id);
  const twice = ids
    .filter((id, index) => ids.indexOf(id) !== index)
    .map((id) => `${id}: stands twice in the list`);
  const lost = RULES.flatMap((rule) => {
    const source = readFileSync(new URL(`../../../${pathOf(rule)}`, import.meta.url), 'utf8');
    const count = source.split(rule.find).length - 1;
    return count === 1 ? [] : [`${rule.id}: occurs ${String(count)} times in ${pathOf(rule)}: ${rule.find}`];
  });
  return [...twice, ...lost];
}
