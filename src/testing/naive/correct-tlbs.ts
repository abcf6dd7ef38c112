/**
 * What a guest may see when each of its processors has some correct TLB: an access ends as one of the translations says
 * that the guest's tables gave since the processor last invalidated that address, or as they say now. It follows a run,
 * is told every store, invalidation and register write, and complains where an access or a change of memory is none of
 * what is allowed. Naive: it keeps every state that memory has had, and walks all of them. It shares no code with the
 * model. Rules: Intel SDM vol. 3, "Caching translation information".
 *
 * Allowed are whole translations only, each as the tables gave it at one moment. A processor with paging-structure caches
 * may also mix entries of different moments; the machine of 2007 is modelled without such caches, so it must not.
 * A page may be cached only when its entries are marked accessed, and for writing only when it is marked dirty. What is
 * absent is never cached: that fault must be true at some moment of the access itself.
 */
import { bit, field, keep } from './bits.ts';
import { NO_DEVIATIONS, type Deviations } from './deviations.ts';
import { allOnes, memoryUpTo, type Ground } from './ground.ts';
import { isPae, pathOf, SMALL, type Loaded, type Page, type Path, type Registers } from './whole-path.ts';
import { requestCode, rightsRefuse, type X86Request } from './x86.ts';

export interface Access {
  readonly va: bigint;
  readonly access: 'r' | 'w' | 'x';
  readonly user: boolean;
  /** What a write stores: one of these. */
  readonly stores: readonly { readonly value: bigint; readonly bytes: number }[];
}

/** Memory, what lies where, and registers, between two events. */
interface Moment {
  readonly memory: ReadonlyMap<bigint, bigint>;
  readonly ground: Ground;
  readonly registers: readonly Loaded[];
}

/** Translations of moments before `time` are gone: all, all but globals, or those of pages around an address. */
interface Drop {
  readonly time: number;
  readonly va?: bigint;
  readonly keepsGlobals: boolean;
}

/** A place in a machine whose guest does not have its memory at the addresses that it names. */
export interface Found {
  readonly isAt: (gpa: bigint) => boolean;
  readonly name: string;
  readonly holds: bigint;
}

interface Attempt {
  readonly access: Access;
  /** The moment at which it began. */
  readonly since: number;
  readonly reached: boolean;
  readonly stored: boolean;
}

const MAXPHYADDR = 40;
const A = 1n << 5n;
const D = 1n << 6n;

export class CorrectTlbs {
  /** What was not allowed, in words. */
  readonly complaints: string[] = [];
  /** Accesses that only a translation of an earlier moment explains. */
  stale = 0;
  readonly #below: (at: bigint) => bigint;
  readonly #deviations: Deviations;
  readonly #moments: Moment[] = [];
  readonly #walked = new Map<string, Path[]>();
  readonly #drops: Drop[][];
  readonly #attempts: (Attempt | undefined)[] = [];
  readonly #wpWasOff: boolean[] = [];
  /** First addresses of large pages that were used while they were dirty. */
  readonly #wereDirty = new Set<bigint>();

