/**
 * A naive processor with caches: which remembered translation serves an access, when it must walk all the same, what a
 * walk then costs and what is remembered of it. Rules: Intel SDM vol. 3 ("Caching translation information", and for VMX
 * "Caching translation information" in the chapter on address translation), AMD APM vol. 2, Arm ARM. It shares no code
 * with the model.
 *
 * A page fault, or a fault of the second stage, makes the processor forget everything that led to it, so that it does
 * not recur once the tables are mended. Arm's processors need not; here they do too, which they may.
 */
import { bit, field, keep } from './bits.ts';
import { armTables, eptTables, longTables, x86Tables, type Level, type Tables } from './cached-tables.ts';
import {
  covers,
  Remembered,
  type GuestAllows,
  type HostAllows,
  type Translation,
  type Whose,
} from './caches.ts';
import { descend, noTally, Ram, type Known, type Run, type Stop, type Tally } from './descent.ts';
import {
  armAllows,
  armGrants,
  armSyndrome,
  hostAllows,
  hostFault,
  hostGrants,
  pageAround,
  type Access,
  type HostKind,
  type HostUse,
  type Wants,
} from './processor-rules.ts';
import { protectionKeyRefuses, requestCode, rightsRefuse, type X86Request } from './x86.ts';

/** The choices of a machine without KVM, by the names of its settings. */
export interface Choices {
  readonly machine: string;
  readonly cpu: string;
  readonly guest: string;
  readonly host: string;
  readonly 'ept-ad': string;
  readonly psc: string;
  readonly tlb: string;
}

export interface Registers {
  cr0: bigint;
  cr3: bigint;
  cr4: bigint;
  efer: bigint;
  pkru: bigint;
  pkrs: bigint;
  ac: bigint;
  pdptes: readonly bigint[];
  /** arm64: the identifier of the address space. */
  asid: number;
}

export type Outcome = { readonly t: 'ok'; readonly at: bigint } | { readonly t: 'gp' } | Stop;

interface GuestPlace {
  readonly t: 'ok';
  readonly at: bigint;
  readonly size: number;
  readonly allows: GuestAllows;
  readonly host: HostAllows | undefined;
  readonly dirty: boolean;
  readonly global: boolean;
  readonly level: number;
}

interface HostPlace {
  readonly t: 'place';
  readonly at: bigint;
  readonly size: number;
  readonly allows: HostAllows;
  readonly dirty: boolean;
  readonly mayWrite?: (() => Stop | undefined) | undefined;
}

/** Where a system without hypervisor finds its address 0, and where second-stage tables begin. */
const MEMORY = 0x1000_0000n;
export const HOST_ROOT = 0x2000_0000n;
const ALL: HostAllows = { read: true, write: true, fetchKernel: true, fetchUser: true };

export class Processor {
  readonly ram: Ram;
  readonly tally: Tally = noTally();
  readonly caches: Remembered;
  readonly registers: Registers;
  readonly nested: boolean;
  readonly arm: boolean;
  /** The kind of second-stage tables. */
  readonly hostKind: HostKind;
  walks = 0;
  readonly #choices: Choices;
  readonly #hostTables: Tables;

  constructor(choices: Choices, start: { registers: Registers; memory: (at: bigint) => bigint }) {
    this.#choices = choices;
    this.registers = start.registers;
    this.ram = new Ram(start.memory);
    this.nested = choices.machine === 'two-stage';
    this.arm = choices.cpu === 'arm64';
    this.hostKind = choices.cpu === 'svm' ? 'npt' : this.arm ? 'arm' : 'ept';
    this.#hostTables = hostTablesOf(choices);
    this.caches = new Remembered(choices.tlb === 'unlimited' ? undefined : Number(choices.tlb));
  }

  /** Intel without VPID shares number 0 with the hypervisor. Without a second stage there are no numbers. */
  get whose(): Whose {
    if (!this.nested) return { guest: 0, space: this.space, root: 0 };
    return { guest: this.#choices.cpu === 'vmx-novpid' ? 0 : 1, space: this.space, root: 0x20000 };
  }

  get space(): number {
    if (this.arm) return this.registers.asid;
    return bit(this.registers.cr4, 17) ? Number(field(this.registers.cr3, 11, 0)) : 0;
  }

  get pae(): boolean {
    const { cr0, cr4, efer } = this.registers;
    return !this.arm && bit(cr0, 31) && bit(cr4, 5) && !bit(efer, 10);
  }

  /** What EPT alone gives belongs to its tables, not to a guest. */
  get #stageWhose(): Whose {
    return { guest: this.hostKind === 'ept' ? 0 : 1, space: 0, root: 0x20000 };
  }

