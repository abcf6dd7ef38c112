/** The levels that the processor of a run walks, and how it reads their entries. */
import { PHYSICAL_BITS } from '../core/hardware/registers.ts';
import { X86_BITS } from '../core/hardware/x86-entry.ts';
import { PAGING_MODES, x86Format } from '../core/hardware/x86-format.ts';
import type { Settings } from '../core/settings.ts';
import type { WalkGeometry } from './walk-record.ts';

/** Under shadow paging the processor walks in one dimension: the shadow tables, of the guest's own format. */
export function geometryOf(settings: Settings): WalkGeometry {
  const mode = PAGING_MODES.find((candidate) => candidate === settings.guest) ?? '4-level';
  const format = x86Format({ mode, physicalBits: PHYSICAL_BITS, nxe: true, pse: true });
  const isShadow = settings.machine.startsWith('kvm-');
  return {
    guest: format.levels.map((at) => (isShadow ? { ...at, name: `shadow ${at.name}` } : at)),
    host: [],
    owner: isShadow ? 'host' : 'guest',
    readers: { guest: { ...format, bits: X86_BITS } },
  };
}
