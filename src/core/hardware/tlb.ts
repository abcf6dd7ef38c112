/**
 * The TLB of a vCPU: asked before a walk, filled from what a walk read, emptied as the processor's rules say.
 * Rules (Intel SDM vol. 3, "Caching translation information"; AMD APM vol. 2; Arm ARM, "TLB maintenance"): nothing is
 * cached from an entry that is absent, malformed or not accessed; a page counts as writable only after its dirty mark
 * was set; under a second stage there are combined translations and guest-physical ones, no linear ones; a fault drops
 * what it used.
 *
 * Each entry remembers the table words that it came from. One that a fresh walk would no longer give is stale.
 */
import { pfn } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import type { CacheTag, HostRights, TlbEntry } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { refusal, type AccessRequest } from './fault.ts';
import type { PagingRegisters } from './registers.ts';
import type { StageFault } from './second-stage.ts';
import { walk, type WalkFault, type WalkOutcome, type WalkSuccess } from './walk.ts';

/** What the processor is asked to translate, and how it would walk. */
export interface Lookup {
  readonly va: bigint;
  readonly request: AccessRequest;
  readonly kind: 'linear' | 'combined';
  readonly tag: CacheTag;
  /** The registers that decide how a walk goes, as text. */
  readonly under: string;
  /** The fault code with which the guest's rights in an entry refuse the access, or undefined. */
  readonly refuses: (entry: TlbEntry) => number | undefined;
  /** Walks with the caches of the processor, or as if they were empty. */
  readonly walk: (how: 'cached' | 'fresh') => WalkOutcome<StageFault>;
}

export type Translation =
  | { readonly kind: 'ok'; readonly address: bigint; readonly stale?: TlbEntry }
  | WalkFault
  | { readonly kind: 'host-fault'; readonly fault: StageFault };

/** Translates one access as the processor does: TLB first, then a walk and a fill. */
export function translate(m: Machine, lookup: Lookup): Translation {
  const entry = findEntry(m, lookup);
  if (entry !== undefined) return useEntry(m, entry, lookup);
  m.step('tlb-miss', { gva: lookup.va });
  m.count('tlb_misses');
  const outcome = lookup.walk('cached');
  if (outcome.kind === 'ok') {
    fill(m, lookup, outcome);
    return { kind: 'ok', address: outcome.address };
  }
  if (outcome.kind === 'not-canonical') return outcome;
  m.amendLastStep(() => {
    forgetFaulted(m, lookup, outcome.kind === 'host-fault' ? outcome.fault.gpa : undefined);
  });
  return outcome;
}

/** An entry that can serve the request. One whose page is clean serves no write that is allowed: the mark comes first. */
function findEntry(m: Machine, lookup: Lookup): TlbEntry | undefined {
  const { request } = lookup;
  for (const entry of entriesAt(m, lookup.va)) {
    if (entry.kind !== lookup.kind || !sameSpace(entry, lookup.tag)) continue;
    if (request.access === 'write' && !entry.dirty && mayWrite(entry, lookup)) continue;
    if (entry.host !== undefined && !grants(entry.host, request)) continue;
    return entry;
  }
  return undefined;
}

const sameSpace = (entry: TlbEntry, tag: CacheTag): boolean =>
  entry.asid === tag.asid && entry.root === tag.root && (entry.global || entry.pcid === tag.pcid);

/** The kernel may write a read-only page too, with CR0.WP clear. */
const mayWrite = (entry: TlbEntry, lookup: Lookup): boolean =>
  entry.writable || lookup.refuses(entry) === undefined;

const grants = (rights: HostRights, { access, user }: AccessRequest): boolean => {
  if (access === 'read') return rights.read;
  if (access === 'write') return rights.write;
  return user ? (rights.userExecute ?? rights.execute) : rights.execute;
};

/** Every entry of the vCPU for an address, of whatever page size. */
export function* entriesAt(m: Machine, address: bigint): Generator<TlbEntry> {
  for (const pageBits of PAGE_SIZES) {
    for (const key of m.world.tlbKeys(m.vcpu, pageBits, pageNumber(address, pageBits)) ?? [])
      yield m.must('tlb', key);
  }
}

function useEntry(m: Machine, entry: TlbEntry, lookup: Lookup): Translation {
  const errorCode = lookup.refuses(entry);
  if (errorCode !== undefined) {
    m.step('tlb-refuse', { serial: entry.serial, errorCode });
    m.reads('tlb', tlbKey(entry));
    forgetFaulted(m, lookup, undefined);
    return { kind: 'page-fault', errorCode, level: 0 };
  }
  const address = addressIn(entry, lookup.va);
  const stale = isStale(m, entry, { lookup, address });
  m.step('tlb-hit', { serial: entry.serial, write: lookup.request.access === 'write', stale });
  m.reads('tlb', tlbKey(entry));
  noteUse(m, entry);
  m.count('tlb_hits');
  if (stale) m.count('stale_hits');
  return stale ? { kind: 'ok', address, stale: entry } : { kind: 'ok', address };
}

