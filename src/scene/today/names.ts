/** What a shadow page of today is called: first of all by what tells it from others of the same guest frame. */
import { TABLE_NAMES_BY_LEVEL } from '../../core/hardware/x86-entry.ts';
import {
  ACC_EXEC,
  ACC_USER,
  ACC_WRITE,
  isDirect,
  levelOfRole,
  ROLE_FIELDS,
  roleField,
  withRole,
  type RoleFieldName,
} from '../../core/kvm-shadow/role.ts';
import { hex } from '../telling.ts';
import { partsOf } from './world.ts';

export interface PageKey {
  readonly gfn: number;
  readonly role: number;
}

/** A page that is given up keeps its place: what it stood for has not changed. */
export const withoutInvalid = (role: number): number => withRole(role, { invalid: 0 });

/** `WUX`, `–U–`: rights of the guest's entries above, as far as they are part of the key. */
export const accessText = (access: number): string =>
  [
    (access & ACC_WRITE) === 0 ? '–' : 'W',
    (access & ACC_USER) === 0 ? '–' : 'U',
    (access & ACC_EXEC) === 0 ? '–' : 'X',
  ].join('');

/** Fields that a title says only where another page of the same frame has another value. */
const TELLING: Readonly<Partial<Record<RoleFieldName, (value: number) => string>>> = {
  access: accessText,
  cr0_wp: (value) => (value === 0 ? 'WP off' : 'WP'),
  efer_nx: (value) => (value === 0 ? 'NX off' : 'NX'),
  smep_andnot_wp: (value) => (value === 0 ? '' : 'SMEP'),
  smap_andnot_wp: (value) => (value === 0 ? '' : 'SMAP'),
  ad_disabled: (value) => (value === 0 ? 'A/D' : 'no A/D'),
  guest_mode: (value) => (value === 0 ? '' : 'nested'),
  has_4_byte_gpte: (value) => (value === 0 ? '8-byte' : '4-byte'),
};

/** `shadow PT`, `shadow PD q3`, `direct PT`, `direct PT SMM`, `shadow PT –UX`, `shadow PML4 WP off`. */
export function titleOf(page: PageKey, among: readonly PageKey[]): string {
  const base = baseOf(page);
  const alike = among.filter((other) => other.gfn === page.gfn && baseOf(other) === base);
  const telling = Object.entries(TELLING).flatMap(([name, text]) => {
    const value = roleField(page.role, name as RoleFieldName);
    const differs = alike.some(({ role }) => roleField(role, name as RoleFieldName) !== value);
    return differs && text(value) !== '' ? [text(value)] : [];
  });
  return [base, ...telling].join(' ');
}

function baseOf({ role }: PageKey): string {
  const kind = isDirect(role) ? 'direct' : roleField(role, 'passthrough') === 1 ? 'extra' : 'shadow';
  const space = roleField(role, 'smm') === 1 ? ' SMM' : '';
  const part = partsOf(role) > 1 ? ` q${String(roleField(role, 'quadrant'))}` : '';
  return `${kind} ${TABLE_NAMES_BY_LEVEL[levelOfRole(role)] ?? ''}${part}${space}`;
}

/** Rights in words. */
export function rightsText(access: number): string {
  return [
    (access & ACC_WRITE) === 0 ? 'read-only' : 'writable',
    (access & ACC_USER) === 0 ? 'kernel' : 'user',
    ...((access & ACC_EXEC) === 0 ? ['no fetch'] : []),
  ].join(', ');
}

/** A role word in words: the fields that are not 0. */
export function roleText(role: number): string {
  const fields = ROLE_FIELDS.filter(({ name }) => roleField(role, name) !== 0).map(({ name }) => {
    const value = roleField(role, name);
    if (name === 'access') return `access ${String(value)} (${rightsText(value)})`;
    return ROLE_FIELDS.find((field) => field.name === name)?.bits === 1 ? name : `${name} ${String(value)}`;
  });
  return `Role ${hex(role)}: ${fields.join(', ')}.`;
}

/** What a page stands for, in a sentence. */
export function standsFor({ gfn, role }: PageKey): string {
  const of = partsOf(role);
  const quadrant = roleField(role, 'quadrant');
  const part = of === 1 ? '' : `, part ${String(quadrant + 1)} of ${String(of)} (q${String(quadrant)})`;
  if (isDirect(role))
    return `Direct: maps guest frames from ${hex(gfn)} on as they are. No table of the guest is behind it.`;
  return `Stands for the guest's ${TABLE_NAMES_BY_LEVEL[levelOfRole(role)] ?? 'table'} in frame ${hex(gfn)}${part}.`;
}
