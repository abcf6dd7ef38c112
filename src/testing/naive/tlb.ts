/**
 * What each invalidation leaves of a TLB, written out case by case from the manuals' sentences (Intel SDM vol. 3, AMD APM
 * vol. 2, Arm ARM): a second statement that shares nothing with the model's table of predicates. Naive on purpose.
 */
export interface NaiveEntry {
  readonly kind: 'linear' | 'combined' | 'guest-physical';
  /** Whether the VPID, ASID or VMID is the one that is current; the same for the PCID, and for the second stage's root. */
  readonly sameGuest: boolean;
  readonly sameSpace: boolean;
  readonly sameRoot: boolean;
  readonly global: boolean;
  readonly covers: boolean;
}

/** The number that an operation names: the current guest and space, or others; `entryNamed` says whether it is the entry's. */
export interface NaiveAim {
  readonly guestNamed: boolean;
  readonly spaceNamed: boolean;
}

export function survives(operation: string, entry: NaiveEntry, aim: NaiveAim): boolean {
  const fromProgram = entry.kind === 'linear' || entry.kind === 'combined';
  switch (operation) {
    case 'invlpg':
    case 'tlbi-vae1is':
      if (!fromProgram || !entry.sameGuest || !entry.covers) return true;
      if (entry.global) return false;
      return !entry.sameSpace;
    case 'invpcid-address':
      if (!fromProgram || !entry.sameGuest || entry.global) return true;
      return !(entry.covers && aim.spaceNamed);
    case 'invpcid-single':
      if (!fromProgram || !entry.sameGuest || entry.global) return true;
      return !aim.spaceNamed;
    case 'invpcid-all':
    case 'tlbi-vmalle1is':
    case 'tlbi-vmalle1':
      return !fromProgram || !entry.sameGuest;
    case 'invpcid-all-nonglobal':
      return !fromProgram || !entry.sameGuest || entry.global;
    case 'invvpid-address':
    case 'invlpga':
      return !fromProgram || !aim.guestNamed || !entry.covers;
    case 'invvpid-single':
      return !fromProgram || !aim.guestNamed;
    case 'invvpid-all':
      return !fromProgram;
    case 'invvpid-single-keep-globals':
      return !fromProgram || !aim.guestNamed || entry.global;
    case 'invept-single':
      return entry.kind === 'linear' || !entry.sameRoot;
    case 'invept-all':
      return entry.kind === 'linear';
    case 'tlb-control-all':
    case 'tlbi-alle1is':
      return false;
    case 'tlb-control-asid':
    case 'tlbi-vmalls12e1is':
      return !entry.sameGuest;
    case 'tlb-control-asid-nonglobal':
      return !entry.sameGuest || entry.global;
    case 'tlbi-ipas2e1is':
      return entry.kind !== 'guest-physical' || !entry.sameGuest || !entry.covers;
    default:
      throw new Error(`no such operation: ${operation}`);
  }
}
