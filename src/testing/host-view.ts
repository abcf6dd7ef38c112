/**
 * Where a guest's memory lies in a machine, for whoever watches a run: which guest physical addresses a word of host memory
 * stands for, and what the host has behind each. Of a KVM of today that changes while the guest runs; it is read off the
 * changes of the host's own tables, as the machine makes them.
 */
import type { Program } from '../core/operations/operation.ts';
import type { HostPage } from '../core/machine/tables-today.ts';
import { FIRST_GUEST_PFN } from '../core/machine/world.ts';
import { frameOfWord, wordOf } from '../core/quantities.ts';
import type { Ground } from './naive/ground.ts';

const FIRST_GUEST_WORD = wordOf(FIRST_GUEST_PFN, 0);
/** Page of the process at which guest memory lies, unless a slot says otherwise. */
const FIRST_HVA = 0x7f000;
const WORDS = 512;

export interface HostView {
  /** The guest physical addresses that a word of memory stands for; none, where the host has given its frame away. */
  readonly gpasOf: (word: number) => readonly bigint[];
}

/** A machine whose guest memory stays where it is. */
export const FIXED: HostView = { gpasOf: (word) => [BigInt(word - FIRST_GUEST_WORD) << 3n] };

/** What a change of the host's tables does to a guest. */
export interface Effect {
  /** What was in these words is gone. */
  readonly wiped?: readonly bigint[];
  readonly ground?: Ground;
}

/** A process whose memory the host moves, takes away and gives back. */
export class MovingMemory implements HostView {
  readonly #slots: Program['slots'];
  readonly #there: Set<number>;
  readonly #behind = new Map<number, HostPage>();
  /** Pages of the process, by the frame behind them. */
  readonly #pages = new Map<number, readonly number[]>();
  /** Those that the process may not write. */
  readonly #shut = new Set<number>();

  constructor({ slots }: Program) {
    this.#slots = slots;
    this.#there = new Set(slots.flatMap(({ absent }, id) => (absent === true ? [] : [id])));
  }

  readonly gpasOf = (word: number): readonly bigint[] =>
    (this.#pages.get(frameOfWord(word)) ?? []).flatMap((hva) =>
      this.#gpasOfPage(hva).map((gpa) => gpa + BigInt(word % WORDS) * 8n),
    );

  /** The host's own entry for a page of the process has changed. */
  pageChanged(hva: number, page: HostPage | undefined): Effect {
    const before = this.#behind.get(hva);
    if (before?.pfn !== undefined) {
      const left = this.#pages.get(before.pfn)?.filter((other) => other !== hva) ?? [];
      this.#pages.set(before.pfn, left);
    }
    if (page === undefined) this.#behind.delete(hva);
    else this.#behind.set(hva, page);
    if (page?.pfn !== undefined) this.#pages.set(page.pfn, [...(this.#pages.get(page.pfn) ?? []), hva]);
    if (page?.mayWrite === false) this.#shut.add(hva);
    else this.#shut.delete(hva);
    const had = before?.pfn !== undefined || before?.swapped !== undefined;
    const has = page?.pfn !== undefined || page?.swapped !== undefined;
    return {
      ...(had && !has ? { wiped: this.#gpasOfPage(hva).flatMap(wordsOfPage) } : {}),
      ...(before !== undefined && before.mayWrite !== page?.mayWrite ? { ground: this.ground() } : {}),
    };
  }

  /** A slot has come or gone; one that is going counts as gone when it is. */
  slotChanged(id: number, there: boolean): Effect {
    if (this.#there.has(id) === there) return {};
    if (there) this.#there.add(id);
    else this.#there.delete(id);
    return { ground: this.ground() };
  }

  /** As it is now; what comes later does not change it. */
  ground(): Ground {
    const slots = this.#slots.filter((_slot, id) => this.#there.has(id));
    const shut = new Set(this.#shut);
    return (at) => {
      const gfn = Number(at >> 12n);
      const slot = slots.find(({ firstGfn, frames }) => gfn >= firstGfn && gfn < firstGfn + frames);
      if (slot === undefined) return 'device';
      const hva = (slot.hva ?? FIRST_HVA + slot.firstGfn) + gfn - slot.firstGfn;
      return slot.readonly === true || shut.has(hva) ? 'read-only' : 'memory';
    };
  }

  /** In slots that are not there as well: the process has their memory all the time. */
  #gpasOfPage(hva: number): readonly bigint[] {
    return this.#slots.flatMap(({ firstGfn, frames, hva: own }) => {
      const first = own ?? FIRST_HVA + firstGfn;
      return hva >= first && hva < first + frames ? [BigInt(firstGfn + hva - first) << 12n] : [];
    });
  }
}

const wordsOfPage = (gpa: bigint): readonly bigint[] =>
  Array.from({ length: WORDS }, (_, index) => gpa + BigInt(index * 8));
