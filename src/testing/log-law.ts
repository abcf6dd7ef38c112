/**
 * The law of the dirty log: every frame of a logged slot that the guest wrote since user space last fetched the log (or, by
 * the other protocol, cleared it) is in it. A write in the middle of a fetch is in this log or in the next.
 */
export class LogLaw {
  readonly complaints: string[] = [];
  readonly #written = new Map<number, Set<number>>();
  /** What is written while a fetch or a clearing of the slot goes on. */
  readonly #meanwhile = new Map<number, Set<number>>();

  wrote(slot: number, gfn: number): void {
    this.#of(slot).add(gfn);
    this.#meanwhile.get(slot)?.add(gfn);
  }

  /** A log of the slot begins, or ends: nobody asks for what was written before. */
  restart(slot: number): void {
    this.#written.delete(slot);
  }

  /** `clears`: who fetches also clears. */
  fetched<Frames extends readonly number[]>(slot: number, fetch: () => Frames, clears: boolean): Frames {
    const before = new Set(this.#of(slot));
    const { result, meanwhile } = this.#during(slot, fetch);
    const told = new Set(result);
    for (const gfn of before)
      if (!told.has(gfn))
        this.complaints.push(
          `log of slot ${String(slot)}: 0x${gfn.toString(16)} was written and is not in it`,
        );
    if (clears) for (const gfn of [...before, ...told]) this.#of(slot).delete(gfn);
    for (const gfn of meanwhile) if (!told.has(gfn)) this.#of(slot).add(gfn);
    return result;
  }

  cleared(slot: number, clear: () => void, isCleared: (gfn: number) => boolean): void {
    const before = [...this.#of(slot)].filter(isCleared);
    this.#during(slot, clear);
    // User space copies a frame after that, so it has what is written to it in the middle.
    for (const gfn of before) this.#of(slot).delete(gfn);
  }

  #during<R>(slot: number, body: () => R): { readonly result: R; readonly meanwhile: ReadonlySet<number> } {
    const meanwhile = new Set<number>();
    this.#meanwhile.set(slot, meanwhile);
    const result = body();
    this.#meanwhile.delete(slot);
    return { result, meanwhile };
  }

  #of(slot: number): Set<number> {
    const known = this.#written.get(slot) ?? new Set<number>();
    this.#written.set(slot, known);
    return known;
  }
}
