/**
 * Guest programs for one or several vCPUs, in every paging mode of 2007, with what one vCPU does in the middle of what
 * another does.
 */
import fc from 'fast-check';
import { PREEMPTION_NAMES } from '../core/machine/preemption.ts';
import { choice, list, PLAIN, plainDeed, USER_WINDOWS, type Deed, type Manners } from './guest-deeds.ts';
import { harmless, storesIntoTable, type Nested } from './guest-meanwhile.ts';
import {
  flags,
  flagText,
  GUEST_MODES,
  LARGE,
  largeFrame,
  SEEN,
  SMALL,
  smallFrame,
  windowAt,
  type Flags,
  type GuestMode,
} from './guest-programs.ts';
import { tableFreedUnderWalk, tableTakenBack } from './guest-races.ts';
import {
  DEVICE_PAGES,
  DEVICE_WINDOW,
  DEVICES,
  deviceDeed,
  hostDeed,
  hostMeanwhile,
  logDeed,
  pageDeed,
  resolved,
  SECOND_SLOT,
  type LogClear,
} from './host-deeds.ts';
import { HOOK, HOOK_WINDOW, todayDeed } from './today-deeds.ts';

export interface VcpuProgram {
  readonly mode: GuestMode;
  readonly vcpus: number;
  /** What stands before `begin`. */
  readonly memory: readonly string[];
  /** One operation each, with the lines that are indented below it. */
  readonly operations: readonly string[];
  /** Settings that its lines rely on, for the `machine` line. */
  readonly needs?: string;
}

/**
 * What is in programs beside the guest: nothing, the dirty log, or a host and devices as a KVM of today has them: of
 * everything some, or mostly what is about pages that the host moves, about devices, or about tables of the guest.
 */
export type Around = 'nothing' | 'log' | 'host' | 'pages' | 'devices' | 'tables';

interface Meanwhile extends Nested {
  readonly vcpu: number;
  readonly point: string;
}

const inside: fc.Arbitrary<Nested> = fc.oneof(
  { weight: 1, arbitrary: harmless },
  { weight: 1, arbitrary: storesIntoTable },
);
const meanwhile: fc.Arbitrary<Meanwhile> = fc
  .tuple(fc.integer({ min: 1, max: 2 }), choice(PREEMPTION_NAMES), choice(['', '', '#2']), inside)
  .map(([vcpu, point, visit, made]) => ({ ...made, vcpu, point: `${point}${visit}` }));

/** Somebody else acts in the middle of the first operation of a deed. */
const interrupted = (deed: Deed, made: Meanwhile): Deed => {
  const act: Deed = (guest) => {
    const [first, ...rest] = deed(guest);
    const acting = /^v(\d)/.exec(first ?? '')?.[1];
    if (guest.vcpus === 1 || first === undefined || acting === undefined) return deed(guest);
    const other = `v${String((Number(acting) + Math.min(made.vcpu, guest.vcpus - 1)) % guest.vcpus)}`;
    const [line, ...block] = first.split('\n');
    const there = `  at ${made.point}: ${other} ${made.deed(guest)}`;
    return [[line, there, ...block].join('\n'), ...rest, ...made.owed(guest)];
  };
  return act;
};

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 10, arbitrary: plainDeed },
  {
    weight: 5,
    arbitrary: fc.tuple(plainDeed, meanwhile).map(([what, inside]) => interrupted(what, inside)),
  },
  { weight: 1, arbitrary: tableTakenBack },
  { weight: 1, arbitrary: tableFreedUnderWalk },
);

const startFlags = fc.oneof({ weight: 3, arbitrary: fc.constant(PLAIN) }, { weight: 2, arbitrary: flags });

interface Ground {
  readonly small: readonly (readonly [string, Flags])[];
  readonly large: readonly (readonly [string, Flags])[];
  /** Which of the small pages is not there; none, where there are not so many. */
  readonly absent: number;
}
const ground: fc.Arbitrary<Ground> = fc.record({
  small: list(fc.tuple(smallFrame, startFlags), SMALL.length),
  large: list(fc.tuple(largeFrame, startFlags), LARGE.length),
  absent: fc.nat(SMALL.length),
});

function memoryLines({ small: pages, large, absent }: Ground, mode: GuestMode): readonly string[] {
  return [
    'slot 0x0 64M',
    ...pages.map(([frame, f], at) => {
      const target = at === absent ? 'absent' : `gfn ${frame} ${flagText(f, mode)}`;
      return `map ${SMALL[at] ?? ''} -> ${target}`;
    }),
    ...large.map(([frame, f], at) => `map ${LARGE[at] ?? ''} level=2 -> gfn ${frame} ${flagText(f, mode)}`),
    ...SEEN.map(([table, marks], at) => `map ${windowAt(at)} -> table-of ${table} rw kernel ${marks}`.trim()),
    `map ${USER_WINDOWS[0] ?? ''} -> table-of 0x800000 rw user accessed dirty`,
    `map ${USER_WINDOWS[1] ?? ''} -> table-of 0x400000 level=2 rw user accessed dirty`,
    'space B kernel=main',
    'map 0x400000 -> gfn 0x201 rw user accessed dirty',
  ];
}

