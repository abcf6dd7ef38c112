/**
 * `walk_addr`: the hypervisor walks the guest's tables in software, as KVM did in 2007. It tests rights at each level
 * as it goes and sets accessed bits as it goes, so a walk that fails at the leaf has marked the entries above; it
 * never looks at reserved bits. It knows 2 and 4 MiB pages, but none of 1 GiB: guests of the time were not offered any.
 */
import { gfn, gfnOfAddress, gfnOfEntry, gpte, type Gfn, type Gpte } from '../quantities.ts';
import { must } from '../assert.ts';
import type { Machine } from '../machine/machine.ts';
import {
  PFERR_FETCH,
  PFERR_PRESENT,
  PFERR_USER,
  PFERR_WRITE,
  type AccessRequest,
} from '../hardware/fault.ts';
import { indexIn, readEntry, wordAt, writeEntry, type TableLevel } from '../hardware/format.ts';
import { CR0_WP, CR4_PSE, EFER_NXE } from '../hardware/registers.ts';
import { PTE_A, PTE_D, PTE_NX, PTE_P, PTE_PS, PTE_U, PTE_W } from '../hardware/x86-entry.ts';
import { contextOf, type GuestContext } from './context-2007.ts';
import { markPageDirty } from './dirty-log.ts';
import { traitsOf } from './era-2007.ts';
import { pfnOfGfn } from './memslots.ts';
import { ALL_ACCESS, inherit } from './spte-2007.ts';

export interface GuestWalk {
  readonly kind: 'ok';
  readonly gva: bigint;
  /** Frame that the guest maps here. */
  readonly gfn: Gfn;
  /** The last entry read. */
  readonly entry: Gpte;
  /** Where it lies in host memory, and the memory word that holds it. */
  readonly address: bigint;
  readonly word: number;
  readonly entryBytes: 4 | 8;
  /** Frame of the guest table that holds it. */
  readonly tableGfn: Gfn;
  /** 1, or 2 where the guest uses a large page. */
  readonly leafLevel: number;
  /** First frame of the page that the last entry names; for a small page the frame itself. */
  readonly baseGfn: Gfn;
  /** By level: frame of the guest table. */
  readonly tableGfns: readonly Gfn[];
  /** By level: rights that the entries above that table leave. */
  readonly inherited: readonly bigint[];
  /** By level: looks whether the guest's entry is no longer as the walk left it. */
  readonly isChanged: readonly (() => boolean)[];
}

export interface GuestFault {
  readonly kind: 'fault';
  readonly errorCode: number;
}

interface Request extends AccessRequest {
  readonly gva: bigint;
  /** As the hardware reported it: the kind of access comes from there, so F is set only where the hardware knows of it. */
  readonly errorCode: number;
}

export function walkAddr(m: Machine, request: Request): GuestWalk | GuestFault {
  return m.call('walk_addr', { gva: request.gva }, () => {
    const walked = walkGuest(m, request);
    m.preempt('walk_addr/done');
    return walked;
  });
}

function walkGuest(m: Machine, request: Request): GuestWalk | GuestFault {
  const { gva } = request;
  const context = contextOf(m);
  const tableGfns: Gfn[] = [];
  const inherited: bigint[] = [];
  const isChanged: (() => boolean)[] = [];
  const start = startOf(m, context, request);
  if (start.kind === 'fault') return start;
  let { table } = start;
  let rights = ALL_ACCESS;
  for (const [depth, at] of start.levels.entries()) {
    const { level } = at;
    tableGfns[level] = table;
    inherited[level] = rights;
    const index = indexIn(at, gva);
    const pfn = pfnOfGfn(m.world, table);
    // A frame that no slot covers reads as an empty table.
    const address = pfn === undefined ? undefined : (BigInt(pfn) << 12n) + BigInt(index * context.entryBytes);
    const entry = gpte(address === undefined ? 0n : readEntry(m, address, context.entryBytes));
    m.step('guest-walk-read', { level, index, entry }, address === undefined ? [] : [wordAt(address)]);
    m.count('refs');
    const refused = refuse(m, entry, request);
    if (refused !== undefined || address === undefined) {
      const { errorCode, because } = refused ?? { errorCode: 0, because: 'not present' };
      m.step('guest-walk-refuse', { level, errorCode, because });
      return { kind: 'fault', errorCode };
    }
    const large = isLarge(m, { context, entry, level });
    const leaf = large || level === 1;
    const marked = mark(m, { address, entry, at, context, table, dirty: leaf && request.access === 'write' });
    isChanged[level] = () => {
      const changed = readEntry(m, address, context.entryBytes) !== marked;
      m.step('gpte-check', { level, changed }, [wordAt(address)]);
      return changed;
    };
    if (leaf) {
      const baseGfn = gfn(gfnOfEntry(entry) - (large ? gfnOfEntry(entry) % framesOf(at) : 0));
      const frame = gfn(baseGfn + (large ? Number(gva >> 12n) % framesOf(at) : 0));
      m.step('guest-walk-done', { gfn: frame, refs: depth + 1 });
      const word = wordAt(address);
      const { entryBytes } = context;
      return {
        kind: 'ok',
        ...{ gva, gfn: frame, entry: marked, address, word, entryBytes, baseGfn },
        tableGfn: table,
        leafLevel: level,
        tableGfns,
        inherited,
        isChanged,
      };
    }
    rights = inherit(rights, entry);
    table = gfnOfEntry(entry);
  }
  throw new Error('assertion failed: a walk ends at level 1 at the latest');
}

