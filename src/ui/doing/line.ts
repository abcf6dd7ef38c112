/** A filled-in form as a line of the scenario's language, and what a machine leaves to choose. */
import { outsideRegisters } from '../../core/hardware/outside-registers.ts';
import { vcpusOf, type Settings } from '../../core/settings.ts';
import { registersFor } from '../../scenario/assist-words.ts';
import { isToday } from '../../scenario/machine-words.ts';

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
/** What the host does to the memory of the process that runs the guest. */
export const MEMORY_VERBS = [
  'host unmap',
  'host swap-out',
  'host write-protect',
  'host make-writable',
  'host collapse',
] as const;
/** What the program in user space does to memory slots. */
export const SLOT_VERBS = ['host add-slot', 'host delete-slot'] as const;
const CLEAR_LOG = 'host clear-log';
export const OUTSIDE_VERBS = ['flip'] as const;
export type Verb =
  | (typeof GUEST_VERBS)[number]
  | (typeof VCPU_VERBS)[number]
  | (typeof HOST_VERBS)[number]
  | (typeof MEMORY_VERBS)[number]
  | (typeof SLOT_VERBS)[number]
  | typeof CLEAR_LOG
  | (typeof OUTSIDE_VERBS)[number];

type HostVerb = Extract<Verb, `host ${string}`>;

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
  readonly pages: string;
  /** Guest address of the first page that is cleared from the log; empty for the whole slot. */
  readonly from: string;
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
  pages: '1',
  from: '',
  state: 'on',
  place: 'memory',
  level: '1',
  outside: '',
  bit: '1',
};

/** The operation that a form stands for, without the point at which it happens. */
function operationOf(form: Form): string {
  const { verb, who, address, value, target, space, register } = form;
  const vcpu = `v${String(form.vcpu)}`;
  if (isOfHost(verb)) return hostLineOf(form, verb);
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
    case 'flip':
      return flipOf(form);
  }
}

const isOfHost = (verb: Verb): verb is HostVerb => verb.startsWith('host ');

/** What a thread of the host does. */
function hostLineOf({ address, pages, slot, state, from }: Form, verb: HostVerb): string {
  switch (verb) {
    case 'host flush-all':
      return verb;
    case 'host log':
      return `${verb} slot=${slot} ${state}`;
    case 'host fetch-log':
    case 'host add-slot':
    case 'host delete-slot':
      return `${verb} slot=${slot}`;
    case 'host clear-log':
      return `${verb} slot=${slot}${from.trim() === '' ? '' : ` ${from} pages=${pages}`}`;
    case 'host unmap':
    case 'host swap-out':
    case 'host write-protect':
    case 'host make-writable':
    case 'host collapse':
      return `${verb} ${address} pages=${pages}`;
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

const changesMemory = (verb: Verb): boolean => (MEMORY_VERBS as readonly Verb[]).includes(verb);
const WITH_ADDRESS: readonly Verb[] = [
  'read',
  'write',
  'exec',
  'invlpg',
  'tlbi vae1is',
  'set-pte',
  ...MEMORY_VERBS,
];
export const takesAddress = ({ verb, place }: Form): boolean =>
  WITH_ADDRESS.includes(verb) || (verb === 'flip' && place !== 'register');

/** Whether its address is the guest's physical one: then the text names none. */
export const isPhysical = ({ verb, place }: Form): boolean =>
  changesMemory(verb) || (verb === 'flip' && place !== 'shadow');
export const takesSlot = ({ verb }: Form): boolean => WITH_SLOT.includes(verb);
const WITH_SLOT: readonly Verb[] = ['host log', 'host fetch-log', CLEAR_LOG, ...SLOT_VERBS];
export const takesPages = ({ verb, from }: Form): boolean =>
  changesMemory(verb) || (verb === CLEAR_LOG && from.trim() !== '');

/** What only the other architecture has. */
const ONLY_X86: readonly Verb[] = ['invlpg', 'load-cr3', 'set'];
const ONLY_ARM: readonly Verb[] = ['tlbi vae1is', 'load-ttbr0'];

/** What there is only where the guest has tables. */
const OF_TABLES: readonly Verb[] = ['set-pte', 'load-cr3', 'load-ttbr0'];

/** What happens already, and whether something else happens in the middle of it. */
interface Moment {
  readonly when: When;
  /** The vCPU that is in the middle of something; none where a thread of the host is. */
  readonly busy: number | undefined;
}

/** The vCPU that is at an operation of a text. A thread of the host's own changes pages and slots. */
export const busyAt = ({ text, vcpu }: { text: string; vcpu: number }): number | undefined =>
  BY_THREAD.some((verb) => text.startsWith(`${verb} `)) ? undefined : vcpu;
const BY_THREAD: readonly Verb[] = [...MEMORY_VERBS, ...SLOT_VERBS];

/** Whether anybody may act in the middle of an operation. */
export const hasMiddle = (settings: Settings): boolean => isToday(settings) || vcpusOf(settings).length > 1;

/** What a thread of the host does on a machine; beside a vCPU, only that for which no vCPU leaves the guest. */
function hostVerbsOf(settings: Settings, alone: boolean): readonly Verb[] {
  if (!isToday(settings)) return settings.machine.startsWith('kvm-') && alone ? HOST_VERBS : [];
  const clears: readonly Verb[] = settings['log-clear'] === 'with-fetch' ? [] : [CLEAR_LOG];
  return [...(alone ? [...HOST_VERBS, ...clears] : []), ...BY_THREAD];
}

/**
 * What can be done on a machine, by who does it; in the middle of an operation only other vCPUs act, and the host where it
 * has threads of its own for it.
 */
export function verbsOf(
  settings: Settings,
  { when, busy }: Moment,
): readonly { readonly by: 'guest' | 'vcpu' | 'host' | 'outside'; readonly verbs: readonly Verb[] }[] {
  const kvm = settings.machine.startsWith('kvm-');
  const missing: readonly Verb[] = [
    ...(settings.cpu === 'arm64' ? ONLY_X86 : ONLY_ARM),
    ...(settings.guest === 'nonpaging' ? OF_TABLES : []),
  ];
  const alone = when === 'after';
  const acts = actorsOf(settings, { when, busy }).length > 0;
  return [
    { by: 'guest', verbs: acts ? GUEST_VERBS.filter((verb) => !missing.includes(verb)) : [] },
    { by: 'vcpu', verbs: kvm && acts ? VCPU_VERBS : [] },
    { by: 'host', verbs: hostVerbsOf(settings, alone) },
    { by: 'outside', verbs: alone ? OUTSIDE_VERBS : [] },
  ];
}

/** vCPUs that may act then: in the middle of an operation all but the one that is at it. */
export const actorsOf = (settings: Settings, { when, busy }: Moment): readonly number[] =>
  vcpusOf(settings).filter((vcpu) => when === 'after' || vcpu !== busy);

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
export function fitted(form: Form, settings: Settings, busy: number | undefined): Form {
  const moment = { when: form.when, busy };
  const verbs = verbsOf(settings, moment).flatMap((group) => group.verbs);
  const fit = <T>(value: T, values: readonly T[]): T =>
    values.includes(value) ? value : (values[0] ?? value);
  const outside: readonly string[] = outsideRegisters(settings);
  return {
    ...form,
    verb: fit(form.verb, verbs),
    vcpu: fit(form.vcpu, actorsOf(settings, moment)),
    register: fit(form.register, registersOf(settings)),
    place: fit(form.place, placesOf(settings)),
    outside: fit(form.outside, outside),
  };
}
