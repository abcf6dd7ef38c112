/**
 * What others have left in the caches before a sequence begins: translations and tables of another guest, of other
 * second-stage tables, of another processor. None may ever serve; an invalidation that names them removes them.
 */
import type { Machine } from '../../core/machine/machine.ts';
import type { PscEntry, TlbEntry } from '../../core/machine/tables.ts';
import { pfn } from '../../core/quantities.ts';
import type { Settings } from '../../core/settings.ts';
import { SMALL } from './cache-worlds.ts';
import type { RememberedTable, Translation, Whose } from './caches.ts';

interface Strangers {
  readonly translations: readonly Translation[];
  readonly tables: readonly RememberedTable[];
}

const OTHER_GUEST = 2;
const OTHER_ROOT = 0x3_0000;
const ROOT = 0x2_0000;
/** Where they lead: a frame that nothing else names. */
const ASTRAY = 0x101f_f000n;
/** Guest physical address of the first table of the guest. */
const FIRST_TABLE = 0x10_0000n;
const ALL = { write: true, user: true, fetchKernel: true, fetchUser: true, key: 0 } as const;
const HOST_ALL = { read: true, write: true, fetchKernel: true, fetchUser: true } as const;

const translation = (
  kind: Translation['kind'],
  whose: Whose,
  of: { page: bigint; global: boolean },
): Translation => ({
  kind,
  ...whose,
  ...of,
  size: 12,
  to: ASTRAY,
  allows: ALL,
  host: kind === 'linear' ? undefined : HOST_ALL,
  dirty: true,
  level: 0,
  seen: [],
});

const LEVELS: Readonly<Record<string, number>> = { '5-level': 5, '4-level': 4, '3-level': 3, pae: 3 };

/** The last table on the way to an address, as a walk of this many levels would remember it. */
const table = (
  stage: RememberedTable['stage'],
  whose: Whose,
  to: { address: bigint; levels: string },
): RememberedTable => ({
  stage,
  ...whose,
  // A guest of two levels has entries of 4 bytes, and so tables of 4 MiB.
  ...(to.levels === '2-level'
    ? { depth: 1, shift: 22, prefix: to.address >> 22n }
    : { depth: (LEVELS[to.levels] ?? 4) - 1, shift: 21, prefix: to.address >> 21n }),
  table: ASTRAY,
  place: ASTRAY,
  writable: true,
  path: [],
  seen: [],
});

/** Strangers that would serve the first page, or the first table of the guest, were it not for one tag. */
export function strangersOf({ machine, cpu, guest: levels, host }: Settings): Strangers {
  const page = SMALL[0];
  const guestTable = { address: page, levels };
  if (machine === 'native') {
    const other = { guest: OTHER_GUEST, space: 0, root: 0 };
    const translations = [translation('linear', other, { page, global: true })];
    return { translations, tables: [table('guest', other, guestTable)] };
  }
  const guest = cpu === 'vmx-novpid' ? 0 : 1;
  // What EPT alone gave carries no number of a guest.
  const stageGuest = cpu === 'svm' || cpu === 'arm64' ? 1 : 0;
  const otherGuest = { guest: OTHER_GUEST, space: 0, root: ROOT };
  const otherRoot = { guest, space: 0, root: OTHER_ROOT };
  const otherStage = { guest: stageGuest, space: 0, root: OTHER_ROOT };
  return {
    translations: [
      translation('combined', otherGuest, { page, global: true }),
      translation('combined', otherRoot, { page, global: false }),
      translation('guest-physical', otherStage, { page: FIRST_TABLE, global: false }),
    ],
    tables: [
      table('guest', otherGuest, guestTable),
      table('guest', otherRoot, guestTable),
      table('host', otherStage, { address: FIRST_TABLE, levels: host }),
    ],
  };
}

/** The same as the model keeps it; serial numbers below 1 are older than any of its own. */
const heldTranslation = (of: Translation, at: { vcpu: number; serial: number }): TlbEntry => ({
  ...at,
  kind: of.kind,
  asid: of.guest,
  pcid: of.space,
  root: of.root,
  vpn: Number(of.page >> 12n),
  pageBits: of.size,
  pfn: pfn(Number(of.to >> 12n)),
  readable: true,
  writable: true,
  user: true,
  executable: true,
  userExecutable: true,
  global: of.global,
  dirty: of.dirty,
  protectionKey: 0,
  ...(of.kind === 'combined' ? { host: { read: true, write: true, execute: true } } : {}),
  filledFrom: [],
  filledValues: [],
  filledUnder: '',
  used: 0,
});

const heldTable = (of: RememberedTable, at: { vcpu: number; serial: number }): PscEntry => ({
  ...at,
  stage: of.stage,
  asid: of.guest,
  pcid: of.space,
  root: of.root,
  depth: of.depth,
  prefix: of.prefix,
  shift: of.shift,
  table: of.table,
  place: of.place,
  writable: of.writable,
  rights: { writable: true, user: true, executable: true, protectionKey: 0 },
  filledFrom: [],
  filledValues: [],
  filledUnder: '',
});

const OTHER_PROCESSOR = 1;

/** Puts them into the model's world, and into its other processor what would serve even this guest. */
export function plant(m: Machine, { translations, tables }: Strangers): void {
  m.amendLastStep(() => {
    for (const [at, of] of translations.entries()) {
      const serial = at - translations.length;
      m.set('tlb', `0:${String(serial)}`, heldTranslation(of, { vcpu: 0, serial }));
    }
    for (const [at, of] of tables.entries()) {
      const serial = at - tables.length;
      m.set('psc', `0:${String(serial)}`, heldTable(of, { vcpu: 0, serial }));
      const own = { ...of, root: of.root === 0 ? 0 : ROOT, guest: OWN_GUESTS[at % OWN_GUESTS.length] ?? 0 };
      m.set('psc', `1:${String(serial)}`, heldTable(own, { vcpu: OTHER_PROCESSOR, serial }));
    }
  });
}

const OWN_GUESTS = [0, 1];
