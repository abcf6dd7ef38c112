/**
 * That the audit of today's KVM notices: a state in which all holds, then one cell changed behind the engine's back, and
 * the rules that are false then. All of them are listed, so that a rule which sees too much is noticed too.
 */
import { describe, expect, test } from 'vitest';
import { timelineOf } from '../../../testing/scenarios.ts';
import { must } from '../../assert.ts';
import { parentsOf, today } from '../../kvm-shadow/page.ts';
import { roleField, withRole } from '../../kvm-shadow/role.ts';
import { frameOf, HOST_WRITABLE, isMmio, isPresent, MMU_WRITABLE, SPTE_W } from '../../kvm-shadow/spte.ts';
import { rmapKey, trackKey } from '../../kvm-shadow/vm.ts';
import type { TodaysPage } from '../../machine/tables-today.ts';
import type { ShadowPage } from '../../machine/tables.ts';
import { World } from '../../machine/world.ts';
import { gfn, wordOf } from '../../quantities.ts';
import { RULES_TODAY } from './rules.ts';
import { scanFreed } from './freed.ts';
import { scan } from './scan.ts';

const HEAD = 'mmuscope 1\ntitle Audit\nmachine kvm-shadow';
const TABLES = `slot 0x0 16M
map 0x400000 -> gfn 0x20 rw user accessed dirty
map 0x401000 -> gfn 0x21 ro user accessed dirty
map 0x402000 -> gfn 0x40000 rw user accessed dirty
map 0x403000 -> gfn 0x22 rw kernel accessed dirty nx
map 0x80000000 -> table-of 0x400000 rw kernel accessed dirty
map 0x80001000 -> table-of 0x400000 level=2 rw kernel accessed dirty`;
const DEEDS = `begin
v0 user write 0x400000 = 1
v0 user read 0x401000
v0 user read 0x402000
v0 kernel read 0x403000`;

const worldOf = (text: string): World => {
  const timeline = timelineOf(text);
  timeline.seek(timeline.length);
  return timeline.world;
};
/** All in step. */
const SYNCED = worldOf(`${HEAD}\n${TABLES}\n${DEEDS}\nv0 kernel read 0x80001000`);
/** The table of the first addresses is out of step: the guest has written another of its entries. */
const UNSYNC = worldOf(
  `${HEAD}\n${TABLES}\n${DEEDS}\nv0 kernel write 0x80000020 = 0\nv0 kernel read 0x80001000`,
);
/** Out of step, and in step again since the guest loaded CR3. */
const RESYNCED = worldOf(
  `${HEAD}\n${TABLES}\n${DEEDS}\nv0 kernel write 0x80000020 = 0\nv0 kernel load-cr3 main`,
);
const LOGGED = worldOf(`${HEAD}\n${TABLES}\n${DEEDS}\nhost log slot=0 on\nv0 user write 0x400000 = 2`);
const LARGE = worldOf(
  `${HEAD}\nslot 0x0 64M\nmap 0xc00000 level=2 -> gfn 0x800 rw user accessed dirty\nbegin\nv0 user write 0xc03000 = 1`,
);
const TWO_LEVEL = worldOf(
  `${HEAD} guest=2-level\nslot 0x0 64M\nmap 0x400000 -> gfn 0x20 rw user accessed dirty\nbegin\nv0 user write 0x400000 = 1`,
);
/** Two address spaces, the first one remembered. */
const ROOTS = worldOf(
  `${HEAD}\n${TABLES}\nspace B\nmap 0x400000 -> gfn 0x30 rw user accessed dirty\n${DEEDS}\nv0 kernel load-cr3 B\nv0 user read 0x400000`,
);

const V = 0x400;
const LEAF_TABLE = 0x13;
const DIRECTORY = 0x12;

