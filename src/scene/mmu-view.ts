/**
 * `struct kvm_mmu` of each vCPU at the cursor, in its two halves: what belongs to the guest's paging context, and what
 * belongs to the roots. Only what is in the world, or what core computes from it.
 */
import {
  cpuRoleWord,
  EXTENSION_FIELDS,
  extensionField,
  levelOfRole,
  ROLE_FIELDS,
  roleField,
} from '../core/kvm-shadow/role.ts';
import { permissionFault, PFERR } from '../core/kvm-shadow/permissions.ts';
import { isObsoleteIn, pageOfFrame, today } from '../core/kvm-shadow/page.ts';
import {
  guestReservedBits,
  SHADOW_PHYSICAL_BITS,
  shadowReservedBits,
  type ReservedBits,
} from '../core/kvm-shadow/reserved.ts';
import { paeRootFrame, paeRootWord } from '../core/kvm-shadow/shadow-walk.ts';
import { frameOf } from '../core/kvm-shadow/spte.ts';
import { PHYSICAL_BITS } from '../core/hardware/registers.ts';
import type { CachedRoot, MmuContext } from '../core/machine/tables-today.ts';
import type { ShadowPage } from '../core/machine/tables.ts';
import type { World } from '../core/machine/world.ts';
import type { Pfn } from '../core/quantities.ts';
import { hex } from './telling.ts';

export interface FieldView {
  readonly name: string;
  /** Lowest bit, and number of bits. */
  readonly at: number;
  readonly bits: number;
  readonly value: number;
  readonly meaning: string;
  /** In root_role: that cpu_role has another value here. */
  readonly differs: boolean;
}

export interface RoleView {
  readonly word: string;
  readonly fields: readonly FieldView[];
}

/** One kind of access, as an error code without P numbers it. */
export interface AccessRow {
  readonly index: number;
  readonly user: boolean;
  readonly write: boolean;
  readonly fetch: boolean;
  /** SMAP does not apply: the stand-in for the reserved-bit flag. */
  readonly smapOff: boolean;
  /** The byte, as KVM keeps it. */
  readonly byte: string;
  /** By set of rights, 0 to 7: whether the access faults. */
  readonly faults: readonly boolean[];
}

export interface ReservedView {
  readonly table: string;
  readonly small: string;
  readonly large?: string;
}

/** A shadow page that is a root. */
export interface RootPage {
  readonly serial: number;
  readonly gfn: string;
  readonly role: string;
  /** vCPUs and remembered roots that have it as a root. */
  readonly rootCount: number;
  readonly obsolete: boolean;
  /** Something in it or below it is out of step. */
  readonly unsync: boolean;
}

export interface RootView {
  /** 0 is the current one; 1 to 3 those before it, the latest first. */
  readonly number: number;
  /** The guest's CR3 that it was built for. */
  readonly pgd?: string;
  readonly frame?: string;
  readonly page?: RootPage;
  /** The root is the page of four PAE entries, which is no shadow page. */
  readonly isPae: boolean;
}

export interface PaeEntry {
  readonly index: number;
  readonly entry: string;
  readonly page?: RootPage;
}

export interface GuestContextView {
  readonly levels: number;
  readonly role: RoleView;
  readonly extension: readonly FieldView[];
  readonly permissions: readonly AccessRow[];
  readonly reserved: readonly ReservedView[];
  readonly physicalBits: number;
  /** PAE only: the four root entries, in registers. */
  readonly pdptrs?: readonly string[];
  readonly cr3: string;
}

export interface RootsView {
  readonly role: RoleView;
  readonly roots: readonly RootView[];
  /** Where the processor's walks begin with four entries. */
  readonly paeRoot?: readonly PaeEntry[];
  readonly reserved: readonly ReservedView[];
  readonly physicalBits: number;
}

export interface MmuView {
  readonly vcpu: number;
  readonly guest: GuestContextView;
  readonly roots: RootsView;
}

/** Every vCPU that has been made by now. */
export const mmuViews = (world: World): readonly MmuView[] =>
  [...world.tables.mmu]
    .sort(([a], [b]) => a - b)
    .map(([vcpu, mmu]) => ({ vcpu, guest: guestView(world, vcpu, mmu), roots: rootsView(world, vcpu, mmu) }));

