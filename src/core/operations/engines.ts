/** Which engine runs a machine. */
import { bare } from '../bare/bare.ts';
import type { Engine } from '../engine.ts';
import { kvm2007 } from '../kvm/kvm-2007.ts';
import type { Settings } from '../settings.ts';

export const engineOf = ({ machine }: Settings): Engine => (machine === 'kvm-2007' ? kvm2007 : bare);
