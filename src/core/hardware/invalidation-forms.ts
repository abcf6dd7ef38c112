/**
 * Every way to invalidate cached translations: its name, who may use it, on which processors, and what it takes. What each
 * drops stands in invalidate.
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

export interface InvalidationForm {
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

export const INVALIDATION_FORMS: readonly InvalidationForm[] = [
  { name: 'invlpg', by: 'guest', cpus: X86, takes: ['address'] },
  { name: 'invpcid-address', by: 'guest', cpus: X86, takes: ['address', 'tag'] },
  { name: 'invpcid-single', by: 'guest', cpus: X86, takes: ['tag'] },
  { name: 'invpcid-all', by: 'guest', cpus: X86, takes: [] },
  { name: 'invpcid-all-nonglobal', by: 'guest', cpus: X86, takes: [] },
  { name: 'invvpid-address', by: 'hypervisor', cpus: VMX, takes: ['address', 'tag'] },
  { name: 'invvpid-single', by: 'hypervisor', cpus: VMX, takes: ['tag'] },
  { name: 'invvpid-all', by: 'hypervisor', cpus: VMX, takes: [] },
  { name: 'invvpid-single-keep-globals', by: 'hypervisor', cpus: VMX, takes: ['tag'] },
  { name: 'invept-single', by: 'hypervisor', cpus: VMX, takes: [] },
  { name: 'invept-all', by: 'hypervisor', cpus: VMX, takes: [] },
  { name: 'invlpga', by: 'hypervisor', cpus: SVM, takes: ['address', 'tag'] },
  { name: 'tlb-control-all', by: 'hypervisor', cpus: SVM, takes: [] },
  { name: 'tlb-control-asid', by: 'hypervisor', cpus: SVM, takes: [] },
  { name: 'tlb-control-asid-nonglobal', by: 'hypervisor', cpus: SVM, takes: [] },
  { name: 'tlbi-vae1is', by: 'guest', cpus: ARM, broadcast: true, takes: ['address'] },
  { name: 'tlbi-vmalle1is', by: 'guest', cpus: ARM, broadcast: true, takes: [] },
  { name: 'tlbi-vmalle1', by: 'guest', cpus: ARM, takes: [] },
  { name: 'tlbi-ipas2e1is', by: 'hypervisor', cpus: ARM, broadcast: true, takes: ['address'] },
  { name: 'tlbi-vmalls12e1is', by: 'hypervisor', cpus: ARM, broadcast: true, takes: [] },
  { name: 'tlbi-alle1is', by: 'hypervisor', cpus: ARM, broadcast: true, takes: [] },
];

export const invalidationFormOf = (name: string): InvalidationForm | undefined =>
  INVALIDATION_FORMS.find((candidate) => candidate.name === name);
