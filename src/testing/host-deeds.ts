/**
 * What the host of a KVM of today does in generated programs: to the pages of the process that the guest's memory belongs
 * to, to memory slots, to the dirty log. Alone, in the middle of a fault, and with vCPUs that act in the middle of it.
 */
import fc from 'fast-check';
import type { PreemptionPoint } from '../core/machine/preemption.ts';
import {
  choice,
  invalidations,
  everywhere,
  touch,
  touchText,
  use,
  type Deed,
  type Guest,
} from './guest-deeds.ts';
import { harmless, storesIntoTable, type Nested } from './guest-meanwhile.ts';
import { SMALL } from './guest-programs.ts';

/** The slot that comes and goes, and pages in it; and one where nothing ever lies but a device. */
export const SECOND_SLOT = 'slot 0x1000000 64K absent';
const COMES_AND_GOES = ['0x1000', '0x1001'];
export const DEVICES = [...COMES_AND_GOES, '0xfe01'];
/** Where programs see them at first. */
export const DEVICE_PAGES = ['0x2000000', '0x2001000', '0x2002000'];

/** Where the kernel sees the table that maps them. */
export const DEVICE_WINDOW = '0x80006000';

/** Lines that mean something only where it is known what came before: `resolved` says what. */
const SLOT = 'host change-slot';
const LOG = 'host use-log';
const CLEAR = 'host use-clear';
const END = 'host end-log';
const ON = 'host log slot=0 on';
const OFF = 'host log slot=0 off';

export type LogClear = 'with-fetch' | 'apart' | 'apart-all-set';

/** Which slots there are, and whether there is a log, where a line stands. */
export function resolved(operations: readonly string[], logClear: LogClear): readonly string[] {
  let [there, logged] = [false, false];
  const line = (text: string): string => {
    if (text === ON || text === OFF) {
      logged = text === ON;
      return text;
    }
    if (text === SLOT) {
      there = !there;
      return `host ${there ? 'add' : 'delete'}-slot slot=1`;
    }
    if (text === END && logged) {
      logged = false;
      return OFF;
    }
    if (!logged) {
      logged = true;
      return ON;
    }
    return text === CLEAR && logClear !== 'with-fetch' ? 'host clear-log slot=0' : 'host fetch-log slot=0';
  };
  const words = new RegExp([SLOT, LOG, CLEAR, END, ON, OFF].join('|'), 'g');
  return operations.map((operation) => operation.replace(words, line));
}

/** Frames of data, by their addresses: small ones, and two behind large pages. */
const DATA = ['0x200000', '0x201000', '0x202000', '0x203000', '0x800000', '0x803000'];
const frameOfData = choice([...DATA.slice(0, 4), ...DATA]);
/** The guest's tables lie here. */
const TABLES = fc
  .tuple(fc.nat(9), fc.integer({ min: 1, max: 8 }))
  .map(([first, pages]) => `0x${(0x10000 + first * 0x1000).toString(16)} pages=${String(pages)}`);

/** A page changes its place, and the guest notices nothing. */
export const unnoticed: fc.Arbitrary<string> = fc.oneof(
  { weight: 12, arbitrary: frameOfData.map((at) => `host swap-out ${at}`) },
  { weight: 6, arbitrary: TABLES.map((at) => `host swap-out ${at}`) },
  {
    weight: 1,
    arbitrary: choice(['0x800000', '0x200000', '0x0']).map((at) => `host collapse ${at} pages=512`),
  },
);
const ofPages: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: unnoticed },
  {
    weight: 3,
    arbitrary: fc
      .tuple(choice(['unmap', 'write-protect', 'make-writable', 'make-writable']), frameOfData)
      .map(([does, at]) => `host ${does} ${at}`),
  },
);
const beside: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: ofPages },
  { weight: 2, arbitrary: fc.constant(SLOT) },
);
const ofLog = choice([LOG, LOG, LOG, LOG, CLEAR, CLEAR, END]);

