/**
 * The world: a record of tables. It knows how to hold and copy values and how to find TLB entries by address;
 * it does not know who changes them (the machine) nor how changes are kept (the journal).
 */
import { frameOfWord, gfn, pfn, wordOf, type Gfn, type Pfn } from '../quantities.ts';
import { TABLE_NAMES, type TableKeys, type TableName, type TableValues, type TlbEntry } from './tables.ts';

type Tables = { readonly [T in TableName]: Map<TableKeys[T], TableValues[T]> };

/** First host frame behind guest memory: the host frame of gfn g is this plus g. */
export const FIRST_GUEST_PFN: Pfn = pfn(0x10000);
/** First host frame that shadow tables take. */
export const FIRST_SHADOW_PFN: Pfn = pfn(0x20000);
const FIRST_SHADOW_WORD = wordOf(FIRST_SHADOW_PFN, 0);

/** The host frame that backs a guest frame, whether a slot covers it or not. */
export const hostFrameOf = (frame: Gfn): Pfn => pfn(FIRST_GUEST_PFN + frame);
/** The guest frame that a host frame backs, whether a slot covers it or not. */
export const guestFrameOf = (frame: Pfn): Gfn => gfn(frame - FIRST_GUEST_PFN);
/** What an untouched data word reads, plus its gfn. */
const UNTOUCHED = 0xda7a0000n;
/** Values of the table `blank`: untouched words read 0, or as those of a guest frame, whose number is added. */
const BLANK = 1;
const READS_AS = 2;

/** For the table `blank`: a frame into which the untouched contents of another one were copied. */
export const readsAs = (frame: Pfn): number => READS_AS + guestFrameOf(frame);

export class World {
  readonly tables: Tables;
  /** TLB keys by vCPU, page size and page number: derived from the table `tlb`, for look-up only. */
  private readonly tlbIndex = new Map<number, Set<string>>();

  /** Non-zero words of each shadow frame: derived from the table `word`, so that audits need not read zeros. */
  private readonly shadowWords = new Map<Pfn, Set<number>>();

  constructor(source?: World) {
    const entries = TABLE_NAMES.map((name) => [
      name,
      new Map(source?.tables[name] as Map<never, never> | undefined),
    ]);
    this.tables = Object.fromEntries(entries) as Tables;
    for (const [key, entry] of this.tables.tlb) this.indexTlb(key, entry);
    if (source !== undefined) {
      for (const [frame, words] of source.shadowWords) this.shadowWords.set(frame, new Set(words));
    }
  }

  get<T extends TableName>(table: T, key: TableKeys[T]): TableValues[T] | undefined {
    return this.tables[table].get(key);
  }

  /** Sets or, with undefined, removes. Only the machine and the timeline call this. */
  put<T extends TableName>(table: T, key: TableKeys[T], value: TableValues[T] | undefined): void {
    const map = this.tables[table];
    if (table === 'word' && (key as number) >= FIRST_SHADOW_WORD)
      this.indexShadowWord(key as number, value as bigint | undefined);
    if (table === 'tlb') this.reindexTlb(key as string, value as TlbEntry | undefined);
    if (value === undefined) map.delete(key);
    else map.set(key, value);
  }

  /** The word of memory, or what an untouched one reads: 0 in tables, 0xda7a0000 + gfn in data frames. */
  word(word: number): bigint {
    return this.tables.word.get(word) ?? this.untouched(word);
  }

  /** What a word reads that nobody has written. */
  untouched(word: number): bigint {
    const frame = frameOfWord(word);
    const blank = this.tables.blank.get(frame);
    if (blank !== undefined) return blank === BLANK ? 0n : UNTOUCHED + BigInt(blank - READS_AS);
    if (frame < FIRST_GUEST_PFN || frame >= FIRST_SHADOW_PFN) return 0n;
    return UNTOUCHED + BigInt(guestFrameOf(frame));
  }

  /** Keys of the TLB entries of a vCPU for the page of this size whose first 4 KiB page is `vpn`, any kind and tag. */
  tlbKeys(vcpu: number, pageBits: number, vpn: number): ReadonlySet<string> | undefined {
    return this.tlbIndex.get(indexKey(vcpu, pageBits, vpn));
  }

  /** The non-zero words of a shadow frame, ascending. */
  wordsOfShadowFrame(frame: Pfn): readonly number[] {
    return [...(this.shadowWords.get(frame) ?? [])].sort((a, b) => a - b);
  }

  /** Number of values in all tables. */
  size(): number {
    return TABLE_NAMES.reduce((sum, name) => sum + this.tables[name].size, 0);
  }

  /** The first place in which two worlds differ, as text, or undefined when they are equal. */
  firstDifference(other: World): string | undefined {
    for (const name of TABLE_NAMES) {
      const mine = this.tables[name] as Map<number | string, unknown>;
      const theirs = other.tables[name] as Map<number | string, unknown>;
      for (const key of new Set([...mine.keys(), ...theirs.keys()])) {
        if (!sameValue(mine.get(key), theirs.get(key))) return `${name}:${String(key)}`;
      }
    }
    return undefined;
  }

  private indexShadowWord(word: number, value: bigint | undefined): void {
    const frame = frameOfWord(word);
    const words = this.shadowWords.get(frame);
    if (value === undefined || value === 0n) words?.delete(word);
    else if (words === undefined) this.shadowWords.set(frame, new Set([word]));
    else words.add(word);
  }

  private reindexTlb(key: string, value: TlbEntry | undefined): void {
    const before = this.tables.tlb.get(key);
    if (before !== undefined) {
      const index = indexKey(before.vcpu, before.pageBits, before.vpn);
      const keys = this.tlbIndex.get(index);
      keys?.delete(key);
      if (keys?.size === 0) this.tlbIndex.delete(index);
    }
    if (value !== undefined) this.indexTlb(key, value);
  }

  private indexTlb(key: string, entry: TlbEntry): void {
    const index = indexKey(entry.vcpu, entry.pageBits, entry.vpn);
    const keys = this.tlbIndex.get(index);
    if (keys === undefined) this.tlbIndex.set(index, new Set([key]));
    else keys.add(key);
  }
}

/** Page numbers have at most 45 significant bits once the copies of the sign bit are dropped (57-bit addresses). */
function indexKey(vcpu: number, pageBits: number, vpn: number): number {
  return (vpn % 2 ** 45) * 256 + vcpu * 64 + pageBits;
}

function sameValue(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  const a = Object.entries(left);
  const b = right as Record<string, unknown>;
  return a.length === Object.keys(right).length && a.every(([key, value]) => sameValue(value, b[key]));
}
