/** Sequences of operations for the comparison of the caches: enumerated ones, and those that fast-check draws. */
import fc from 'fast-check';
import { INSTRUCTIONS } from '../../core/hardware/invalidations.ts';
import type { Operation } from '../../core/operations/operation.ts';
import { gfn, gva, vcpuId } from '../../core/quantities.ts';
import { DEFAULT_SETTINGS, type Settings } from '../../core/settings.ts';
import {
  ADDRESSES,
  guestWorld,
  HUGE,
  LARGE,
  PLAIN,
  SMALL,
  WINDOW,
  type EntryPlace,
  type GuestWorld,
  type LeafBits,
} from './cache-worlds.ts';

export interface Sequence {
  readonly settings: Settings;
  readonly world: GuestWorld;
  readonly operations: readonly Operation[];
}

export interface CacheMachine {
  readonly name: string;
  readonly settings: Settings;
  readonly guests: readonly string[];
  readonly hosts: readonly string[];
}

const X86_GUESTS = ['4-level', '5-level', 'pae', '2-level', 'nonpaging'];
const ARM_GUESTS = ['4-level', '3-level', 'nonpaging'];
const machine = (
  name: string,
  choices: Partial<Settings>,
  rest: Pick<CacheMachine, 'guests' | 'hosts'>,
): CacheMachine => ({
  name,
  settings: { ...DEFAULT_SETTINGS, ...choices },
  ...rest,
});
const X86_TWO = { guests: X86_GUESTS, hosts: ['4-level', '5-level'] };

export const MACHINES: readonly CacheMachine[] = [
  machine('x86 native', { machine: 'native', cpu: 'svm' }, { guests: X86_GUESTS, hosts: ['4-level'] }),
  machine('vmx-novpid', { machine: 'two-stage', cpu: 'vmx-novpid' }, X86_TWO),
  machine('vmx-vpid', { machine: 'two-stage', cpu: 'vmx-vpid' }, X86_TWO),
  machine('svm', { machine: 'two-stage', cpu: 'svm' }, X86_TWO),
  machine('arm64 native', { machine: 'native', cpu: 'arm64' }, { guests: ARM_GUESTS, hosts: ['4-level'] }),
  machine(
    'arm64',
    { machine: 'two-stage', cpu: 'arm64' },
    { guests: ARM_GUESTS, hosts: ['4-level', '3-level'] },
  ),
];

const V0 = vcpuId(0);
const STORED = 0x1234_5678n;

export const access = (
  va: bigint,
  how: 'read' | 'write' | 'execute',
  who: 'user' | 'kernel',
  value = STORED,
): Operation => ({ kind: 'access', vcpu: V0, privilege: who, access: how, gva: gva(va), bytes: 8, value });

const flipGuest = ({ gfn: frame, index, firstBit }: EntryPlace, bit: number): Operation => ({
  kind: 'flip',
  vcpu: V0,
  place: 'guest',
  gfn: gfn(frame),
  index,
  bit: firstBit + bit,
});
const flipHost = (gpa: bigint, level: number, bit: number): Operation => ({
  kind: 'flip',
  vcpu: V0,
  place: 'host',
  gpa,
  level,
  bit,
});
const setHost = (gpa: bigint, level: number, value: bigint): Operation => ({
  kind: 'set-host-entry',
  vcpu: V0,
  gpa,
  level,
  change: { kind: 'raw', value },
});
const loadRoot = (world: GuestWorld, space: number, pcid: number, keep: boolean): Operation => ({
  kind: 'load-cr3',
  vcpu: V0,
  root: gfn(world.roots[space] ?? world.roots[0]),
  pcid,
  ...(keep ? { keep: true } : {}),
});
const setBit = (register: 'cr0' | 'cr4' | 'efer', bit: number, on: boolean): Operation => ({
  kind: 'set-register',
  vcpu: V0,
  register,
  mask: 1n << BigInt(bit),
  value: on ? 1n << BigInt(bit) : 0n,
});
const setExtra = (register: 'pkru' | 'pkrs' | 'ac', value: bigint): Operation => ({
  kind: 'set-register',
  vcpu: V0,
  register,
  mask: (1n << 32n) - 1n,
  value,
});
const CPUID: Operation = { kind: 'cpuid', vcpu: V0 };

/** Registers that may be set while paging is on, by the bits that decide how a walk or an access goes. */
const REGISTER_BITS = [
  ['cr0', 16],
  ['cr0', 31],
  ['cr4', 4],
  ['cr4', 7],
  ['cr4', 17],
  ['cr4', 20],
  ['cr4', 21],
  ['cr4', 22],
  ['cr4', 24],
  ['efer', 11],
] as const;

