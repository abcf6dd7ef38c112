/**
 * Programs for `two-stage` in which everybody flushes as they must: the guest after every change of its tables, the
 * hypervisor after every change of its own, by whichever way its processor has. So no access may meet anything old, on any
 * processor and with any caches.
 */
import fc from 'fast-check';
import { hostLevels } from '../core/hardware/encode.ts';
import {
  applies,
  choicesOf,
  DEFAULT_SETTINGS,
  misfit,
  settingOf,
  type SettingName,
  type Settings,
} from '../core/settings.ts';
import type { SettingChoices } from '../scenario/ast.ts';

const choice = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const hex = (value: number): string => `0x${value.toString(16)}`;

/** One page table serves the first two. */
const PAGES = ['0x400000', '0x401000', '0x800000'];
/** Frames of data: no two in one large page of the host, and none beside the guest's tables. */
const DATA = [0x400, 0x600, 0x800, 0xa00].map(hex);
/** Where the guest's first tables lie. */
const TABLES = [0, 1, 2, 3, 4].map((at) => hex(0x10 + at));
const WINDOWS = ['0x80000000', '0x80001000'];
const HOST_FRAMES = 0x10000;

/** What differs between the machines of one kind, and is drawn with a program. */
const DRAWN: readonly SettingName[] = ['cpu', 'guest', 'host', 'host-pages', 'ept-ad', 'psc', 'tlb'];

/** Every machine with two stages that `fixed` leaves open. */
const machines = (fixed: SettingChoices): fc.Arbitrary<Settings> =>
  DRAWN.reduce<fc.Arbitrary<Settings>>(
    (drawn, name) =>
      drawn.chain((settings) => {
        const setting = settingOf(name);
        if (setting === undefined || !applies(setting, settings)) return fc.constant(settings);
        const values = choicesOf(setting, settings).map(({ value }) => value);
        const own = fixed[name];
        return own === undefined
          ? choice(values).map((value) => ({ ...settings, [name]: value }))
          : fc.constant({ ...settings, [name]: own });
      }),
    fc.constant({ ...DEFAULT_SETTINGS, machine: 'two-stage' }),
  ).filter((settings) => misfit(settings) === undefined);

type Deed = (settings: Settings) => readonly string[];
const paged = ({ guest }: Settings): boolean => guest !== 'nonpaging';
const isArm = ({ cpu }: Settings): boolean => cpu === 'arm64';

interface Flags {
  readonly rw: boolean;
  readonly user: boolean;
  readonly marked: boolean;
  readonly nx: boolean;
}
const flags: fc.Arbitrary<Flags> = fc.record({
  rw: fc.boolean(),
  user: fc.boolean(),
  marked: fc.boolean(),
  nx: fc.boolean(),
});
const flagText = (f: Flags, { guest }: Settings): string =>
  [
    f.rw ? 'rw' : 'ro',
    f.user ? 'user' : 'kernel',
    f.marked ? 'accessed dirty' : '',
    f.nx && guest !== '2-level' ? 'nx' : '',
  ]
    .filter((word) => word !== '')
    .join(' ');

/** What the guest says after a change of one page, and after one of more. */
const dropPage = (settings: Settings, page: string): string =>
  isArm(settings) ? `tlbi vae1is ${page}` : `invlpg ${page}`;
const dropAll = (settings: Settings): string => (isArm(settings) ? 'tlbi vmalle1is' : 'load-cr3 main');