type Start =
  { readonly kind: 'table'; readonly table: Gfn; readonly levels: readonly TableLevel[] } | GuestFault;

/** The root table. Under PAE the four root entries were loaded into registers with CR3, so no memory is read for them. */
function startOf(m: Machine, context: GuestContext, request: Request): Start {
  const root = gfnOfAddress(m.reg('cr3'));
  const [first, ...rest] = context.levels;
  const { level } = must(first, 'a guest with paging');
  m.step('guest-walk-root', { gfn: root, level });
  m.reads('reg', `${String(m.vcpu)}.cr3`);
  m.count('walks');
  if (context.mode !== 'pae') return { kind: 'table', table: root, levels: context.levels };
  const index = Number((request.gva >> 30n) & 3n);
  const entry = m.reg(`pdptr${String(index)}`);
  m.step('guest-walk-pdptr', { index, entry });
  m.reads('reg', `${String(m.vcpu)}.pdptr${String(index)}`);
  if ((entry & PTE_P) !== 0n) return { kind: 'table', table: gfnOfEntry(gpte(entry)), levels: rest };
  const errorCode = requestBits(request);
  m.step('guest-walk-refuse', { level, errorCode, because: 'not present' });
  return { kind: 'fault', errorCode };
}

/** Number of 4 KiB frames that an entry of a level covers. */
const framesOf = (at: TableLevel): number => 2 ** (at.shift - 12);

const isLarge = (m: Machine, of: { context: GuestContext; entry: bigint; level: number }): boolean =>
  of.level === 2 &&
  (of.entry & PTE_PS) !== 0n &&
  (of.context.entryBytes === 8 || (m.reg('cr4') & CR4_PSE) !== 0n);

const requestBits = ({ errorCode }: Request): number => errorCode & (PFERR_WRITE | PFERR_USER | PFERR_FETCH);

/** The first reason for which this entry refuses the request; the request's own bits join the error code. */
function refuse(
  m: Machine,
  entry: bigint,
  request: Request,
): { errorCode: number; because: string } | undefined {
  const own = requestBits(request);
  if ((entry & PTE_P) === 0n) return { errorCode: own, because: 'not present' };
  const obeysWrite = request.user || (m.reg('cr0') & CR0_WP) !== 0n;
  if (request.access === 'write' && (entry & PTE_W) === 0n && obeysWrite)
    return { errorCode: own | PFERR_PRESENT, because: 'read-only' };
  if (request.user && (entry & PTE_U) === 0n)
    return { errorCode: own | PFERR_PRESENT, because: 'kernel only' };
  const noExecute = (m.reg('efer') & EFER_NXE) !== 0n && (entry & PTE_NX) !== 0n;
  if ((own & PFERR_FETCH) !== 0 && noExecute)
    return { errorCode: own | PFERR_PRESENT, because: 'no-execute' };
  return undefined;
}

interface Mark {
  readonly address: bigint;
  readonly entry: Gpte;
  readonly at: TableLevel;
  readonly context: GuestContext;
  readonly table: Gfn;
  /** The leaf of a write: an era without software bits marks it dirty at once. */
  readonly dirty: boolean;
}

function mark(m: Machine, { address, entry, at, context, table, dirty }: Mark): Gpte {
  const accessed = gpte(entry | PTE_A);
  const to = { address, bytes: context.entryBytes };
  if (accessed !== entry) {
    m.step('guest-walk-set-accessed', { level: at.level }, [wordAt(address)]);
    writeEntry(m, to, accessed);
    markPageDirty(m, table);
  }
  if (!dirty || traitsOf(m.settings).softwareBits || (entry & PTE_D) !== 0n) return accessed;
  m.step('guest-set-dirty', { gfn: table }, [wordAt(address)]);
  writeEntry(m, to, accessed | PTE_D);
  markPageDirty(m, table);
  return gpte(accessed | PTE_D);
}

/** Sets D in the guest's leaf entry: what the processor would have done. */
export function setGuestDirty(m: Machine, walk: GuestWalk): void {
  m.step('guest-set-dirty', { gfn: walk.tableGfn }, [walk.word]);
  const { address, entryBytes } = walk;
  writeEntry(m, { address, bytes: entryBytes }, readEntry(m, address, entryBytes) | PTE_D);
  markPageDirty(m, walk.tableGfn);
}

/** The guest's leaf entry as memory holds it now. */
export const entryNow = (m: Machine, { address, entryBytes }: GuestWalk): bigint =>
  readEntry(m, address, entryBytes);
