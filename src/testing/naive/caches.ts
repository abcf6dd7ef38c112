/**
 * What a naive processor remembers: plain lists of translations and of tables, searched from the front. Rules as the
 * manuals state them (Intel SDM vol. 3, "Caching translation information"; AMD APM vol. 2; Arm ARM). It shares no code
 * with the model.
 *
 * Where the manuals leave a choice, the choice is the one that the machines state of themselves: every table below the
 * root is remembered, a full TLB gives up what was used longest ago, and of several translations that fit, the one of
 * the smallest page serves, then the one that stands first.
 */

/** A word of memory that a walk read, and what it held afterwards. */
export interface Seen {
  readonly word: bigint;
  value: bigint;
}

/** What the second stage allows; on arm64 fetching depends on who fetches. */
export interface HostAllows {
  readonly read: boolean;
  readonly write: boolean;
  readonly fetchKernel: boolean;
  readonly fetchUser: boolean;
}

/** What the guest's entries allow. On x86 both may fetch, or neither. */
export interface GuestAllows {
  readonly write: boolean;
  readonly user: boolean;
  readonly fetchKernel: boolean;
  readonly fetchUser: boolean;
  readonly key: number;
}

/** Whose: virtual machine or processor (VPID, ASID, VMID), address space (PCID, stage 1's ASID), second stage's root. */
export interface Whose {
  readonly guest: number;
  readonly space: number;
  readonly root: number;
}

export interface Translation extends Whose {
  readonly kind: 'linear' | 'combined' | 'guest-physical';
  /** First address of the page, and its size as a power of two. */
  readonly page: bigint;
  readonly size: number;
  /** Where the first byte of the page lies. */
  readonly to: bigint;
  readonly allows: GuestAllows;
  readonly host: HostAllows | undefined;
  /** Every dirty mark that a write needs is set. */
  readonly dirty: boolean;
  readonly global: boolean;
  /** Level of the guest's leaf. */
  readonly level: number;
  readonly seen: readonly Seen[];
}

export interface RememberedTable extends Whose {
  readonly stage: 'guest' | 'host';
  /** Levels above it. */
  readonly depth: number;
  /** It serves the addresses whose bits from `shift` up are these. */
  readonly prefix: bigint;
  readonly shift: number;
  /** Address that the entry above it names, and where that lies in memory. */
  readonly table: bigint;
  readonly place: bigint;
  /** Whether the second stage has allowed to write marks into it. */
  readonly writable: boolean;
  /** The entries on the way to it. */
  readonly path: readonly bigint[];
  readonly seen: readonly Seen[];
}

export const covers = (entry: Pick<Translation, 'page' | 'size'>, address: bigint): boolean =>
  address >> BigInt(entry.size) === entry.page >> BigInt(entry.size);

const sameWhose = (one: Whose, other: Whose): boolean =>
  one.guest === other.guest && one.space === other.space && one.root === other.root;

export class Remembered {
  translations: readonly Translation[] = [];
  tables: readonly RememberedTable[] = [];
  evictions = 0;
  readonly #capacity: number | undefined;

  constructor(capacity: number | undefined) {
    this.#capacity = capacity;
  }

  /** The first that fits, small pages first. */
  find(fits: (entry: Translation) => boolean): Translation | undefined {
    let best: Translation | undefined;
    for (const entry of this.translations) {
      if (fits(entry) && (best === undefined || entry.size < best.size)) best = entry;
    }
    return best;
  }

  /** In a TLB that can run full, what is used goes to the end of the list. */
  noteUse(used: Translation): void {
    if (this.#capacity === undefined) return;
    this.translations = [...this.translations.filter((entry) => entry !== used), used];
  }

  /** A translation takes the place of one of the same page, kind, guest and space; else that of the first in a full list. */
  add(made: Translation): void {
    const others = this.translations.filter(
      (old) =>
        !(old.kind === made.kind && old.size === made.size && old.page === made.page && sameWhose(old, made)),
    );
    const full = this.#capacity !== undefined && others.length >= this.#capacity;
    if (full) this.evictions += 1;
    this.translations = [...(full ? others.slice(1) : others), made];
  }

  forget(which: (entry: Translation) => boolean): void {
    this.translations = this.translations.filter((entry) => !which(entry));
  }

  /** The table for an address with the most levels above it. */
  deepest(stage: RememberedTable['stage'], whose: Whose, address: bigint): RememberedTable | undefined {
    let best: RememberedTable | undefined;
    for (const table of this.tables) {
      if (table.stage !== stage || !sameWhose(table, whose)) continue;
      if (address >> BigInt(table.shift) !== table.prefix) continue;
      if (best === undefined || table.depth > best.depth) best = table;
    }
    return best;
  }

  addTable(made: RememberedTable): void {
    const others = this.tables.filter(
      (old) =>
        !(
          old.stage === made.stage &&
          old.depth === made.depth &&
          old.prefix === made.prefix &&
          sameWhose(old, made)
        ),
    );
    this.tables = [...others, made];
  }

  forgetTables(which: (table: RememberedTable) => boolean): void {
    this.tables = this.tables.filter((table) => !which(table));
  }
}