const vcpuOf = (line: string): number | undefined => {
  const acting = /^v(\d)/.exec(line)?.[1];
  // Logs are asked for in the place of v0.
  return acting === undefined
    ? line === LOG || line === CLEAR || line === END
      ? 0
      : undefined
    : Number(acting);
};

/** Puts what somebody does in the middle of the first operation of a deed. */
function within(lines: readonly string[], made: { point: string; line: string }): readonly string[] {
  const [first, ...rest] = lines;
  if (first === undefined) return lines;
  const [line = '', ...block] = first.split('\n');
  return [[line, `  at ${made.point}: ${made.line}`, ...block].join('\n'), ...rest];
}

const IN_FAULTS: readonly PreemptionPoint[] = [
  'kvm_faultin_pfn/after',
  'kvm_faultin_pfn/after',
  'kvm_faultin_pfn/no-slot',
  'handle_mmio_page_fault/before-walk',
  'page-walk/level-1',
  'kvm_make_all_cpus_request/kicked',
];
const visit = choice(['', '', '', '#2']);
const pointIn = (points: readonly PreemptionPoint[]): fc.Arbitrary<string> =>
  fc.tuple(choice(points), visit).map(([point, which]) => `${point}${which}`);

/** The host acts in the middle of what a guest does. */
export const hostMeanwhile = (deed: fc.Arbitrary<Deed>): fc.Arbitrary<Deed> =>
  fc.tuple(deed, pointIn(IN_FAULTS), beside).map(
    ([what, point, line]) =>
      (guest) =>
        within(what(guest), { point, line }),
  );

const IN_HOST: readonly PreemptionPoint[] = [
  'mmu_notifier/started',
  'mmu_notifier/started',
  'kvm_set_memslot/invalid',
  'kvm_make_all_cpus_request/kicked',
];

/** The host acts, and perhaps a vCPU in the middle of that. */
const byHost: fc.Arbitrary<Deed> = fc
  .record({
    line: fc.oneof({ weight: 4, arbitrary: beside }, { weight: 3, arbitrary: ofLog }),
    inside: fc.option(fc.tuple(pointIn(IN_HOST), fc.nat(2), fc.oneof(harmless, storesIntoTable))),
  })
  .map(({ line, inside }) => (guest) => {
    if (inside === null) return [line];
    const [point, actor, made] = inside;
    return interruptedBy(guest, [line], { point, actor, made });
  });

export function interruptedBy(
  guest: Guest,
  lines: readonly string[],
  { point, actor, made }: { point: string; actor: number; made: Nested },
): readonly string[] {
  const busy = vcpuOf(lines[0] ?? '');
  const others = Array.from({ length: guest.vcpus }, (_, vcpu) => vcpu).filter((vcpu) => vcpu !== busy);
  const who = others[actor % Math.max(1, others.length)];
  if (who === undefined) return lines;
  return [...within(lines, { point, line: `v${String(who)} ${made.deed(guest)}` }), ...made.owed(guest)];
}

/** A page is used, the host changes it, perhaps in the middle of that, and it is used again by its other names. */
const usedAndMoved: fc.Arbitrary<Deed> = fc
  .record({
    actors: fc.array(fc.nat(2), { minLength: 3, maxLength: 3 }),
    pages: fc.array(choice(SMALL.slice(0, 3)), { minLength: 3, maxLength: 3 }),
    uses: fc.array(use, { minLength: 3, maxLength: 3 }),
    line: ofPages,
    how: choice(['before', 'in fault', 'around']),
    point: pointIn(['kvm_faultin_pfn/after', 'page-walk/level-1']),
  })
  .map((a) => (guest) => {
    const [first = '', ...rest] = a.pages.map(
      (page, at) => `v${String((a.actors[at] ?? 0) % guest.vcpus)} ${a.uses[at]?.(`${page}+0x8`) ?? 'cpuid'}`,
    );
    if (a.how === 'before') return [first, a.line, ...rest];
    if (a.how === 'in fault') return [...within([first], { point: a.point, line: a.line }), ...rest];
    return [...within([a.line], { point: 'mmu_notifier/started', line: first }), ...rest];
  });

