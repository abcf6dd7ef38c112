/**
 * The places in a machine's work at which another vCPU may act, by name. What is going on at each is said in
 * core/preemption-words.
 */
export const PREEMPTION_NAMES = [
  'page-walk/level-1',
  'walk_addr/done',
  'rmap_write_protect/before-flush',
  'rmap_write_protect/after-flush',
  'mmu_pte_write_zap_pte/before-flush',
  'mmu_pte_write_zap_pte/after-flush',
  'kvm_mmu_zap_page/before-flush',
  'kvm_mmu_zap_page/before-free',
  'kvm_vm_ioctl_get_dirty_log/before-clear',
  'kvm_faultin_pfn/after',
  'kvm_faultin_pfn/no-slot',
  'handle_mmio_page_fault/before-walk',
  'kvm_set_memslot/invalid',
  'mmu_notifier/started',
  'kvm_make_all_cpus_request/kicked',
  'kvm_flush_remote_tlbs/before-request',
  'kvm_flush_remote_tlbs/before-kick',
] as const;

export type PreemptionPoint = (typeof PREEMPTION_NAMES)[number];

export const isPreemptionPoint = (name: string): name is PreemptionPoint =>
  PREEMPTION_NAMES.some((known) => known === name);