/** Whether a table entry has changed since it was cached. The translation may still be the same. */
export const differsFromTables = (
  world: World,
  entry: Pick<TlbEntry, 'filledFrom' | 'filledValues'>,
): boolean => entry.filledFrom.some((word, index) => world.word(word) !== entry.filledValues[index]);

/** Whether a fresh walk would refuse this access or lead elsewhere. The walk is the same one, made without a trace. */
function isStale(m: Machine, entry: TlbEntry, use: { lookup: Lookup; address: bigint }): boolean {
  const sameRegisters = entry.filledUnder === use.lookup.under;
  if (sameRegisters && !differsFromTables(m.world, entry)) return false;
  const fresh = m.lookAside(() => use.lookup.walk('fresh'));
  return fresh.kind !== 'ok' || fresh.address !== use.address;
}

/** Whether a walk now would grant less than a linear entry does: fewer rights, or another frame. */
export function grantsMoreThanTables(m: Machine, entry: TlbEntry, registers: PagingRegisters): boolean {
  if (!differsFromTables(m.world, entry)) return false;
  const gva = BigInt(entry.vpn) << 12n;
  const probes: AccessRequest[] = [{ access: 'read', user: entry.user }];
  if (entry.writable) probes.push({ access: 'write', user: entry.user });
  if (entry.executable) probes.push({ access: 'execute', user: entry.user });
  return probes.some((probe) => {
    if (refusal(entry, probe, registers) !== undefined) return false;
    const fresh = m.lookAside(() => walk(m, { ...probe, gva, registers }));
    return fresh.kind !== 'ok' || Number(fresh.address >> 12n) !== entry.pfn;
  });
}

/**
 * A fault that the processor delivers drops what translated the address, tables too, so that it does not recur once the
 * tables in memory allow the access. One of the guest's tables does so for every second stage; one of the second stage
 * for its own, and also drops what translated the guest physical address.
 */
function forgetFaulted(m: Machine, lookup: Lookup, gpa: bigint | undefined): void {
  const { asid, pcid, root } = lookup.tag;
  const ofStage = (of: CacheTag): boolean => gpa === undefined || of.root === root;
  const own = (entry: TlbEntry): boolean =>
    entry.kind === lookup.kind &&
    entry.asid === asid &&
    (entry.global || entry.pcid === pcid) &&
    ofStage(entry);
  const doomed = [...entriesAt(m, lookup.va)].filter(own);
  if (gpa !== undefined) {
    for (const entry of entriesAt(m, gpa)) {
      if (entry.kind === 'guest-physical' && ofStage(entry)) doomed.push(entry);
    }
  }
  for (const entry of doomed) m.set('tlb', tlbKey(entry), undefined);
  for (const [key, table] of [...m.world.tables.psc]) {
    if (table.vcpu !== m.vcpu) continue;
    const used = table.stage === 'guest' ? lookup.va : gpa;
    if (used === undefined || used >> BigInt(table.shift) !== table.prefix) continue;
    const ours = table.stage === 'host' || (table.asid === asid && table.pcid === pcid);
    if (ours && ofStage(table)) m.set('psc', key, undefined);
  }
}

function fill(m: Machine, lookup: Lookup, found: WalkSuccess): void {
  const { rights, dirty } = found;
  const { kind, va: address } = lookup;
  makeRoom(m, { ...lookup.tag, kind, address, pageBits: found.pageBits });
  m.step('tlb-fill', {
    serial: nextSerial(m),
    pfn: Number(found.address >> 12n),
    writable: rights.writable && dirty && (found.host?.write ?? true),
  });
  put(m, {
    ...lookup.tag,
    under: found.under ?? lookup.under,
    kind,
    address,
    target: found.address,
    pageBits: found.pageBits,
    level: found.level,
    rights: {
      readable: true,
      ...rights,
      userExecutable: found.userExecutable ?? rights.executable,
      global: found.global,
      dirty,
    },
    host: found.host,
    words: found.words,
    values: found.values,
  });
}

/** The page, kind and space of an entry to be: an entry with the same goes for it. */
export interface Slot extends CacheTag {
  readonly kind: TlbEntry['kind'];
  readonly address: bigint;
  readonly pageBits: number;
}

interface NewEntry extends Slot {
  readonly under: string;
  readonly target: bigint;
  readonly level?: number;
  readonly rights: Pick<
    TlbEntry,
    'readable' | 'writable' | 'user' | 'executable' | 'userExecutable' | 'global' | 'dirty' | 'protectionKey'
  >;
  readonly host: HostRights | undefined;
  readonly words: readonly number[];
  readonly values: readonly bigint[];
}