  /** `memory` is what the 8-byte words of guest memory hold at first, up to `end`; `registers` those of each processor. */
  constructor(
    start: { memory: (at: bigint) => bigint; end: bigint; registers: readonly Registers[] },
    deviations: Partial<Deviations> = {},
  ) {
    this.#below = start.memory;
    this.#deviations = { ...NO_DEVIATIONS, ...deviations };
    this.#drops = start.registers.map(() => []);
    const registers = start.registers.map((own) => ({ ...own, pdptes: this.#pdptesAt(own.cr3) }));
    this.#moments.push({ memory: new Map(), ground: memoryUpTo(start.end), registers });
  }

  /** A processor begins an access, or tries it again. */
  begin(cpu: number, access: Access): void {
    this.#endStore(cpu);
    this.#attempts[cpu] = { access, since: this.#moments.length - 1, reached: false, stored: false };
  }

  /**
   * The access went through, to a place that is this guest physical address, or is found at such. `holds`: the 8 bytes
   * there. A store follows as a change of memory.
   */
  reached(cpu: number, place: bigint | Found): void {
    const attempt = this.#attempts[cpu];
    if (attempt === undefined) return;
    const { access } = attempt;
    const isThere = typeof place === 'bigint' ? (at: bigint) => at === place : place.isAt;
    const allowed = this.#held(cpu, access).filter(({ page }) => this.#allows(cpu, page, access));
    const fitting = allowed.filter(({ page }) => isThere(addressIn(page, access.va)));
    const what = typeof place === 'bigint' ? hex(place) : place.name;
    if (fitting.length === 0) this.#complain(cpu, access, `reached ${what}`);
    else if (!fitting.some(({ time }) => time >= attempt.since)) this.stale += 1;
    const found = fitting.map(({ page }) => addressIn(page, access.va));
    const lies = (at: bigint): readonly string[] => this.#grounds(attempt.since).map((ground) => ground(at));
    if (
      access.access === 'w' &&
      found.length > 0 &&
      found.every((at) => !lies(at).some((is) => is !== 'read-only'))
    )
      this.#complain(cpu, access, `reached ${what}, which is read-only`);
    if (typeof place !== 'bigint' && found.length > 0 && !found.some((at) => this.word(at) === place.holds))
      this.#complain(cpu, access, `found ${hex(place.holds)} at ${what}`);
    for (const { page } of fitting) if (page.size > SMALL && page.dirty) this.#wereDirty.add(page.to);
    // Where no memory is, a store leaves no trace.
    const ends = typeof place === 'bigint' ? [place] : found;
    const stored = ends.some((at) => this.#now.ground(at) === 'device');
    this.#attempts[cpu] = { ...attempt, reached: true, stored };
  }

  /** The access ended in a page fault that the guest sees. */
  faulted(cpu: number, code: number): void {
    const attempt = this.#attempts[cpu];
    if (attempt === undefined) return;
    const { access, since } = attempt;
    const stale = this.#held(cpu, access).filter(({ page }) => this.#refuses(cpu, page, access));
    const during = this.#paths(cpu, access.va, since).flatMap(({ path }) => this.#codes(cpu, path, access));
    if (!during.includes(code)) {
      if (stale.length === 0 || code !== this.#refusalCode(cpu, access))
        this.#complain(cpu, access, `fault ${hex(BigInt(code))}`);
      else this.stale += 1;
    }
    this.#attempts[cpu] = undefined;
    // A page fault drops what is cached for its address.
    if ((code & 1) !== 0 || !this.#deviations.absentFaultsKeep) this.invalidate(cpu, access.va);
  }

  /** Somebody ran the instruction for the processor. Its store, if it has one, was made; `got` is what a read got. */
  emulated(cpu: number, got?: { readonly value: bigint; readonly bytes: number }): void {
    const attempt = this.#attempts[cpu];
    if (attempt === undefined) return;
    const { access, since } = attempt;
    const places = this.#held(cpu, access)
      .filter(({ page }) => this.#allows(cpu, page, access))
      .map(({ page }) => addressIn(page, access.va));
    // It is memory or a device at any moment of the access, where that changes in the middle of it.
    const grounds = this.#grounds(since);
    const outside = places.filter((at) =>
      grounds.some(
        (ground) => ground(at) === 'device' || (ground(at) === 'read-only' && access.access === 'w'),
      ),
    );
    if (access.access !== 'w') {
      if (outside.length === 0) this.#complain(cpu, access, 'was emulated');
      else if (access.access === 'r' && got !== undefined && !this.#answers(outside, grounds, got))
        this.#complain(cpu, access, `was emulated and got ${hex(got.value)}`);
    }
    this.#attempts[cpu] = { ...attempt, reached: true, stored: attempt.stored || outside.length > 0 };
    this.#endStore(cpu);
  }

  /** Whether one of these places gives this value: a device, or memory that has come to lie there. */
  #answers(
    places: readonly bigint[],
    grounds: readonly Ground[],
    { value, bytes }: { readonly value: bigint; readonly bytes: number },
  ): boolean {
    return places.some((at) =>
      grounds.some((ground) => {
        if (ground(at) === 'device') return value === allOnes(bytes);
        return value === ((this.word(at) >> (field(at, 2, 0) * 8n)) & allOnes(bytes));
      }),
    );
  }

  /** What has lain where since a moment. */
  #grounds(since: number): readonly Ground[] {
    return [...new Set(this.#moments.slice(since).map(({ ground }) => ground))];
  }

  /** From now on something else lies at some addresses: the host has changed that. */
  lies(ground: Ground): void {
    this.#moments.push({ ...this.#now, ground });
  }

  /** The host has taken away what was in some words of memory, whoever acts: they are 0. */
  wiped(words: Iterable<bigint>): void {
    const memory = new Map(this.#now.memory);
    for (const at of words) memory.set(at, 0n);
    this.#moments.push({ ...this.#now, memory });
  }

  /** An 8-byte word of guest memory is written while a processor acts. */
  changed(cpu: number, at: bigint, value: bigint): void {
    const attempt = this.#attempts[cpu];
    const before = this.word(at);
    if (attempt !== undefined && this.#isStore(cpu, attempt, { at, value, before }))
      this.#attempts[cpu] = { ...attempt, stored: true };
    else if (
      value !== before &&
      (attempt === undefined || !this.#isMark(cpu, attempt, { at, value, before }))
    )
      this.complaints.push(`v${String(cpu)}: ${hex(at)} became ${hex(value)} from ${hex(before)}`);
    if (value === before) return;
    this.#moments.push({ ...this.#now, memory: new Map(this.#now.memory).set(at, value) });
  }

  /** INVLPG; without an address everything goes. */
  invalidate(cpu: number, va?: bigint): void {
    this.#drop(cpu, va === undefined ? { keepsGlobals: false } : { va, keepsGlobals: false });
  }

  /** A control register was written; `values` are all of them afterwards. */
  loaded(cpu: number, register: string, values: Registers): void {
    const before = this.#registers(cpu);
    const changed = (name: 'cr0' | 'cr4', n: number): boolean => bit(before[name] ^ values[name], n);
    const paeBegins = isPae(values) && !isPae(before);
    const reloads = paeBegins || (register === 'cr3' && isPae(values));
    const loaded = { ...values, pdptes: reloads ? this.#pdptesAt(values.cr3) : before.pdptes };
    this.#wpWasOff[cpu] = this.#wpWasOff[cpu] === true || !bit(values.cr0, 16);
    const registers = this.#now.registers.map((own, at) => (at === cpu ? loaded : own));
    this.#moments.push({ ...this.#now, registers });
    if (changed('cr0', 31) || changed('cr4', 7) || changed('cr4', 5)) this.invalidate(cpu);
    else if (register === 'cr3') this.#drop(cpu, { keepsGlobals: bit(values.cr4, 7) });
  }

  /** The run is over: no store is missing. */
  end(): void {
    this.#drops.forEach((_, cpu) => {
      this.#endStore(cpu);
    });
  }

  word(at: bigint): bigint {
    return this.#wordIn(this.#now, at);
  }

  get #now(): Moment {
    const moment = this.#moments.at(-1);
    if (moment === undefined) throw new Error('there is a first moment');
    return moment;
  }

  #wordIn({ memory }: Pick<Moment, 'memory'>, at: bigint): bigint {
    const aligned = (at >> 3n) << 3n;
    return memory.get(aligned) ?? this.#below(aligned);
  }

  #registers(cpu: number, { registers }: Moment = this.#now): Loaded {
    const own = registers[cpu];
    if (own === undefined) throw new Error('there is no such processor');
    return own;
  }

  #drop(cpu: number, what: Omit<Drop, 'time'>): void {
    this.#drops[cpu]?.push({ ...what, time: this.#moments.length });
    this.#moments.push(this.#now);
  }

  #pdptesAt(cr3: bigint): readonly bigint[] {
    const moment = this.#moments.at(-1) ?? { memory: new Map<bigint, bigint>() };
    return [0n, 8n, 16n, 24n].map((offset) => this.#wordIn(moment, keep(cr3, 31, 5) + offset));
  }

  /** The ways to an address at every moment from `since` on. What was walked once is remembered: a moment stays as it is. */
  #paths(cpu: number, va: bigint, since: number): { readonly time: number; readonly path: Path }[] {
    const key = `${String(cpu)} ${hex(va)}`;
    const known = this.#walked.get(key) ?? [];
    this.#walked.set(key, known);
    return this.#moments.slice(since).map((moment, index) => {
      const time = since + index;
      const path = (known[time] ??= pathOf(
        (at) => this.#wordIn(moment, at),
        this.#registers(cpu, moment),
        va,
      ));
      return { time, path };
    });
  }

  /** Translations that a TLB may still hold. */
  #held(cpu: number, { va }: Access): { readonly time: number; readonly page: Page }[] {
    const drops = this.#drops[cpu] ?? [];
    const oldest = drops.findLast((drop) => drop.va === undefined && !drop.keepsGlobals)?.time ?? 0;
    return this.#paths(cpu, va, oldest).flatMap(({ time, path }) => {
      const page = path.end;
      if (typeof page === 'string' || !page.accessed) return [];
      return drops.some((drop) => drop.time > time && reaches(drop, page)) ? [] : [{ time, page }];
    });
  }