const deviceUse = fc
  .tuple(choice([...DEVICE_PAGES, ...DEVICE_PAGES, SMALL[0] ?? '']), touch)
  .map(([page, made]) => touchText({ ...made, address: `${page}+0x8` }));
const by = (vcpu: number, { vcpus }: Guest): string => `v${String(vcpu % vcpus)}`;

/** Devices are used in turn; a slot may come to lie there, or go. */
const devices: fc.Arbitrary<Deed> = fc
  .array(
    fc.oneof(
      { weight: 5, arbitrary: fc.tuple(fc.nat(2), deviceUse) },
      { weight: 1, arbitrary: fc.constant(SLOT) },
    ),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  .map(
    (made) => (guest) =>
      made.map((one) => (typeof one === 'string' ? one : `${by(one[0], guest)} ${one[1]}`)),
  );
const slotInFault: fc.Arbitrary<Deed> = hostMeanwhile(devices);

/** An entry comes to name a device. */
const mapsDevice: fc.Arbitrary<Deed> = fc
  .record({
    vcpu: fc.nat(2),
    page: choice([...SMALL, ...DEVICE_PAGES]),
    frame: choice([...DEVICES, '0x200']),
    rights: choice(['rw user', 'ro user', 'rw kernel']),
    invalidations,
  })
  .map((a) => (guest) => [
    `${by(a.vcpu, guest)} kernel set-pte ${a.page} -> gfn ${a.frame} ${a.rights} accessed dirty`,
    ...everywhere(guest, a.invalidations, `invlpg ${a.page}`),
  ]);

/** Another address space has memory where this one has a device, and the other way round. */
const otherSpace: fc.Arbitrary<Deed> = fc
  .record({
    vcpu: fc.nat(2),
    page: choice(DEVICE_PAGES),
    before: fc.option(fc.boolean()),
    does: choice(['kernel read', 'kernel write', 'user read']),
    offset: choice(['+0xff0', '+0x600']),
    after: choice(['', 'kernel read']),
  })
  .map((a) => (guest) => {
    const own = by(a.vcpu, guest);
    const store = a.does.endsWith('write') ? ' = 0' : '';
    return [
      ...(a.before === null ? [] : [`${own} kernel read ${a.page}${a.before ? a.offset : '+0x8'}`]),
      `${own} kernel load-cr3 B`,
      `${own} ${a.does} ${a.page}${a.offset}${store}`,
      `${own} kernel load-cr3 main`,
      ...(a.after === '' ? [] : [`${own} ${a.after} ${a.page}${a.offset}`]),
    ];
  });

/** Mostly what is about pages that the host moves. */
export const pageDeed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 1, arbitrary: byHost },
  { weight: 4, arbitrary: usedAndMoved },
);
/** Mostly what is about devices. */
export const deviceDeed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 3, arbitrary: devices },
  { weight: 3, arbitrary: slotInFault },
  { weight: 1, arbitrary: mapsDevice },
  { weight: 2, arbitrary: otherSpace },
);

export const hostDeed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 5, arbitrary: byHost },
  { weight: 4, arbitrary: usedAndMoved },
  { weight: 3, arbitrary: devices },
  { weight: 2, arbitrary: slotInFault },
  { weight: 1, arbitrary: mapsDevice },
  { weight: 2, arbitrary: otherSpace },
);

/** The log is fetched, and a page written in the middle of that: of every machine with a log. */
export const logDeed: fc.Arbitrary<Deed> = fc
  .record({
    line: ofLog,
    point: choice<PreemptionPoint>([
      'kvm_vm_ioctl_get_dirty_log/before-clear',
      'rmap_write_protect/before-flush',
      'kvm_make_all_cpus_request/kicked',
    ]),
    actor: fc.nat(2),
    made: harmless,
    page: choice(SMALL),
  })
  .map((a) => (guest) => [
    `${by(a.actor, guest)} user write ${a.page}+0x8 = 0x5`,
    ...interruptedBy(guest, [a.line], a),
  ]);
