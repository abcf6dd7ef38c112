/**
 * What a trial found, read off its journal: its steps, where it ended, and every entry that was read on the way with
 * what it held before the flips.
 */
import { guestFormatNow, hostFormatNow } from '../bare/formats.ts';
import { isArm } from '../bare/registers.ts';
import { armRemarks } from '../hardware/arm-registers.ts';
import type { AccessRequest } from '../hardware/fault.ts';
import type { PagingFormat } from '../hardware/format.ts';
import {
  outsideRegisters,
  PDPTE_REGISTERS,
  valueOf,
  type OutsideRegister,
} from '../hardware/outside-registers.ts';
import { isMalformedPdpte } from '../hardware/pdptes.ts';
import { pagingRegisters, PHYSICAL_BITS } from '../hardware/registers.ts';
import type { Translation } from '../hardware/tlb.ts';
import { PTE_PS, TABLE_NAMES_BY_LEVEL } from '../hardware/x86-entry.ts';
import type { AnyValue, Facts, Journal, Place } from '../machine/journal.ts';
import type { Machine } from '../machine/machine.ts';
import type { StepKind } from '../machine/steps.ts';
import type { TlbEntry } from '../machine/tables.ts';
import type { World } from '../machine/world.ts';
import type { Settings } from '../settings.ts';
import type { AccessResult } from './access.ts';
import type { Operation } from './operation.ts';
import type { Flip } from './probe-flips.ts';

export interface ProbeRequest extends AccessRequest {
  readonly vcpu: number;
  readonly gva: bigint;
  readonly flips: readonly Flip[];
  /** What the TLB and the paging-structure caches of the vCPU hold when the access begins. */
  readonly caches: 'as they are' | 'empty';
}

export interface ProbeStep {
  readonly kind: StepKind;
  readonly facts: Facts;
  readonly reads: readonly Place[];
  readonly changes: readonly { readonly place: Place; readonly before: AnyValue; readonly after: AnyValue }[];
}

/** An entry that was read on the way. */
export interface ProbeEntry {
  /** The word in which it lies; undefined for one in a register, and for one that the hypervisor found no memory for. */
  readonly word: number | undefined;
  /** The register that keeps it. */
  readonly register: OutsideRegister | undefined;
  /** Bit of the word at which the entry begins: 32 for the upper half. */
  readonly firstBit: 0 | 32;
  readonly bytes: 4 | 8;
  readonly dimension: 'single' | 'guest' | 'host';
  /** The hypervisor reads the guest's tables itself where the processor does not. */
  readonly reader: 'processor' | 'hypervisor';
  /** Of the second stage: the row of the guest's walk that it serves. */
  readonly row: number | undefined;
  readonly level: number;
  readonly levelName: string;
  readonly index: number;
  /** Whether bits 62:59 are a protection key, and whether CR4.PKE or CR4.PKS makes it count. */
  readonly key: 'counts' | 'ignored' | 'none';
  readonly before: bigint;
  /** As it was read: with the flips. */
  readonly after: bigint;
  /** The step that read it. */
  readonly step: number;
}

export type ProbeOutcome =
  /** `entry` is the cached translation that was used or made; `physical` is in the machine's physical space. */
  | {
      readonly kind: 'reached';
      readonly address: bigint;
      readonly physical: bigint;
      readonly entry: TlbEntry | undefined;
      readonly stale: boolean;
      readonly fromCache: boolean;
    }
  | Exclude<Translation, { kind: 'ok' }>
  /** The modelled host stops before anything is translated. */
  | { readonly kind: 'stopped'; readonly message: string };

/** What becomes of the access after its first translation has failed, where a hypervisor reacts. */
export interface ProbeEnd {
  readonly result: AccessResult | undefined;
  /** The hypervisor ran the instruction itself. */
  readonly emulated: boolean;
  readonly exits: number;
  readonly stopped: string | undefined;
}

