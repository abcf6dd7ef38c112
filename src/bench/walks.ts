/**
 * Walks per second, in one dimension and in two, with a journal and without, beside a loop that does only the walking
 * (plain-walk.ts). The guest has 1024 pages of 4 KiB in 4-level tables, read in a scattered order; host tables map every
 * guest address to itself. Accessed bits are set before the clock starts.
 */
import { assert } from '../core/assert.ts';
import { EPT_A, EPT_D, EPT_R, EPT_W, EPT_WRITE_BACK, EPT_X } from '../core/hardware/ept-format.ts';
import { wordAt } from '../core/hardware/format.ts';
import type { HostUse } from '../core/hardware/page-walk.ts';
import { pagingRegisters, CR0_PG, CR4_PAE, EFER_LMA, PHYSICAL_BITS } from '../core/hardware/registers.ts';
import { eptStage, nptStage, type SecondStage, type StageFault } from '../core/hardware/second-stage.ts';
import { walk } from '../core/hardware/walk.ts';
import { Journal } from '../core/machine/journal.ts';
import { Machine } from '../core/machine/machine.ts';
import { DEFAULT_SETTINGS } from '../core/settings.ts';
import { plainWalk } from './plain-walk.ts';

const WALKS = 20_000;
const PAGES = 1024;
const GUEST_ROOT = 0x1000n;
const FIRST_PAGE = 0x10_0000n;
const HOST_ROOT = 0x80_0000n;
/** All guest addresses and host tables. */
const MEMORY_BYTES = 0x81_0000;

/** Present, writable, user, accessed, dirty. */
const X86_ENTRY = 0x67n;
const EPT_TABLE = EPT_R | EPT_W | EPT_X | EPT_A;
const EPT_PAGE = EPT_TABLE | EPT_WRITE_BACK | EPT_D;

type Entries = (readonly [bigint, bigint])[];

/** 4-level tables from `root` on that map `pages` pages from address 0 to `first`. */
function tables(by: {
  root: bigint;
  pages: number;
  first: bigint;
  bits: { table: bigint; page: bigint };
}): Entries {
  const { root, pages, first, bits } = by;
  const lastTable = root + 0x3000n;
  const at = (index: number): bigint => BigInt(index);
  return [
    [root, (root + 0x1000n) | bits.table],
    [root + 0x1000n, (root + 0x2000n) | bits.table],
    ...Array.from({ length: pages / 512 }, (_, index) => {
      const table = lastTable + (at(index) << 12n);
      return [root + 0x2000n + 8n * at(index), table | bits.table] as const;
    }),
    ...Array.from({ length: pages }, (_, index) => {
      return [lastTable + 8n * at(index), (first + (at(index) << 12n)) | bits.page] as const;
    }),
  ];
}

const X86_BITS = { table: X86_ENTRY, page: X86_ENTRY };
const EPT_BITS = { table: EPT_TABLE, page: EPT_PAGE };
const GUEST = tables({ root: GUEST_ROOT, pages: PAGES, first: FIRST_PAGE, bits: X86_BITS });
const host = (bits: typeof X86_BITS): Entries =>
  tables({ root: HOST_ROOT, pages: Number(HOST_ROOT >> 12n), first: 0n, bits });

/** Addresses in an order that jumps about. */
const ADDRESSES = Array.from({ length: WALKS }, (_, index) => BigInt((index * 7919) % PAGES) << 12n);

const REGISTERS = pagingRegisters({ cr0: CR0_PG, cr3: GUEST_ROOT, cr4: CR4_PAE, efer: EFER_LMA });
const NPT = nptStage({ mode: '4-level', root: HOST_ROOT, physicalBits: PHYSICAL_BITS, nxe: false }, 'read');
const EPT = eptStage(
  {
    levels: 4,
    root: HOST_ROOT,
    physicalBits: PHYSICAL_BITS,
    accessedDirty: true,
    executeOnly: true,
    oneGiB: true,
  },
  'read',
);

const now = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Milliseconds that all walks take in the model. */
function timeModel(entries: Entries, options: { stage?: SecondStage; journal: boolean }): number {
  const { stage, journal } = options;
  const m = new Machine({ settings: DEFAULT_SETTINGS, ...(journal ? { journal: new Journal() } : {}) });
  m.step('setup-memory', { gfn: 0 });
  for (const [address, entry] of entries) m.set('word', wordAt(address), entry);
  const request = {
    access: 'read',
    user: true,
    registers: REGISTERS,
    ...(stage === undefined ? {} : { host: (gpa: bigint, use: HostUse) => stage.locate(m, gpa, use) }),
  } as const;
  const start = now();
  for (const gva of ADDRESSES) {
    m.beginOperation();
    const outcome = walk<StageFault>(m, { ...request, gva });
    assert(outcome.kind === 'ok', 'every page is mapped');
  }
  return now() - start;
}

function timePlain(entries: Entries, nested: boolean): number {
  const memory = new BigUint64Array(MEMORY_BYTES / 8);
  for (const [address, entry] of entries) memory[wordAt(address)] = entry;
  const roots = { guest: GUEST_ROOT, ...(nested ? { host: HOST_ROOT } : {}) };
  const access = { write: false, execute: false };
  const start = now();
  for (const gva of ADDRESSES) {
    const found = plainWalk(memory, roots, gva, access);
    assert(found === FIRST_PAGE + gva, 'the plain walk finds the page');
  }
  return now() - start;
}

const best = (body: () => number): number => Math.min(...Array.from({ length: 5 }, body));
const perSecond = (milliseconds: number): string => ((WALKS / milliseconds) * 1000).toFixed(0);

/** One line for each kind of walk. */
export function walkLines(): readonly string[] {
  const nestedX86 = [...GUEST, ...host(X86_BITS)];
  const plain = best(() => timePlain(GUEST, false));
  const plainNested = best(() => timePlain(nestedX86, true));
  const cases = [
    { name: '4 levels', entries: GUEST, plain },
    { name: '4 levels on NPT', entries: nestedX86, stage: NPT, plain: plainNested },
    { name: '4 levels on EPT', entries: [...GUEST, ...host(EPT_BITS)], stage: EPT, plain: plainNested },
  ];
  return cases.map(({ name, entries, plain: least, ...rest }) => {
    const recorded = best(() => timeModel(entries, { ...rest, journal: true }));
    const bare = best(() => timeModel(entries, { ...rest, journal: false }));
    return `walks, ${name}: ${perSecond(recorded)} a second with journal, ${perSecond(bare)} without, ratio ${(recorded / bare).toFixed(2)}; ${perSecond(least)} in a plain loop, ratio ${(bare / least).toFixed(1)} without journal, ${(recorded / least).toFixed(1)} with`;
  });
}
