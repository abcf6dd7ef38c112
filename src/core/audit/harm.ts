/**
 * Harm: an access that reached what no correct processor could have given. A correct TLB may hold a translation until
 * the guest invalidates it, so what was once given correctly stays excused until then; all else is compared with a
 * walk of the guest's own tables.
 */
import { must } from '../assert.ts';
import { gfn, pfnOfAddress, type Pfn } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import type { ArchitecturalTranslation, Harm, TlbEntry } from '../machine/tables.ts';
import { CR0_PG, CR4_PAE, CR4_PGE, pagingRegisters, type PagingRegisters } from '../hardware/registers.ts';
import type { AccessRequest } from '../hardware/fault.ts';
import type { HostPlace, HostUse } from '../hardware/page-walk.ts';
import { walk } from '../hardware/walk.ts';
import type { RegisterWrite } from '../engine.ts';
import { judgingOf, type Judging } from './judging.ts';

export interface CompletedAccess extends AccessRequest {
  readonly gva: bigint;
  /** Host frame that the access reached. */
  readonly pfn: Pfn;
  /** The TLB entry used, where a fresh walk would no longer give it. */
  readonly stale?: TlbEntry;
}

const judging = (m: Machine): Judging => must(judgingOf(m.settings), 'a machine that is judged');

/** Judges an access inside its own step, before what it stores takes effect. */
export function judgeAccess(m: Machine, access: CompletedAccess): void {
  const held = m.get('held', heldKey(m, access.gva)) ?? [];
  const write = access.access === 'write';
  const overdue = staleByOwedFlush(m, access.stale);
  if (!overdue && held.some((translation) => covers(translation, access))) return;
  const correct = correctFrame(m, access);
  if (!overdue && (correct === access.pfn || isFormer(m, access))) {
    hold(m, access, access.pfn);
    return;
  }
  const serial = m.serial('harm');
  const kind: Harm['kind'] = !write ? 'stale-read' : overdue ? 'stale-write' : 'lost-write';
  const harm = { serial, kind, gva: access.gva, got: access.pfn };
  m.set('harm', serial, Object.freeze(correct === undefined ? harm : { ...harm, correct }));
}

/** Whether the guest's tables gave this frame at some moment since the guest last invalidated it. */
const isFormer = (m: Machine, access: CompletedAccess): boolean =>
  judging(m)
    .formerFrames(m, access, () => correctFrame(m, access))
    .includes(access.pfn);

/**
 * Another vCPU may act in the middle of the access, and change tables that this one has read already: what they say now
 * counts as cached, as for any processor that is about to walk them.
 */
export function holdWhatIsCorrect(m: Machine, access: Omit<CompletedAccess, 'pfn'>): void {
  const pfn = correctFrame(m, access);
  if (pfn !== undefined) hold(m, access, pfn);
}

/** A correct TLB may hold this translation from now on. */
function hold(m: Machine, access: Omit<CompletedAccess, 'pfn'>, pfn: Pfn): void {
  const key = heldKey(m, access.gva);
  const user = access.user || correctFrame(m, { ...access, user: true }) === pfn;
  // Whoever reads a page that is writable and dirty may cache the right to write it with it.
  const writable = access.access === 'write' || walkNow(m, access)?.mayWrite === true;
  const made = Object.freeze({ pfn, writable, user });
  const held = m.get('held', key) ?? [];
  if (held.some((other) => includes(other, made))) return;
  // What it held before with more rights stays: only the guest's invalidation ends that.
  const kept = held.filter((other) => !includes(made, other));
  m.set('held', key, Object.freeze([...kept, made]));
}

/** Whether a translation allows all that another one does. */
const includes = (one: ArchitecturalTranslation, other: ArchitecturalTranslation): boolean =>
  one.pfn === other.pfn && (one.writable || !other.writable) && (one.user || !other.user);

const heldKey = (m: Machine, gva: bigint): string => `${String(m.vcpu)}:${(gva >> 12n).toString(16)}`;