export interface Probe {
  readonly request: ProbeRequest;
  /** Steps of the access. */
  readonly steps: readonly ProbeStep[];
  /** How many of the steps belong to the first translation. */
  readonly translated: number;
  readonly outcome: ProbeOutcome;
  readonly end: ProbeEnd | undefined;
  readonly entries: readonly ProbeEntry[];
  /** Levels of the guest's tables, as its registers have them after the flips. */
  readonly guestLevels: number;
  /** Memory references of the first translation, references that caches spared, and marks that were set. */
  readonly refs: number;
  readonly spared: number;
  readonly adw: number;
  /** What the registers hold that is reserved, senseless or without effect, and what the processor makes of it. */
  readonly remarks: readonly string[];
  /** What was done before the access, and which of it the processor refused or found nothing to do. */
  readonly preparations: readonly { readonly operation: Operation; readonly done: boolean }[];
}

export function stepAt(journal: Journal, step: number): ProbeStep {
  const changes: ProbeStep['changes'][number][] = [];
  const end = journal.changesBefore(step + 1);
  for (let change = journal.changesBefore(step); change < end; change += 1) {
    changes.push({
      place: journal.changedPlace(change),
      before: journal.valueBefore(change),
      after: journal.valueAfter(change),
    });
  }
  return { kind: journal.kind(step), facts: journal.factsOf(step), reads: journal.readsOf(step), changes };
}

/** Where the first translation ended; `steps` are its own. */
export function outcomeOf(
  trial: { translation: Translation | undefined; physical: bigint; stopped: string | undefined },
  by: { world: World; steps: readonly ProbeStep[] },
): ProbeOutcome {
  const { translation, stopped } = trial;
  if (translation === undefined) return { kind: 'stopped', message: stopped ?? '' };
  if (translation.kind !== 'ok') return translation;
  const hit = by.steps.find((step) => step.kind === 'tlb-hit');
  return {
    kind: 'reached',
    address: translation.address,
    physical: trial.physical,
    entry: hit === undefined ? filledEntry(by.steps) : usedEntry(by.world, hit),
    stale: translation.stale !== undefined,
    fromCache: hit !== undefined,
  };
}

function filledEntry(steps: readonly ProbeStep[]): TlbEntry | undefined {
  const fill = steps.findLast((step) => step.kind === 'tlb-fill');
  const made = fill?.changes.find(({ place, after }) => place.table === 'tlb' && after !== undefined);
  return made?.after as TlbEntry | undefined;
}

function usedEntry(world: World, hit: ProbeStep): TlbEntry | undefined {
  const key = hit.reads.find((place) => place.table === 'tlb')?.key;
  return key === undefined ? undefined : world.get('tlb', String(key));
}

const READS: Readonly<
  Partial<Record<StepKind, { dimension: ProbeEntry['dimension']; reader: ProbeEntry['reader'] }>>
> = {
  'walk-read': { dimension: 'single', reader: 'processor' },
  'walk-register': { dimension: 'single', reader: 'processor' },
  'guest-entry-read': { dimension: 'guest', reader: 'processor' },
  'host-entry-read': { dimension: 'host', reader: 'processor' },
  'guest-walk-read': { dimension: 'guest', reader: 'hypervisor' },
  'guest-walk-pdptr': { dimension: 'guest', reader: 'hypervisor' },
  'gwalk-element': { dimension: 'guest', reader: 'hypervisor' },
};

/** Level of the entries that a step reads from a register without saying so. */
const PAE_ROOT_LEVEL = 3;

