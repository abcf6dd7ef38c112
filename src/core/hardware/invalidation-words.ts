/** What each invalidation empties, in plain words. Fetched with those who say it. */
import type { InvalidationName } from './invalidations.ts';

const MEANINGS: Readonly<Record<InvalidationName, string>> = {
  invlpg: 'one address in the current address space, globals of any; all cached tables of the space',
  'invpcid-address': 'one address in the address space named, not its globals',
  'invpcid-single': 'the address space named, without its globals',
  'invpcid-all': 'every address space, globals too',
  'invpcid-all-nonglobal': 'every address space, without globals',
  'invvpid-address': 'one linear address of the virtual processor named',
  'invvpid-single': 'all linear addresses of the virtual processor named; what comes from EPT alone stays',
  'invvpid-all': 'all linear addresses of all virtual processors',
  'invvpid-single-keep-globals': 'all linear addresses of the virtual processor named, without globals',
  'invept-single': 'everything that the current EPT tables gave, combined translations too',
  'invept-all': 'everything that any EPT tables gave',
  invlpga: 'one address in the ASID named',
  'tlb-control-all': 'at the next VMRUN: every ASID',
  'tlb-control-asid': 'at the next VMRUN: this ASID, nested translations too',
  'tlb-control-asid-nonglobal': 'at the next VMRUN: this ASID without globals',
  'tlbi-vae1is': 'one address of the current address space, on all processors',
  'tlbi-vmalle1is':
    'all of stage 1 and all that is combined from it, of this virtual machine, on all processors',
  'tlbi-vmalle1': 'the same on this processor only',
  'tlbi-ipas2e1is': 'what stage 2 alone gave for one guest address; combined translations stay',
  'tlbi-vmalls12e1is': 'both stages of this virtual machine',
  'tlbi-alle1is': 'everything of every virtual machine',
};

export const invalidationMeaning = (name: InvalidationName): string => MEANINGS[name];