  #request(cpu: number, access: Access): X86Request {
    const { cr0, cr3, cr4, efer } = this.#registers(cpu);
    const keys = { pkru: 0, pkrs: 0, ac: false };
    const { va, user, access: kind } = access;
    return { cr0, cr3, cr4, efer, ...keys, cpl: user ? 3 : 0, access: kind, va, maxPhyAddr: MAXPHYADDR };
  }

  #refuses(cpu: number, page: Pick<Page, 'w' | 'u' | 'x'>, access: Access): boolean {
    const request = this.#request(cpu, access);
    return bit(request.cr0, 31) && rightsRefuse(request, { ...page, key: 0 });
  }

  #allows(cpu: number, page: Page, access: Access): boolean {
    const stays = this.#deviations.largePagesStayDirty && this.#wereDirty.has(page.to);
    if (access.access === 'w' && !page.dirty && !(page.size > SMALL && stays)) return false;
    if (!this.#refuses(cpu, page, access)) return true;
    const overridden = this.#deviations.kernelWritesStay && this.#wpWasOff.includes(true) && !access.user;
    return overridden && !this.#refuses(cpu, { ...page, w: true }, access);
  }

  #refusalCode(cpu: number, access: Access): number {
    return 1 | requestCode(this.#request(cpu, access));
  }

  /** Error codes with which a walk of these entries may end. */
  #codes(cpu: number, { entries, end }: Path, access: Access): readonly number[] {
    const own = requestCode(this.#request(cpu, access));
    if (typeof end !== 'string') return this.#refuses(cpu, end, access) ? [own | 1] : [];
    if (end === 'reserved') return [own | 9];
    const early = entries
      .slice(0, -1)
      .some(({ value }) =>
        this.#refuses(cpu, { w: bit(value, 1), u: bit(value, 2), x: !bit(value, 63) }, access),
      );
    return early && this.#deviations.refusesOnTheWay ? [own, own | 1] : [own];
  }

  #isStore(
    cpu: number,
    { access, stored }: Attempt,
    change: { at: bigint; value: bigint; before: bigint },
  ): boolean {
    const { at, value, before } = change;
    if (access.access !== 'w' || stored) return false;
    const shift = field(access.va, 2, 0) * 8n;
    const fits = access.stores.some((store) => {
      const mask = ((1n << BigInt(store.bytes * 8)) - 1n) << shift;
      return value === field((before & ~mask) | ((store.value << shift) & mask), 63, 0);
    });
    if (!fits) return false;
    return this.#held(cpu, access).some(
      ({ page }) => this.#allows(cpu, page, access) && addressIn(page, access.va) >> 3n === at >> 3n,
    );
  }

  /** Whether a change is an accessed or dirty mark in an entry on the way of the access. */
  #isMark(cpu: number, attempt: Attempt, change: { at: bigint; value: bigint; before: bigint }): boolean {
    const { access, since } = attempt;
    return this.#paths(cpu, access.va, since).some(({ path: { entries, end } }) =>
      entries.some((entry, index) => {
        if (entry.at >> 3n !== change.at >> 3n) return false;
        const shift = field(entry.at, 2, 0) * 8n;
        const present = bit(change.before >> shift, 0);
        const leaf = index === entries.length - 1 && typeof end !== 'string';
        const marks = leaf && access.access === 'w' ? A | D : A;
        const set = change.value ^ change.before;
        return present && (set & ~(marks << shift)) === 0n && (set & change.before) === 0n;
      }),
    );
  }

  /** A write that went through has stored by the time its processor does something else. */
  #endStore(cpu: number): void {
    const attempt = this.#attempts[cpu];
    if (attempt?.reached === true && attempt.access.access === 'w' && !attempt.stored)
      this.#complain(cpu, attempt.access, 'stored nothing');
    this.#attempts[cpu] = undefined;
  }

  #complain(cpu: number, access: Access, what: string): void {
    const held = this.#held(cpu, access).map(({ page }) => {
      const rights = `${page.w ? 'w' : 'r'}${page.u ? 'u' : ''}${page.x ? '' : ' nx'}${page.dirty ? ' d' : ''}`;
      return `${hex(addressIn(page, access.va))} ${rights}`;
    });
    const since = this.#attempts[cpu]?.since ?? 0;
    const codes = this.#paths(cpu, access.va, since).flatMap(({ path }) => this.#codes(cpu, path, access));
    const allowed = [...new Set([...held, ...codes.map((code) => `fault ${hex(BigInt(code))}`)])];
    const who = `v${String(cpu)} ${access.user ? 'user' : 'kernel'} ${access.access} ${hex(access.va)}`;
    this.complaints.push(`${who}: ${what}, not one of: ${allowed.join(', ')}`);
  }
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;
const addressIn = (page: Page, va: bigint): bigint => page.to + (va - page.first);

function reaches(drop: Drop, page: Page): boolean {
  if (drop.va !== undefined) return drop.va >> BigInt(page.size) === page.first >> BigInt(page.size);
  return !(drop.keepsGlobals && page.global);
}