/** Every entry that the steps read, in their order. */
export function entriesOf(
  steps: readonly ProbeStep[],
  by: { world: World; settings: Settings; vcpu: number; reading: Reading },
): readonly ProbeEntry[] {
  const { world, settings, reading } = by;
  return steps.flatMap((step, at): ProbeEntry[] => {
    const read = READS[step.kind];
    if (read === undefined) return [];
    const [level, index] = [Number(step.facts['level'] ?? PAE_ROOT_LEVEL), Number(step.facts['index'])];
    const after = step.facts['entry'] as bigint;
    const place = step.reads.find(({ table }) => table === 'word');
    const word = place === undefined ? undefined : Number(place.key);
    const format = read.dimension === 'host' ? reading.host : reading.guest;
    // Shadow entries have 8 bytes, whatever the guest's have.
    const shadow = settings.machine.startsWith('kvm-') && read.dimension === 'single';
    const bytes = shadow ? 8 : (format?.entryBytes ?? 8);
    const firstBit = bytes === 4 && index % 2 === 1 ? 32 : 0;
    const register = step.kind === 'walk-register' && !shadow ? PDPTE_REGISTERS[index] : undefined;
    const whole = word === undefined ? heldIn(by, register, after) : world.word(word);
    return [
      {
        ...read,
        word,
        register,
        firstBit,
        bytes,
        row: read.dimension === 'host' ? Number(step.facts['row']) : undefined,
        level,
        levelName: settings.cpu === 'arm64' ? `level ${String(level)}` : (TABLE_NAMES_BY_LEVEL[level] ?? ''),
        index,
        key: read.dimension !== 'host' && namesPage(level, after) ? reading.key : 'none',
        before: bytes === 8 ? whole : (whole >> BigInt(firstBit)) & 0xffff_ffffn,
        after,
        step: at,
      },
    ];
  });
}

/** What a register held before the flips; what was read, where it is none. */
const heldIn = (
  { world, vcpu }: { world: World; vcpu: number },
  register: OutsideRegister | undefined,
  read: bigint,
): bigint =>
  register === undefined
    ? read
    : valueOf(register, (name) => world.get('reg', `${String(vcpu)}.${name}`) ?? 0n);

/** An entry of x86 that names a page, should it be present. */
const namesPage = (level: number, entry: bigint): boolean =>
  level === 1 || (level <= LARGEST_LEVEL && (entry & PTE_PS) !== 0n);

/** PDPT: pages of 1 GiB. */
const LARGEST_LEVEL = 3;

/** Paging modes with protection keys have so many levels at least. */
const LONG_LEVELS = 4;

type EntryFormat = Pick<PagingFormat<never>, 'entryBytes' | 'levels'>;

/** How the entries of both dimensions are read. */
export interface Reading {
  readonly guest: EntryFormat;
  readonly host: EntryFormat | undefined;
  readonly key: ProbeEntry['key'];
}

/** As the machine's registers have it now. */
export function readingOf(m: Machine): Reading {
  const { settings } = m;
  const guest = guestFormatNow(settings, m);
  const host = hostFormatNow(settings, m);
  // Under a shadow MMU a guest is offered no keys, and arm64 has none here.
  if (isArm(settings) || settings.machine.startsWith('kvm-')) return { guest, host, key: 'none' };
  const raw = { cr0: m.reg('cr0'), cr3: m.reg('cr3'), cr4: m.reg('cr4'), efer: m.reg('efer') };
  const { pke, pks } = pagingRegisters(raw);
  const isLong = guest.levels.length >= LONG_LEVELS;
  return { guest, host, key: pke || pks ? 'counts' : isLong ? 'ignored' : 'none' };
}

/** What is odd about the registers that this machine's walk asks for. */
export function remarksOf(m: Machine): readonly string[] {
  const known = outsideRegisters(m.settings);
  const read = (register: OutsideRegister): bigint => valueOf(register, (name) => m.reg(name));
  if (isArm(m.settings)) return known.length === 0 ? [] : armRemarks(read);
  return known
    .filter((register) => isMalformedPdpte(read(register), PHYSICAL_BITS))
    .map(
      (register) =>
        `${register.toUpperCase()} is present and has a reserved bit: MOV CR3 loads no such entry, so no processor comes here by itself.`,
    );
}
