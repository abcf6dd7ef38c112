/**
 * What the guests of generated programs do: uses of pages, changes of entries with the invalidations that they call for,
 * stores by kernel and program into page tables, paging turned off for a while. A guest that obeys invalidates on every
 * vCPU whatever a change may have left in its TLB; a careless one forgets some or all of that.
 */
import fc from 'fast-check';
import {
  flags,
  flagText,
  LARGE,
  largeFrame,
  SMALL,
  smallFrame,
  windowAt,
  type Flags,
  type GuestMode,
} from './guest-programs.ts';

export type Manners = 'obeys' | 'careless';

/** Where programs see tables of their own: a page table, and a page directory, which is the root of 2-level tables. */
export const USER_WINDOWS = ['0x80010000', '0x80011000'];
export const WINDOWS = [windowAt(0), windowAt(1), windowAt(4)];
/** Guest physical addresses of the first tables. */
const TABLES = [0, 1, 2, 3, 4].map((at) => 0x10000 + at * 0x1000);

const hex = (value: number): string => `0x${value.toString(16)}`;
export const choice = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

export const list = <T>(one: fc.Arbitrary<T>, length: number): fc.Arbitrary<T[]> =>
  fc.array(one, { minLength: length, maxLength: length });

export const PLAIN: Flags = { rw: true, user: true, accessed: true, dirty: true, nx: false };

export interface Guest {
  readonly mode: GuestMode;
  readonly vcpus: number;
  readonly manners: Manners;
}

/** What happens, as operations of a guest. */
export type Deed = (guest: Guest) => readonly string[];

const actor = fc.nat(2);
const by = (vcpu: number, { vcpus }: Guest): string => `v${String(vcpu % vcpus)}`;

export interface Invalidations {
  /** A careless guest makes only those of these vCPUs. */
  readonly kept: readonly boolean[];
  /** What somebody does before any of them. */
  readonly before: readonly string[];
}

const KEPT = 3;
export const invalidations: fc.Arbitrary<Invalidations> = fc.record({
  kept: fc.array(choice([false, false, true]), { minLength: KEPT, maxLength: KEPT }),
  before: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: choice(SMALL).map((address) => [`v0 user read ${address}`]) },
  ),
});

/** The same instruction on every vCPU. */
export function everywhere(
  guest: Guest,
  { kept, before }: Invalidations,
  instruction: string,
): readonly string[] {
  const made = Array.from({ length: guest.vcpus }, (_, vcpu) => vcpu).filter(
    (vcpu) => guest.manners === 'obeys' || kept[vcpu] === true,
  );
  return [...before, ...made.map((vcpu) => `v${String(vcpu)} kernel ${instruction}`)];
}

const textOf = (f: Flags, { mode, manners }: Guest, global: boolean): string =>
  // Who obeys makes no global pages: a CR3 load would leave them.
  `${flagText(f, mode)}${global && manners === 'careless' ? ' global' : ''}`;

interface Touch {
  readonly address: string;
  readonly verb: string;
  readonly user: boolean;
  readonly value: number;
}
export const touch: fc.Arbitrary<Touch> = fc.record({
  address: fc
    .oneof(
      { weight: 5, arbitrary: fc.tuple(choice([...SMALL, ...LARGE]), choice(['+0x8', '+0x18', '+0xff8'])) },
      { weight: 1, arbitrary: fc.tuple(choice(LARGE), choice(['+0x3000', '+0x1ff000'])) },
      { weight: 1, arbitrary: fc.tuple(choice([...WINDOWS, ...USER_WINDOWS]), choice(['', '+0x10'])) },
    )
    .map((parts) => parts.join('')),
  verb: choice(['read', 'read', 'write', 'write', 'exec']),
  user: fc.boolean(),
  value: fc.integer({ min: 1, max: 255 }),
});

export const intoTable = ({ address }: Touch): boolean =>
  [...WINDOWS, ...USER_WINDOWS].some((window) => address.startsWith(window));

/** A store into a window is of zeros: an entry that is not present. */
export function touchText(made: Touch): string {
  const { address, verb, user, value } = made;
  const stored = intoTable(made) ? 0 : value;
  return `${user ? 'user' : 'kernel'} ${verb} ${address}${verb === 'write' ? ` = ${hex(stored)}` : ''}`;
}

const access: fc.Arbitrary<Deed> = fc
  .record({ vcpu: actor, touch, handled: fc.boolean(), frame: smallFrame, flags, invalidations })
  .map((a) => (guest) => {
    const line = `${by(a.vcpu, guest)} ${touchText(a.touch)}`;
    const page = SMALL.find((address) => a.touch.address.startsWith(`${address}+`));
    if (!a.handled || page === undefined) return [line];
    const made = textOf({ ...a.flags, accessed: true }, guest, false);
    const handler = [
      '  on #PF',
      `    set-pte ${page} -> gfn ${a.frame} ${made}`,
      `    invlpg ${page}`,
      '    retry',
    ];
    return [[line, ...handler].join('\n'), ...others(guest, a.vcpu, a.invalidations, `invlpg ${page}`)];
  });

