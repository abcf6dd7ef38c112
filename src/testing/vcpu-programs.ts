/**
 * Guest programs for one or several vCPUs, in every paging mode of 2007, with what one vCPU does in the middle of what
 * another does.
 */
import fc from 'fast-check';
import { PREEMPTION_NAMES } from '../core/machine/preemption.ts';
import {
  change,
  changeText,
  choice,
  everywhere,
  intoTable,
  invalidations,
  list,
  PLAIN,
  plainDeed,
  remedyOf,
  touch,
  touchText,
  USER_WINDOWS,
  WINDOWS,
  type Deed,
  type Guest,
  type Manners,
} from './guest-deeds.ts';
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

export interface VcpuProgram {
  readonly mode: GuestMode;
  readonly vcpus: number;
  /** What stands before `begin`. */
  readonly memory: readonly string[];
  /** One operation each, with the lines that are indented below it. */
  readonly operations: readonly string[];
}

/** What another vCPU does in the middle of something, with what the guest owes for it afterwards. */
interface Nested {
  readonly deed: (guest: Guest) => string;
  readonly owed: (guest: Guest) => readonly string[];
}
interface Meanwhile extends Nested {
  readonly vcpu: number;
  readonly point: string;
}
const plainly = (deed: string): Nested => ({ deed: () => deed, owed: () => [] });
const harmless: fc.Arbitrary<Nested> = fc.oneof(
  {
    weight: 4,
    arbitrary: touch.map((made) =>
      plainly(touchText({ ...made, verb: intoTable(made) ? 'read' : made.verb })),
    ),
  },
  {
    weight: 2,
    arbitrary: choice(['kernel load-cr3 main', 'kernel invlpg 0x400000', 'cpuid', 'halt', 'enter']).map(
      plainly,
    ),
  },
);
const storesIntoTable: fc.Arbitrary<Nested> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.tuple(change, invalidations).map(([made, dropped]) => ({
      deed: (guest: Guest) => changeText(made, guest),
      owed: (guest: Guest) => everywhere(guest, dropped, remedyOf(made)),
    })),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(choice([...WINDOWS, ...USER_WINDOWS]), invalidations).map(([window, dropped]) => ({
      deed: () => `kernel write ${window}+0x10 = 0`,
      owed: (guest: Guest) => everywhere(guest, dropped, 'load-cr3 main'),
    })),
  },
);

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

const MOST_DEEDS = 12;

/** Programs of guests with these manners and as many vCPUs. */
export const vcpuProgram = (of: {
  readonly manners: Manners;
  readonly vcpus: readonly number[];
  readonly modes?: readonly GuestMode[];
  /** What they often do besides. */
  readonly also?: fc.Arbitrary<Deed>;
}): fc.Arbitrary<VcpuProgram> =>
  fc
    .record({
      mode: choice(of.modes ?? GUEST_MODES),
      vcpus: choice(of.vcpus),
      ground,
      deeds: fc.array(of.also === undefined ? deed : fc.oneof(deed, of.also), {
        minLength: 1,
        maxLength: MOST_DEEDS,
      }),
    })
    .map(({ mode, vcpus, ground: start, deeds }) => {
      const operations = deeds.flatMap((one) => one({ mode, vcpus, manners: of.manners }));
      const some = operations.length === 0 ? ['v0 cpuid'] : operations;
      return { mode, vcpus, memory: memoryLines(start, mode), operations: some };
    });

/** As a text for a machine: `machine kvm-2007 era=2007c`. */
export function programText({ mode, vcpus, memory, operations }: VcpuProgram, machine: string): string {
  const head = ['mmuscope 1', 'title Generated', `${machine} guest=${mode} vcpus=${String(vcpus)}`];
  return [...head, ...memory, 'begin', ...operations].join('\n');
}
