/**
 * Guest programs that obey the architecture: whoever takes a right or a page away invalidates what may be cached, in
 * every paging mode of 2007. They run on a machine without a hypervisor and under a shadow MMU alike, and must see the
 * same on both.
 */
import fc from 'fast-check';

export const GUEST_MODES = ['4-level', 'pae', '2-level'] as const;
export type GuestMode = (typeof GUEST_MODES)[number];

const choice = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const hexText = (value: number): string => `0x${value.toString(16)}`;

/** Two in one table, one at its far end (another quadrant), one in another table, one in another directory. */
export const SMALL = ['0x400000', '0x401000', '0x7ff000', '0x800000', '0x40000000'];
export const LARGE = ['0xc00000', '0x1000000'];
/** Where the kernel sees the tables that it changes. */
export const SEEN = [
  ['0x400000', 'accessed dirty'],
  ['0x800000', 'accessed'],
  ['0x40000000', 'accessed dirty'],
  ['0x7ff000', ''],
  ['0x400000 level=2', 'accessed dirty'],
] as const;
export const windowAt = (at: number): string => hexText(0x80000000 + at * 0x1000);
const FRAMES = 4;

export interface Flags {
  readonly rw: boolean;
  readonly user: boolean;
  readonly accessed: boolean;
  readonly dirty: boolean;
  readonly nx: boolean;
}
export const flags: fc.Arbitrary<Flags> = fc.record({
  rw: fc.boolean(),
  user: fc.boolean(),
  accessed: fc.boolean(),
  dirty: fc.boolean(),
  nx: fc.boolean(),
});

export const flagText = (f: Flags, mode: GuestMode): string =>
  [
    f.rw ? 'rw' : 'ro',
    f.user ? 'user' : 'kernel',
    f.accessed ? 'accessed' : '',
    f.dirty ? 'dirty' : '',
    f.nx && mode !== '2-level' ? 'nx' : '',
  ]
    .filter((word) => word !== '')
    .join(' ');

type Line = (mode: GuestMode) => string;

export const smallFrame = fc.nat(FRAMES - 1).map((at) => hexText(0x200 + at));
/** A frame on which a large page of every mode may begin: one of two. */
export const largeFrame = choice(['0x800', '0xc00']);

const access: fc.Arbitrary<Line> = fc
  .record({
    address: choice([...SMALL, ...LARGE]),
    offset: choice([8, 0x18, 0xff8]),
    verb: choice(['read', 'write', 'exec']),
    user: fc.boolean(),
    value: fc.integer({ min: 1, max: 255 }),
    handled: fc.boolean(),
    frame: smallFrame,
    flags,
  })
  .map((a) => (mode) => {
    const store = a.verb === 'write' ? ` = ${hexText(a.value)}` : '';
    const text = `v0 ${a.user ? 'user' : 'kernel'} ${a.verb} ${a.address}+${hexText(a.offset)}${store}`;
    if (!a.handled || LARGE.includes(a.address)) return text;
    const made = flagText({ ...a.flags, accessed: true }, mode);
    return `${text}\n  on #PF\n    set-pte ${a.address} -> gfn ${a.frame} ${made}\n    invlpg ${a.address}\n    retry`;
  });

/** Data behind a large page, at a place below its first frame. */
const deepAccess: fc.Arbitrary<Line> = fc
  .tuple(choice(LARGE), choice([0x3000, 0x1ff000]), choice(['read', 'write']), fc.nat(255))
  .map(
    ([address, offset, verb, value]) =>
      () =>
        `v0 kernel ${verb} ${address}+${hexText(offset)}${verb === 'write' ? ` = ${hexText(value)}` : ''}`,
  );

const leafChange: fc.Arbitrary<Line> = fc.tuple(choice(SMALL), smallFrame, flags, fc.boolean()).map(
  ([address, frame, f, absent]) =>
    (mode) =>
      `v0 kernel set-pte ${address} -> ${absent ? 'absent' : `gfn ${frame} ${flagText(f, mode)}`}\nv0 kernel invlpg ${address}`,
);

