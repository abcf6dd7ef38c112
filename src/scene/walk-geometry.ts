/** The levels that the processor of a run walks, and how it reads their entries. */
import { guestFormat, guestFormatNow, hostFormatNow } from '../core/bare/formats.ts';
import type { Settings } from '../core/settings.ts';
import type { Timeline } from '../timeline/timeline.ts';
import type { WalkGeometry } from './walk-record.ts';

/** Shadow tables of a 32-bit guest, with paging or without, are those of PAE. */
const shadowFormat = (settings: Settings) =>
  guestFormat({ ...settings, guest: /^(2-level|nonpaging)$/.test(settings.guest) ? 'pae' : settings.guest });

/**
 * By the registers at the timeline's position: a walk changes none. Under shadow paging the processor walks in one
 * dimension: the shadow tables.
 */
export function geometryOf({ program, world }: Pick<Timeline, 'program' | 'world'>): WalkGeometry {
  const { settings } = program;
  const registers = { reg: (name: string) => world.get('reg', `0.${name}`) ?? 0n };
  const host = hostFormatNow(settings, registers);
  const isShadow = settings.machine.startsWith('kvm-');
  const guest = isShadow ? shadowFormat(settings) : guestFormatNow(settings, registers);
  return {
    guest: guest.levels.map((at) => (isShadow ? { ...at, name: `shadow ${at.name}` } : at)),
    host: host?.levels ?? [],
    owner: isShadow ? 'host' : 'guest',
    rootRegister: settings.cpu === 'arm64' ? 'TTBR0' : 'CR3',
    readers: { guest, ...(host === undefined ? {} : { host }) },
  };
}
