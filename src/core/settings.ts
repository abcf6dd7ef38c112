/**
 * Everything about a machine that a scenario may choose: one typed table, read by the text, the command line,
 * links and the screen alike. `machine` settings say what the machine is; `policy` settings say how its
 * hypervisor behaves, wrong behaviour included.
 */

import { FLUSH_SETTINGS, MISTAKES } from './flush-settings.ts';

export type SettingName =
  | 'machine'
  | 'era'
  | 'cpu'
  | 'guest'
  | 'host'
  | 'host-pages'
  | 'ept-ad'
  | 'psc'
  | 'tlb'
  | 'vcpus'
  | 'nx-huge-pages'
  | 'log-clear'
  | 'mmio-without'
  | 'gpte-write'
  | 'flush'
  | 'flush-reach'
  | 'flush-size'
  | 'flush-when'
  | 'asids'
  | 'cr3-cache'
  | 'shipped-bugs'
  | 'break';

/** Where a setting or a value of it means something; without a list, everywhere. */
interface Scope {
  readonly machines?: readonly string[];
  readonly cpus?: readonly string[];
  readonly eras?: readonly string[];
}

interface ValueSpec extends Scope {
  readonly value: string;
  /** Set when the choice is wrong behaviour that no correct hypervisor has. */
  readonly wrong?: true;
  /** Id, in the reference, of the bug that this choice of a policy amounts to. */
  readonly bug?: string;
}

export interface SettingValue extends ValueSpec {
  /** Plain words for the screen: what this choice means. Empty until `meanings.ts` is fetched. */
  meaning: string;
}

interface SettingSpec extends Scope {
  readonly name: SettingName;
  readonly where: 'machine' | 'policy';
  /** The choices, the default first. `list` settings take several of them, joined by commas. */
  readonly values: readonly [ValueSpec, ...ValueSpec[]];
  readonly list?: true;
  readonly label: string;
}

export interface Setting extends SettingSpec {
  readonly values: readonly [SettingValue, ...SettingValue[]];
  meaning: string;
}

/** Bugs that one of the eras of 2006 and 2007 shipped, with the ids of the reference where it has one. */
export const SHIPPED_BUGS = [
  'C-B2',
  'C-B3',
  'C-B4',
  'C-B5',
  'C-B6',
  'nx-slip',
  'nonpaging-write',
  'walk-race',
] as const;
export type ShippedBug = (typeof SHIPPED_BUGS)[number];
/** All bugs that a machine of these eras can have; the last ones no era shipped, so only `break` brings them. */
export const BUGS = [...SHIPPED_BUGS, 'E-B4'] as const;
export type Bug = (typeof BUGS)[number];

/** Mistakes that a KVM of today may be told to make, with the ids of the reference. */
export const TODAYS_BUGS = ['D-B2', 'D-B3', 'D-B4', 'D-B5', 'I-B1', 'I-B2', 'F-B2', 'F-B4', 'F-B5'] as const;
export type TodaysBug = (typeof TODAYS_BUGS)[number];

/** Machines without KVM, on which the processor alone is the subject. */
const BARE: readonly string[] = ['native', 'two-stage'];
const KVM_2007: readonly string[] = ['kvm-2007'];
const KVM_SHADOW: readonly string[] = ['kvm-shadow'];
const WITH_ERAS: readonly string[] = [...KVM_2007, ...KVM_SHADOW];
const TWO_STAGE: readonly string[] = ['two-stage'];
const X86: readonly string[] = ['vmx-novpid', 'svm', 'vmx-vpid'];

/** Eras in which marks of devices carry the number of slot changes. */
const WITH_GENERATION: readonly string[] = ['6.12', '6.1'];
/** Eras whose guests may have several vCPUs. */
const SMP_ERAS: readonly string[] = ['2007c', ...WITH_GENERATION, '2011'];

/** Bugs that take several vCPUs. */
export const BUGS_OF_SEVERAL: readonly Bug[] = ['walk-race', 'E-B4'];
const valueOf = (value: Bug): ValueSpec =>
  BUGS_OF_SEVERAL.includes(value) ? { value, eras: ['2007c'] } : { value };

/** Without a number of slot changes nobody can make mistakes with it. */
const TODAYS_BUG_VALUES: readonly (ValueSpec & { readonly value: TodaysBug })[] = TODAYS_BUGS.map((value) =>
  value === 'F-B2' || value === 'F-B4' ? { value, eras: WITH_GENERATION } : { value },
);

