/**
 * Every exhaustive set by name, for comparing the model's walks with the naive ones, and what the naive ones give.
 * A stride thins a set evenly; one that is prime to the sizes of the loops (7, 31, 101) keeps every value of each.
 */
import { walkArm, type ArmOutcome, type Granule } from './arm.ts';
import {
  armStage1FlipCases,
  armStage1RightsCases,
  armStage2FlipCases,
  armStage2RightsCases,
  armWalkCases,
  GRANULES,
  type ArmCase,
} from './enumerate-arm.ts';
import {
  eptFinalCases,
  eptFlipCases,
  eptGuestCases,
  eptPairCases,
  eptTableCases,
  type EptCase,
} from './enumerate-ept.ts';
import { nptFinalCases, nptGuestCases, nptTableCases, type NptCase } from './enumerate-npt.ts';
import {
  canonicalCases,
  MAXPHYADDRS,
  PAGED_MODES,
  x86FlipCases,
  x86RightsCases,
  type PagedMode,
  type X86Case,
} from './enumerate-x86.ts';
import { walkGuestOverEpt, type EptGuestOutcome } from './ept.ts';
import { walkNpt, type NptOutcome } from './npt.ts';
import type { Cell } from './paths.ts';
import { walkX86, type X86Outcome } from './x86.ts';

export interface CaseSet<C> {
  readonly name: string;
  /** How many cases it has with stride 1. */
  readonly size: number;
  readonly cases: (stride?: number) => Generator<C>;
}

/** What a walk gave, and the entries that it left behind, in the order of the case's memory. */
export interface Answer<O> {
  readonly outcome: O;
  readonly after: readonly bigint[];
}

const perMode = <C>(
  name: string,
  sizes: Readonly<Record<PagedMode, number>>,
  cases: (mode: PagedMode, stride?: number) => Generator<C>,
): readonly CaseSet<C>[] =>
  PAGED_MODES.map((mode) => ({
    name: `${name}, ${mode} guest`,
    size: sizes[mode],
    cases: (stride) => cases(mode, stride),
  }));

const perGranule = <C>(
  name: string,
  sizes: Readonly<Record<Granule, number>>,
  cases: (granule: Granule, stride?: number) => Generator<C>,
): readonly CaseSet<C>[] =>
  GRANULES.map((granule) => ({
    name: `${name}, ${granule}`,
    size: sizes[granule],
    cases: (stride) => cases(granule, stride),
  }));

const X86_FLIPS = { '2level': 27_648, pae: 27_648, '4level': 82_944, '5level': 110_592 };
const X86_RIGHTS = { '2level': 9_216, pae: 9_216, '4level': 147_456, '5level': 147_456 };

export const X86_SETS: readonly CaseSet<X86Case>[] = [
  ...MAXPHYADDRS.flatMap((m) =>
    perMode(`every bit, MAXPHYADDR ${String(m)}`, X86_FLIPS, (mode, stride) => x86FlipCases(mode, m, stride)),
  ),
  ...perMode('rights', X86_RIGHTS, x86RightsCases),
  { name: 'canonical, 48 bits', size: 192, cases: () => canonicalCases('4level') },
  { name: 'canonical, 57 bits', size: 192, cases: () => canonicalCases('5level') },
];

const NPT_TABLES = { '2level': 24_192, pae: 31_104, '4level': 38_016, '5level': 44_928 };
const NPT_GUESTS = { '2level': 1_152, pae: 3_456, '4level': 4_608, '5level': 5_760 };

export const NPT_SETS: readonly CaseSet<NptCase>[] = [
  { name: 'every nested bit, final access', size: 24_192, cases: nptFinalCases },
  ...perMode('every nested bit', NPT_TABLES, nptTableCases),
  ...perMode('every guest bit', NPT_GUESTS, nptGuestCases),
];

const EPT_FLIPS = { '2level': 8_064, pae: 10_368, '4level': 12_672, '5level': 14_976 };
const EPT_GUESTS = { '2level': 384, pae: 768, '4level': 1_536, '5level': 1_920 };

export const EPT_SETS: readonly CaseSet<EptCase>[] = [
  { name: 'one EPT entry, final access', size: 124_416, cases: eptFinalCases },
  { name: 'one EPT entry, guest table', size: 82_944, cases: eptTableCases },
  { name: 'rights of two EPT entries', size: 12_288, cases: eptPairCases },
  ...perMode('every EPT bit', EPT_FLIPS, eptFlipCases),
  ...perMode('every guest bit', EPT_GUESTS, eptGuestCases),
];

const ARM_S2 = { '4K': 96_768, '16K': 46_080, '64K': 39_936 };
const ARM_S1 = { '4K': 110_592, '16K': 98_304, '64K': 55_296 };

export const ARM_SETS: readonly CaseSet<ArmCase>[] = [
  ...perGranule('every stage-2 bit', ARM_S2, armStage2FlipCases),
  ...perGranule('stage-2 rights', { '4K': 1_536, '16K': 1_536, '64K': 1_536 }, armStage2RightsCases),
  ...perGranule('every stage-1 bit', ARM_S1, armStage1FlipCases),
  ...perGranule('stage-1 rights', { '4K': 73_728, '16K': 73_728, '64K': 73_728 }, armStage1RightsCases),
  ...perGranule('stage-1 walk over stage 2', { '4K': 24_576, '16K': 24_576, '64K': 24_576 }, armWalkCases),
];

export function answerX86({ request, memory }: X86Case): Answer<X86Outcome> {
  const map = new Map(memory);
  return { outcome: walkX86(request, map), after: after(memory, map) };
}

export function answerNpt({ guest, host, memory }: NptCase): Answer<NptOutcome> {
  const map = new Map(memory);
  return { outcome: walkNpt(guest, host, map), after: after(memory, map) };
}

export function answerEpt({ guest, ept, memory }: EptCase): Answer<EptGuestOutcome> {
  const map = new Map(memory);
  return { outcome: walkGuestOverEpt(guest, ept, map), after: after(memory, map) };
}

export function answerArm({ request, memory }: ArmCase): Answer<ArmOutcome> {
  const map = new Map(memory);
  return { outcome: walkArm(request, map), after: after(memory, map) };
}

const after = (memory: readonly Cell[], map: ReadonlyMap<bigint, bigint>): readonly bigint[] =>
  memory.map(([at]) => map.get(at) ?? 0n);
