/** What a shadow page is called: first of all by what tells it from other shadow pages of the same guest frame. */
import { TABLE_NAMES_BY_LEVEL } from '../core/hardware/x86-entry.ts';
import { partsOf } from '../core/kvm/behind-2007.ts';
import { roleOf } from '../core/kvm/role-2007.ts';
import type { ShadowPage } from '../core/machine/tables.ts';

type Key = Pick<ShadowPage, 'gfn' | 'role'>;

/**
 * `shadow PT`; `shadow PD q3` for the last quarter of a table; `split PT` where a large page is split; `no-paging PD`.
 * The rights in the key, and the guest's number of levels, are said where another page differs by nothing else.
 */
export function titleOf(page: Key, among: readonly Key[]): string {
  const own = roleOf(page.role);
  const base = baseOf(page);
  const alike = among
    .filter((other) => other.gfn === page.gfn && baseOf(other) === base)
    .map(({ role }) => roleOf(role));
  const rights = alike.some(({ access }) => access !== own.access) ? ` ${accessText(own.access)}` : '';
  const levels = alike.some(({ guestLevels }) => guestLevels !== own.guestLevels)
    ? ` of ${String(own.guestLevels)} levels`
    : '';
  return base + rights + levels;
}

function baseOf({ role }: Key): string {
  const own = roleOf(role);
  const kind = !own.metaphysical ? 'shadow' : own.guestLevels === 0 ? 'no-paging' : 'split';
  const part = partsOf(own) > 1 ? ` q${String(own.quadrant)}` : '';
  return `${kind} ${TABLE_NAMES_BY_LEVEL[own.level] ?? ''}${part}`;
}

/** `WU`, `–U`: rights that are part of a page's key. */
const accessText = (access: number): string =>
  [(access & 1) === 0 ? '–' : 'W', (access & 2) === 0 ? '–' : 'U', (access & 4) === 0 ? '' : ' NX'].join('');