const SPECS: readonly SettingSpec[] = [
  {
    name: 'machine',
    where: 'machine',
    label: 'machine',
    values: [
      { value: 'kvm-2007' },
      { value: 'kvm-shadow' },
      { value: 'native' },
      {
        value: 'two-stage',
      },
    ],
  },
  {
    name: 'era',
    where: 'machine',
    machines: WITH_ERAS,
    label: 'era',
    values: [
      {
        value: '2007b',
        machines: KVM_2007,
      },
      {
        value: '2006',
        machines: KVM_2007,
      },
      {
        value: '2007a',
        machines: KVM_2007,
      },
      {
        value: '2007c',
        machines: KVM_2007,
      },
      {
        value: '6.12',
        machines: KVM_SHADOW,
      },
      {
        value: '6.1',
        machines: KVM_SHADOW,
      },
      {
        value: '2011',
        machines: KVM_SHADOW,
      },
    ],
  },
  {
    name: 'cpu',
    where: 'machine',
    label: 'processor',
    values: [
      {
        value: 'vmx-novpid',
        machines: [...BARE, ...KVM_2007],
      },
      { value: 'svm' },
      {
        value: 'vmx-vpid',
      },
      {
        value: 'arm64',
        machines: BARE,
      },
    ],
  },
  {
    name: 'guest',
    where: 'machine',
    label: 'guest',
    values: [
      { value: '4-level' },
      {
        value: '5-level',
        machines: [...BARE, ...KVM_SHADOW],
        cpus: X86,
      },
      { value: '3-level', machines: BARE, cpus: ['arm64'] },
      { value: 'pae', cpus: X86 },
      { value: '2-level', cpus: X86 },
      { value: 'nonpaging' },
    ],
  },
  {
    name: 'host',
    where: 'machine',
    machines: TWO_STAGE,
    label: 'host levels',
    values: [
      { value: '4-level' },
      { value: '5-level', cpus: X86 },
      {
        value: '3-level',
        cpus: ['arm64'],
      },
    ],
  },
  {
    name: 'host-pages',
    where: 'machine',
    machines: TWO_STAGE,
    label: 'host pages',
    values: [{ value: '4K' }, { value: '2M' }],
  },
  {
    name: 'ept-ad',
    where: 'machine',
    machines: TWO_STAGE,
    cpus: ['vmx-novpid', 'vmx-vpid'],
    label: 'EPT A/D',
    values: [{ value: 'on' }, { value: 'off' }],
  },
  {
    name: 'psc',
    where: 'machine',
    machines: BARE,
    label: 'table caches',
    values: [{ value: 'off' }, { value: 'guest' }, { value: 'both', machines: TWO_STAGE }],
  },
  {
    name: 'tlb',
    where: 'machine',
    machines: BARE,
    label: 'TLB size',
    values: [{ value: 'unlimited' }, { value: '4' }, { value: '8' }, { value: '16' }, { value: '64' }],
  },
  {
    name: 'vcpus',
    where: 'machine',
    label: 'vCPUs',
    values: [
      { value: '1' },
      { value: '2', machines: WITH_ERAS, eras: SMP_ERAS },
      { value: '3', machines: WITH_ERAS, eras: SMP_ERAS },
      { value: '4', machines: WITH_ERAS, eras: SMP_ERAS },
    ],
  },
  {
    name: 'nx-huge-pages',
    where: 'machine',
    machines: KVM_SHADOW,
    label: 'executable large pages',
    values: [{ value: 'off' }, { value: 'on' }],
  },
  {
    name: 'log-clear',
    where: 'machine',
    machines: KVM_SHADOW,
    label: 'log is cleared',
    values: [{ value: 'with-fetch' }, { value: 'apart' }, { value: 'apart-all-set' }],
  },
  {
    name: 'mmio-without',
    where: 'policy',
    machines: KVM_SHADOW,
    label: 'devices without',
    values: [
      { value: 'none' },
      { value: 'entries' },
      { value: 'memory' },
      { value: 'generation', eras: WITH_GENERATION },
    ],
  },
  {
    name: 'gpte-write',
    where: 'policy',
    machines: KVM_2007,
    label: 'guest PTE write',
    values: [{ value: 'update' }, { value: 'zap' }],
  },
  {
    name: 'flush',
    where: 'policy',
    machines: KVM_2007,
    label: 'flush',
    values: [
      { value: 'always' },
      {
        value: 'on-fault',
      },
      { value: 'never', wrong: true, bug: 'C-B1' },
    ],
  },
  {
    name: 'flush-reach',
    where: 'policy',
    machines: KVM_2007,
    eras: ['2007c'],
    label: 'flush reaches',
    values: [{ value: 'all' }, { value: 'local', wrong: true, bug: 'B-B2' }],
  },
  ...FLUSH_SETTINGS,
  {
    name: 'shipped-bugs',
    where: 'policy',
    machines: KVM_2007,
    label: 'shipped bugs',
    list: true,
    values: [{ value: 'all' }, { value: 'none' }, ...SHIPPED_BUGS.map(valueOf)],
  },
  {
    name: 'break',
    where: 'policy',
    machines: [...WITH_ERAS, 'two-stage'],
    label: 'broken on purpose',
    list: true,
    values: [
      { value: 'none' },
      ...BUGS.map((bug) => ({ ...valueOf(bug), wrong: true as const, machines: KVM_2007 })),
      ...TODAYS_BUG_VALUES.map((choice) => ({ ...choice, wrong: true as const, machines: KVM_SHADOW })),
      ...MISTAKES.map((choice) => ({ ...choice, wrong: true as const })),
    ],
  },
];

