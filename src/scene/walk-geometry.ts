/** The levels that the processor of a run walks, and how it reads their entries. */
import { guestFormat, hostFormat } from '../core/bare/formats.ts';
import type { Settings } from '../core/settings.ts';
import type { WalkGeometry } from './walk-record.ts';

/** Under shadow paging the processor walks in one dimension: the shadow tables, of the guest's own format. */
export function geometryOf(settings: Settings): WalkGeometry {
  const guest = guestFormat(settings);
  const host = hostFormat(settings);
  const isShadow = settings.machine.startsWith('kvm-');
  return {
    guest: guest.levels.map((at) => (isShadow ? { ...at, name: `shadow ${at.name}` } : at)),
    host: host?.levels ?? [],
    owner: isShadow ? 'host' : 'guest',
    rootRegister: settings.cpu === 'arm64' ? 'TTBR0' : 'CR3',
    readers: { guest, ...(host === undefined ? {} : { host }) },
  };
}