/** The entry bits whose change a walk can feel: present, rights, marks, size, global, a frame bit, the highest. */
const GUEST_BITS = [0, 1, 2, 5, 6, 7, 8, 12, 63] as const;
const ARM_BITS = [0, 1, 6, 7, 10, 11, 12, 53, 54, 61, 62] as const;
const HOST_BITS: Readonly<Record<string, readonly number[]>> = {
  svm: [0, 1, 2, 5, 6, 7, 12, 63],
  arm64: [0, 1, 6, 7, 10, 12, 53, 54],
  'vmx-novpid': [0, 1, 2, 3, 7, 8, 9, 12],
  'vmx-vpid': [0, 1, 2, 3, 7, 8, 9, 12],
};
const BITS_OF_4_BYTES = 32;

const guestBits = ({ cpu, guest }: Settings, entry: EntryPlace): readonly number[] => {
  if (cpu === 'arm64') return ARM_BITS;
  const bits = guest === '2-level' ? GUEST_BITS.filter((bit) => bit < BITS_OF_4_BYTES) : GUEST_BITS;
  // A root entry of PAE with a reserved bit would make MOV CR3 fail, which is not the caches' affair.
  return guest === 'pae' && !entry.leaf ? [0, 1, 12].slice(0, isRootOfPae(entry) ? 1 : 3) : bits;
};

/** Roots are the first table of each space. */
const isRootOfPae = (entry: EntryPlace): boolean => entry.index < 4 && !entry.leaf;

const hostLevelNumbers = ({ cpu, host, 'host-pages': pages }: Settings): readonly number[] => {
  const small = pages === '4K';
  if (cpu === 'arm64') return small ? (host === '3-level' ? [3, 2, 1] : [3, 2, 1, 0]) : [2, 1];
  return small ? [1, 2, 3, 4] : [2, 3, 4];
};

/** EPT only: bit 2 alone of the rights, with the memory type of ordinary memory. */
const executeOnly = (frame: number): bigint => (BigInt(0x10000 + frame) << 12n) | 0x34n;

/** An entry of the second stage's last level that maps another frame, with all rights. */
const hostPage = ({ cpu }: Settings, frame: number): bigint => {
  const address = BigInt(0x10000 + frame) << 12n;
  if (cpu === 'svm') return address | 0x7n;
  return address | (cpu === 'arm64' ? 0x7ffn : 0x37n);
};

const invalidationsOf = ({ cpu, machine: kind }: Settings): typeof INSTRUCTIONS =>
  INSTRUCTIONS.filter(({ by, cpus }) => cpus.includes(cpu) && (by === 'guest' || kind === 'two-stage'));

const invalidate = (name: (typeof INSTRUCTIONS)[number]['name'], address: bigint, tag: number): Operation =>
  name === 'invlpg'
    ? { kind: 'invlpg', vcpu: V0, gva: gva(address) }
    : { kind: 'invalidate', vcpu: V0, name, address, tag };

/** Draws an operation for a machine and its world. `pick` is split into what the operation needs. */
function operationFrom(
  kind: number,
  pick: readonly number[],
  { settings, world }: Omit<Sequence, 'operations'>,
): Operation {
  const at = <T>(list: readonly T[], n: number): T => list[(pick[n] ?? 0) % list.length] as T;
  const address = at(ADDRESSES, 0);
  const native = settings.machine === 'native';
  const entry = world.entries.length === 0 ? undefined : at(world.entries, 1);
  if (kind < 9)
    return access(
      address + 8n * BigInt(at([0, 1, 512 - 1], 3)),
      at(['read', 'write', 'execute'], 1),
      at(['user', 'kernel'], 2),
      at([STORED, 0n, 0x4_1007n], 4),
    );
  if (kind < 12 && entry !== undefined) return flipGuest(entry, at(guestBits(settings, entry), 2));
  if (kind < 13 && entry !== undefined)
    return access(
      WINDOW + 8n * BigInt(at([0, 1, 2], 1)),
      'write',
      'kernel',
      at([0n, 0x4_1007n, 0x4_2067n, 0x4_2163n, 0x4_1703n, 0x4_2f43n], 2),
    );
  if (kind < 15)
    return invalidate(
      at(invalidationsOf(settings), 1).name,
      at([address, BigInt(at(world.frames, 2)) << 12n], 3),
      at([0, 1, 2], 4),
    );
  if (kind < 17)
    return loadRoot(
      world,
      at([0, 1], 0),
      settings.cpu === 'arm64' || settings.guest === '4-level' || settings.guest === '5-level'
        ? at([0, 1, 2], 1)
        : 0,
      at([false, true], 2),
    );
  if (kind < 19 && settings.cpu !== 'arm64') {
    const [register, bit] = at(REGISTER_BITS, 0);
    return setBit(register, bit, at([true, false], 1));
  }
  if (kind < 20 && settings.cpu !== 'arm64')
    return at(
      [
        setExtra('pkru', 1n),
        setExtra('pkru', 2n),
        setExtra('pkru', 0n),
        setExtra('pkrs', 1n),
        setExtra('ac', 1n),
        setExtra('ac', 0n),
      ],
      0,
    );
  if (native || kind < 21) return CPUID;
  const gpa = BigInt(at(world.frames, 0)) << 12n;
  const level = at(hostLevelNumbers(settings), 1);
  if (kind < 23) return flipHost(gpa, level, at(HOST_BITS[settings.cpu] ?? [0], 2));
  return setHost(
    gpa,
    hostLevelNumbers(settings)[0] ?? 1,
    at(
      [
        0n,
        hostPage(settings, 0x40),
        settings.cpu.startsWith('vmx') ? executeOnly(0x40) : hostPage(settings, 0x41),
        hostPage(settings, at(world.frames, 3)),
      ],
      2,
    ),
  );
}
const KINDS = 24;