const largeChange: fc.Arbitrary<Line> = fc.tuple(choice(LARGE), largeFrame, flags, fc.boolean()).map(
  ([address, frame, f, absent]) =>
    (mode) =>
      `v0 kernel set-pte ${address} level=2 -> ${absent ? 'absent' : `gfn ${frame} ${flagText(f, mode)}`}\nv0 kernel invlpg ${address}`,
);

/** An upper entry changes: the guest drops every translation then. */
const upperChange: fc.Arbitrary<Line> = fc.tuple(choice(['0x400000', '0x800000']), flags, fc.boolean()).map(
  ([address, f, absent]) =>
    (mode) =>
      `v0 kernel set-pte ${address} level=2 -> ${absent ? 'absent' : `table ${flagText(f, mode)}`}\nv0 kernel load-cr3 main`,
);

/** A store of a part of an entry, or over two of them. */
const partialStore: fc.Arbitrary<Line> = fc
  .tuple(choice([windowAt(0), windowAt(1)]), fc.nat(511), choice([1, 2, 4, 8]))
  .map(
    ([window, index, bytes]) =>
      () =>
        `v0 kernel write ${window}+${hexText(index * 8)} = 0 bytes=${String(bytes)}\nv0 kernel load-cr3 main`,
  );

const others: fc.Arbitrary<Line> = choice([
  'v0 cpuid',
  'v0 kernel load-cr3 main',
  'v0 kernel load-cr3 B\nv0 user read 0x400000\nv0 kernel load-cr3 main',
  'v0 kernel load-cr3 B\nv0 kernel write 0x80000000+0x8 = 0\nv0 kernel load-cr3 main',
  'v0 kernel invlpg 0x400000',
  // The table as data: marks included.
  'v0 kernel read 0x80000000',
  'v0 kernel read 0x80001000',
]).map((text) => () => text);

export interface GuestProgram {
  readonly mode: GuestMode;
  /** The text without its `machine` line. */
  readonly text: string;
}

export const guestProgram: fc.Arbitrary<GuestProgram> = fc
  .record({
    mode: choice(GUEST_MODES),
    small: fc.array(fc.tuple(smallFrame, flags), { minLength: SMALL.length, maxLength: SMALL.length }),
    large: fc.array(fc.tuple(largeFrame, flags), { minLength: LARGE.length, maxLength: LARGE.length }),
    absent: fc.nat(SMALL.length),
    operations: fc.array(
      fc.oneof(
        { weight: 6, arbitrary: access },
        { weight: 2, arbitrary: deepAccess },
        { weight: 4, arbitrary: leafChange },
        { weight: 2, arbitrary: largeChange },
        { weight: 2, arbitrary: upperChange },
        { weight: 2, arbitrary: partialStore },
        { weight: 2, arbitrary: others },
      ),
      { minLength: 1, maxLength: 14 },
    ),
  })
  .map(({ mode, small, large, absent, operations }) => ({
    mode,
    text: [
      'slot 0x0 64M',
      ...SMALL.map((address, at) => {
        const [frame, f] = small[at] ?? [
          '0x200',
          { rw: true, user: true, accessed: true, dirty: true, nx: false },
        ];
        return `map ${address} -> ${at === absent ? 'absent' : `gfn ${frame} ${flagText(f, mode)}`}`;
      }),
      ...LARGE.map((address, at) => {
        const [frame, f] = large[at] ?? [
          '0x800',
          { rw: true, user: true, accessed: true, dirty: true, nx: false },
        ];
        return `map ${address} level=2 -> gfn ${frame} ${flagText(f, mode)}`;
      }),
      ...SEEN.map(([table, marks], at) => `map ${windowAt(at)} -> table-of ${table} rw kernel ${marks}`),
      'space B kernel=main',
      'map 0x400000 -> gfn 0x201 rw user accessed dirty',
      'begin',
      ...operations.map((line) => line(mode)),
    ].join('\n'),
  }));

/** A text for a machine: `machine kvm-2007 era=2006`, `machine native`. */
export const onMachine = (program: GuestProgram, machine: string): string =>
  ['mmuscope 1', 'title Generated', `${machine} guest=${program.mode}`, program.text].join('\n');