/** What the handler's own vCPU has done, the others have to do as well. */
const others = (guest: Guest, vcpu: number, made: Invalidations, instruction: string): readonly string[] =>
  everywhere(guest, { ...made, before: [] }, instruction).filter(
    (line) => !line.startsWith(`${by(vcpu, guest)} `),
  );

/** A plain use of an address. */
export const use: fc.Arbitrary<(address: string) => string> = choice([
  (address: string) => `user read ${address}`,
  (address: string) => `kernel read ${address}`,
  (address: string) => `user write ${address} = 0x7`,
  (address: string) => `kernel write ${address} = 0x8`,
]);

/** An entry changes: one of a page, or one that names a table. */
interface Change {
  readonly address: string;
  readonly kind: 'small' | 'large' | 'upper';
  readonly frame: string;
  readonly absent: boolean;
  readonly flags: Flags;
  readonly global: boolean;
}
export const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: changeOf('small', choice(SMALL), smallFrame) },
  { weight: 2, arbitrary: changeOf('large', choice(LARGE), largeFrame) },
  { weight: 2, arbitrary: changeOf('upper', choice(['0x400000', '0x800000']), fc.constant('')) },
);
function changeOf(
  kind: Change['kind'],
  address: fc.Arbitrary<string>,
  frame: fc.Arbitrary<string>,
): fc.Arbitrary<Change> {
  const rest = { absent: choice([false, false, false, true]), flags, global: choice([false, false, true]) };
  return fc.record({ kind: fc.constant(kind), address, frame, ...rest });
}

export function changeText(made: Change, guest: Guest): string {
  const { address, kind, frame, absent } = made;
  const place = kind === 'small' ? address : `${address} level=2`;
  if (absent) return `kernel set-pte ${place} -> absent`;
  const target = kind === 'upper' ? 'table' : `gfn ${frame}`;
  return `kernel set-pte ${place} -> ${target} ${textOf(made.flags, guest, kind !== 'upper' && made.global)}`;
}

/** Below an upper entry lies more than one address can invalidate. */
export const remedyOf = ({ kind, address }: Change): string =>
  kind === 'upper' ? 'load-cr3 main' : `invlpg ${address}`;

const entryChange: fc.Arbitrary<Deed> = fc
  .tuple(actor, change, invalidations)
  .map(([vcpu, made, dropped]) => (guest) => [
    `${by(vcpu, guest)} ${changeText(made, guest)}`,
    ...everywhere(guest, dropped, remedyOf(made)),
  ]);

/** A page is used, its entry changes, and it is used again: what a careless guest may see. */
const usedAgain: fc.Arbitrary<Deed> = fc
  .record({
    user: actor,
    changer: actor,
    change,
    uses: list(use, 2),
    large: choice([8, 0x3008]),
    invalidations,
  })
  .map((a) => (guest) => {
    const at = `${a.change.address}+${hex(a.change.kind === 'large' ? a.large : 8)}`;
    const [first, second] = a.uses.map((does) => `${by(a.user, guest)} ${does(at)}`);
    return [
      first ?? '',
      `${by(a.changer, guest)} ${changeText(a.change, guest)}`,
      ...everywhere(guest, { ...a.invalidations, before: [] }, remedyOf(a.change)),
      second ?? '',
    ];
  });

/** A store of a part of an entry, or of a whole one, by the kernel or by a program that has a table for itself. */
const tableStore: fc.Arbitrary<Deed> = fc
  .tuple(actor, choice([...WINDOWS, ...USER_WINDOWS]), fc.nat(511), choice([1, 2, 4, 8]), invalidations)
  .map(([vcpu, window, index, bytes, dropped]) => (guest) => {
    const who = USER_WINDOWS.includes(window) ? 'user' : 'kernel';
    const store = `${by(vcpu, guest)} ${who} write ${window}+${hex(index * 8)} = 0 bytes=${String(bytes)}`;
    return [store, ...everywhere(guest, dropped, 'load-cr3 main')];
  });

/** Paging is off for a while, and a table is written by its physical address. Long mode does not allow it. */
const withoutPaging: fc.Arbitrary<Deed> = fc
  .record({
    vcpu: actor,
    table: choice(TABLES),
    index: choice([0, 1, 2, 4, 511]),
    frame: smallFrame,
    read: fc.boolean(),
    used: list(choice(SMALL), 2),
    invalidations,
  })
  .map((a) => (guest) => {
    const own = by(a.vcpu, guest);
    const store = `${own} kernel write ${hex(a.table + a.index * 8)} = ${a.frame}067 bytes=4`;
    const [before, after] = a.used.map((address) => `${own} user read ${address}+0x8`);
    return [
      before ?? '',
      `${own} kernel set cr0.pg = 0`,
      ...(a.read ? [`${own} kernel read 0x200008`] : []),
      ...(guest.mode === '4-level' ? [] : [store]),
      `${own} kernel set cr0.pg = 1`,
      ...everywhere(guest, a.invalidations, 'load-cr3 main'),
      after ?? '',
    ];
  });

