/**
 * Policies, right and wrong, for generated programs: the right ones of 2006 and 2007 as the settings
 * list them, and for each wrong one under what it can show. A wrong value without a line here fails a test, whatever machine
 * it is for.
 */
import fc from 'fast-check';
import {
  applies,
  choicesOf,
  completeSettings,
  SETTINGS,
  type Setting,
  type SettingName,
  type SettingValue,
} from '../core/settings.ts';
import type { SettingChoices } from '../scenario/ast.ts';
import type { Deed } from './guest-deeds.ts';
import type { GuestMode } from './guest-programs.ts';
import { tableChangedUnderWalk } from './guest-races.ts';
import { cleanTwins, hookedAlike, hookedUnalike } from './today-deeds.ts';
import type { Around } from './vcpu-programs.ts';

const MACHINE = 'kvm-2007';
const CPUS = ['vmx-novpid', 'svm', 'vmx-vpid'] as const;
/** Settings whose correct value a test says by itself. */
const FIXED: readonly SettingName[] = ['machine', 'era', 'cpu', 'guest', 'vcpus'];

/** Every combination of correct values that an era offers, with all of its own bugs mended. */
export const correctPolicies = (era: string): fc.Arbitrary<SettingChoices> =>
  fc.constantFrom(...CPUS).chain((cpu) => {
    const ground = completeSettings({ machine: MACHINE, era, cpu, 'shipped-bugs': 'none' });
    const free = SETTINGS.filter(
      (setting) => !FIXED.includes(setting.name) && setting.list !== true && applies(setting, ground),
    );
    const choices = free.map((setting) => {
      const right = choicesOf(setting, ground).filter(({ wrong }) => wrong !== true);
      return [setting.name, fc.constantFrom(...right.map(({ value }) => value))] as const;
    });
    return fc
      .record(Object.fromEntries(choices))
      .map((chosen) => ({ ...chosen, cpu, 'shipped-bugs': 'none' }));
  });

/** Where a wrong policy shows: what stands in the text of a program that finds it. */
export interface Search {
  readonly machine: SettingChoices;
  readonly policy?: SettingChoices;
  readonly vcpus: number;
  readonly modes?: readonly GuestMode[];
  /** What its guests often do besides. */
  readonly also?: fc.Arbitrary<Deed>;
  /** What acts beside the guest. */
  readonly around?: Around;
  /** What shows it: an access of the guest or a log that is not complete, that the host stops, or that this costs more. */
  readonly shownBy?: 'guest' | 'host' | 'mmio_stale';
  /** Programs to try in `npm test`, where those of other properties are too few. */
  readonly runs?: number;
}

const onSvm = (era: string): Pick<Search, 'machine' | 'vcpus'> => ({
  machine: { era, cpu: 'svm' },
  vcpus: 1,
});

/** Today's kernel, as it was recorded last. */
const onShadow = (vcpus: number): Pick<Search, 'machine' | 'vcpus'> => ({
  machine: { machine: 'kvm-shadow', era: '6.12', cpu: 'svm' },
  vcpus,
});
/** Its programs are mostly about one thing, so that few of them find what is wrong about that. */
const about = (around: Around, vcpus = 1): Pick<Search, 'machine' | 'vcpus' | 'around'> => ({
  ...onShadow(vcpus),
  around,
});

/** By `setting=value`. C-B7 of the reference is no value: it breaks nothing, its lesson is a count. */
export const WRONG_POLICIES: Readonly<Record<string, Search>> = {
  'flush=never': onSvm('2007b'),
  'flush-reach=local': { machine: { era: '2007c', cpu: 'svm' }, vcpus: 2 },
  'flush-size=one-page': onSvm('2007b'),
  'flush-when=before': { machine: { era: '2007c', cpu: 'svm' }, vcpus: 2 },
  'break=B-B1': { machine: { era: '2007c', cpu: 'svm' }, vcpus: 2 },
  'break=B-B3': { machine: { machine: 'two-stage', cpu: 'vmx-vpid' }, vcpus: 1 },
  'break=B-B4': { machine: { era: '2007c', cpu: 'svm' }, vcpus: 2 },
  // The guest itself sees nothing of it. Later the host kernel meets the forgotten entry, and stops.
  'break=C-B2': { ...onSvm('2007b'), shownBy: 'host' },
  'break=C-B3': { ...onSvm('2007b'), policy: { 'gpte-write': 'update' } },
  'break=C-B4': { machine: { era: '2006', cpu: 'vmx-novpid' }, vcpus: 1, modes: ['2-level'] },
  // With C-B3 mended all rights are in the key of a page, and the next bug and nx-slip have nothing to share.
  'break=C-B5': {
    machine: { era: '2007b', cpu: 'vmx-novpid' },
    policy: { 'shipped-bugs': 'C-B3' },
    vcpus: 1,
  },
  'break=C-B6': onSvm('2007b'),
  'break=nx-slip': {
    machine: { era: '2007c', cpu: 'vmx-novpid' },
    policy: { 'shipped-bugs': 'C-B3', 'gpte-write': 'zap' },
    vcpus: 1,
    modes: ['4-level', 'pae'],
    runs: 1500,
  },
  'break=nonpaging-write': {
    machine: { era: '2007b', cpu: 'vmx-novpid' },
    vcpus: 1,
    modes: ['pae', '2-level'],
    runs: 1500,
  },
  'break=walk-race': {
    machine: { era: '2007c', cpu: 'svm' },
    vcpus: 2,
    also: tableChangedUnderWalk,
  },
  'break=D-B3': onShadow(1),
  'break=D-B2': { ...onShadow(1), around: 'tables', also: hookedAlike, modes: ['4-level'], runs: 1500 },
  'break=D-B4': { ...onShadow(1), around: 'tables', also: cleanTwins, runs: 1500 },
  'break=D-B5': { ...onShadow(1), around: 'tables', also: hookedUnalike, modes: ['4-level'], runs: 1500 },
  'break=I-B1': { ...about('pages'), runs: 1500 },
  'break=I-B2': { ...about('pages', 2), runs: 1500 },
  'break=F-B2': { ...about('devices'), runs: 1500 },
  // No access and no rule shows it: every access to the device takes the long way.
  'break=F-B4': { ...about('devices'), shownBy: 'mmio_stale', runs: 1500 },
  'break=F-B5': { ...about('devices'), runs: 1500 },
  // No access shows it: only the log that the host fetches next is wrong.
  'break=E-B4': { machine: { era: '2007c', cpu: 'svm' }, vcpus: 2, around: 'log', runs: 1500 },
};

/** Every wrong value that a machine can be given, as `setting=value`. */
export const wrongValues = (): readonly string[] =>
  SETTINGS.flatMap((setting: Setting) =>
    setting.values
      .filter((choice: SettingValue) => choice.wrong === true)
      .map(({ value }) => `${setting.name}=${value}`),
  );

/** The wrong choice, and the right one in its place: what an era does, or the first value that is not wrong. */
export function choicesFor(id: string): { readonly wrong: SettingChoices; readonly right: SettingChoices } {
  const [name = '', value = ''] = id.split('=');
  const setting = SETTINGS.find((candidate) => candidate.name === name);
  const right = setting?.values.find(({ wrong }) => wrong !== true)?.value ?? '';
  return { wrong: { [name]: value }, right: { [name]: right } };
}