const leaf: fc.Arbitrary<LeafBits> = fc.record({
  write: fc.boolean(),
  user: fc.boolean(),
  accessed: fc.boolean(),
  dirty: fc.boolean(),
  global: fc.boolean(),
  noFetch: fc.boolean(),
});

/** Sequences on one machine, with every guest, host and cache that it can have. */
export const sequenceOn = ({ settings, guests, hosts }: CacheMachine): fc.Arbitrary<Sequence> =>
  fc
    .record({
      guest: fc.constantFrom(...guests, ...guests.slice(0, 1)),
      host: fc.constantFrom(...hosts),
      pages: fc.constantFrom('4K', '4K', '2M'),
      marks: fc.constantFrom('on', 'off'),
      psc: fc.constantFrom('off', 'guest', settings.machine === 'native' ? 'guest' : 'both'),
      tlb: fc.constantFrom('unlimited', 'unlimited', '4', '8'),
      leaves: fc.array(leaf, { minLength: 5, maxLength: 5 }),
      picks: fc.array(fc.tuple(fc.nat(KINDS - 1), fc.array(fc.nat(999), { minLength: 5, maxLength: 5 })), {
        minLength: 1,
        maxLength: 24,
      }),
    })
    .map(({ guest, host, pages, marks, psc, tlb, leaves, picks }) => {
      const chosen = { ...settings, guest, host, 'host-pages': pages, 'ept-ad': marks, psc, tlb };
      const world = guestWorld(chosen, leaves);
      const operations = picks.map(([kind, pick]) => operationFrom(kind, pick, { settings: chosen, world }));
      return { settings: chosen, world, operations };
    });

/**
 * Every sequence "access, change, invalidation, access": each kind of change of one entry or register, each
 * invalidation, and each way to use the page again, or its neighbour, which shares its tables.
 */
export function* enumeratedOn({ settings }: CacheMachine): Generator<Sequence> {
  const chosen: Settings = { ...settings, psc: settings.machine === 'native' ? 'guest' : 'both' };
  const world = guestWorld(chosen, [PLAIN, PLAIN, { ...PLAIN, global: true }, PLAIN, PLAIN]);
  const firsts = [access(SMALL[0], 'read', 'user'), access(HUGE, 'write', 'kernel')];
  const uses = [
    access(SMALL[0], 'write', 'user'),
    access(SMALL[1], 'read', 'kernel'),
    access(LARGE, 'execute', 'user'),
    access(HUGE + 0x1000n, 'read', 'user'),
  ];
  const { cpu } = chosen;
  const changes: Operation[] = [
    ...world.entries
      .slice(0, 6)
      .flatMap((entry) => [flipGuest(entry, 0), flipGuest(entry, cpu === 'arm64' ? 7 : 1)]),
    loadRoot(world, 1, 1, false),
    ...(cpu === 'arm64' ? [] : [setBit('cr0', 16, false), setBit('cr4', 20, true), setBit('cr4', 7, false)]),
    ...(chosen.machine === 'native'
      ? []
      : [
          flipHost(0n, cpu === 'arm64' ? 3 : 1, 1),
          flipHost(0x4_0000n, cpu === 'arm64' ? 3 : 1, 1),
          flipHost(0x10_0000n, cpu === 'arm64' ? 2 : 2, 0),
          CPUID,
        ]),
  ];
  for (const first of firsts)
    for (const change of changes)
      for (const { name } of invalidationsOf(chosen))
        for (const use of uses)
          yield {
            settings: chosen,
            world,
            operations: [first, change, invalidate(name, SMALL[0], 1), use, use],
          };
}
