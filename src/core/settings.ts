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

export interface SettingValue extends Scope {
  readonly value: string;
  /** Plain words for the screen: what this choice means. */
  readonly meaning: string;
  /** Set when the choice is wrong behaviour that no correct hypervisor has. */
  readonly wrong?: true;
  /** Id, in the reference, of the bug that this choice of a policy amounts to. */
  readonly bug?: string;
}

export interface Setting extends Scope {
  readonly name: SettingName;
  readonly where: 'machine' | 'policy';
  /** The choices, the default first. `list` settings take several of them, joined by commas. */
  readonly values: readonly [SettingValue, ...SettingValue[]];
  readonly list?: true;
  readonly label: string;
  readonly meaning: string;
}

/** Bugs that one of the eras of 2006 and 2007 shipped, with the ids of the reference where it has one. */
export const SHIPPED_BUGS = ['C-B2', 'C-B3', 'C-B4', 'C-B5', 'C-B6', 'nx-slip', 'nonpaging-write'] as const;
export type ShippedBug = (typeof SHIPPED_BUGS)[number];
/** All bugs that a machine of these eras can have; the last ones no era shipped, so only `break` brings them. */
export const BUGS = [...SHIPPED_BUGS, 'E-B4'] as const;
export type Bug = (typeof BUGS)[number];

/** Machines without KVM, on which the processor alone is the subject. */
const BARE: readonly string[] = ['native', 'two-stage'];
const KVM_2007: readonly string[] = ['kvm-2007'];
const KVM_SHADOW: readonly string[] = ['kvm-shadow'];
const WITH_ERAS: readonly string[] = [...KVM_2007, ...KVM_SHADOW];
const TWO_STAGE: readonly string[] = ['two-stage'];
const X86: readonly string[] = ['vmx-novpid', 'svm', 'vmx-vpid'];

/** Eras whose guests may have several vCPUs. */
const SMP_ERAS: readonly string[] = ['2007c', '6.12', '6.1'];

const BUG_VALUES: readonly (SettingValue & { readonly value: ShippedBug })[] = [
  { value: 'C-B2', meaning: 'the read-fault fixer clears W and leaves the entry in the reverse map' },
  { value: 'C-B3', meaning: 'rights of upper guest entries are lost in the shadow leaf' },
  {
    value: 'C-B4',
    meaning: 'a write to a 32-bit page directory clears an entry in the wrong place, in every quadrant',
  },
  { value: 'C-B5', meaning: 'large pages of one frame with different rights share their shadow page' },
  { value: 'C-B6', meaning: 'an emulated table write zaps a shadow entry without a flush' },
  {
    value: 'nx-slip',
    meaning: "no-execute of a large page is kept at the place of the user bit of its page's key",
  },
  {
    value: 'nonpaging-write',
    meaning:
      'without paging, the guest writes frames that are still shadowed as tables, unseen (our reading, unverified)',
  },
];

const UNSHIPPED_VALUES: readonly (SettingValue & { readonly value: Bug })[] = [
  {
    value: 'E-B4',
    meaning: 'the dirty log is cleared after its lock is free again: what was written in between is lost',
    eras: ['2007c'],
  },
];

