/**
 * In what the eras of the first shadow MMU differ, as data: `2006` (2.6.20), `2007a` (the proposals of January 2007),
 * `2007b` (mid-2007) and `2007c` (2.6.24). Nothing else may ask which era it is.
 */
import { must } from '../assert.ts';
import type { Machine } from '../machine/machine.ts';
import { SHIPPED_BUGS, type Bug, type ShippedBug, type Settings } from '../settings.ts';

export interface EraTraits {
  /** Shadow pages of the pool, and hash buckets: the same number. */
  readonly pool: number;
  /** Whether a store of fewer than four bytes gives up the shadow page. */
  readonly smallStoresZap: boolean;
  /**
   * Whether a shadow entry remembers in bits 10 and 11 what the guest allows, so that a fault need not build it anew.
   * Without them each fault builds the leaf from a fresh walk, and a walk for a write sets D.
   */
  readonly softwareBits: boolean;
  /** Whether there may be several vCPUs: a write-protect and a zap flush the TLBs of all, after the entry has changed. */
  readonly remoteFlush: boolean;
  /** Whether the answer of a device is put in its place by a second fault of the same instruction. */
  readonly deviceReadFaultsTwice: boolean;
  /** Bugs that the era shipped. */
  readonly bugs: readonly ShippedBug[];
}

const ERAS: Readonly<Record<string, EraTraits>> = {
  '2006': {
    pool: 256,
    smallStoresZap: false,
    softwareBits: true,
    remoteFlush: false,
    deviceReadFaultsTwice: true,
    bugs: ['C-B2', 'C-B3', 'C-B4', 'C-B5', 'C-B6', 'nonpaging-write'],
  },
  '2007a': {
    pool: 256,
    smallStoresZap: false,
    softwareBits: true,
    remoteFlush: false,
    deviceReadFaultsTwice: true,
    bugs: ['C-B2', 'C-B3', 'C-B5', 'C-B6', 'nonpaging-write'],
  },
  '2007b': {
    pool: 1024,
    smallStoresZap: true,
    softwareBits: true,
    remoteFlush: false,
    deviceReadFaultsTwice: false,
    bugs: ['C-B2', 'C-B3', 'C-B6', 'nonpaging-write'],
  },
  '2007c': {
    pool: 1024,
    smallStoresZap: true,
    softwareBits: false,
    remoteFlush: true,
    deviceReadFaultsTwice: false,
    bugs: ['C-B3', 'nx-slip', 'nonpaging-write', 'walk-race'],
  },
};

export const traitsOf = (settings: Pick<Settings, 'era'>): EraTraits => must(ERAS[settings.era], 'an era');

/** How a machine comes to have a bug: its era shipped it and it is left in, or `break` asks for it. */
export function sourceOfBug(settings: Settings, bug: Bug): 'shipped' | 'break' | undefined {
  const shipped = SHIPPED_BUGS.find((known) => known === bug);
  const left = settings['shipped-bugs'];
  if (shipped !== undefined && traitsOf(settings).bugs.includes(shipped))
    if (left === 'all' || left.split(',').includes(bug)) return 'shipped';
  return settings.break.split(',').includes(bug) ? 'break' : undefined;
}

export const hasBug = (m: Pick<Machine, 'settings'>, bug: Bug): boolean =>
  sourceOfBug(m.settings, bug) !== undefined;