function pageOf(world: World, table: number, level: number): ShadowPage {
  const pages = [...world.tables.sp.values()];
  return must(
    pages.find(
      ({ gfn: of, role }) => of === gfn(table) && (role & 0xf) === level && roleField(role, 'direct') === 0,
    ),
    'a shadow page',
  );
}
/** The leaf of an address of the first table. */
const leafOf = (world: World, page: number): number => wordOf(pageOf(world, LEAF_TABLE, 1).pfn, page - V);
const wordsOf = (world: World, is: (entry: bigint) => boolean): readonly number[] =>
  [...world.tables.sp.values()]
    .flatMap(({ pfn }) => world.wordsOfShadowFrame(pfn))
    .filter((word) => is(world.word(word)));
const first = (words: readonly number[]): number => must(words[0], 'such an entry');

const change = (world: World, word: number, by: (entry: bigint) => bigint): void => {
  world.put('word', word, by(world.word(word)));
};
function patch(world: World, page: ShadowPage, changes: Partial<ShadowPage>): void {
  world.put('sp', page.serial, { ...page, ...changes });
}
const patchToday = (world: World, page: ShadowPage, changes: Partial<TodaysPage>): void => {
  patch(world, page, { today: { ...today(page), ...changes } });
};
const hva = (frame: number): number => 0x7f000 + frame;
const patchVm = (world: World, changes: object): void => {
  world.put('vm', 'kvm', { ...must(world.get('vm', 'kvm'), 'a VM'), ...changes });
};
const patchHost = (world: World, frame: number, changes: object): void => {
  const page = must(world.get('hostPage', hva(frame)), 'a page');
  world.put('hostPage', hva(frame), { ...page, ...changes });
};
const patchRoots = (world: World, changes: object): void => {
  world.put('mmu', 0, { ...must(world.get('mmu', 0), 'roots'), ...changes });
};
const rulesAfter = (world: World, by: (copy: World) => void): readonly string[] => {
  const copy = new World(world);
  by(copy);
  return [...new Set(scan(copy).map(({ rule }) => rule))].sort();
};

describe('a state that the engine has made breaks no rule', () => {
  test.each([
    ['in step', SYNCED],
    ['out of step', UNSYNC],
    ['in step again', RESYNCED],
    ['logged', LOGGED],
    ['large pages', LARGE],
    ['two levels', TWO_LEVEL],
    ['remembered roots', ROOTS],
  ])('%s', (_name, world) => {
    expect(scan(world)).toEqual([]);
  });

  test('and each has what the changes below are about', () => {
    expect(wordsOf(SYNCED, isMmio)).toHaveLength(1);
    expect(today(pageOf(SYNCED, LEAF_TABLE, 1)).unsync).toBe(false);
    expect(today(pageOf(UNSYNC, LEAF_TABLE, 1)).unsync).toBe(true);
    expect(LOGGED.tables.dirty.size).toBeGreaterThan(0);
    expect(LOGGED.tables.written.size).toBeGreaterThan(0);
    expect([...LARGE.tables.sp.values()].some(({ role }) => roleField(role, 'direct') === 1)).toBe(true);
    expect(ROOTS.get('mmu', 0)?.prevRoots[0]?.hpa).toBeDefined();
  });
});

type Case = readonly [name: string, world: World, by: (copy: World) => void, rules: readonly string[]];

