/** The tables of KVM's machines as they are shown: the guest's in each of its paging modes, and the shadow's. */
import { traitsOf } from '../core/kvm/era-2007.ts';
import { isPresent, spteBits, SPTE_2007_BITS } from '../core/kvm/spte-2007.ts';
import type { PagingMode } from '../core/hardware/paging-mode.ts';
import { CR4_PSE, PHYSICAL_BITS } from '../core/hardware/registers.ts';
import { PTE_ADDRESS } from '../core/hardware/x86-entry.ts';
import { levelsOf, x86Format } from '../core/hardware/x86-format.ts';
import type { TableLevel } from '../core/hardware/format.ts';
import type { World } from '../core/machine/world.ts';
import { must } from '../core/assert.ts';
import { spte } from '../core/quantities.ts';
import type { Settings } from '../core/settings.ts';
import { PDPTE_BITS } from '../core/hardware/x86-entry.ts';
import { letter, x86Dialect, X86_LETTERS, type Dialect } from './dialect.ts';

/** A guest's tables; `pse` says whether 2-level paging has large pages. */
export function guestDialect(mode: PagingMode, pse = true): Dialect {
  const key = `${mode} ${String(pse)}`;
  const known =
    GUESTS.get(key) ??
    x86Dialect(x86Format({ mode, physicalBits: PHYSICAL_BITS, nxe: true, pse }), mode, {
      keys: false,
    });
  GUESTS.set(key, known);
  return known;
}

/** One for each format, so that what is worked out about its entries can be kept. */
const GUESTS = new Map<string, Dialect>();

/** The same, as the guest's registers say at the moment. */
export const guestDialectIn = (world: World, mode: PagingMode): Dialect =>
  guestDialect(mode, ((world.get('reg', '0.cr4') ?? 0n) & CR4_PSE) !== 0n);

/** The four root entries of a shadow that is PAE's. */
export const PAE_ROOT = must(levelsOf('pae')[0], 'the root of PAE');

export const shadowLevel = (level: number): TableLevel =>
  must(
    levelsOf('4-level').find((at) => at.level === level),
    'a level of shadow tables',
  );

const SOFTWARE_LETTERS = [
  letter(SPTE_2007_BITS, 'SHADOW_WRITABLE', { text: 'w', only: 'leaf' }),
  letter(SPTE_2007_BITS, 'SHADOW_USER', { text: 'u', only: 'leaf' }),
];
const LARGE_LETTER = {
  text: 'L',
  mask: 1n << 9n,
  meaning: 'PS mark: the guest maps this range with one large page, which the shadow splits',
  only: 'table',
  rare: true,
} as const;

const dialectFor = (softwareBits: boolean): Dialect => ({
  prefix: 'shadow',
  entryBytes: 8,
  levels: levelsOf('4-level'),
  kindOf: (entry, at) => (!isPresent(spte(entry)) ? 'absent' : at.level === 1 ? 'leaf' : 'table'),
  tableAddress: (entry) => entry & PTE_ADDRESS,
  pageAddress: (entry) => entry & PTE_ADDRESS,
  letters: [LARGE_LETTER, ...X86_LETTERS, ...(softwareBits ? SOFTWARE_LETTERS : [])],
  bits: (kind, at) =>
    at.bits === PAE_ROOT.bits ? PDPTE_BITS : spteBits(at.level, { present: kind !== 'absent', softwareBits }),
});

/** Entries above the last level link to tables only: what leaves alone say takes no room there. */
const withoutLeaves = (dialect: Dialect): Dialect => ({
  ...dialect,
  letters: dialect.letters.filter(({ only }) => only !== 'leaf'),
});

const LEAVES = [dialectFor(false), dialectFor(true)] as const;
const LINKS = [withoutLeaves(LEAVES[0]), withoutLeaves(LEAVES[1])] as const;

export const shadowDialect = (settings: Pick<Settings, 'era'>, level: number): Dialect =>
  (level === 1 ? LEAVES : LINKS)[traitsOf(settings).softwareBits ? 1 : 0];
