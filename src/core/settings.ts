/**
 * Everything about a machine that a scenario may choose: one typed table, read by the text, the command line,
 * links and the screen alike. `machine` settings say what the machine is; `policy` settings say how its
 * hypervisor behaves, wrong behaviour included.
 */

export type SettingName =
  'machine' | 'era' | 'cpu' | 'guest' | 'vcpus' | 'gpte-write' | 'flush' | 'shipped-bugs';

export interface SettingValue {
  readonly value: string;
  /** Plain words for the screen: what this choice means. */
  readonly meaning: string;
  /** Set when the choice is wrong behaviour that no correct hypervisor has. */
  readonly wrong?: true;
}

export interface Setting {
  readonly name: SettingName;
  readonly where: 'machine' | 'policy';
  /** The choices, the default first. `list` settings take several of them, joined by commas. */
  readonly values: readonly [SettingValue, ...SettingValue[]];
  readonly list?: true;
  readonly label: string;
  readonly meaning: string;
}

/** Bugs that the era 2007b shipped, with the ids of the reference. */
export const SHIPPED_BUGS = ['C-B2', 'C-B3', 'C-B6'] as const;
export type ShippedBug = (typeof SHIPPED_BUGS)[number];

export const SETTINGS: readonly Setting[] = [
  {
    name: 'machine',
    where: 'machine',
    label: 'machine',
    meaning: 'Which hypervisor runs the guest.',
    values: [{ value: 'kvm-2007', meaning: "KVM's first shadow MMU, as of 2007" }],
  },
  {
    name: 'era',
    where: 'machine',
    label: 'era',
    meaning: 'Which state of the source code is modelled.',
    values: [{ value: '2007b', meaning: 'mid-2007: shadow entries can be updated, 1024 shadow pages' }],
  },
  {
    name: 'cpu',
    where: 'machine',
    label: 'processor',
    meaning: 'The processor, as far as its TLB matters.',
    values: [
      { value: 'vmx-novpid', meaning: 'Intel before VPID: every VM exit and every VM entry empties the TLB' },
      { value: 'svm', meaning: 'AMD: TLB entries carry an address space number (ASID) and survive VM exits' },
    ],
  },
  {
    name: 'guest',
    where: 'machine',
    label: 'guest',
    meaning: 'The paging mode of the guest.',
    values: [{ value: '4-level', meaning: '64-bit paging, 48-bit addresses' }],
  },
  {
    name: 'vcpus',
    where: 'machine',
    label: 'vCPUs',
    meaning: 'How many virtual processors the guest has.',
    values: [{ value: '1', meaning: 'one virtual processor' }],
  },
  {
    name: 'gpte-write',
    where: 'policy',
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
    label: 'flush',
    meaning: 'When write-protecting a guest page table flushes the TLB.',
    values: [
      { value: 'always', meaning: 'for every mapping that loses its write right' },
      {
        value: 'on-fault',
        meaning: 'on the page-fault path only: a CR3 load flushes anyway (January 2007 proposal)',
      },
      { value: 'never', meaning: 'nowhere', wrong: true },
    ],
  },
  {
    name: 'shipped-bugs',
    where: 'policy',
    label: 'shipped bugs',
    meaning: 'Which bugs of the era are left in.',
    list: true,
    values: [
      { value: 'all', meaning: 'as the era shipped' },
      { value: 'none', meaning: 'all of them mended' },
      { value: 'C-B2', meaning: 'the read-fault fixer clears W and leaves the entry in the reverse map' },
      { value: 'C-B3', meaning: 'rights of upper guest entries are lost in the shadow leaf' },
      { value: 'C-B6', meaning: 'an emulated table write zaps a shadow entry without a flush' },
    ],
  },
];

/** All settings of one run, complete. */
export type Settings = Readonly<Record<SettingName, string>>;

export const DEFAULT_SETTINGS: Settings = Object.fromEntries(
  SETTINGS.map((setting) => [setting.name, setting.values[0].value]),
) as Record<SettingName, string>;

export const settingOf = (name: string): Setting | undefined =>
  SETTINGS.find((setting) => setting.name === name);

/** Whether `text` is a legal value of the setting; a list is `all`, `none` or ids joined by commas. */
export function settingAccepts(setting: Setting, text: string): boolean {
  const known = (part: string): boolean => setting.values.some((choice) => choice.value === part);
  if (setting.list !== true) return known(text);
  const parts = text.split(',');
  return parts.length === 1
    ? known(text)
    : parts.every((part) => known(part) && part !== 'all' && part !== 'none');
}

export function hasShippedBug(settings: Settings, bug: ShippedBug): boolean {
  const chosen = settings['shipped-bugs'];
  return chosen === 'all' || chosen.split(',').includes(bug);
}