export const SETTINGS: readonly Setting[] = [
  {
    name: 'machine',
    where: 'machine',
    label: 'machine',
    meaning: 'Which hypervisor runs the guest.',
    values: [
      { value: 'kvm-2007', meaning: "KVM's first shadow MMU, as of 2007" },
      { value: 'kvm-shadow', meaning: "KVM's shadow MMU of today, with nested paging off" },
      { value: 'native', meaning: 'no hypervisor: the processor walks the tables of the system itself' },
      {
        value: 'two-stage',
        meaning: 'a guest under nested paging, with host tables that map all of its memory from the start',
      },
    ],
  },
  {
    name: 'era',
    where: 'machine',
    machines: WITH_ERAS,
    label: 'era',
    meaning: 'Which state of the source code is modelled.',
    values: [
      {
        value: '2007b',
        meaning: 'mid-2007: shadow entries can be updated, 1024 shadow pages',
        machines: KVM_2007,
      },
      {
        value: '2006',
        meaning: 'as merged (2.6.20): shadow entries are only cleared, 256 shadow pages',
        machines: KVM_2007,
      },
      {
        value: '2007a',
        meaning: 'January 2007: fewer flushes proposed for write protection',
        machines: KVM_2007,
      },
      {
        value: '2007c',
        meaning: 'end of 2007 (2.6.24): several vCPUs, flushes of all TLBs, leaves built anew at each fault',
        machines: KVM_2007,
      },
      {
        value: '6.12',
        meaning:
          'Linux 6.12 (2024): invalidating an address drops its entry, which is built at the next fault',
        machines: KVM_SHADOW,
      },
      {
        value: '6.1',
        meaning: 'Linux 6.1 (2022): invalidating an address builds its new entry at once',
        machines: KVM_SHADOW,
      },
    ],
  },
  {
    name: 'cpu',
    where: 'machine',
    label: 'processor',
    meaning: 'The processor, as far as its TLB matters.',
    values: [
      {
        value: 'vmx-novpid',
        meaning: 'Intel before VPID: every VM exit and every VM entry empties the TLB',
        machines: [...BARE, ...KVM_2007],
      },
      { value: 'svm', meaning: 'AMD: TLB entries carry an address space number (ASID) and survive VM exits' },
      {
        value: 'vmx-vpid',
        meaning:
          'Intel with VPID: TLB entries carry the number of the virtual processor and survive VM exits. Processors have it since 2008; KVM of 2007 did not use it',
      },
      {
        value: 'arm64',
        meaning:
          'Arm: entries carry the number of the virtual machine (VMID); invalidations reach all processors',
        machines: BARE,
      },
    ],
  },
  {
    name: 'guest',
    where: 'machine',
    label: 'guest',
    meaning: 'The paging mode of the guest.',
    values: [
      { value: '4-level', meaning: '64-bit paging, 48-bit addresses' },
      {
        value: '5-level',
        meaning: '64-bit paging, 57-bit addresses',
        machines: [...BARE, ...KVM_SHADOW],
        cpus: X86,
      },
      { value: '3-level', meaning: '39-bit addresses, 4 KiB pages', machines: BARE, cpus: ['arm64'] },
      { value: 'pae', meaning: '32-bit addresses, 8-byte entries', cpus: X86 },
      { value: '2-level', meaning: '32-bit addresses, 4-byte entries', cpus: X86 },
      { value: 'nonpaging', meaning: 'paging off: addresses stand for themselves' },
    ],
  },
  {
    name: 'host',
    where: 'machine',
    machines: TWO_STAGE,
    label: 'host levels',
    meaning: 'How many levels the tables of the second stage have.',
    values: [
      { value: '4-level', meaning: 'guest addresses of 48 bits' },
      { value: '5-level', meaning: 'guest addresses of 57 bits', cpus: X86 },
      {
        value: '3-level',
        meaning: 'guest addresses of 40 bits, two start tables side by side',
        cpus: ['arm64'],
      },
    ],
  },
  {
    name: 'host-pages',
    where: 'machine',
    machines: TWO_STAGE,
    label: 'host pages',
    meaning: 'The size of the pages with which the second stage maps guest memory.',
    values: [
      { value: '4K', meaning: '4 KiB' },
      { value: '2M', meaning: '2 MiB' },
    ],
  },
  {
    name: 'ept-ad',
    where: 'machine',
    machines: TWO_STAGE,
    cpus: ['vmx-novpid', 'vmx-vpid'],
    label: 'EPT A/D',
    meaning:
      'Whether EPT entries get accessed and dirty marks; then reading a guest table counts as writing it.',
    values: [
      { value: 'on', meaning: 'marked' },
      { value: 'off', meaning: 'not marked' },
    ],
  },
  {
    name: 'psc',
    where: 'machine',
    machines: BARE,
    label: 'table caches',
    meaning: 'Which paging-structure caches the processor has: they remember tables on the way to a page.',
    values: [
      { value: 'off', meaning: 'none' },
      { value: 'guest', meaning: "for the guest's tables" },
      { value: 'both', meaning: "for the guest's tables and the host's", machines: TWO_STAGE },
    ],
  },
  {
    name: 'tlb',
    where: 'machine',
    machines: BARE,
    label: 'TLB size',
    meaning: 'How many translations the TLB holds; the one used longest ago goes first.',
    values: [
      { value: 'unlimited', meaning: 'nothing is ever displaced' },
      { value: '4', meaning: 'four' },
      { value: '8', meaning: 'eight' },
      { value: '16', meaning: 'sixteen' },
      { value: '64', meaning: 'sixty-four' },
    ],
  },
  {
    name: 'vcpus',
    where: 'machine',
    label: 'vCPUs',
    meaning: 'How many virtual processors the guest has.',
    values: [
      { value: '1', meaning: 'one virtual processor' },
      { value: '2', meaning: 'two', machines: WITH_ERAS, eras: SMP_ERAS },
      { value: '3', meaning: 'three', machines: WITH_ERAS, eras: SMP_ERAS },
      { value: '4', meaning: 'four', machines: WITH_ERAS, eras: SMP_ERAS },
    ],
  },
  {
    name: 'nx-huge-pages',
    where: 'machine',
    machines: KVM_SHADOW,
    label: 'executable large pages',
    meaning: "Whether the processor's large-page bug forbids executable large pages (nx_huge_pages).",
    values: [
      { value: 'off', meaning: 'large pages may be executable' },
      { value: 'on', meaning: 'an executable page is never large' },
    ],
  },
  {
    name: 'gpte-write',
    where: 'policy',
    machines: KVM_2007,
    label: 'guest PTE write',
    meaning:
      'What the hypervisor does with a shadow entry when it emulates a write to the guest entry behind it.',
    values: [
      { value: 'update', meaning: 'clear the shadow entry and build the new one at once (2007b)' },
      { value: 'zap', meaning: 'only clear the shadow entry; the next access faults and builds it (2006)' },
    ],
  },
  {
    name: 'flush',
    where: 'policy',
    machines: KVM_2007,
    label: 'flush',
    meaning: 'When write-protecting a guest page table flushes the TLB.',
    values: [
      { value: 'always', meaning: 'for every mapping that loses its write right' },
      {
        value: 'on-fault',
        meaning: 'on the page-fault path only: a CR3 load flushes anyway (January 2007 proposal)',
      },
      { value: 'never', meaning: 'nowhere', wrong: true, bug: 'C-B1' },
    ],
  },
  {
    name: 'flush-reach',
    where: 'policy',
    machines: KVM_2007,
    eras: ['2007c'],
    label: 'flush reaches',
    meaning: 'Whose TLBs a flush empties.',
    values: [
      { value: 'all', meaning: 'those of every vCPU' },
      { value: 'local', meaning: 'only that of the vCPU that asks (B-B2)', wrong: true, bug: 'B-B2' },
    ],
  },
  ...FLUSH_SETTINGS,
  {
    name: 'shipped-bugs',
    where: 'policy',
    machines: KVM_2007,
    label: 'shipped bugs',
    meaning: 'Which bugs of the era are left in.',
    list: true,
    values: [
      { value: 'all', meaning: 'as the era shipped' },
      { value: 'none', meaning: 'all of them mended' },
      ...BUG_VALUES,
    ],
  },
  {
    name: 'break',
    where: 'policy',
    machines: ['kvm-2007', 'two-stage'],
    label: 'broken on purpose',
    meaning: 'Which mistakes the hypervisor makes that its era did not.',
    list: true,
    values: [
      { value: 'none', meaning: 'none' },
      ...[...BUG_VALUES, ...UNSHIPPED_VALUES].map((choice) => ({
        ...choice,
        machines: KVM_2007,
        wrong: true as const,
      })),
      ...MISTAKES.map((choice) => ({ ...choice, wrong: true as const })),
    ],
  },
];

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
    const choice = setting.values.find(({ value }) => value === settings[setting.name]);
    return choice !== undefined && !inScope(choice, settings);
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