/** Where paging is off, addresses are those of frames. */
const access: fc.Arbitrary<Deed> = fc
  .record({
    page: fc.nat(PAGES.length - 1),
    offset: choice(['0x0', '0x8', '0xff8']),
    verb: choice(['read', 'read', 'write', 'exec']),
    user: fc.boolean(),
    value: fc.integer({ min: 1, max: 255 }),
    handled: choice([false, false, true]),
    frame: choice(DATA),
    flags,
  })
  .map((a) => (settings) => {
    const page = paged(settings) ? (PAGES[a.page] ?? '') : `${DATA[a.page] ?? ''}000`;
    const stored = a.verb === 'write' ? ` = ${hex(a.value)}` : '';
    const line = `v0 ${a.user ? 'user' : 'kernel'} ${a.verb} ${page}+${a.offset}${stored}`;
    if (!a.handled || !paged(settings)) return [line];
    const mended = [
      `set-pte ${page} -> gfn ${a.frame} ${flagText(a.flags, settings)}`,
      dropPage(settings, page),
    ];
    return [[line, '  on #PF', ...[...mended, 'retry'].map((text) => `    ${text}`)].join('\n')];
  });

const guestChange: fc.Arbitrary<Deed> = fc
  .record({
    page: choice(PAGES),
    absent: choice([false, false, true]),
    frame: choice(DATA),
    flags,
    upper: choice([false, false, true]),
  })
  .map((a) => (settings) => {
    if (!paged(settings)) return [];
    // On arm64 level 2 is the one above the last as well.
    const upper = a.upper ? ' level=2' : '';
    const target = a.upper ? 'table' : `gfn ${a.frame}`;
    const entry = a.absent ? 'absent' : `${target} ${flagText(a.flags, settings)}`;
    const dropped = a.upper
      ? [...PAGES, ...WINDOWS].map((page) => dropPage(settings, page))
      : [dropPage(settings, a.page)];
    return [`set-pte ${a.page}${upper} -> ${entry}`, ...dropped, ...(a.upper ? [dropAll(settings)] : [])].map(
      (text) => `v0 kernel ${text}`,
    );
  });

/** The host's own frame of a guest frame. */
const ownFrame = (gfn: string): number => HOST_FRAMES + Number(gfn);

interface HostChange {
  readonly table: boolean;
  readonly data: string;
  readonly place: string;
  readonly what: 'absent' | 'frame' | 'own' | 'raw';
  readonly rights: string;
}
const hostChange: fc.Arbitrary<HostChange> = fc.record({
  table: choice([false, false, false, true]),
  data: choice(DATA),
  place: choice(TABLES),
  what: choice(['frame', 'frame', 'own', 'absent', 'raw']),
  rights: choice(['read write exec', 'read write', 'read exec', 'read', 'exec', 'write']),
});

function hostChangeText(made: HostChange, settings: Settings): { line: string; gpa: string } {
  const large = settings['host-pages'] === '2M';
  const level = large ? hostLevels(settings).find(({ shift }) => shift === 21)?.level : undefined;
  const [to, gfn] = [made.data, made.table ? (large ? '0x0' : made.place) : made.data];
  // Data moves to frames of data only. Did a frame of data serve as a guest's table, a plain store would change that table.
  const frame = made.what === 'frame' && !made.table ? ownFrame(elsewhere(to)) : ownFrame(gfn);
  const target =
    made.what === 'absent'
      ? 'absent'
      : made.what === 'raw'
        ? 'raw 0x0'
        : `frame ${hex(frame)} ${rightsOf(made, settings)}`;
  const gpa = `${gfn}000`;
  return {
    line: `host set-entry ${gpa}${level === undefined ? '' : ` level=${String(level)}`} -> ${target}`,
    gpa,
  };
}
/** AMD's nested entries forbid no reading. */
const rightsOf = ({ rights }: HostChange, { cpu }: Settings): string =>
  cpu === 'svm' && !rights.includes('read') ? `read ${rights}` : rights;
const elsewhere = (data: string): string => DATA[(DATA.indexOf(data) + 1) % DATA.length] ?? data;

