/**
 * Bits that must be clear in present entries: `guest_rsvd_check` for the guest's own format, `shadow_zero_check` for the
 * tables that the processor really walks. Source: the reference, A.3 and D.1.
 */
import { must } from '../assert.ts';
import type { TableLevel } from '../hardware/format.ts';
import type { PagingMode } from '../hardware/paging-mode.ts';
import { PHYSICAL_BITS } from '../hardware/registers.ts';
import { largeLevelsOf, levelsOf, reservedIn, type X86FormatOptions } from '../hardware/x86-format.ts';
import { extensionField, levelOfRole, roleField, type CpuRole } from './role.ts';

/** Bits of the host's physical addresses in shadow entries: all but the one that marks entries for devices. */
export const SHADOW_PHYSICAL_BITS = 51;

const MODES: Readonly<Record<number, PagingMode>> = {
  0: 'nonpaging',
  2: '2-level',
  3: 'pae',
  4: '4-level',
  5: '5-level',
};
const modeOf = (role: number): PagingMode => must(MODES[levelOfRole(role)], 'a way of paging');

const guestFormat = (cpuRole: CpuRole): X86FormatOptions => ({
  mode: modeOf(cpuRole.base),
  physicalBits: PHYSICAL_BITS,
  nxe: roleField(cpuRole.base, 'efer_nx') === 1,
  pse: extensionField(cpuRole, 'cr4_pse') === 1,
});

/** What must be clear in a present entry of the guest's. `large`: it maps a large page. */
export function guestReserved(cpuRole: CpuRole, of: { level: number; large: boolean }): bigint {
  const options = guestFormat(cpuRole);
  const at = levelsOf(options.mode).find(({ level }) => level === of.level);
  return reservedIn(options, must(at, 'a level of the guest'), of.large);
}

/** Reserved bits of one level, root first. */
export interface ReservedBits {
  readonly at: TableLevel;
  readonly small: bigint;
  /** Absent where no entry of the level maps a large page. */
  readonly large?: bigint;
}

function reservedByLevel(options: X86FormatOptions): readonly ReservedBits[] {
  const large = options.mode === '2-level' && !options.pse ? [] : largeLevelsOf(options.mode);
  return levelsOf(options.mode).map((at) => ({
    at,
    small: reservedIn(options, at, false),
    ...(large.includes(at.level) ? { large: reservedIn(options, at, true) } : {}),
  }));
}

/** `guest_rsvd_check`; without paging there are no entries. */
export const guestReservedBits = (cpuRole: CpuRole): readonly ReservedBits[] =>
  reservedByLevel(guestFormat(cpuRole));

/** `shadow_zero_check`: the processor has no-execute on, whatever the guest chose. */
export const shadowReservedBits = (rootRole: number): readonly ReservedBits[] =>
  reservedByLevel({
    mode: modeOf(rootRole),
    physicalBits: SHADOW_PHYSICAL_BITS,
    nxe: roleField(rootRole, 'efer_nx') === 1,
    pse: true,
  });
