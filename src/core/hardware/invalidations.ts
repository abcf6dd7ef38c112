/**
 * Which ways to invalidate cached translations there are: the name of each, who may use it, and what it takes. What each
 * empties stands in invalidate.ts, which the reader of a text does not need.
 */

/** What an invalidation is aimed at; only what its `takes` lists matters. */
export interface InvalidationTarget {
  readonly address: bigint;
  /** PCID, VPID or ASID that is named, instead of the current one. */
  readonly tag: number;
}

export type InvalidationName =
  | 'invlpg'
  | 'invpcid-address'
  | 'invpcid-single'
  | 'invpcid-all'
  | 'invpcid-all-nonglobal'
  | 'invvpid-address'
  | 'invvpid-single'
  | 'invvpid-all'
  | 'invvpid-single-keep-globals'
  | 'invept-single'
  | 'invept-all'
  | 'invlpga'
  | 'tlb-control-all'
  | 'tlb-control-asid'
  | 'tlb-control-asid-nonglobal'
  | 'tlbi-vae1is'
  | 'tlbi-vmalle1is'
  | 'tlbi-ipas2e1is'
  | 'tlbi-vmalls12e1is'
  | 'tlbi-alle1is'
  | 'tlbi-vmalle1';

export interface Instruction {
  readonly name: InvalidationName;
  /** Who runs it: the guest's kernel, or the hypervisor. */
  readonly by: 'guest' | 'hypervisor';
  readonly cpus: readonly string[];
  readonly takes: readonly (keyof InvalidationTarget)[];
  readonly broadcast?: true;
}

const X86 = ['vmx-novpid', 'vmx-vpid', 'svm'];
const VMX = ['vmx-novpid', 'vmx-vpid'];
const SVM = ['svm'];
const ARM = ['arm64'];

const guestX86 = { by: 'guest', cpus: X86 } as const;
const guestArm = { by: 'guest', cpus: ARM, broadcast: true } as const;
const hostVmx = { by: 'hypervisor', cpus: VMX } as const;
const hostSvm = { by: 'hypervisor', cpus: SVM } as const;
const hostArm = { by: 'hypervisor', cpus: ARM, broadcast: true } as const;

/** Each with what it takes. */
const TAKES: Readonly<
  Record<InvalidationName, readonly [Omit<Instruction, 'name' | 'takes'>, ...Instruction['takes']]>
> = {
  invlpg: [guestX86, 'address'],
  'invpcid-address': [guestX86, 'address', 'tag'],
  'invpcid-single': [guestX86, 'tag'],
  'invpcid-all': [guestX86],
  'invpcid-all-nonglobal': [guestX86],
  'invvpid-address': [hostVmx, 'address', 'tag'],
  'invvpid-single': [hostVmx, 'tag'],
  'invvpid-all': [hostVmx],
  'invvpid-single-keep-globals': [hostVmx, 'tag'],
  'invept-single': [hostVmx],
  'invept-all': [hostVmx],
  invlpga: [hostSvm, 'address', 'tag'],
  'tlb-control-all': [hostSvm],
  'tlb-control-asid': [hostSvm],
  'tlb-control-asid-nonglobal': [hostSvm],
  'tlbi-vae1is': [guestArm, 'address'],
  'tlbi-vmalle1is': [guestArm],
  'tlbi-vmalle1': [{ by: 'guest', cpus: ARM }],
  'tlbi-ipas2e1is': [hostArm, 'address'],
  'tlbi-vmalls12e1is': [hostArm],
  'tlbi-alle1is': [hostArm],
};

export const INSTRUCTIONS: readonly Instruction[] = Object.entries(TAKES).map(
  ([name, [where, ...takes]]) => ({
    name: name as InvalidationName,
    ...where,
    takes,
  }),
);

export const instructionOf = (name: string): Instruction | undefined =>
  INSTRUCTIONS.find((candidate) => candidate.name === name);
