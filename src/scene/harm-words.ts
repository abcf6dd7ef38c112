/** What harm is, in a sentence each. */
import type { Harm } from '../core/machine/tables.ts';

/** What an access did that no correct processor would have done. */
export const HARM_WORDS: Readonly<Record<Harm['kind'], string>> = {
  'stale-read': 'The read got what no correct processor could have given.',
  'stale-write': 'The write went through a TLB entry that should be gone. The hypervisor never saw it.',
  'lost-write': 'The write landed in a frame that the guest does not map here.',
};
