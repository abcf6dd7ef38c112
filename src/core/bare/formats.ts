/** The formats of a bare machine's tables, by its settings alone: for whoever wants to read entries, not to walk. */
import {
  stage1Format,
  stage1Start,
  stage2Format,
  type Stage1Rights,
  type Stage2Rights,
} from '../hardware/arm-format.ts';
import { STAGE1_BITS, STAGE2_BITS } from '../hardware/arm-bits.ts';
import { EPT_BITS, eptFormat, type EptRights } from '../hardware/ept-format.ts';
import type { PathRights } from '../hardware/fault.ts';
import type { PagingFormat } from '../hardware/format.ts';
import { PHYSICAL_BITS } from '../hardware/registers.ts';
import type { PagingMode } from '../hardware/paging-mode.ts';
import { X86_BITS, type EntryBit } from '../hardware/x86-entry.ts';
import { x86Format } from '../hardware/x86-format.ts';
import type { Settings } from '../settings.ts';
import { armHostFormat, hostKindOf } from './host-tables.ts';
import { ARM_INPUT_BITS, ARM_OUTPUT_BITS, isArm } from './registers.ts';

type Named<Rights> = PagingFormat<Rights> & { readonly bits: readonly EntryBit[] };

/** How the guest's entries are read; without levels where its paging is off. */
export function guestFormat(settings: Settings): Named<PathRights> | Named<Stage1Rights> {
  const { guest } = settings;
  const inputBits = isArm(settings) ? ARM_INPUT_BITS[guest] : undefined;
  if (inputBits !== undefined) {
    const startLevel = stage1Start(12, inputBits);
    const options = { granule: 12, inputBits, startLevel, outputBits: ARM_OUTPUT_BITS } as const;
    return { ...stage1Format({ ...options, ha: true, hd: false, hpd: false }), bits: STAGE1_BITS };
  }
  const mode = guest as PagingMode;
  const pse = mode === '2-level';
  return { ...x86Format({ mode, physicalBits: PHYSICAL_BITS, nxe: true, pse }), bits: X86_BITS };
}

/** How the second stage's entries are read; undefined where there is none. */
export function hostFormat(
  settings: Settings,
): Named<PathRights> | Named<EptRights> | Named<Stage2Rights> | undefined {
  if (settings.machine !== 'two-stage') return undefined;
  const deep = settings.host === '5-level';
  switch (hostKindOf(settings)) {
    case 'arm':
      return { ...stage2Format(armHostFormat(settings)), bits: STAGE2_BITS };
    case 'npt': {
      const mode = deep ? '5-level' : '4-level';
      return { ...x86Format({ mode, physicalBits: PHYSICAL_BITS, nxe: true, pse: true }), bits: X86_BITS };
    }
    case 'ept': {
      const options = { physicalBits: PHYSICAL_BITS, executeOnly: true, oneGiB: true } as const;
      const accessedDirty = settings['ept-ad'] === 'on';
      return { ...eptFormat({ ...options, levels: deep ? 5 : 4, accessedDirty }), bits: EPT_BITS };
    }
  }
}
