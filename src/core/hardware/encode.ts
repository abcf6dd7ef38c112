/**
 * An entry of a guest's tables from its meaning, for every format that a guest may have: the inverse of what the walk
 * reads (Intel SDM vol. 3, "Paging"; AMD APM vol. 2; Arm ARM, "The AArch64 virtual memory system architecture"). Also
 * which tables a guest has, and a second stage.
 *
 * arm64 entries are of stage 1 with 4 KiB pages: memory attributes 0, inner shareable. Whether a page has been written
 * has no bit of its own there, so `dirty` says nothing.
 */
import { must } from '../assert.ts';
import type { Settings } from '../settings.ts';
import { armLevels, DESC_AF, DESC_TABLE, DESC_VALID } from './arm-levels.ts';
import { eptLevels } from './ept-levels.ts';
import type { TableLevel } from './format.ts';
import { PTE_A, PTE_D, PTE_G, PTE_NX, PTE_P, PTE_PS, PTE_U, PTE_W } from './x86-entry.ts';
import type { PagingMode } from './paging-mode.ts';
import { bitRange, entryBytesOf, largeLevelsOf, levelsOf } from './x86-format.ts';

/** The formats of a guest's entries: the paging modes of x86, and stage 1 of arm64. */
export type EntryMode = PagingMode | 'arm64';

/** What an entry says beside the frame. */
export interface EntryFlags {
  readonly writable: boolean;
  readonly user: boolean;
  readonly accessed: boolean;
  readonly dirty: boolean;
  readonly noExecute: boolean;
  readonly global: boolean;
  /** Protection key, 0 to 15; only leaves of 4-level and 5-level paging have one. */
  readonly key: number;
}

export interface EntryMeaning {
  readonly mode: EntryMode;
  readonly kind: 'table' | 'page';
  /** As the format counts: x86 1 = PT, arm64 3 = pages. */
  readonly level: number;
  /** Number of the 4 KiB frame: of the table, or the first of the page. */
  readonly frame: number;
  readonly flags: EntryFlags;
}

const KEY_SHIFT = 59n;
/** Large entries of 4 bytes keep address bits 39:32 here (PSE-36). */
const PSE36_SHIFT = 13n;

const ARM_EL0 = 1n << 6n;
const ARM_READ_ONLY = 1n << 7n;
const ARM_INNER_SHAREABLE = 3n << 8n;
const ARM_NOT_GLOBAL = 1n << 11n;
const ARM_NO_EXECUTE = bitRange(54, 53);
const ARM_TABLE_NO_EXECUTE = bitRange(60, 59);
const ARM_TABLE_NO_EL0 = 1n << 61n;
const ARM_TABLE_READ_ONLY = 1n << 62n;

export const encodeEntry = (meaning: EntryMeaning): bigint =>
  meaning.mode === 'arm64' ? armEntry(meaning) : x86Entry(meaning, meaning.mode);

function x86Entry({ kind, level, frame, flags }: EntryMeaning, mode: PagingMode): bigint {
  const address = BigInt(frame) << 12n;
  // The four root entries of PAE carry no rights and no marks.
  if (mode === 'pae' && level === 3) return address | PTE_P;
  const large = kind === 'page' && level > 1;
  const long = mode === '4-level' || mode === '5-level';
  return (
    (large && mode === '2-level' ? withPse36(address) : address) |
    PTE_P |
    (large ? PTE_PS : 0n) |
    (flags.writable ? PTE_W : 0n) |
    (flags.user ? PTE_U : 0n) |
    (flags.accessed ? PTE_A : 0n) |
    (flags.dirty ? PTE_D : 0n) |
    (flags.global ? PTE_G : 0n) |
    (flags.noExecute && mode !== '2-level' ? PTE_NX : 0n) |
    (long && kind === 'page' ? BigInt(flags.key) << KEY_SHIFT : 0n)
  );
}

const withPse36 = (address: bigint): bigint =>
  (address & bitRange(31, 22)) | ((address >> 32n) << PSE36_SHIFT);

function armEntry({ kind, level, frame, flags }: EntryMeaning): bigint {
  const address = BigInt(frame) << 12n;
  if (kind === 'table')
    return (
      address |
      DESC_VALID |
      DESC_TABLE |
      (flags.writable ? 0n : ARM_TABLE_READ_ONLY) |
      (flags.user ? 0n : ARM_TABLE_NO_EL0) |
      (flags.noExecute ? ARM_TABLE_NO_EXECUTE : 0n)
    );
  return (
    address |
    DESC_VALID |
    (level === 3 ? DESC_TABLE : 0n) |
    ARM_INNER_SHAREABLE |
    (flags.writable ? 0n : ARM_READ_ONLY) |
    (flags.user ? ARM_EL0 : 0n) |
    (flags.accessed ? DESC_AF : 0n) |
    (flags.global ? 0n : ARM_NOT_GLOBAL) |
    (flags.noExecute ? ARM_NO_EXECUTE : 0n)
  );
}

type GuestSettings = Pick<Settings, 'cpu' | 'guest'>;
const PAGE = 12;

/** The format of the guest's entries. */
export const guestMode = ({ cpu, guest }: GuestSettings): EntryMode =>
  cpu === 'arm64' && guest !== 'nonpaging' ? 'arm64' : (guest as PagingMode);

/** Levels of the guest's tables, root first; none where paging is off. */
export function guestLevels({ cpu, guest }: GuestSettings): readonly TableLevel[] {
  if (cpu !== 'arm64' || guest === 'nonpaging') return levelsOf(guest as PagingMode);
  return guest === '3-level' ? armLevels(PAGE, 39, 1) : armLevels(PAGE, 48, 0);
}

export function guestEntryBytes(settings: GuestSettings): 4 | 8 {
  const mode = guestMode(settings);
  return mode === 'arm64' ? 8 : entryBytesOf(mode);
}

/** Levels at which an entry of the guest may name a page: the last, and those of large pages. */
export function guestPageLevels(settings: GuestSettings): readonly number[] {
  const mode = guestMode(settings);
  if (mode === 'arm64') return [3, 2, 1];
  return mode === 'nonpaging' ? [] : [1, ...largeLevelsOf(mode)];
}

/** Bits of the addresses that a guest's program uses. */
export function guestAddressBits({ cpu, guest }: GuestSettings): number {
  if (cpu === 'arm64') return guest === '3-level' ? 39 : 48;
  return guest === '4-level' ? 48 : guest === '5-level' ? 57 : 32;
}

/** Levels of the second stage of a `two-stage` machine, root first. */
export function hostLevels({ cpu, host }: Pick<Settings, 'cpu' | 'host'>): readonly TableLevel[] {
  if (cpu === 'arm64') return host === '3-level' ? armLevels(PAGE, 40, 1) : armLevels(PAGE, 48, 0);
  return cpu === 'svm' ? levelsOf(host as PagingMode) : eptLevels(host === '5-level' ? 5 : 4);
}

/** Levels at which an entry of the second stage may name a page. */
export const hostPageLevels = ({ cpu }: Pick<Settings, 'cpu'>): readonly number[] =>
  cpu === 'arm64' ? [3, 2, 1] : [1, 2, 3];

/** The level whose entries name pages of 4 KiB. */
export const lastLevel = (levels: readonly TableLevel[]): TableLevel => must(levels.at(-1), 'a last level');
