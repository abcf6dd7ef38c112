/**
 * Harm: an access that reached what no correct processor could have given. A correct TLB may hold a translation until
 * the guest invalidates it, so what was once given correctly stays excused until then; all else is compared with a
 * walk of the guest's own tables.
 */
import { gfn, pfnOfAddress, type Pfn } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import type { ArchitecturalTranslation, Harm, TlbEntry } from '../machine/tables.ts';
import { CR0_PG, CR4_PAE, CR4_PGE, pagingRegisters, type PagingRegisters } from '../hardware/registers.ts';
import type { AccessRequest } from '../hardware/fault.ts';
import type { HostPlace } from '../hardware/page-walk.ts';
import { walk } from '../hardware/walk.ts';
import type { RegisterWrite } from '../engine.ts';
import { pfnOfGfn } from '../kvm/memslots.ts';

export interface CompletedAccess extends AccessRequest {
  readonly gva: bigint;
  /** Host frame that the access reached. */
  readonly pfn: Pfn;
  /** The TLB entry used, where a fresh walk would no longer give it. */
  readonly stale?: TlbEntry;
}

/** Judges an access inside its own step, before what it stores takes effect. */
export function judgeAccess(m: Machine, access: CompletedAccess): void {
  const key = `${String(m.vcpu)}:${(access.gva >> 12n).toString(16)}`;
  const held = m.get('held', key) ?? [];
  const write = access.access === 'write';
  const overdue = staleByOwedFlush(m, access.stale);
  if (!overdue && held.some((translation) => covers(translation, access))) return;
  const correct = correctFrame(m, access);
  if (!overdue && correct === access.pfn) {
    const kept = held.filter((translation) => translation.pfn !== access.pfn);
    const user = access.user || correctFrame(m, { ...access, user: true }) === access.pfn;
    m.set('held', key, Object.freeze([...kept, Object.freeze({ pfn: access.pfn, writable: write, user })]));
    return;
  }
  const serial = m.serial('harm');
  const kind: Harm['kind'] = !write ? 'stale-read' : overdue ? 'stale-write' : 'lost-write';
  const harm = { serial, kind, gva: access.gva, got: access.pfn };
  m.set('harm', serial, Object.freeze(correct === undefined ? harm : { ...harm, correct }));
}

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
function correctFrame(m: Machine, access: CompletedAccess): Pfn | undefined {
  const raw = { cr0: m.reg('cr0'), cr3: m.reg('cr3'), cr4: m.reg('cr4'), efer: m.reg('efer') };
  // Two stated deviations of the era are not harm: its walker ignores reserved address bits, and a leaf that the kernel
  // may write because CR0.WP was 0 stays so when WP is set again.
  const decoded = { ...pagingRegisters(raw), physicalBits: 52 };
  const pdptrs = [0, 1, 2, 3].map((index) => m.reg(`pdptr${String(index)}`));
  const registers = decoded.mode === 'pae' ? { ...decoded, pdptrs } : decoded;
  const named = frameNamed(m, access, registers);
  return named ?? (access.user ? undefined : frameNamed(m, access, { ...registers, wp: false }));
}

/** Where a frame that nothing backs is looked for: far above all memory, so that it reads as absent. */
const NOWHERE = 1n << 51n;

const ANY = { read: true, write: true, execute: true } as const;

function frameNamed(m: Machine, access: CompletedAccess, registers: PagingRegisters): Pfn | undefined {
  const host = (address: bigint): HostPlace<never> => {
    const frame = pfnOfGfn(m.world, gfn(Number(address >> 12n)));
    return {
      kind: 'ok',
      pageBits: 12,
      rights: ANY,
      dirty: true,
      address: frame === undefined ? NOWHERE : (BigInt(frame) << 12n) | (address & 0xfffn),
    };
  };
  const outcome = m.lookAside(() => walk(m, { ...access, registers, host, flat: true }));
  return outcome.kind === 'ok' ? pfnOfAddress(outcome.address) : undefined;
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
  if (gva !== undefined) {
    const key = `${String(m.vcpu)}:${(gva >> 12n).toString(16)}`;
    if (m.get('held', key) !== undefined) m.set('held', key, undefined);
    return;
  }
  for (const key of [...m.world.tables.held.keys()]) {
    if (key.startsWith(`${String(m.vcpu)}:`)) m.set('held', key, undefined);
  }
}
