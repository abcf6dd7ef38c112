/** Generated scenarios on the machines without KVM: every processor with every guest that it can run. */
import fc from 'fast-check';
import { guestLevels, guestPageLevels, hostLevels, hostPageLevels } from '../core/hardware/encode.ts';
import { INSTRUCTIONS } from '../core/hardware/invalidations.ts';
import { choicesOf, DEFAULT_SETTINGS, settingOf, type SettingName, type Settings } from '../core/settings.ts';
import { invalidationWords } from '../scenario/machine-words.ts';

const valuesOf = (name: SettingName, settings: Settings): readonly string[] => {
  const setting = settingOf(name);
  return setting === undefined ? [] : choicesOf(setting, settings).map(({ value }) => value);
};

/** Every machine, processor and guest that fit one another. */
const combinations: readonly Settings[] = ['native', 'two-stage'].flatMap((machine) => {
  const base = { ...DEFAULT_SETTINGS, machine };
  return valuesOf('cpu', base).flatMap((cpu) =>
    valuesOf('guest', { ...base, cpu }).map((guest) => ({ ...base, cpu, guest })),
  );
});

const choice = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const hexText = (value: number): string => `0x${value.toString(16)}`;

interface Pages {
  readonly small: readonly string[];
  readonly large: string;
  readonly window: string;
}

/** Addresses below 4 GiB serve every guest. */
const PAGES: Pages = {
  small: ['0x400000', '0x401000', '0x600000'],
  large: '0x40000000',
  window: '0x80000000',
};

const flags = fc
  .record({
    rw: fc.boolean(),
    user: fc.boolean(),
    accessed: fc.boolean(),
    dirty: fc.boolean(),
    global: fc.boolean(),
    nx: fc.boolean(),
    key: fc.option(fc.nat(15), { nil: undefined }),
  })
  .map((f) => (settings: Settings): string => {
    const wide = settings.guest === '4-level' || settings.guest === '5-level';
    return [
      f.rw ? 'rw' : 'ro',
      f.user ? 'user' : 'kernel',
      f.accessed ? 'accessed' : '',
      f.dirty ? 'dirty' : '',
      f.global ? 'global' : '',
      f.nx && settings.guest !== '2-level' ? 'nx' : '',
      f.key === undefined || !wide || settings.cpu === 'arm64' ? '' : `key=${String(f.key)}`,
    ]
      .filter((word) => word !== '')
      .join(' ');
  });
type Flags = (settings: Settings) => string;

const levelText = (level: number, levels: readonly { level: number }[]): string =>
  level === levels.at(-1)?.level ? '' : ` level=${String(level)}`;

/** A page of any size that the guest's format has. */
const largeMap = fc
  .tuple(fc.nat(), fc.nat(3), flags)
  .map(([pick, frame, f]) => (settings: Settings): string => {
    const levels = guestLevels(settings);
    const level = guestPageLevels(settings)[pick % guestPageLevels(settings).length] ?? 1;
    const shift = levels.find((at) => at.level === level)?.shift ?? 12;
    const target = hexText(frame * 2 ** (shift - 12) + (shift === 12 ? 0x40 : 0));
    return `map ${PAGES.large}${levelText(level, levels)} -> gfn ${target} ${f(settings)}`;
  });

type Line = (settings: Settings) => string | undefined;

const access: fc.Arbitrary<Line> = fc
  .tuple(
    choice([...PAGES.small, PAGES.large, '0x3000']),
    choice(['read', 'write', 'exec']),
    choice(['user', 'kernel']),
    fc.boolean(),
    flags,
  )
  .map(([address, verb, who, handled, f]) => (settings) => {
    const text = `v0 ${who} ${verb} ${address}+8${verb === 'write' ? ' = 0x12' : ''}`;
    if (!handled || settings.guest === 'nonpaging') return text;
    return `${text}\n  on #PF\n    set-pte 0x400000 -> gfn 0x41 ${f(settings)}\n    retry`;
  });

const invalidation: fc.Arbitrary<Line> = fc
  .tuple(fc.nat(), choice(PAGES.small), fc.option(fc.nat(3), { nil: undefined }))
  .map(([pick, address, tag]) => (settings) => {
    const known = INSTRUCTIONS.filter(
      ({ by, cpus }) => cpus.includes(settings.cpu) && (by === 'guest' || settings.machine === 'two-stage'),
    );
    const spec = known[pick % known.length];
    if (spec === undefined) return undefined;
    const word = spec.name.startsWith('invpcid') ? 'pcid' : spec.name === 'invlpga' ? 'asid' : 'vpid';
    const aimed = spec.takes.includes('address') ? ` ${address}` : '';
    const tagged = spec.takes.includes('tag') && tag !== undefined ? ` ${word}=${String(tag)}` : '';
    return `${spec.by === 'guest' ? 'v0 kernel' : 'host'} ${invalidationWords(spec.name)}${aimed}${tagged}`;
  });

