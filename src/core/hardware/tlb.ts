/**
 * The TLB of one vCPU: filled from what a walk read, used before walking, and emptied as the processor's rules say.
 * Rules (Intel SDM vol. 3, "Caching translation information"; AMD APM vol. 2): never filled from an entry that is not
 * present or not accessed; a translation counts as written only after D was set; a fault drops what it used.
 *
 * `vmx-novpid` empties it at each exit and entry. `svm` tags entries with an ASID, and they survive.
 */
import { pfn } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import type { TlbEntry } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import { refusal, type AccessRequest } from './fault.ts';
import type { PagingRegisters } from './registers.ts';
import { walk, type WalkOutcome, type WalkRequest, type WalkSuccess } from './walk.ts';

export interface TranslateRequest extends WalkRequest {
  /** Address space tag of the vCPU now; 0 where the processor has none. */
  readonly asid: number;
}

export type Translation =
  | { readonly kind: 'ok'; readonly address: bigint; readonly stale?: TlbEntry }
  | Exclude<WalkOutcome, WalkSuccess>;

/** Translates one access as the processor does: TLB first, then a walk and a fill. */
export function translate(m: Machine, request: TranslateRequest): Translation {
  const entry = findEntry(m, request);
  if (entry !== undefined) return useEntry(m, entry, request);
  m.step('tlb-miss', { gva: request.gva });
  m.count('tlb_misses');
  const outcome = walk(m, request);
  if (outcome.kind !== 'ok') return outcome;
  fill(m, request, outcome);
  return { kind: 'ok', address: outcome.address };
}

/** An entry that can serve the request; one whose page is clean cannot serve a write, because D must be set first. */
function findEntry(m: Machine, request: TranslateRequest): TlbEntry | undefined {
  for (const pageBits of PAGE_SIZES) {
    const vpn = pageNumber(request.gva, pageBits);
    for (const key of m.world.tlbKeys(m.vcpu, pageBits, vpn) ?? []) {
      const entry = m.must('tlb', key);
      if (entry.asid !== request.asid) continue;
      if (request.access === 'write' && entry.writable && !entry.dirty) continue;
      return entry;
    }
  }
  return undefined;
}

function useEntry(m: Machine, entry: TlbEntry, request: TranslateRequest): Translation {
  const errorCode = refusal(entry, request, request.registers);
  if (errorCode !== undefined) {
    m.step('tlb-refuse', { serial: entry.serial, errorCode });
    m.reads('tlb', tlbKey(entry));
    m.set('tlb', tlbKey(entry), undefined);
    return { kind: 'page-fault', errorCode, level: 0 };
  }
  const address = addressIn(entry, request.gva);
  const stale = isStale(m, entry, { request, address });
  m.step('tlb-hit', { serial: entry.serial, write: request.access === 'write', stale });
  m.reads('tlb', tlbKey(entry));
  m.count('tlb_hits');
  if (stale) m.count('stale_hits');
  return stale ? { kind: 'ok', address, stale: entry } : { kind: 'ok', address };
}

/** Whether a table entry has changed since it was cached. The translation may still be the same. */
export const differsFromTables = (world: World, entry: TlbEntry): boolean =>
  entry.filledFrom.some((word, index) => world.word(word) !== entry.filledValues[index]);

/** Whether a fresh walk would refuse this access or lead elsewhere. The walk is the same one, made without a trace. */
function isStale(m: Machine, entry: TlbEntry, use: { request: TranslateRequest; address: bigint }): boolean {
  if (!differsFromTables(m.world, entry)) return false;
  const fresh = m.lookAside(() => walk(m, use.request));
  return fresh.kind !== 'ok' || fresh.address !== use.address;
}

/** Whether a walk now would grant less than the entry does: fewer rights, or another frame. */
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

function fill(m: Machine, request: TranslateRequest, found: WalkSuccess): void {
  m.step('tlb-fill', {
    serial: (m.get('serial', serialName(m.vcpu)) ?? 0) + 1,
    pfn: Number(found.address >> 12n),
    writable: found.rights.writable && found.dirty,
  });
  const vpn = pageNumber(request.gva, found.pageBits);
  for (const key of [...(m.world.tlbKeys(m.vcpu, found.pageBits, vpn) ?? [])]) {
    if (m.must('tlb', key).asid === request.asid) m.set('tlb', key, undefined);
  }
  const serial = m.serial(serialName(m.vcpu));
  const frame = Number(found.address >> 12n);
  const entry: TlbEntry = Object.freeze({
    vcpu: m.vcpu,
    serial,
    kind: 'linear',
    asid: request.asid,
    pcid: 0,
    root: 0,
    vpn,
    pageBits: found.pageBits,
    pfn: pfn(frame - (frame % framesOf(found.pageBits))),
    readable: true,
    ...found.rights,
    userExecutable: found.rights.executable,
    used: 0,
    global: found.global,
    dirty: found.dirty,
    filledFrom: found.words,
    filledValues: found.values,
  });
  m.set('tlb', tlbKey(entry), entry);
  m.count('tlb_fills');
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
const PAGE_SIZES = [12, 21, 22, 30] as const;

const framesOf = (pageBits: number): number => 2 ** (pageBits - 12);

/** Virtual page number in units of 4 KiB, of the first 4 KiB page of the page of that size around `gva`. */
function pageNumber(gva: bigint, pageBits: number): number {
  const page = Number(gva >> 12n);
  return page - (page % framesOf(pageBits));
}

function addressIn(entry: TlbEntry, gva: bigint): bigint {
  const size = 1n << BigInt(entry.pageBits);
  return (BigInt(entry.pfn) << 12n) | (gva & (size - 1n));
}
