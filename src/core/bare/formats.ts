/**
 * The formats of a bare machine's tables, for whoever wants to read entries, not to walk: as its settings have them when
 * a scenario begins, or as its registers have them now.
 */
import {
  inputFits,
  stage1Format,
  stage1Start,
  stage2Format,
  stage2StartFits,
  type Stage1Rights,
  type Stage2Rights,
} from '../hardware/arm-format.ts';
import { STAGE1_BITS, STAGE2_BITS } from '../hardware/arm-bits.ts';
import { EPT_BITS, eptFormat, type EptRights } from '../hardware/ept-format.ts';
import type { PathRights } from '../hardware/fault.ts';
import type { PagingFormat } from '../hardware/format.ts';
import { CR4_PSE, PHYSICAL_BITS, pagingModeOf } from '../hardware/registers.ts';
import type { PagingMode } from '../hardware/paging-mode.ts';
import { X86_BITS, type EntryBit } from '../hardware/x86-entry.ts';
import { x86Format } from '../hardware/x86-format.ts';
import type { Settings } from '../settings.ts';
import { armHostFormat, hostKindOf } from './host-tables.ts';
import {
  ARM_INPUT_BITS,
  ARM_OUTPUT_BITS,
  armHostStage,
  armRegisters,
  type Registers,
} from './arm-registers.ts';
import { isArm } from './registers.ts';

type Named<Rights> = PagingFormat<Rights> & { readonly bits: readonly EntryBit[] };

/** How the guest's entries are read when a scenario begins; without levels where its paging is off. */
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

/**
 * How the processor reads the guest's entries now: without levels where nothing is translated. A misfit of registers
 * reads none, so the settings' format stands for it.
 */
export function guestFormatNow(settings: Settings, m: Registers): ReturnType<typeof guestFormat> {
  const own = guestFormat(settings);
  if (!isBare(settings)) return own;
  if (isArm(settings)) {
    const { stage1 } = armRegisters(m);
    if (stage1 === undefined) return { ...own, levels: [] };
    return inputFits(stage1.format) ? { ...stage1Format(stage1.format), bits: STAGE1_BITS } : own;
  }
  const mode = pagingModeOf({ cr0: m.reg('cr0'), cr4: m.reg('cr4'), efer: m.reg('efer') });
  const pse = (m.reg('cr4') & CR4_PSE) !== 0n;
  return { ...x86Format({ mode, physicalBits: PHYSICAL_BITS, nxe: true, pse }), bits: X86_BITS };
}

/** The same of the second stage; undefined where it is off. */
export function hostFormatNow(settings: Settings, m: Registers): ReturnType<typeof hostFormat> {
  if (settings.machine !== 'two-stage' || !isArm(settings)) return hostFormat(settings);
  const stage = armHostStage(m);
  if (stage === undefined) return undefined;
  const fits = stage2StartFits(stage.format);
  return fits ? { ...stage2Format(stage.format), bits: STAGE2_BITS } : hostFormat(settings);
}

const isBare = ({ machine }: Settings): boolean => machine === 'native' || machine === 'two-stage';

/** How the second stage's entries are read when a scenario begins; undefined where there is none. */
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
