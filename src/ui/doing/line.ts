/** A filled-in form as a line of the scenario's language, and what a machine leaves to choose. */
import { outsideRegisters } from '../../core/hardware/outside-registers.ts';
import { vcpusOf, type Settings } from '../../core/settings.ts';
import { registersFor } from '../../scenario/assist-words.ts';

/** What can be done: by the guest, with a vCPU, by the host, and by nobody in the machine. */
export const GUEST_VERBS = [
  'read',
  'write',
  'exec',
  'invlpg',
  'tlbi vae1is',
  'set-pte',
  'load-cr3',
  'load-ttbr0',
  'set',
  'cpuid',
] as const;
export const VCPU_VERBS = ['halt', 'user-space', 'enter'] as const;
export const HOST_VERBS = ['host flush-all', 'host log', 'host fetch-log'] as const;
export const OUTSIDE_VERBS = ['flip'] as const;
export type Verb =
  | (typeof GUEST_VERBS)[number]
  | (typeof VCPU_VERBS)[number]
  | (typeof HOST_VERBS)[number]
  | (typeof OUTSIDE_VERBS)[number];

export type FlipPlace = 'memory' | 'shadow' | 'host' | 'register';

/** After the operation at the cursor; or the name of a point in the middle of it. */
export type When = 'after' | (string & {});

export interface Form {
  readonly when: When;
  /** The how many-th time that the operation comes to the point. */
  readonly visit: string;
  readonly vcpu: number;
  readonly verb: Verb;
  readonly who: 'user' | 'kernel';
  readonly address: string;
  readonly value: string;
  readonly target: string;
  readonly space: string;
  readonly register: string;
  readonly slot: string;
  readonly state: 'on' | 'off';
  readonly place: FlipPlace;
  readonly level: string;
  readonly outside: string;
  readonly bit: string;
}

export const EMPTY: Form = {
  when: 'after',
  visit: '1',
  vcpu: 0,
  verb: 'read',
  who: 'user',
  address: '',
  value: '1',
  target: 'gfn 0x20 rw user accessed dirty',
  space: 'main',
  register: 'cr0.wp',
  slot: '0',
  state: 'on',
  place: 'memory',
  level: '1',
  outside: '',
  bit: '1',
};

/** The operation that a form stands for, without the point at which it happens. */
function operationOf(form: Form): string {
  const { verb, who, address, value, target, space, register, slot, state } = form;
  const vcpu = `v${String(form.vcpu)}`;
  switch (verb) {
    case 'read':
    case 'exec':
      return `${vcpu} ${who} ${verb} ${address}`;
    case 'write':
      return `${vcpu} ${who} write ${address} = ${value}`;
    case 'invlpg':
    case 'tlbi vae1is':
      return `${vcpu} kernel ${verb} ${address}`;
    case 'set-pte':
      return `${vcpu} kernel set-pte ${address} -> ${target}`;
    case 'load-cr3':
    case 'load-ttbr0':
      return `${vcpu} kernel ${verb} ${space}`;
    case 'set':
      return `${vcpu} kernel set ${register} = ${value}`;
    case 'cpuid':
    case 'halt':
    case 'user-space':
    case 'enter':
      return `${vcpu} ${verb}`;
    case 'host flush-all':
      return verb;
    case 'host log':
      return `host log slot=${slot} ${state}`;
    case 'host fetch-log':
      return `host fetch-log slot=${slot}`;
    case 'flip':
      return flipOf(form);
  }
}

function flipOf({ place, address, level, outside, bit }: Form): string {
  switch (place) {
    case 'memory':
      return `flip ${address} bit=${bit}`;
    case 'shadow':
    case 'host':
      return `flip ${place} ${address} level=${level} bit=${bit}`;
    case 'register':
      return `flip register ${outside} bit=${bit}`;
  }
}

/** The line of text that a filled-in form stands for. */
export function lineOf(form: Form): string {
  const operation = operationOf(form);
  if (form.when === 'after') return operation;
  return `at ${form.when}${form.visit === '1' ? '' : `#${form.visit}`}: ${operation}`;
}

const WITH_ADDRESS: readonly Verb[] = ['read', 'write', 'exec', 'invlpg', 'tlbi vae1is', 'set-pte'];
export const takesAddress = ({ verb, place }: Form): boolean =>
  WITH_ADDRESS.includes(verb) || (verb === 'flip' && place !== 'register');

/** What only the other architecture has. */
const ONLY_X86: readonly Verb[] = ['invlpg', 'load-cr3', 'set'];
const ONLY_ARM: readonly Verb[] = ['tlbi vae1is', 'load-ttbr0'];

/** What there is only where the guest has tables. */
const OF_TABLES: readonly Verb[] = ['set-pte', 'load-cr3', 'load-ttbr0'];

/** What can be done on a machine, by who does it; in the middle of an operation only other vCPUs act. */
export function verbsOf(
  settings: Settings,
  when: When,
): readonly { readonly by: 'guest' | 'vcpu' | 'host' | 'outside'; readonly verbs: readonly Verb[] }[] {
  const kvm = settings.machine.startsWith('kvm-');
  const missing: readonly Verb[] = [
    ...(settings.cpu === 'arm64' ? ONLY_X86 : ONLY_ARM),
    ...(settings.guest === 'nonpaging' ? OF_TABLES : []),
  ];
  const alone = when === 'after';
  return [
    { by: 'guest', verbs: GUEST_VERBS.filter((verb) => !missing.includes(verb)) },
    { by: 'vcpu', verbs: kvm ? VCPU_VERBS : [] },
    { by: 'host', verbs: kvm && alone ? HOST_VERBS : [] },
    { by: 'outside', verbs: alone ? OUTSIDE_VERBS : [] },
  ];
}

/** vCPUs that may act then: in the middle of an operation all but the one that is at it. */
export const actorsOf = (
  settings: Settings,
  { when, busy }: { when: When; busy: number },
): readonly number[] => vcpusOf(settings).filter((vcpu) => when === 'after' || vcpu !== busy);

/** Registers that the guest may set, whole or by their bits. */
export const registersOf = (settings: Settings): readonly string[] => [
  ...registersFor(settings).map(([word]) => word.replace(/ = $/, '')),
  ...WHOLE,
];
const WHOLE = ['cr0', 'cr3', 'cr4', 'efer'];

/** What a bit can be flipped in. */
export function placesOf(settings: Settings): readonly FlipPlace[] {
  const kvm = settings.machine.startsWith('kvm-');
  return [
    'memory',
    ...(kvm ? (['shadow'] as const) : []),
    ...(settings.machine === 'two-stage' ? (['host'] as const) : []),
    ...(outsideRegisters(settings).length > 0 ? (['register'] as const) : []),
  ];
}

/** The form with only what the machine has: what was chosen for another is replaced by the first that fits. */
export function fitted(form: Form, settings: Settings, busy: number): Form {
  const verbs = verbsOf(settings, form.when).flatMap((group) => group.verbs);
  const fit = <T>(value: T, values: readonly T[]): T =>
    values.includes(value) ? value : (values[0] ?? value);
  const outside: readonly string[] = outsideRegisters(settings);
  return {
    ...form,
    verb: fit(form.verb, verbs),
    vcpu: fit(form.vcpu, actorsOf(settings, { when: form.when, busy })),
    register: fit(form.register, registersOf(settings)),
    place: fit(form.place, placesOf(settings)),
    outside: fit(form.outside, outside),
  };
}