/** Ways to drop all that came from the changed entries; each is enough. */
function flushesOf(settings: Settings, changed: readonly string[]): readonly (readonly string[])[] {
  const all = ['host flush-all'];
  switch (settings.cpu) {
    case 'svm':
      return [all, ['host tlb-control asid'], ['host tlb-control all']];
    case 'arm64':
      return [
        all,
        ['host tlbi vmalls12e1is'],
        ['host tlbi alle1is'],
        // By address stage 2 alone is dropped: what stage 1 made of it goes by another.
        [...changed.map((gpa) => `host tlbi ipas2e1is ${gpa}`), 'v0 kernel tlbi vmalle1is'],
      ];
    default:
      return [all, ['host invept single'], ['host invept all']];
  }
}

const byHost: fc.Arbitrary<Deed> = fc
  .record({ changes: fc.array(hostChange, { minLength: 1, maxLength: 3 }), way: fc.nat(3) })
  .map((a) => (settings) => {
    const made = a.changes.map((one) => hostChangeText(one, settings));
    const ways = flushesOf(
      settings,
      made.map(({ gpa }) => gpa),
    );
    return [...made.map(({ line }) => line), ...(ways[a.way % ways.length] ?? [])];
  });

const others: fc.Arbitrary<Deed> = choice([
  () => ['v0 cpuid'],
  () => ['host flush-all'],
  (settings: Settings) =>
    !paged(settings)
      ? []
      : isArm(settings)
        ? ['v0 kernel load-ttbr0 B asid=1', 'v0 user read 0x400000', 'v0 kernel load-ttbr0 main']
        : ['v0 kernel load-cr3 B', 'v0 user read 0x400000', 'v0 kernel load-cr3 main'],
  (settings: Settings) => (isArm(settings) ? [] : ['v0 kernel set cr0.wp = 0']),
  (settings: Settings) => (isArm(settings) ? [] : ['v0 kernel set cr0.wp = 1']),
  (settings: Settings) => (paged(settings) ? [`v0 kernel read ${WINDOWS[0] ?? ''}`] : []),
]);

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 6, arbitrary: access },
  { weight: 3, arbitrary: guestChange },
  { weight: 4, arbitrary: byHost },
  { weight: 2, arbitrary: others },
);

interface Start {
  readonly pages: readonly (readonly [string, Flags])[];
}

function memoryLines({ pages }: Start, settings: Settings): readonly string[] {
  if (!paged(settings)) return [];
  return [
    ...PAGES.map((page, at) => {
      const [frame, f] = pages[at] ?? ['0x400', { rw: true, user: true, marked: true, nx: false }];
      return `map ${page} -> gfn ${frame} ${flagText(f, settings)}`;
    }),
    ...WINDOWS.map(
      (window, at) =>
        `map ${window} -> table-of ${['0x400000', '0x800000'][at] ?? ''} rw kernel accessed dirty`,
    ),
    'map 0x80002000 -> table-of 0x400000 level=2 rw kernel accessed dirty',
    'space B kernel=main',
    'map 0x400000 -> gfn 0x600 rw user accessed dirty',
  ];
}

/** The `machine` line, with what differs from the usual. */
const machineLine = (settings: Settings): string =>
  [
    'machine two-stage',
    ...DRAWN.filter((name) => settings[name] !== DEFAULT_SETTINGS[name]).map(
      (name) => `${name}=${settings[name]}`,
    ),
  ].join(' ');

const MOST_DEEDS = 12;

/** Texts of such programs, on machines with these settings. */
export const twoStageText = (fixed: SettingChoices = {}): fc.Arbitrary<string> =>
  fc
    .record({
      settings: machines(fixed),
      pages: fc.array(fc.tuple(choice(DATA), flags), { minLength: PAGES.length, maxLength: PAGES.length }),
      deeds: fc.array(deed, { minLength: 1, maxLength: MOST_DEEDS }),
    })
    .map(({ settings, pages, deeds }) => {
      const operations = deeds.flatMap((one) => one(settings));
      return [
        'mmuscope 1',
        'title Generated',
        machineLine(settings),
        'slot 0x0 16M',
        ...memoryLines({ pages }, settings),
        'begin',
        ...(operations.length === 0 ? ['v0 cpuid'] : operations),
      ].join('\n');
    });
