/** The registers on which a walk depends, as cards: names of the manuals, fields bit by bit. */
import { ARM_FIELDS, type ArmField } from '../core/hardware/arm-registers.ts';
import {
  OUTSIDE_REGISTERS,
  outsideRegisters,
  PDPTE_REGISTERS,
  valueOf,
  type OutsideRegister,
} from '../core/hardware/outside-registers.ts';
import { REGISTER_BITS } from '../core/hardware/registers.ts';
import { PDPTE_BITS } from '../core/hardware/x86-entry.ts';
import type { World } from '../core/machine/world.ts';
import type { Flip, ProbeRegister } from '../core/operations/probe-flips.ts';
import type { Settings } from '../core/settings.ts';
import { bitViews, split, type Card, type NamedBit } from './probe-bits.ts';

/** The registers of this machine that its walk asks for. */
export function registerCards(
  world: World,
  settings: Settings,
  { vcpu, flips }: { vcpu: number; flips: readonly Flip[] },
): readonly Card[] {
  const read = (name: string): bigint => world.get('reg', `${String(vcpu)}.${name}`) ?? 0n;
  return registersOf(settings).map((register) => {
    const before = isOutside(register) ? valueOf(register, read) : read(register);
    const after = flips.reduce(
      (value, flip) =>
        flip.kind === 'register' && flip.register === register ? value ^ (1n << BigInt(flip.bit)) : value,
      before,
    );
    return registerCard(register, { before, after, flips });
  });
}

const OF_KVM: readonly ProbeRegister[] = ['cr0', 'cr4', 'efer', 'cr3'];
const OF_X86: readonly ProbeRegister[] = ['cr0', 'cr4', 'efer', 'ac', 'pkru', 'pkrs', 'cr3'];

function registersOf(settings: Settings): readonly ProbeRegister[] {
  if (settings.machine.startsWith('kvm-')) return OF_KVM;
  const outside = outsideRegisters(settings);
  return settings.cpu === 'arm64' ? outside : [...OF_X86, ...outside];
}

const isOutside = (register: ProbeRegister): register is OutsideRegister =>
  (OUTSIDE_REGISTERS as readonly string[]).includes(register);

function registerCard(
  register: ProbeRegister,
  of: { before: bigint; after: bigint; flips: readonly Flip[] },
): Card {
  const { before, after, flips } = of;
  const bits = namedBits(register, after);
  const isWhole = WHOLE.includes(register);
  const views = bitViews(
    {
      names: bits,
      size: isWhole ? 64 : Math.max(...bits.map(({ bit }) => bit)) + 1,
      value: after,
      id: register,
    },
    {
      flips,
      flipOf: (bit) => ({ kind: 'register', register, bit }),
      meaningOf: (bit) => unnamedBit(register, bit),
    },
  );
  const { named, rest } = split(views, bits);
  return {
    id: register,
    title: TITLES[register] ?? register.toUpperCase(),
    about: ABOUT[register],
    dimension: 'register',
    before,
    after,
    named,
    rest: isWhole ? rest : [],
  };
}

/** Registers that hold addresses: all their bits are offered. */
const WHOLE: readonly ProbeRegister[] = ['cr3', 'ttbr0_el1', 'vttbr_el2', ...PDPTE_REGISTERS];

const TITLES: Readonly<Partial<Record<ProbeRegister, string>>> = { ac: 'EFLAGS.AC', pan: 'PSTATE.PAN' };

const PDPTE = 'a root entry, kept since CR3 was loaded';
const ABOUT: Readonly<Record<ProbeRegister, string>> = {
  cr0: 'paging and write protection',
  cr3: 'where the root table lies',
  cr4: 'what paging can do',
  efer: 'long mode and no-execute',
  ac: 'lets the kernel touch user pages under SMAP',
  pkru: 'protection keys of user pages',
  pkrs: 'protection keys of kernel pages',
  sctlr_el1: 'stage 1 on or off',
  tcr_el1: 'how stage 1 translates',
  ttbr0_el1: 'where the root table of stage 1 lies',
  pan: 'keeps the kernel off pages of EL0',
  hcr_el2: 'stage 2 on or off',
  vtcr_el2: 'how stage 2 translates',
  vttbr_el2: 'where the root table of stage 2 lies',
  pdpte0: PDPTE,
  pdpte1: PDPTE,
  pdpte2: PDPTE,
  pdpte3: PDPTE,
};

const isPdpte = (register: ProbeRegister): boolean =>
  (PDPTE_REGISTERS as readonly string[]).includes(register);

function namedBits(register: ProbeRegister, value: bigint): readonly NamedBit[] {
  switch (register) {
    case 'cr3':
    case 'ttbr0_el1':
    case 'vttbr_el2':
      return [];
    case 'ac':
      return [{ bit: 0, short: 'AC', meaning: 'the kernel may touch user pages, whatever SMAP says' }];
    case 'pkru':
    case 'pkrs':
      return KEY_BITS;
    case 'cr0':
    case 'cr4':
    case 'efer':
      return REGISTER_BITS.filter((bit) => bit.register === register).map(({ bit, name, meaning }) => ({
        bit,
        short: name.toUpperCase(),
        meaning,
      }));
    case 'pdpte0':
    case 'pdpte1':
    case 'pdpte2':
    case 'pdpte3':
      return PDPTE_BITS;
    case 'sctlr_el1':
    case 'tcr_el1':
    case 'pan':
    case 'hcr_el2':
    case 'vtcr_el2':
      return ARM_FIELDS.filter((field) => field.register === register).flatMap((field) =>
        fieldBits(field, value),
      );
  }
}

const KEYS = 16;
const KEY_BITS: readonly NamedBit[] = Array.from({ length: KEYS * 2 }, (_, bit) => {
  const key = String(Math.floor(bit / 2));
  return bit % 2 === 0
    ? { bit, short: `AD${key}`, meaning: `no access to pages of key ${key}` }
    : { bit, short: `WD${key}`, meaning: `no write to pages of key ${key}` };
});

/** A field bit by bit: `T0SZ[5]`, with what the field as a whole says now. */
function fieldBits({ name, high, low, meaning, says }: ArmField, value: bigint): readonly NamedBit[] {
  if (high === low) return [{ bit: low, short: name, meaning }];
  const held = (value >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);
  const now = says === undefined ? '' : ` (now ${String(held)}: ${says(value)})`;
  return Array.from({ length: high - low + 1 }, (_, index) => ({
    bit: low + index,
    short: `${name}[${String(index)}]`,
    meaning: `${meaning}${now}`,
  }));
}

/** Bits of a register that holds an address. */
function unnamedBit(register: ProbeRegister, bit: number): string {
  const field = ARM_FIELDS.find((one) => one.register === register && bit >= one.low && bit <= one.high);
  if (field !== undefined) return `${field.name}: ${field.meaning}`;
  const isAddress = (register === 'cr3' || isPdpte(register)) && bit >= 12 && bit < 52;
  return isAddress ? 'part of the address' : 'no name';
}
