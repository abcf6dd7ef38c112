/**
 * `walk_addr`: the hypervisor walks the guest's tables in software, as KVM did in 2007. It tests rights at each level
 * as it goes and sets accessed bits as it goes, so a walk that fails at the leaf has marked the entries above; it
 * never looks at reserved bits and never sets D.
 */
import { gfn, gfnOfAddress, gfnOfEntry, gpte, type Gfn, type Gpte } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import {
  PFERR_FETCH,
  PFERR_PRESENT,
  PFERR_USER,
  PFERR_WRITE,
  type AccessRequest,
} from '../hardware/fault.ts';
import { CR0_WP, EFER_NXE } from '../hardware/registers.ts';
import { indexAt, PTE_A, PTE_NX, PTE_P, PTE_PS, PTE_U, PTE_W } from '../hardware/x86-entry.ts';
import { guestWord } from './memslots.ts';
import { ALL_ACCESS, inherit } from './spte-2007.ts';

export interface GuestWalk {
  readonly kind: 'ok';
  readonly gva: bigint;
  /** Frame that the guest maps here. */
  readonly gfn: Gfn;
  /** The last entry read. */
  readonly entry: Gpte;
  /** Where it lies in host memory. */
  readonly word: number;
  /** Frame of the guest table that holds it. */
  readonly tableGfn: Gfn;
  /** 1, or 2 where the guest uses a large page. */
  readonly leafLevel: number;
  /** By level: frame of the guest table. */
  readonly tableGfns: readonly Gfn[];
  /** By level: rights that the entries above that table leave. */
  readonly inherited: readonly bigint[];
}

export interface GuestFault {
  readonly kind: 'fault';
  readonly errorCode: number;
}

const GUEST_ROOT_LEVEL = 4;

export function walkAddr(
  m: Machine,
  request: AccessRequest & { readonly gva: bigint },
): GuestWalk | GuestFault {
  return m.call('walk_addr', { gva: request.gva }, () => walkGuest(m, request));
}

function walkGuest(m: Machine, request: AccessRequest & { readonly gva: bigint }): GuestWalk | GuestFault {
  const { gva } = request;
  const tableGfns: Gfn[] = [];
  const inherited: bigint[] = [];
  let table = gfnOfAddress(m.reg('cr3'));
  let rights = ALL_ACCESS;
  m.step('guest-walk-root', { gfn: table, level: GUEST_ROOT_LEVEL });
  m.reads('reg', `${String(m.vcpu)}.cr3`);
  m.count('walks');
  for (let level = GUEST_ROOT_LEVEL; ; level -= 1) {
    tableGfns[level] = table;
    inherited[level] = rights;
    const index = indexAt(gva, level);
    const word = guestWord(m, table, index);
    // A frame that no slot covers reads as an empty table.
    const entry = gpte(word === undefined ? 0n : m.word(word));
    m.step('guest-walk-read', { level, index, entry }, word === undefined ? [] : [word]);
    m.count('refs');
    const refused = refuse(m, entry, request);
    if (refused !== undefined || word === undefined) {
      const { errorCode, because } = refused ?? { errorCode: 0, because: 'not present' };
      m.step('guest-walk-refuse', { level, errorCode, because });
      return { kind: 'fault', errorCode };
    }
    const marked = setAccessed(m, { word, entry, level });
    if (level === 1 || (level === 2 && (entry & PTE_PS) !== 0n)) {
      const frame = gfn(gfnOfEntry(entry) + (level === 2 ? indexAt(gva, 1) : 0));
      m.step('guest-walk-done', { gfn: frame, refs: GUEST_ROOT_LEVEL - level + 1 });
      return {
        kind: 'ok',
        gva,
        gfn: frame,
        entry: marked,
        word,
        tableGfn: table,
        leafLevel: level,
        tableGfns,
        inherited,
      };
    }
    rights = inherit(rights, entry);
    table = gfnOfEntry(entry);
  }
}

/** The first reason for which this entry refuses the request; the request's own bits join the error code. */
function refuse(
  m: Machine,
  entry: bigint,
  request: AccessRequest,
): { errorCode: number; because: string } | undefined {
  const write = request.access === 'write';
  const fetch = request.access === 'execute';
  const own = (write ? PFERR_WRITE : 0) | (request.user ? PFERR_USER : 0) | (fetch ? PFERR_FETCH : 0);
  if ((entry & PTE_P) === 0n) return { errorCode: own, because: 'not present' };
  const obeysWrite = request.user || (m.reg('cr0') & CR0_WP) !== 0n;
  if (write && (entry & PTE_W) === 0n && obeysWrite)
    return { errorCode: own | PFERR_PRESENT, because: 'read-only' };
  if (request.user && (entry & PTE_U) === 0n)
    return { errorCode: own | PFERR_PRESENT, because: 'kernel only' };
  const noExecute = (m.reg('efer') & EFER_NXE) !== 0n && (entry & PTE_NX) !== 0n;
  if (fetch && noExecute) return { errorCode: own | PFERR_PRESENT, because: 'no-execute' };
  return undefined;
}

function setAccessed(m: Machine, at: { word: number; entry: Gpte; level: number }): Gpte {
  const after = gpte(at.entry | PTE_A);
  if (after !== at.entry) {
    m.step('guest-walk-set-accessed', { level: at.level }, [at.word]);
    m.set('word', at.word, after);
  }
  return after;
}
