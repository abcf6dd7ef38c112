/** Shadow pages: their record, the hash, and finding what an entry belongs to. Source: the reference, D.1. */
import { must } from '../assert.ts';
import type { Machine } from '../machine/machine.ts';
import type { TodaysPage } from '../machine/tables-today.ts';
import type { RmapHead, ShadowPage } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { frameOfWord, wordOf, type Pfn } from '../quantities.ts';
import { ptesIn } from './pte-list.ts';
import { isInvalid } from './role.ts';

/** Number of the shadow page's entries. */
export const ENTRIES = 512;

export const pageOfSerial = (m: Machine, serial: number): ShadowPage => m.must('sp', serial);
export const today = (page: ShadowPage): TodaysPage => must(page.today, 'a page of today');

export function pageOfFrame(world: World, frame: Pfn): ShadowPage | undefined {
  const serial = world.get('owner', frame);
  return serial === undefined ? undefined : world.get('sp', serial);
}

/** The page in whose table an entry stands. */
export const pageOfEntry = (world: World, word: number): ShadowPage =>
  must(pageOfFrame(world, frameOfWord(word)), 'the page of an entry');

export const indexOfEntry = (word: number): number => word % ENTRIES;
export const entryWord = (page: ShadowPage, index: number): number => wordOf(page.pfn, index);

/** Inside the step marked last. */
export function patchPage(m: Machine, serial: number, changes: Partial<ShadowPage>): void {
  m.set('sp', serial, Object.freeze({ ...m.must('sp', serial), ...changes }));
}

export function patchToday(m: Machine, serial: number, changes: Partial<TodaysPage>): void {
  const page = m.must('sp', serial);
  m.set('sp', serial, Object.freeze({ ...page, today: Object.freeze({ ...today(page), ...changes }) }));
}

/** Parent links as a list head; `none` in the record is no head. */
export const parentsHead = ({ parents }: ShadowPage): RmapHead | undefined =>
  parents.kind === 'none' ? undefined : parents;
export const parentsOf = (world: World, page: ShadowPage): readonly number[] =>
  ptesIn(world, 'pnode', parentsHead(page));

/** What a trace event says of a page, before it changes. */
export const pageFacts = (
  page: ShadowPage,
): { serial: number; gfn: number; role: number; gen: number; roots: number; unsync: boolean } => ({
  serial: page.serial,
  gfn: page.gfn,
  role: page.role,
  gen: today(page).validGen,
  roots: page.rootCount,
  unsync: today(page).unsync,
});

/** `is_obsolete_sp`. */
export const isObsoleteIn = (world: World, page: ShadowPage): boolean =>
  isInvalid(page.role) || today(page).validGen !== must(world.get('vm', 'kvm'), 'a VM').validGen;
export const isObsolete = (m: Machine, page: ShadowPage): boolean => isObsoleteIn(m.world, page);

/** `KVM_MMU_HASH_SHIFT`. */
const HASH_BITS = 12n;
const GOLDEN = 0x61c8_8646_80b5_83ebn;
/** `kvm_page_table_hashfn`: a bucket of 4096. */
export const bucketOf = (frame: number): number =>
  Number(BigInt.asUintN(64, BigInt(frame) * GOLDEN) >> (64n - HASH_BITS));

/** Pages of a bucket, newest first. */
export const bucketPages = (m: Machine, frame: number): readonly ShadowPage[] =>
  (m.get('hash', bucketOf(frame)) ?? []).map((serial) => pageOfSerial(m, serial));

/** `for_each_gfn_valid_sp_with_gptes`: the shadow pages of a guest table, newest first. */
export const pagesOfTable = (m: Machine, frame: number): readonly ShadowPage[] =>
  bucketPages(m, frame).filter(
    (page) => page.gfn === frame && !isObsolete(m, page) && (page.role & DIRECT_OR_PASSTHROUGH) === 0,
  );
const DIRECT_OR_PASSTHROUGH = (1 << 7) | (1 << 18);