/** Puts an entry in, inside the step marked last; one of the same page, kind and space goes. */
export function put(m: Machine, made: NewEntry): void {
  const { asid, pcid, root, kind, pageBits } = made;
  const vpn = pageNumber(made.address, pageBits);
  for (const key of replacedBy(m, made)) m.set('tlb', key, undefined);
  const serial = m.serial(serialName(m.vcpu));
  const frame = Number(made.target >> 12n);
  const entry: TlbEntry = Object.freeze({
    vcpu: m.vcpu,
    serial,
    kind,
    asid,
    pcid,
    root,
    vpn,
    pageBits,
    pfn: pfn(frame - (Number(made.address >> 12n) - vpn)),
    ...made.rights,
    ...(made.level === undefined ? {} : { level: made.level }),
    ...(made.host === undefined ? {} : { host: made.host }),
    filledFrom: made.words,
    filledValues: made.values,
    filledUnder: made.under,
    used: capacityOf(m) === undefined ? 0 : m.serial('tlb-use'),
  });
  m.set('tlb', tlbKey(entry), entry);
  m.count('tlb_fills');
}

/** Keys of the entries that one of this page, kind and space replaces. */
function replacedBy(m: Machine, { asid, pcid, root, kind, pageBits, address }: Slot): readonly string[] {
  const keys = m.world.tlbKeys(m.vcpu, pageBits, pageNumber(address, pageBits)) ?? [];
  return [...keys].filter((key) => {
    const old = m.must('tlb', key);
    return old.kind === kind && old.asid === asid && old.pcid === pcid && old.root === root;
  });
}

export const nextSerial = (m: Machine): number => (m.get('serial', serialName(m.vcpu)) ?? 0) + 1;

/** How many entries the TLB holds; undefined where it never runs full. */
const capacityOf = (m: Machine): number | undefined =>
  m.settings.tlb === 'unlimited' ? undefined : Number(m.settings.tlb);

/** A full TLB gives up the entry used longest ago, unless one is replaced anyway. */
export function makeRoom(m: Machine, slot: Slot): void {
  const capacity = capacityOf(m);
  if (capacity === undefined || replacedBy(m, slot).length > 0) return;
  const held = [...m.world.tables.tlb.values()].filter((entry) => entry.vcpu === m.vcpu);
  if (held.length < capacity) return;
  const [oldest] = held.sort((a, b) => a.used - b.used);
  if (oldest === undefined) return;
  m.step('tlb-evict', { serial: oldest.serial });
  m.set('tlb', tlbKey(oldest), undefined);
  m.count('tlb_evictions');
}

export function noteUse(m: Machine, entry: TlbEntry): void {
  if (capacityOf(m) === undefined) return;
  m.set('tlb', tlbKey(entry), Object.freeze({ ...entry, used: m.serial('tlb-use') }));
}

/** Removes every entry of this vCPU that `which` picks, inside the step marked last. */
export function dropEntries(m: Machine, which: (entry: TlbEntry) => boolean): void {
  const doomed = [...m.world.tables.tlb.values()].filter((entry) => entry.vcpu === m.vcpu && which(entry));
  for (const entry of doomed.sort((a, b) => a.serial - b.serial)) m.set('tlb', tlbKey(entry), undefined);
}

/** Entries that translate an address, in the space `asid`, whatever their page size. */
export const translates =
  (gva: bigint, asid: number) =>
  (entry: TlbEntry): boolean =>
    entry.asid === asid && pageNumber(gva, entry.pageBits) === entry.vpn;

export const countEntries = (m: Machine, which: (entry: TlbEntry) => boolean): number =>
  [...m.world.tables.tlb.values()].filter((entry) => entry.vcpu === m.vcpu && which(entry)).length;

export const tlbKey = (entry: { readonly vcpu: number; readonly serial: number }): string =>
  `${String(entry.vcpu)}:${String(entry.serial)}`;

const serialName = (vcpu: number): string => `tlb:${String(vcpu)}`;

/** Sizes of pages, as powers of two, the smallest first. */
const PAGE_SIZES = [12, 14, 16, 21, 22, 25, 29, 30] as const;

const framesOf = (pageBits: number): number => 2 ** (pageBits - 12);

/** Virtual page number in units of 4 KiB, of the first 4 KiB page of the page of that size around `gva`. */
function pageNumber(gva: bigint, pageBits: number): number {
  const page = Number(gva >> 12n);
  return page - (page % framesOf(pageBits));
}

export function addressIn(entry: TlbEntry, gva: bigint): bigint {
  const size = 1n << BigInt(entry.pageBits);
  return (BigInt(entry.pfn) << 12n) + (gva & (size - 1n));
}
