/** The places in a machine's work at which another vCPU may act, by name, and what is going on there. */
export const PREEMPTION_NAMES = [
  // The processor has found the last table and is about to read its entry.
  'page-walk/level-1',
  // The hypervisor has read the guest's tables, and has not looked at its own yet.
  'walk_addr/done',
  // An entry has lost its write right, or is about to, and nobody has flushed yet.
  'rmap_write_protect/before-flush',
  // The flush is made, and the hypervisor still holds its lock.
  'rmap_write_protect/after-flush',
  // A shadow entry is cleared, or is about to be, and nobody has flushed yet.
  'mmu_pte_write_zap_pte/before-flush',
  // The flush is made, and the hypervisor still holds its lock.
  'mmu_pte_write_zap_pte/after-flush',
  // All entries of a shadow page are cleared, or are about to be, and nobody has flushed yet.
  'kvm_mmu_zap_page/before-flush',
  // The shadow page is flushed out, and about to be freed.
  'kvm_mmu_zap_page/before-free',
  // A flush of all TLBs begins, and nobody has its request yet.
  'kvm_flush_remote_tlbs/before-request',
  // Every vCPU has its request, and none has been interrupted yet.
  'kvm_flush_remote_tlbs/before-kick',
] as const;

export type PreemptionPoint = (typeof PREEMPTION_NAMES)[number];

export const isPreemptionPoint = (name: string): name is PreemptionPoint =>
  PREEMPTION_NAMES.some((known) => known === name);