/** Whether a translation that a correct TLB may still hold allows an access. */
const covers = (held: ArchitecturalTranslation, access: CompletedAccess): boolean =>
  held.pfn === access.pfn && (held.writable || access.access !== 'write') && (held.user || !access.user);

/** Whether an overdue flush should have removed this entry. Staleness that the guest itself owes is not harm. */
function staleByOwedFlush(m: Machine, stale: TlbEntry | undefined): boolean {
  if (stale === undefined) return false;
  return [...m.world.tables.owed.values()].some(
    (debt) => debt.overdue === true && debt.words.some((word) => stale.filledFrom.includes(word)),
  );
}

/** The host frame that the guest's own tables name for this access, or undefined where they refuse it. */
function correctFrame(m: Machine, access: Omit<CompletedAccess, 'pfn'>): Pfn | undefined {
  const excused = !access.user && judging(m).kernelWritesStay;
  const named = walkNow(m, access) ?? (excused ? walkNow(m, access, { wp: false }) : undefined);
  return named?.pfn;
}

/** Where a frame that nothing backs is looked for: far above all memory, so that it reads as absent. */
const NOWHERE = 1n << 51n;

const ANY = { read: true, write: true, execute: true } as const;

interface Named {
  readonly pfn: Pfn;
  /** Writable by its entries, and marked dirty: cached so, it serves a write without a look at them. */
  readonly mayWrite: boolean;
}

/** What a walk of the guest's own tables gives for an access. */
function walkNow(
  m: Machine,
  access: Omit<CompletedAccess, 'pfn'>,
  instead: Partial<PagingRegisters> = {},
): Named | undefined {
  const registers = { ...guestRegisters(m), ...instead };
  const { contentsOfGfn, pfnOfGfn } = judging(m);
  const host = (address: bigint, { forTable }: Pick<HostUse, 'forTable'>): HostPlace<never> => {
    // The processor reaches no page that is swapped out, but the guest's tables say the same there.
    const frame = (forTable ? contentsOfGfn : pfnOfGfn)(m, gfn(Number(address >> 12n)));
    return {
      kind: 'ok',
      pageBits: 12,
      rights: ANY,
      dirty: true,
      address: frame === undefined ? NOWHERE : (BigInt(frame) << 12n) | (address & 0xfffn),
    };
  };
  const outcome = m.lookAside(() => walk(m, { ...access, registers, host, flat: true }));
  if (outcome.kind !== 'ok') return undefined;
  return { pfn: pfnOfAddress(outcome.address), mayWrite: outcome.rights.writable && outcome.dirty };
}

function guestRegisters(m: Machine): PagingRegisters {
  const raw = { cr0: m.reg('cr0'), cr3: m.reg('cr3'), cr4: m.reg('cr4'), efer: m.reg('efer') };
  const decoded = judging(m).guestRegisters(m, pagingRegisters(raw));
  const pdptrs = [0, 1, 2, 3].map((index) => m.reg(`pdptr${String(index)}`));
  return decoded.mode === 'pae' ? { ...decoded, pdptrs } : decoded;
}

/** Whether a write of a register drops all translations, by the architecture: `before` is what the register held. */
export function dropsTranslations({ register, value }: RegisterWrite, before: bigint): boolean {
  if (register === 'cr3') return true;
  const changed = value ^ before;
  if (register === 'cr0') return (changed & CR0_PG) !== 0n;
  return register === 'cr4' && (changed & (CR4_PGE | CR4_PAE)) !== 0n;
}

/** The guest invalidates: what a correct TLB may still hold ends here. Inside the step marked last. */
export function forgetHeld(m: Machine, gva?: bigint): void {
  judging(m).invalidated(m, gva);
  if (gva !== undefined) {
    const key = heldKey(m, gva);
    if (m.get('held', key) !== undefined) m.set('held', key, undefined);
    return;
  }
  for (const key of [...m.world.tables.held.keys()]) {
    if (key.startsWith(`${String(m.vcpu)}:`)) m.set('held', key, undefined);
  }
}
