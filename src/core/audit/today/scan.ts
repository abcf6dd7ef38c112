/**
 * The invariants of a KVM of today with nested paging off, as a scan over the world: what is false now, and what decides
 * it. Rules INV-1 to INV-5, INV-7, INV-8 and INV-11 to INV-13 of the reference, and I.5c; each says where it differs from
 * its namesake of 2007.
 */
import type { World } from '../../machine/world.ts';
import type { Falsity } from '../falsity.ts';
import { checkDevice, checkLeaf } from './leaves.ts';
import { checkLinks } from './links.ts';
import { checkLog, checkReverseMap } from './lists.ts';
import { overviewOf } from './overview.ts';
import { checkProtection, checkUnsync } from './tables.ts';

export function scan(world: World): readonly Falsity[] {
  const overview = overviewOf(world);
  return [
    ...overview.leaves.flatMap((leaf) => checkLeaf(world, leaf)),
    ...overview.devices.flatMap((device) => checkDevice(world, device)),
    ...checkLinks(overview),
    ...checkReverseMap(overview),
    ...checkProtection(overview),
    ...checkUnsync(overview),
    ...checkLog(overview),
  ];
}