/** Less memory, as every page of it is the host's own affair; devices, and a second address space that has none there. */
const withHost = (lines: readonly string[], mode: GuestMode): readonly string[] => [
  'slot 0x0 16M',
  SECOND_SLOT,
  ...lines.slice(1, -SPACE_LINES),
  ...DEVICE_PAGES.map((page, at) => `map ${page} -> gfn ${DEVICES[at] ?? ''} rw user accessed dirty`),
  `map ${DEVICE_WINDOW} -> table-of ${DEVICE_PAGES[0] ?? ''} rw kernel accessed dirty`,
  ...(mode === '4-level'
    ? [
        `map 0x${HOOK.toString(16)} -> absent level=3`,
        `map ${HOOK_WINDOW} -> table-of 0x${HOOK.toString(16)} level=3 rw kernel accessed dirty`,
      ]
    : []),
  ...lines.slice(-SPACE_LINES),
  `map ${DEVICE_PAGES[0] ?? ''} -> table-of 0x400000 level=2 rw kernel accessed dirty`,
  `map ${DEVICE_PAGES[1] ?? ''} -> gfn 0x201 rw user accessed dirty`,
];
/** Lines at the end that are about the second address space. */
const SPACE_LINES = 2;

const DEEDS: Readonly<Record<Around, fc.Arbitrary<Deed>>> = {
  nothing: deed,
  log: fc.oneof({ weight: 1, arbitrary: deed }, { weight: 1, arbitrary: logDeed }),
  host: fc.oneof(
    { weight: 6, arbitrary: deed },
    { weight: 4, arbitrary: hostDeed },
    { weight: 2, arbitrary: hostMeanwhile(deed) },
    { weight: 2, arbitrary: todayDeed },
    { weight: 1, arbitrary: logDeed },
  ),
  pages: fc.oneof({ weight: 1, arbitrary: plainDeed }, { weight: 4, arbitrary: pageDeed }),
  devices: fc.oneof({ weight: 1, arbitrary: plainDeed }, { weight: 4, arbitrary: deviceDeed }),
  tables: fc.oneof({ weight: 1, arbitrary: plainDeed }, { weight: 4, arbitrary: todayDeed }),
};

const MOST_DEEDS = 12;

/** Programs of guests with these manners and as many vCPUs. */
export const vcpuProgram = (of: {
  readonly manners: Manners;
  readonly vcpus: readonly number[];
  readonly modes?: readonly GuestMode[];
  /** What they often do besides. */
  readonly also?: fc.Arbitrary<Deed>;
  /** What acts beside the guest. */
  readonly around?: Around;
}): fc.Arbitrary<VcpuProgram> => {
  const usual = DEEDS[of.around ?? 'nothing'];
  return fc
    .record({
      mode: choice(of.modes ?? GUEST_MODES),
      vcpus: choice(of.vcpus),
      ground,
      deeds: fc.array(of.also === undefined ? usual : fc.oneof(usual, of.also), {
        minLength: 1,
        maxLength: MOST_DEEDS,
      }),
      logClear: choice<LogClear>(
        of.around === 'host' ? ['with-fetch', 'apart', 'apart-all-set'] : ['with-fetch'],
      ),
    })
    .map(({ mode, vcpus, ground: start, deeds, logClear }) => {
      const operations = deeds.flatMap((one) => one({ mode, vcpus, manners: of.manners }));
      const some = operations.length === 0 ? ['v0 cpuid'] : operations;
      const memory = memoryLines(start, mode);
      if (of.around === undefined || of.around === 'nothing')
        return { mode, vcpus, memory, operations: some };
      const program = { mode, vcpus, operations: resolved(some, logClear) };
      if (of.around === 'log') return { ...program, memory };
      return { ...program, memory: withHost(memory, mode), needs: `log-clear=${logClear}` };
    });
};

/** As a text for a machine: `machine kvm-2007 era=2007c`. */
export function programText(
  { mode, vcpus, memory, operations, needs }: VcpuProgram,
  machine: string,
): string {
  const settings = [`guest=${mode}`, `vcpus=${String(vcpus)}`, ...(needs === undefined ? [] : [needs])];
  const head = ['mmuscope 1', 'title Generated', `${machine} ${settings.join(' ')}`];
  return [...head, ...memory, 'begin', ...operations].join('\n');
}