  translate(q: Access): Outcome {
    if (!this.#canonical(q.va)) return { t: 'gp' };
    const known = this.caches.find((entry) => this.#serves(entry, q));
    if (known !== undefined) return this.#use(known, q);
    this.tally.tlb_misses += 1;
    const run: Run = { ram: this.ram, cached: true, seen: [], tally: this.tally };
    const refsBefore = this.tally.refs;
    const found = this.#walkGuest(q, run, undefined);
    if (this.tally.refs > refsBefore) this.walks += 1;
    if (found.t !== 'ok') {
      this.#forgetWhatLedTo(found, q.va);
      return found;
    }
    const { at, size, ...facts } = found;
    this.#remember({
      kind: this.nested ? 'combined' : 'linear',
      ...this.whose,
      ...pageAround(q.va, at, size),
      ...facts,
      seen: run.seen,
    });
    return { t: 'ok', at };
  }

  /** Where a guest physical address lies, by a walk that leaves no trace; undefined where it is not mapped for reading. */
  placeAside(gpa: bigint): bigint | undefined {
    const q: Access = { va: 0n, access: 'r', user: false };
    const found = this.#locate(gpa, { q, forTable: false }, this.#aside());
    return found.t === 'place' ? found.at : undefined;
  }

  #canonical(va: bigint): boolean {
    const { cr0, efer, cr4 } = this.registers;
    if (this.arm || !bit(cr0, 31) || !bit(efer, 10)) return true;
    const low = bit(cr4, 12) ? 56 : 47;
    const upper = field(va, 63, low);
    return upper === 0n || upper === (1n << BigInt(64 - low)) - 1n;
  }

  #serves(entry: Translation, q: Access): boolean {
    const { guest, space, root } = this.whose;
    if (entry.kind !== (this.nested ? 'combined' : 'linear')) return false;
    if (entry.guest !== guest || entry.root !== root || !covers(entry, q.va)) return false;
    if (!entry.global && entry.space !== space) return false;
    // What the second stage refuses is for its own fault to say.
    if (entry.host !== undefined && !hostGrants(entry.host, q)) return false;
    // A write that is allowed must set the dirty mark first.
    return !(q.access === 'w' && !entry.dirty && !this.#mustNotWrite(entry, q));
  }

  /** Whether a clean translation may refuse a write by itself: the page is read-only for this access. */
  #mustNotWrite(entry: Translation, q: Access): boolean {
    return !entry.allows.write && this.#refusal(entry.allows, q, entry.level) !== undefined;
  }

  #use(entry: Translation, q: Access): Outcome {
    const refused = this.#refusal(entry.allows, q, entry.level);
    if (refused !== undefined) {
      this.#forgetWhatLedTo(refused, q.va);
      return refused;
    }
    const outcome: Outcome = { t: 'ok', at: entry.to + (q.va - entry.page) };
    this.tally.tlb_hits += 1;
    const now = this.#walkGuest(q, this.#aside(), undefined);
    if (endOf(now) !== endOf(outcome)) this.tally.stale_hits += 1;
    this.caches.noteUse(entry);
    return outcome;
  }

  #remember(made: Translation): void {
    this.caches.add(made);
    this.tally.tlb_fills += 1;
  }

  #forgetWhatLedTo(stop: Stop, va: bigint): void {
    const { guest, space, root } = this.whose;
    // A page fault concerns every second stage, a fault of the second stage only its own.
    const anyRoot = stop.t === 'page fault';
    const ours = (entry: Whose): boolean => entry.guest === guest && (anyRoot || entry.root === root);
    this.caches.forget(
      (entry) =>
        entry.kind !== 'guest-physical' &&
        ours(entry) &&
        (entry.global || entry.space === space) &&
        covers(entry, va),
    );
    this.caches.forgetTables(
      (table) =>
        table.stage === 'guest' &&
        ours(table) &&
        table.space === space &&
        va >> BigInt(table.shift) === table.prefix,
    );
    if (stop.t !== 'host fault') return;
    const { gpa } = stop;
    this.caches.forget(
      (entry) => entry.kind === 'guest-physical' && entry.root === root && covers(entry, gpa),
    );
    this.caches.forgetTables(
      (table) => table.stage === 'host' && table.root === root && gpa >> BigInt(table.shift) === table.prefix,
    );
  }

  /** A walk on a copy of memory, as if nothing were remembered. */
  #aside(): Run {
    return { ram: new Ram((at) => this.ram.word(at)), cached: false, seen: [], tally: noTally() };
  }

  #guestTables(): Tables {
    if (!this.arm) return x86Tables(this.registers);
    if (this.#choices.guest === 'nonpaging') return longTables(0, false);
    return this.#choices.guest === '3-level' ? armTables(1, 39) : armTables(0, 48);
  }

  #guestRoot(): bigint {
    const { cr3 } = this.registers;
    if (this.arm) return keep(cr3, 47, 12);
    if (this.pae) return keep(cr3, 31, 5);
    return bit(this.registers.cr4, 5) ? keep(cr3, 51, 12) : keep(cr3, 31, 12);
  }

  #walkGuest(q: Access, run: Run, from: Known | undefined): GuestPlace | Stop {
    const tables = this.#guestTables();
    const wide = this.arm || bit(this.registers.efer, 10);
    const address = wide ? q.va : field(q.va, 31, 0);
    if (tables.levels.length === 0)
      return this.#finish(address, q, run, { ...UNPAGED, level: this.arm ? 3 : 0 });
    const root = this.#guestRoot();
    if (this.arm && field(q.va, 63, this.#choices.guest === '3-level' ? 39 : 48) !== 0n)
      return this.#guestWrong('absent', q, 0);
    const cached = run.cached && this.#choices.psc !== 'off';
    const leaf = descend(run, {
      tables,
      root,
      address,
      write: q.access === 'w',
      from: from ?? (cached ? this.#begin('guest', address, run, { tables, q }) : undefined),
      // AMD reads a guest's root entries from memory.
      registers: this.pae && !(this.nested && this.hostKind === 'npt') ? this.registers.pdptes : undefined,
      locate: (gpa) => this.#locate(gpa, { q, forTable: true }, run),
      reached: (table) => {
        if (cached) this.#rememberTable('guest', table, address, tables);
      },
      wrong: (look, at) => this.#guestWrong(look, q, at.level),
      judge: (path, at) => this.#refusal(this.#guestAllows(path), q, at.level),
    });
    if (leaf.t !== 'leaf') return leaf;
    const { at, entry, path } = leaf;
    const allows = this.#guestAllows(path);
    return this.#finish(leaf.address, q, run, {
      size: at.shift,
      allows,
      dirty: this.arm ? !bit(entry, 7) : bit(entry, 6),
      global: this.arm ? !bit(entry, 11) : bit(entry, 8) && bit(this.registers.cr4, 7),
      level: at.level,
    });
  }

  #finish(
    gpa: bigint,
    q: Access,
    run: Run,
    page: Pick<GuestPlace, 'size' | 'allows' | 'dirty' | 'global' | 'level'>,
  ): GuestPlace | Stop {
    const place = this.#locate(gpa, { q, forTable: false }, run);
    if (place.t !== 'place') return place;
    return {
      t: 'ok',
      ...page,
      at: place.at,
      size: Math.min(page.size, place.size),
      dirty: page.dirty && place.dirty,
      host: this.nested ? place.allows : undefined,
    };
  }

  /** Rights of a whole path: all entries must allow; the root entries of PAE say nothing. */
  #guestAllows(path: readonly bigint[]): GuestAllows {
    const leaf = path.at(-1) ?? 0n;
    if (this.arm) return armAllows(path.slice(0, -1), leaf);
    const entries = this.pae ? path.slice(1) : path;
    const wide = bit(this.registers.cr4, 5);
    const fetch = !wide || entries.every((entry) => !bit(entry, 63));
    return {
      write: entries.every((entry) => bit(entry, 1)),
      user: entries.every((entry) => bit(entry, 2)),
      fetchKernel: fetch,
      fetchUser: fetch,
      key: bit(this.registers.efer, 10) ? Number(field(leaf, 62, 59)) : 0,
    };
  }

  #refusal(allows: GuestAllows, q: Access, level: number): Stop | undefined {
    if (this.arm) {
      const stage1Off = this.#choices.guest === 'nonpaging';
      if (stage1Off || armGrants(allows, q)) return undefined;
      return { t: 'page fault', code: Number(armSyndrome(q, { stage: 1, status: 0b1100 + level })) };
    }
    if (!bit(this.registers.cr0, 31)) return undefined;
    const request = this.#x86Request(q);
    const page = { w: allows.write, u: allows.user, x: allows.fetchKernel, key: allows.key };
    const byKey = protectionKeyRefuses(request, page);
    if (!byKey && !rightsRefuse(request, page)) return undefined;
    return { t: 'page fault', code: 1 | requestCode(request) | (byKey ? 32 : 0) };
  }

  #guestWrong(look: 'absent' | 'bad', q: Access, level: number): Stop {
    if (this.arm)
      return { t: 'page fault', code: Number(armSyndrome(q, { stage: 1, status: 0b0100 + level })) };
    return { t: 'page fault', code: requestCode(this.#x86Request(q)) | (look === 'bad' ? 0b1001 : 0) };
  }

  #x86Request({ va, access, user }: Access): X86Request {
    const { cr0, cr3, cr4, efer, pkru, pkrs, ac } = this.registers;
    const keys = { pkru: Number(pkru), pkrs: Number(pkrs) };
    return { cr0, cr3, cr4, efer, ...keys, ac: ac === 1n, cpl: user ? 3 : 0, access, va, maxPhyAddr: 40 };
  }

  /** The deepest remembered table; what was read on the way to it need not be read. */
  #begin(
    stage: 'guest' | 'host',
    address: bigint,
    run: Run,
    by: { q: Access; tables: Tables; forTable?: boolean },
  ): Known | undefined {
    const whose = stage === 'guest' ? this.whose : this.#stageWhose;
    const table = this.caches.deepest(stage, whose, address);
    if (table === undefined) return undefined;
    run.tally.spared += table.seen.length;
    const walk = (from: Known | undefined): string =>
      stage === 'guest'
        ? endOf(this.#walkGuest(by.q, this.#aside(), from))
        : endOf(this.#walkHost(address, { q: by.q, forTable: by.forTable === true }, this.#aside(), from));
    if (walk(table) !== walk(undefined)) run.tally.stale_hits += 1;
    return table;
  }

  #rememberTable(stage: 'guest' | 'host', table: Known, address: bigint, tables: Tables): void {
    const shift = tables.levels[table.depth - 1]?.shift ?? 0;
    const whose = stage === 'guest' ? this.whose : this.#stageWhose;
    this.caches.addTable({ ...table, ...whose, stage, shift, prefix: address >> BigInt(shift) });
  }

  /** Where a guest physical address lies: at a plain offset, or where the second stage says. */
  #locate(gpa: bigint, use: HostUse, run: Run): HostPlace | Stop {
    if (!this.nested) return { t: 'place', at: gpa + MEMORY, size: 64, allows: ALL, dirty: true };
    if (!run.cached) return this.#walkHost(gpa, use, run, undefined);
    const known = this.caches.find((entry) => covers(entry, gpa) && this.#servesStage(entry, use));
    if (known !== undefined) return this.#useStage(known, gpa, use, run);
    const start = run.seen.length;
    const found = this.#walkHost(gpa, use, run, undefined);
    if (found.t !== 'place') return found;
    this.#remember({
      kind: 'guest-physical',
      ...this.#stageWhose,
      ...pageAround(gpa, found.at, found.size),
      allows: { ...found.allows, user: true, key: 0 },
      host: found.allows,
      dirty: found.dirty,
      global: false,
      level: 0,
      seen: run.seen.slice(start),
    });
    return found;
  }

  #servesStage(entry: Translation, use: HostUse): boolean {
    const { read, write, fetch } = this.#wants(use);
    const { guest, root } = this.#stageWhose;
    const { host } = entry;
    if (entry.kind !== 'guest-physical' || entry.guest !== guest || entry.root !== root) return false;
    if (host === undefined || (read && !host.read)) return false;
    if (fetch && !(use.q.user ? host.fetchUser : host.fetchKernel)) return false;
    return !write || (host.write && entry.dirty);
  }

  #useStage(entry: Translation, gpa: bigint, use: HostUse, run: Run): HostPlace {
    const at = entry.to + (gpa - entry.page);
    run.tally.spared += entry.seen.length;
    const now = this.#walkHost(gpa, use, this.#aside(), undefined);
    if (now.t !== 'place' || now.at !== at) run.tally.stale_hits += 1;
    this.caches.noteUse(entry);
    for (const { word, value } of entry.seen) run.seen.push({ word, value });
    const allows = entry.host ?? ALL;
    const place: HostPlace = { t: 'place', at, size: entry.size, allows, dirty: entry.dirty };
    if (!use.forTable || (allows.write && entry.dirty)) return place;
    // What is remembered does not allow a mark to be written: the tables are asked.
    const mayWrite = (): Stop | undefined => {
      const afresh = this.#walkHost(gpa, use, run, undefined);
      return afresh.t === 'place' ? afresh.mayWrite?.() : afresh;
    };
    return { ...place, mayWrite };
  }

  /** What a use asks of the second stage. A guest's table is written as soon as it is read, under NPT and with EPT's A/D. */
  #wants({ q, forTable }: HostUse): Wants {
    const written = this.hostKind === 'npt' || (this.hostKind === 'ept' && this.#choices['ept-ad'] === 'on');
    if (forTable) return { read: true, write: written, fetch: false };
    return { read: q.access === 'r', write: q.access === 'w', fetch: q.access === 'x' };
  }

  #walkHost(gpa: bigint, use: HostUse, run: Run, from: Known | undefined): HostPlace | Stop {
    const tables = this.#hostTables;
    const wants = this.#wants(use);
    const armTop = tables.levels[0];
    if (this.hostKind === 'arm' && armTop !== undefined && gpa >> BigInt(armTop.shift + armTop.bits) !== 0n)
      return this.#hostFault(gpa, use, { cause: 'absent', level: 0 });
    const cached = run.cached && this.#choices.psc === 'both';
    const begin = { tables, q: use.q, forTable: use.forTable };
    const leaf = descend(run, {
      tables,
      root: HOST_ROOT,
      address: gpa,
      write: wants.write,
      from: from ?? (cached ? this.#begin('host', gpa, run, begin) : undefined),
      locate: (at) => ({ t: 'place', at }),
      reached: (table) => {
        if (cached) this.#rememberTable('host', table, gpa, tables);
      },
      wrong: (cause, at) => this.#hostFault(gpa, use, { cause, level: at.level }),
      judge: (path, at) => this.#hostJudges(path, { gpa, use, at }),
    });
    if (leaf.t !== 'leaf') return leaf;
    const allows = hostAllows(this.hostKind, leaf.path);
    const dirty = this.#hostDirty(leaf.entry);
    const place: HostPlace = { t: 'place', at: leaf.address, size: leaf.at.shift, allows, dirty };
    if (!use.forTable || wants.write || allows.write) return place;
    const refusal = this.#hostFault(gpa, use, {
      cause: 'rights',
      level: leaf.at.level,
      path: leaf.path,
      mark: true,
    });
    return { ...place, mayWrite: () => refusal };
  }

  #hostFault(gpa: bigint, use: HostUse, by: Parameters<typeof hostFault>[2]): Stop {
    return hostFault(this.hostKind, { gpa, use, wants: this.#wants(use) }, by);
  }

  #hostDirty(leaf: bigint): boolean {
    if (this.hostKind === 'npt') return bit(leaf, 6);
    if (this.hostKind === 'arm') return bit(leaf, 7);
    return this.#choices['ept-ad'] !== 'on' || bit(leaf, 9);
  }

  #hostJudges(path: readonly bigint[], by: { gpa: bigint; use: HostUse; at: Level }): Stop | undefined {
    const wants = this.#wants(by.use);
    const allows = hostAllows(this.hostKind, path);
    const fetched = by.use.q.user ? allows.fetchUser : allows.fetchKernel;
    const userPage = this.hostKind !== 'npt' || path.every((entry) => bit(entry, 2));
    const granted =
      userPage && (!wants.read || allows.read) && (!wants.write || allows.write) && (!wants.fetch || fetched);
    if (granted) return undefined;
    return this.#hostFault(by.gpa, by.use, { cause: 'rights', level: by.at.level, path });
  }
}

/** Without paging one page of 4 KiB at a time is translated, as a page of the last level. */
const UNPAGED = {
  size: 12,
  allows: { write: true, user: true, fetchKernel: true, fetchUser: true, key: 0 },
  dirty: true,
  global: false,
} as const;

function hostTablesOf({ cpu, host, 'ept-ad': marks }: Choices): Tables {
  if (cpu === 'arm64') return host === '3-level' ? armTables(1, 40) : armTables(0, 48);
  const levels = host === '5-level' ? 5 : 4;
  return cpu === 'svm' ? longTables(levels, true) : eptTables(levels, marks === 'on');
}

/** Where a walk led, or how it was refused. */
function endOf(outcome: Outcome | GuestPlace | HostPlace): string {
  if (outcome.t === 'page fault') return `page fault ${outcome.code.toString(16)}`;
  if (outcome.t === 'host fault')
    return `${outcome.kind} ${outcome.code.toString(16)} ${outcome.gpa.toString(16)}`;
  return outcome.t === 'gp' ? 'gp' : `ok ${outcome.at.toString(16)}`;
}