const meant = (choice: ValueSpec): SettingValue => ({ ...choice, meaning: '' });

export const SETTINGS: readonly Setting[] = SPECS.map((setting) => {
  const [usual, ...others] = setting.values;
  return { ...setting, meaning: '', values: [meant(usual), ...others.map(meant)] };
});

/** The numbers of the vCPUs. */
export const vcpusOf = ({ vcpus }: Pick<Settings, 'vcpus'>): readonly number[] =>
  Array.from({ length: Number(vcpus) }, (_, vcpu) => vcpu);

/** All settings of one run, complete. */
export type Settings = Readonly<Record<SettingName, string>>;

export const DEFAULT_SETTINGS: Settings = Object.fromEntries(
  SETTINGS.map((setting) => [setting.name, setting.values[0].value]),
) as Record<SettingName, string>;

/** What a machine is where nobody chooses: only where it differs from the default. */
const MACHINE_DEFAULTS: Readonly<Record<string, Partial<Record<SettingName, string>>>> = {
  'kvm-shadow': { era: '6.12', cpu: 'svm' },
};

/** What an era does where nobody chooses a policy for it: only where it differs from the default. */
const ERA_POLICIES: Readonly<Record<string, Partial<Record<SettingName, string>>>> = {
  '2006': { 'gpte-write': 'zap' },
  '2007a': { 'gpte-write': 'zap', flush: 'on-fault' },
};

/** All settings of a run in which only some were chosen. */
export function completeSettings(chosen: Readonly<Partial<Record<SettingName, string>>>): Settings {
  const usual = MACHINE_DEFAULTS[chosen.machine ?? ''];
  const era = chosen.era ?? usual?.era ?? DEFAULT_SETTINGS.era;
  return { ...DEFAULT_SETTINGS, ...usual, ...ERA_POLICIES[era], ...chosen };
}

export const settingOf = (name: string): Setting | undefined =>
  SETTINGS.find((setting) => setting.name === name);

const inScope = (scope: Scope, settings: Settings): boolean =>
  (scope.machines?.includes(settings.machine) ?? true) &&
  (scope.cpus?.includes(settings.cpu) ?? true) &&
  (scope.eras?.includes(settings.era) ?? true);

/** Whether the setting means anything under these settings. */
export const applies = (setting: Setting, settings: Settings): boolean => inScope(setting, settings);

/** The values that fit the other settings. */
export const choicesOf = (setting: Setting, settings: Settings): readonly SettingValue[] =>
  setting.values.filter((choice) => inScope(choice, settings));

/** The first setting whose value does not fit the others. */
export function misfit(settings: Settings): Setting | undefined {
  return SETTINGS.find((setting) => {
    if (!applies(setting, settings)) return false;
    const chosen = settings[setting.name].split(',');
    return setting.values.some((choice) => chosen.includes(choice.value) && !inScope(choice, settings));
  });
}

/** Whether `text` is a legal value of the setting; a list is `all`, `none` or ids joined by commas. */
export function settingAccepts(setting: Setting, text: string): boolean {
  const known = (part: string): boolean => setting.values.some((choice) => choice.value === part);
  if (setting.list !== true) return known(text);
  const parts = text.split(',');
  return parts.length === 1
    ? known(text)
    : parts.every((part) => known(part) && part !== 'all' && part !== 'none');
}