const ENTRIES: readonly Case[] = [
  ['a leaf names another frame', SYNCED, (w) => change(w, leafOf(w, V), (e) => e ^ (1n << 13n)), ['INV-1']],
  ['the same, out of step', UNSYNC, (w) => change(w, leafOf(w, V), (e) => e ^ (1n << 13n)), ['INV-1']],
  [
    'the guest names another frame unseen',
    SYNCED,
    (w) => change(w, wordOf(pageFrame(LEAF_TABLE), 0), (e) => e ^ (1n << 13n)),
    ['INV-1'],
  ],
  [
    'the same, out of step',
    UNSYNC,
    (w) => change(w, wordOf(pageFrame(LEAF_TABLE), 0), (e) => e ^ (1n << 13n)),
    [],
  ],
  [
    "the guest's entry is gone unseen",
    SYNCED,
    (w) => change(w, wordOf(pageFrame(LEAF_TABLE), 0), () => 0n),
    ['INV-1', 'INV-13'],
  ],
  [
    "the guest's link leads to another table unseen",
    SYNCED,
    (w) => change(w, wordOf(pageFrame(DIRECTORY), 2), (e) => e ^ (1n << 12n)),
    ['INV-1'],
  ],
  [
    'the noted frame is another',
    SYNCED,
    (w) => w.put('shadowed', leafOf(w, V), (0x23n << 12n) | 7n),
    ['INV-1', 'INV-2'],
  ],
  [
    'a link leads to a page of another table',
    SYNCED,
    (w) => change(w, linkTo(w, LEAF_TABLE), () => w.word(linkTo(w, 0x11))),
    ['INV-1', 'INV-4'],
  ],
  [
    'a large page of the guest begins elsewhere',
    LARGE,
    (w) => change(w, wordOf(pageFrame(DIRECTORY), 6), (e) => e ^ (1n << 21n)),
    ['INV-1'],
  ],
  [
    'an entry of four bytes names another frame',
    TWO_LEVEL,
    (w) => change(w, guestLeafOfFour(w), (e) => e ^ (1n << 13n)),
    ['INV-1'],
  ],
  ['the host has another frame there', SYNCED, (w) => patchHost(w, 0x20, { pfn: 0x1_9000 }), ['INV-1']],
  ['the host has taken the page away', SYNCED, (w) => patchHost(w, 0x20, { pfn: undefined }), ['I.5c']],
  ['the same, out of step', UNSYNC, (w) => patchHost(w, 0x20, { pfn: undefined }), ['I.5c']],
  [
    "the same within a notifier's window",
    SYNCED,
    (w) => {
      patchHost(w, 0x20, { pfn: undefined });
      patchVm(w, { invalidating: 1 });
    },
    [],
  ],
  ['the host holds the page read-only', SYNCED, (w) => patchHost(w, 0x20, { writable: false }), ['INV-7']],
  ['W without MMU-writable', SYNCED, (w) => change(w, leafOf(w, V), (e) => e & ~MMU_WRITABLE), ['INV-7']],
  [
    'MMU-writable without host-writable',
    SYNCED,
    (w) => change(w, leafOf(w, V), (e) => e & ~HOST_WRITABLE),
    ['INV-7'],
  ],
  [
    'W that the guest does not give',
    SYNCED,
    (w) => change(w, leafOf(w, V + 1), (e) => e | SPTE_W | MMU_WRITABLE),
    ['INV-13'],
  ],
  [
    'the same, out of step',
    UNSYNC,
    (w) => change(w, leafOf(w, V + 1), (e) => e | SPTE_W | MMU_WRITABLE),
    ['INV-13'],
  ],
  ['U that the guest does not give', SYNCED, (w) => change(w, leafOf(w, V + 3), (e) => e | 4n), ['INV-13']],
  ['NX is gone', SYNCED, (w) => change(w, leafOf(w, V + 3), (e) => e & ~(1n << 63n)), ['INV-13']],
  [
    "the guest's D is cleared unseen",
    SYNCED,
    (w) => change(w, wordOf(pageFrame(LEAF_TABLE), 0), (e) => e & ~0x40n),
    ['INV-13'],
  ],
  [
    'a table above loses its right unseen',
    SYNCED,
    (w) => change(w, wordOf(pageFrame(DIRECTORY), 2), (e) => e & ~2n),
    ['INV-13'],
  ],
  [
    'the same, over a page out of step',
    UNSYNC,
    (w) => change(w, wordOf(pageFrame(DIRECTORY), 2), (e) => e & ~2n),
    ['INV-13'],
  ],
  [
    'a page whose key has fewer rights than its leaves',
    SYNCED,
    (w) => {
      const p = pageOf(w, LEAF_TABLE, 1);
      patch(w, p, { role: withRole(p.role, { access: 5 }) });
    },
    ['INV-13'],
  ],
];