const rights = choice(['read', 'read write', 'read exec', 'read write exec']);
const hostChange: fc.Arbitrary<Line> = fc
  .tuple(fc.nat(), fc.nat(60), choice(['absent', 'frame', 'raw', 'flip']), rights)
  .map(([pick, frame, how, words]) => (settings) => {
    if (settings.machine !== 'two-stage') return undefined;
    const levels = hostLevels(settings);
    const large = hostPageLevels(settings);
    const level = large[pick % large.length] ?? 1;
    const shift = levels.find((at) => at.level === level)?.shift ?? 12;
    const place = `0x400000${levelText(level, levels)}`;
    if (how === 'flip') return `flip host ${place} bit=${String(pick % 64)}`;
    const target = `frame ${hexText(frame * 2 ** (shift - 12))} ${words}`;
    return `host set-entry ${place} -> ${how === 'frame' ? target : how === 'raw' ? 'raw 0x41003' : how}`;
  });

const REGISTERS = [
  'cr0.wp = 0',
  'cr4.smep = 1',
  'cr4.pge = 1',
  'efer.nxe = 0',
  'pkru = 0x4',
  'pkrs = 0',
  'ac = 1',
];
const registers: fc.Arbitrary<Line> = choice(REGISTERS).map(
  (text) => (settings) => (settings.cpu === 'arm64' ? undefined : `v0 kernel set ${text}`),
);

const root: fc.Arbitrary<Line> = fc
  .tuple(choice(['main', 'B']), fc.boolean())
  .map(([space, more]) => (settings) => {
    if (settings.guest === 'nonpaging') return undefined;
    if (settings.cpu === 'arm64') return `v0 kernel load-ttbr0 ${space}${more ? ' asid=1' : ''}`;
    const wide = settings.guest === '4-level' || settings.guest === '5-level';
    return `v0 kernel load-cr3 ${space}${more && wide ? ' pcid=1 keep' : ''}`;
  });

const change: fc.Arbitrary<Line> = fc.tuple(choice(PAGES.small), fc.boolean(), flags).map(
  ([address, absent, f]) =>
    (settings) =>
      settings.guest === 'nonpaging'
        ? undefined
        : `v0 kernel set-pte ${address} -> ${absent ? 'absent' : `gfn 0x42 ${f(settings)}`}`,
);

const others: fc.Arbitrary<Line> = choice(['v0 cpuid', 'flip 0x40000 bit=3']).map((text) => () => text);

function settingsLine(settings: Settings, more: { psc: boolean; tlb: number }): string {
  const psc = more.psc ? 'guest' : 'off';
  const tlb = ['unlimited', '4', '16'][more.tlb] ?? 'unlimited';
  const { machine, cpu, guest } = settings;
  return `machine ${machine} cpu=${cpu} guest=${guest} psc=${psc} tlb=${tlb}`;
}

function memoryLines(
  settings: Settings,
  of: { large: (s: Settings) => string; small: readonly Flags[] },
): string[] {
  if (settings.guest === 'nonpaging') return ['entry 0x40000 = 0x1234'];
  return [
    ...PAGES.small.map(
      (address, at) => `map ${address} -> gfn ${hexText(0x50 + at)} ${of.small[at]?.(settings) ?? 'rw user'}`,
    ),
    of.large(settings),
    `map ${PAGES.window} -> table-of 0x400000 rw kernel accessed dirty`,
    `map ${PAGES.window}+0x1000 -> table-of 0x600000 rw kernel accessed dirty`,
    'entry 0x40000 = 0x1234 bytes=4',
    'space B kernel=main',
    'map 0x400000 -> absent',
  ];
}

/** Scenarios on bare machines; all of them can run. */
export const bareScenario: fc.Arbitrary<string> = fc
  .record({
    settings: choice(combinations),
    more: fc.record({ psc: fc.boolean(), tlb: fc.nat(2) }),
    large: largeMap,
    small: fc.array(flags, { minLength: 3, maxLength: 3 }),
    operations: fc.array(
      fc.oneof(access, access, change, invalidation, hostChange, registers, root, others),
      {
        minLength: 1,
        maxLength: 14,
      },
    ),
  })
  .map(({ settings, more, large, small, operations }) =>
    [
      'mmuscope 1',
      'title Generated',
      settingsLine(settings, more),
      'slot 0x0 64M',
      ...memoryLines(settings, { large, small }),
      'begin',
      'v0 cpuid',
      ...operations.flatMap((line) => line(settings) ?? []),
    ].join('\n'),
  );
