/** What looking into an entry, a register or something cached gives, and what its makers share. */
import { REGISTER_BITS } from '../core/hardware/registers.ts';
import type { Timeline } from '../timeline/timeline.ts';

export interface InspectedBit {
  readonly bit: number;
  readonly set: boolean;
  /** Short name, where the bit has one. */
  readonly short?: string;
  readonly meaning: string;
  /** Text that flips the bit, by who would do it: at most one of each. */
  readonly flips: readonly { readonly by: Author; readonly text: string }[];
}

/** Who makes a change: the guest's kernel with a store or an instruction, or something outside guest and hypervisor. */
export type Author = 'kernel' | 'outside';

export interface Inspected {
  readonly title: string;
  /** What it is about: `0x7f3c5a823000 (V)`. */
  readonly about: string;
  readonly value: bigint;
  /** Highest first. */
  readonly bits: readonly InspectedBit[];
  /** Accesses and instructions that have to do with the address that an entry translates. */
  readonly actions: readonly { readonly label: string; readonly text: string }[];
  readonly authors: readonly Author[];
  /** What is cached, in words, where there are no bits to flip. */
  readonly facts?: readonly { readonly name: string; readonly text: string }[];
  /** Registers that stand beside this one. */
  readonly registers?: readonly RegisterName[];
}

export const REGISTERS = ['cr0', 'cr3', 'cr4', 'efer'] as const;
export type RegisterName = (typeof REGISTERS)[number];

export type Names = ReadonlyMap<string, bigint>;

/** A register of the processor, each bit with the instruction that flips it. */
export function inspectRegister(timeline: Timeline, register: RegisterName): Inspected {
  const value = timeline.world.get('reg', `0.${register}`) ?? 0n;
  const named = REGISTER_BITS.filter((bit) => bit.register === register);
  const bits = allBits((bit) => {
    const spec = named.find((candidate) => candidate.bit === bit);
    const flipped = value ^ (1n << BigInt(bit));
    const text =
      spec === undefined
        ? `v0 kernel set ${register} = ${hexText(flipped)}`
        : `v0 kernel set ${register}.${spec.name} = ${(flipped >> BigInt(bit)) & 1n ? '1' : '0'}`;
    return {
      bit,
      set: isSet(value, bit),
      meaning: spec === undefined ? `bit ${String(bit)}` : `${spec.name.toUpperCase()}: ${spec.meaning}`,
      ...(spec === undefined ? {} : { short: spec.name.toUpperCase() }),
      flips: [{ by: 'kernel', text }],
    };
  });
  return {
    title: `The guest's ${register.toUpperCase()}`,
    about: 'vCPU 0',
    value,
    bits,
    actions: [],
    authors: ['kernel'],
    registers: REGISTERS,
  };
}

export const hexText = (value: bigint): string => `0x${BigInt.asUintN(64, value).toString(16)}`;
export const isSet = (value: bigint, bit: number): boolean => ((value >> BigInt(bit)) & 1n) === 1n;

/** An address by the name that the scenario gives to its page, or as a number. */
export function addressText(gva: bigint, names: Names): string {
  for (const [name, value] of names) {
    if (value === gva) return name;
    if (value >> 12n === gva >> 12n && gva > value) return `${name}+${hexText(gva - value)}`;
  }
  return hexText(gva);
}

export function allBits(of: (bit: number) => InspectedBit, count = 64): readonly InspectedBit[] {
  return Array.from({ length: count }, (_, at) => of(count - 1 - at));
}