const small: fc.Arbitrary<Deed> = fc
  .tuple(
    actor,
    choice([
      'cpuid',
      'kernel load-cr3 main',
      'kernel load-cr3 B',
      'kernel invlpg 0x400000',
      'kernel set cr0.wp = 0',
      'kernel set cr0.wp = 1',
      'kernel read 0x80000000',
      'kernel read 0x80001000',
      'halt',
      'user-space',
    ]),
  )
  .map(
    ([vcpu, what]) =>
      (guest) =>
        guest.vcpus === 1 && (what === 'halt' || what === 'user-space') ? [] : [`${by(vcpu, guest)} ${what}`],
  );

/** Two large pages of one frame with different rights, used in turn. */
const twins: fc.Arbitrary<Deed> = fc
  .record({
    vcpu: actor,
    frame: largeFrame,
    rights: list(flags, 2),
    uses: list(use, LARGE.length + 1),
    invalidations,
  })
  .map((a) => (guest) => {
    const own = by(a.vcpu, guest);
    const made = LARGE.flatMap((address, at) => {
      const kept = textOf({ ...PLAIN, ...a.rights[at], accessed: true, dirty: true }, guest, false);
      return [
        `${own} kernel set-pte ${address} level=2 -> gfn ${a.frame} ${kept}`,
        ...everywhere(guest, { ...a.invalidations, before: [] }, `invlpg ${address}`),
        `${own} ${a.uses[at]?.(`${address}+0x8`) ?? 'cpuid'}`,
      ];
    });
    const switched = a.rights[0]?.nx === true ? [`${own} kernel load-cr3 main`] : [];
    return [...made, ...switched, `${own} ${a.uses[LARGE.length]?.(`${LARGE[0] ?? ''}+0x8`) ?? 'cpuid'}`];
  });

/** A frame of data is the root of an address space for a moment. */
const asRoot = (vcpu: string, frame: string): readonly string[] => [
  `${vcpu} kernel load-cr3 gfn ${frame}`,
  `${vcpu} kernel load-cr3 main`,
];
const dataAsRoot: fc.Arbitrary<Deed> = fc.tuple(actor, smallFrame).map(
  ([vcpu, frame]) =>
    (guest) =>
      asRoot(by(vcpu, guest), frame),
);

/** The kernel writes where its own tables forbid it, and a program reads there. */
const override: fc.Arbitrary<Deed> = fc.tuple(actor, choice(SMALL), fc.boolean()).map(
  ([vcpu, address, again]) =>
    (guest) =>
      overrides(by(vcpu, guest), address, again),
);
const overrides = (own: string, address: string, again: boolean): readonly string[] => [
  `${own} kernel set cr0.wp = 0`,
  `${own} kernel write ${address}+0x8 = 0x9`,
  ...(again ? [`${own} kernel set cr0.wp = 1`] : []),
  `${own} user read ${address}+0x8`,
];

/** The same with a page that is certainly read-only, whose frame is a table after that. */
const overriddenAsRoot: fc.Arbitrary<Deed> = fc
  .record({ vcpu: actor, address: choice(SMALL), frame: smallFrame, again: fc.boolean(), invalidations })
  .map((a) => (guest) => {
    const own = by(a.vcpu, guest);
    const readOnly = textOf({ ...PLAIN, rw: false }, guest, false);
    return [
      `${own} kernel set-pte ${a.address} -> gfn ${a.frame} ${readOnly}`,
      ...everywhere(guest, a.invalidations, `invlpg ${a.address}`),
      ...overrides(own, a.address, a.again),
      ...asRoot(own, a.frame),
    ];
  });

const byHost: fc.Arbitrary<Deed> = choice([
  ['host flush-all'],
  ['host log slot=0 on', 'v0 kernel read 0x80000000', 'host fetch-log slot=0', 'host log slot=0 off'],
]).map(
  (lines) =>
    ({ vcpus }) =>
      vcpus === 1 && lines.length === 1 ? [] : lines,
);

/** Anything, by one vCPU after the other. */
export const plainDeed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 8, arbitrary: access },
  { weight: 4, arbitrary: entryChange },
  { weight: 4, arbitrary: usedAgain },
  { weight: 2, arbitrary: tableStore },
  { weight: 1, arbitrary: withoutPaging },
  { weight: 1, arbitrary: twins },
  { weight: 3, arbitrary: small },
  { weight: 1, arbitrary: byHost },
  { weight: 1, arbitrary: override },
  { weight: 1, arbitrary: dataAsRoot },
  { weight: 1, arbitrary: overriddenAsRoot },
);