const LISTS: readonly Case[] = [
  [
    'a leaf is in no reverse map',
    SYNCED,
    (w) => w.put('slotRmap', rmapKey(0, 1, 0x20), undefined),
    ['INV-2'],
  ],
  ['a reverse map lists an entry that is gone', SYNCED, (w) => change(w, leafOf(w, V), () => 0n), ['INV-2']],
  [
    'a read-only leaf is in none',
    SYNCED,
    (w) => w.put('slotRmap', rmapKey(0, 1, 0x21), undefined),
    ['INV-2'],
  ],
  [
    'an entry is listed twice',
    SYNCED,
    (w) => {
      w.put('rnode', 99, { words: [leafOf(w, V), leafOf(w, V)] });
      w.put('slotRmap', rmapKey(0, 1, 0x20), { kind: 'chain', head: 99 });
    },
    ['INV-2'],
  ],
  [
    'a page knows no parents',
    SYNCED,
    (w) => patch(w, pageOf(w, LEAF_TABLE, 1), { parents: { kind: 'none' } }),
    ['INV-4'],
  ],
  ['a parent does not link', SYNCED, (w) => change(w, linkTo(w, LEAF_TABLE), () => 0n), ['INV-4']],
  [
    'a link leads to no page',
    SYNCED,
    (w) => w.put('owner', pageOf(w, LEAF_TABLE, 1).pfn, undefined),
    ['INV-4'],
  ],
];

const TABLE_CASES: readonly Case[] = [
  [
    'a table in step may be written',
    RESYNCED,
    (w) => change(w, leafOfFrame(w, LEAF_TABLE), (e) => e | SPTE_W | MMU_WRITABLE),
    ['INV-3'],
  ],
  [
    'the leaf of a directory gets its write right back',
    SYNCED,
    (w) => change(w, leafOfFrame(w, DIRECTORY), (e) => e | MMU_WRITABLE),
    ['INV-3'],
  ],
  [
    'a page goes into step with its table still writable',
    UNSYNC,
    (w) => patchToday(w, pageOf(w, LEAF_TABLE, 1), { unsync: false }),
    ['INV-3'],
  ],
  [
    'a directory is not write-tracked',
    SYNCED,
    (w) => w.put('writeTrack', trackKey(0, DIRECTORY), undefined),
    ['INV-3'],
  ],
  [
    'a page that is out of step is an upper table too',
    UNSYNC,
    (w) => w.put('writeTrack', trackKey(0, LEAF_TABLE), 1),
    ['INV-3', 'INV-8'],
  ],
  [
    'a page above level 1 is out of step',
    UNSYNC,
    (w) => patchToday(w, pageOf(w, DIRECTORY, 2), { unsync: true }),
    ['INV-8'],
  ],
  ['a direct page is out of step', LARGE, (w) => patchToday(w, directPage(w), { unsync: true }), ['INV-8']],
  [
    'the way to a page out of step is not marked',
    UNSYNC,
    (w) => w.put('unsyncBit', linkTo(w, LEAF_TABLE), undefined),
    ['INV-8'],
  ],
  [
    'nor further up',
    UNSYNC,
    (w) => {
      const word = linkTo(w, DIRECTORY);
      w.put('unsyncBit', word, undefined);
      patchToday(w, pageOf(w, 0x11, 3), { unsyncChildren: 0 });
    },
    ['INV-8'],
  ],
  [
    'unsync_children is wrong',
    UNSYNC,
    (w) => patchToday(w, pageOf(w, DIRECTORY, 2), { unsyncChildren: 5 }),
    ['INV-8'],
  ],
];

