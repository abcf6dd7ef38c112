/**
 * In what the eras of this machine differ, as data: `6.12`, `6.1`, and `2011`, the kernel of the commit that taught shadow
 * entries to stand for devices. Nothing else may ask which era it is. Of 2011 only what the reference tells is done as it
 * was then: marks of devices without a generation (F.1 to F.4) and a counter that puts flushes off (B.6). Everything else
 * is done as in 6.1. Which reserved bits the mark of 2011 had is unverified; the model takes those of today.
 */
import { must } from '../assert.ts';
import type { Machine } from '../machine/machine.ts';

export interface EraTraits {
  /** Whether an invalidated address gets its new entry at once. */
  readonly rebuildsInvalidated: boolean;
  /** Whether an entry that comes into step is written anew even where its rights are the same. */
  readonly rewritesSame: boolean;
  /** Whether the registers of a new vCPU ask for a flush. */
  readonly flushesNewVcpu: boolean;
  /** Whether a table stays below a large page only if it stands there because executable large pages are forbidden. */
  readonly keepsNxTablesOnly: boolean;
  /** Whether marks of devices carry the number of slot changes; without it each new slot gives up all shadow pages. */
  readonly generation: boolean;
  /** Whether an entry of a direct page that neither marks a device nor is empty is reported as a bug of KVM's own. */
  readonly strangeEntryIsBug: boolean;
  /** Whether entries that a sync drops are flushed later: `tlbs_dirty`. */
  readonly putsFlushOff: boolean;
}

const OF_6_1: EraTraits = {
  rebuildsInvalidated: true,
  rewritesSame: true,
  flushesNewVcpu: false,
  keepsNxTablesOnly: false,
  generation: true,
  strangeEntryIsBug: false,
  putsFlushOff: false,
};

const ERAS: Readonly<Record<string, EraTraits>> = {
  '6.12': {
    ...OF_6_1,
    rebuildsInvalidated: false,
    rewritesSame: false,
    flushesNewVcpu: true,
    keepsNxTablesOnly: true,
  },
  '6.1': OF_6_1,
  '2011': { ...OF_6_1, generation: false, strangeEntryIsBug: true, putsFlushOff: true },
};

export const eraOf = ({ settings }: Pick<Machine, 'settings'>): EraTraits =>
  must(ERAS[settings.era], 'an era');
