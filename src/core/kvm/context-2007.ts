/**
 * The paging context of a guest, as its control registers choose it: how its own tables are read, and which shadow
 * tables stand for them. A guest with 32-bit addresses, paged or not, is shadowed with PAE tables.
 */
import type { TableLevel } from '../hardware/format.ts';
import type { PagingMode } from '../hardware/paging-mode.ts';
import { pagingModeOf } from '../hardware/registers.ts';
import { levelsOf } from '../hardware/x86-format.ts';
import { assert, must } from '../assert.ts';
import { pfn, wordOf, type Pfn } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import type { ShadowPage } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import type { Role } from './role-2007.ts';

export interface GuestContext {
  readonly mode: PagingMode;
  /** `glevels` of the role: 4, 3, 2; 0 without paging. */
  readonly guestLevels: number;
  /** The guest's levels, root first; none without paging. */
  readonly levels: readonly TableLevel[];
  readonly entryBytes: 4 | 8;
  /** 4, or 3 where the shadow tables are PAE's. */
  readonly shadowRootLevel: 3 | 4;
}

const CONTEXTS: Readonly<Partial<Record<PagingMode, GuestContext>>> = {
  nonpaging: { mode: 'nonpaging', guestLevels: 0, levels: [], entryBytes: 8, shadowRootLevel: 3 },
  '2-level': {
    mode: '2-level',
    guestLevels: 2,
    levels: levelsOf('2-level'),
    entryBytes: 4,
    shadowRootLevel: 3,
  },
  pae: { mode: 'pae', guestLevels: 3, levels: levelsOf('pae'), entryBytes: 8, shadowRootLevel: 3 },
  '4-level': {
    mode: '4-level',
    guestLevels: 4,
    levels: levelsOf('4-level'),
    entryBytes: 8,
    shadowRootLevel: 4,
  },
};

/** The context of the vCPU that acts. */
export const contextOf = (m: Machine): GuestContext => contextIn(m.world, m.vcpu);

export function contextIn(world: World, vcpu: number): GuestContext {
  const reg = (name: string): bigint => world.get('reg', `${String(vcpu)}.${name}`) ?? 0n;
  const mode = pagingModeOf({ cr0: reg('cr0'), cr4: reg('cr4'), efer: reg('efer') });
  return must(CONTEXTS[mode], `a paging context for ${mode}`);
}

/** Bytes of an entry of the guest tables that a shadow page with this role stands for. */
export const entryBytesOfRole = (role: Role): 4 | 8 => (role.guestLevels === 2 ? 4 : 8);

/** The level of a root of such a shadow: PAE roots hang on four registers, so they are page directories. */
export const rootLevelOf = (guestLevels: number): number => (guestLevels === 4 ? 4 : 2);

/** Two shadow pages stand for one guest table of 1024 entries, four for its directory: which of them an address uses. */
export function quadrantOf(guestLevels: number, by: { gva: bigint; level: number }): number {
  if (guestLevels > 2) return 0;
  const { gva, level } = by;
  return Number((gva >> BigInt(12 + 9 * level)) & ((1n << BigInt(level)) - 1n));
}

/** The page with the four root entries of a vCPU whose shadow is PAE's. It lies below 4 GiB and belongs to no pool. */
export const paeRootPfn = (vcpu: number): Pfn => pfn(0xf000 + vcpu);
export const PAE_ROOTS = 4;

/** A row has four entries; beside the first there are others only where roots are cached by their CR3. */
export const paeRootWord = (vcpu: number, index: number, row: number): number =>
  wordOf(paeRootPfn(vcpu), row * PAE_ROOTS + index);

/** Registers that name the roots in use: one, or up to four under PAE. 0 where there is none. */
export const ROOT_REGISTERS = ['root_serial', 'pae_root0', 'pae_root1', 'pae_root2', 'pae_root3'] as const;

/** Serials of the shadow pages that a vCPU has as roots. */
export const rootSerials = (world: World, vcpu: number): readonly number[] =>
  ROOT_REGISTERS.map((name) => Number(world.get('reg', `${String(vcpu)}.${name}`) ?? 0n)).filter(
    (serial) => serial !== 0,
  );

/** The shadow page in which the look-up of an address begins, its level, and the root entry read on the way to it. */
export function shadowRootFor(
  m: Machine,
  gva: bigint,
): { page: ShadowPage | undefined; level: number; word?: number; index: number } {
  const context = contextOf(m);
  if (context.shadowRootLevel === 4)
    return { page: m.get('sp', Number(m.reg('root_serial'))), level: 4, index: 0 };
  const index = Number((gva >> 30n) & 3n);
  assert(index < PAE_ROOTS, 'a PAE address has four roots');
  const page = m.get('sp', Number(m.reg(`pae_root${String(index)}`)));
  return { page, level: 2, index, word: paeRootWord(m.vcpu, index, Number(m.reg('cr3_cache_slot'))) };
}