const OTHERS: readonly Case[] = [
  ['a root in use is gone', SYNCED, (w) => w.put('owner', pageOf(w, 0x10, 4).pfn, undefined), ['INV-5']],
  [
    'a root counts one user too many',
    SYNCED,
    (w) => patch(w, pageOf(w, 0x10, 4), { rootCount: 2 }),
    ['INV-5'],
  ],
  [
    'a remembered root is gone',
    ROOTS,
    (w) => patchRoots(w, { prevRoots: [{ hpa: 0x2_4444, pgd: 0n }] }),
    ['INV-5'],
  ],
  [
    'a remembered root is forgotten, and still counted',
    ROOTS,
    (w) => patchRoots(w, { prevRoots: [] }),
    ['INV-5'],
  ],
  ['a PAE entry names no page', TWO_LEVEL, (w) => w.put('word', 0xf000 * 512, 0x2_4444_001n), ['INV-5']],
  ['a generation ends and nobody is told', SYNCED, (w) => patchVm(w, { validGen: 1 }), ['INV-5']],
  [
    'the same, and the vCPU is asked for its roots',
    SYNCED,
    (w) => {
      patchVm(w, { validGen: 1 });
      w.put('request', 0, ['MMU_FREE_OBSOLETE_ROOTS']);
    },
    [],
  ],
  [
    'what stands for nothing any more need not be in step',
    SYNCED,
    (w) => {
      patchVm(w, { validGen: 1 });
      w.put('request', 0, ['MMU_FREE_OBSOLETE_ROOTS']);
      change(w, wordOf(pageFrame(LEAF_TABLE), 0), () => 0n);
    },
    [],
  ],
  [
    'the slot is being deleted',
    SYNCED,
    (w) => {
      for (const [id, slot] of w.tables.slot) w.put('slot', id, { ...slot, invalid: true });
    },
    ['INV-11'],
  ],
  [
    'there is memory where a device is marked',
    SYNCED,
    (w) => w.put('slot', 1, { firstGfn: gfn(0x40000), frames: 1, hva: 0x9_0000 }),
    ['INV-11'],
  ],
  [
    'the same, marked in an older generation',
    SYNCED,
    (w) => {
      w.put('slot', 1, { firstGfn: gfn(0x40000), frames: 1, hva: 0x9_0000 });
      patchVm(w, { generation: 44 });
    },
    [],
  ],
  [
    'a writable leaf in a logged slot is not in the log',
    LOGGED,
    (w) => w.put('dirty', gfn(0x20), undefined),
    ['INV-12'],
  ],
  ['a written frame is not in the log', LOGGED, (w) => w.put('written', gfn(0x2a), 1), ['INV-12']],
  [
    'the write right is given back unnoted',
    LOGGED,
    (w) => change(w, leafOf(w, V + 3), (e) => e | SPTE_W),
    ['INV-12'],
  ],
];

const pageFrame = (table: number): Parameters<typeof wordOf>[0] => (0x10000 + table) as never;
const linkTo = (world: World, table: number): number =>
  first(parentsOf(world, pageOf(world, table, table === LEAF_TABLE ? 1 : table === DIRECTORY ? 2 : 3)));
const directPage = (world: World): ShadowPage =>
  must(
    [...world.tables.sp.values()].find(({ role }) => roleField(role, 'direct') === 1),
    'a direct page',
  );
/** The kernel's own leaf of one of its tables. */
const leafOfFrame = (world: World, table: number): number =>
  first(wordsOf(world, (entry) => isPresent(entry) && frameOf(entry) === pageFrame(table)));
const guestLeafOfFour = (world: World): number => {
  const page = must(
    [...world.tables.sp.values()].find(({ role }) => (role & 0xf) === 1),
    'a page of level 1',
  );
  return wordOf(pageFrame(page.gfn), 0);
};

describe('one cell is changed behind the back of the engine', () => {
  test.each([...ENTRIES, ...LISTS, ...TABLE_CASES, ...OTHERS])('%s', (_name, world, by, rules) => {
    expect(rulesAfter(world, by)).toEqual(rules);
  });

  test('every rule that a scan can find false is broken by one of them', () => {
    const broken = [...ENTRIES, ...LISTS, ...TABLE_CASES, ...OTHERS].flatMap(([, , , rules]) => rules);
    const scanned = Object.keys(RULES_TODAY).filter((id) => id !== 'INV-6' && id !== 'INV-14');
    expect([...new Set(broken)].sort()).toEqual(scanned.sort());
  });

  test('before its frame goes back, nobody leads to a page, lists its entries, or runs on it', () => {
    const of = (page: ShadowPage): readonly string[] => [
      ...new Set(scanFreed(SYNCED, page.pfn).map(({ rule }) => rule)),
    ];
    expect(of(pageOf(SYNCED, LEAF_TABLE, 1))).toEqual(['INV-4', 'INV-2']);
    expect(of(pageOf(SYNCED, 0x10, 4))).toEqual(['INV-5']);
  });
});