function guestView(world: World, vcpu: number, { cpuRole, permissions }: MmuContext): GuestContextView {
  const levels = levelOfRole(cpuRole.base);
  return {
    levels,
    role: { word: hex(cpuRoleWord(cpuRole)), fields: fieldsOf(cpuRole.base).map(inCpuRole) },
    extension: EXTENSION_FIELDS.map(({ name, at, meaning }) => ({
      name,
      at: EXTENSION_AT + at,
      bits: 1,
      value: extensionField(cpuRole, name),
      meaning,
      differs: false,
    })),
    permissions: permissionRows(permissions),
    reserved: guestReservedBits(cpuRole).map(reservedView),
    physicalBits: PHYSICAL_BITS,
    ...(levels === PAE_LEVELS
      ? { pdptrs: FOUR.map((index) => registerText(world, vcpu, `pdptr${String(index)}`)) }
      : {}),
    cr3: registerText(world, vcpu, 'cr3'),
  };
}

const registerText = (world: World, vcpu: number, name: string): string =>
  hex(world.get('reg', `${String(vcpu)}.${name}`) ?? 0n);

/** The extension is the upper half of the word of 64 bits. */
const EXTENSION_AT = 32;
const PAE_LEVELS = 3;
const FOUR = [0, 1, 2, 3] as const;

const fieldsOf = (role: number, other = role): readonly FieldView[] =>
  ROLE_FIELDS.map(({ name, at, bits, meaning }) => ({
    name,
    at,
    bits,
    value: roleField(role, name),
    meaning,
    differs: roleField(role, name) !== roleField(other, name),
  }));

/** The same fields say something else of a CPU than of a shadow page. */
const OF_CPU: Readonly<Record<string, string>> = {
  level: "levels of the guest's own tables; 0 without paging",
  has_4_byte_gpte: 'entries of 4 bytes',
  direct: 'the guest does not page',
  access: 'nothing stands above the root, so all rights: 7',
};
const inCpuRole = (field: FieldView): FieldView => ({
  ...field,
  meaning: OF_CPU[field.name] ?? field.meaning,
});

const ALL_RIGHTS_SETS = [0, 1, 2, 3, 4, 5, 6, 7] as const;

/** Asked as a walk asks. Before the guest's paging is known there are none. */
const permissionRows = (permissions: readonly number[]): readonly AccessRow[] =>
  permissions.map((byte, index) => {
    const code = index << 1;
    const smapOff = (code & PFERR.rsvd) !== 0;
    return {
      index,
      user: (code & PFERR.user) !== 0,
      write: (code & PFERR.write) !== 0,
      fetch: (code & PFERR.fetch) !== 0,
      smapOff,
      byte: byte.toString(16).padStart(2, '0'),
      faults: ALL_RIGHTS_SETS.map((access) => permissionFault(permissions, { access, code, smapOff }) !== 0),
    };
  });

const mask = (value: bigint): string => `0x${value.toString(16).padStart(16, '0')}`;
const reservedView = ({ at, small, large }: ReservedBits): ReservedView => ({
  table: at.name,
  small: mask(small),
  ...(large === undefined ? {} : { large: mask(large) }),
});

function rootsView(world: World, vcpu: number, mmu: MmuContext): RootsView {
  const usesPae = levelOfRole(mmu.rootRole) <= PAE_LEVELS;
  return {
    role: { word: hex(mmu.rootRole), fields: fieldsOf(mmu.rootRole, mmu.cpuRole.base) },
    roots: [mmu.root, ...mmu.prevRoots].map((root, number) => rootView(world, { root, number, vcpu })),
    ...(usesPae ? { paeRoot: FOUR.map((index) => paeEntry(world, vcpu, index)) } : {}),
    reserved: shadowReservedBits(mmu.rootRole).map(reservedView),
    physicalBits: SHADOW_PHYSICAL_BITS,
  };
}

function rootView(world: World, of: { root: CachedRoot; number: number; vcpu: number }): RootView {
  const { hpa, pgd } = of.root;
  return {
    number: of.number,
    isPae: hpa !== undefined && hpa === paeRootFrame(of.vcpu),
    ...(hpa === undefined ? {} : { frame: hex(hpa), ...(pgd === undefined ? {} : { pgd: hex(pgd) }) }),
    ...pageIn(world, hpa),
  };
}

function paeEntry(world: World, vcpu: number, index: number): PaeEntry {
  const entry = world.word(paeRootWord(vcpu, index));
  return { index, entry: hex(entry), ...(entry === 0n ? {} : pageIn(world, frameOf(entry))) };
}

function pageIn(world: World, frame: Pfn | undefined): { readonly page?: RootPage } {
  const page = frame === undefined ? undefined : pageOfFrame(world, frame);
  return page === undefined ? {} : { page: rootPage(world, page) };
}

const rootPage = (world: World, page: ShadowPage): RootPage => ({
  serial: page.serial,
  gfn: hex(page.gfn),
  role: hex(page.role),
  rootCount: page.rootCount,
  obsolete: isObsoleteIn(world, page),
  unsync: today(page).unsync || today(page).unsyncChildren > 0,
});
