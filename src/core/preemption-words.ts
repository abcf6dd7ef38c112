/** What is going on at each preemption point, in plain words. Fetched later than the first picture. */
import type { PreemptionPoint } from './machine/preemption.ts';

export const PREEMPTION_POINTS: Readonly<Record<PreemptionPoint, string>> = {
  'page-walk/level-1': 'the processor has found the last table and is about to read its entry',
  'walk_addr/done': "the hypervisor has read the guest's tables, and has not looked at its own yet",
  'rmap_write_protect/before-flush':
    'an entry has lost its write right, or is about to, and nobody has flushed yet',
  'rmap_write_protect/after-flush': 'the flush is made, and the hypervisor still holds its lock',
  'mmu_pte_write_zap_pte/before-flush':
    'a shadow entry is cleared, or is about to be, and nobody has flushed yet',
  'mmu_pte_write_zap_pte/after-flush': 'the flush is made, and the hypervisor still holds its lock',
  'kvm_mmu_zap_page/before-flush':
    'all entries of a shadow page are cleared, or are about to be, and nobody has flushed yet',
  'kvm_mmu_zap_page/before-free': 'the shadow page is flushed out, and about to be freed',
  'kvm_vm_ioctl_get_dirty_log/before-clear':
    'the slot is write-protected and flushed, and its log is not cleared yet',
  'kvm_faultin_pfn/after':
    'the host frame behind the address is found, and the hypervisor does not hold its lock yet',
  'kvm_faultin_pfn/no-slot': 'no memory slot was found behind the address, and nothing is noted of that yet',
  'handle_mmio_page_fault/before-walk':
    'the processor has met the mark of a device, and the hypervisor has not read its own tables yet',
  'kvm_set_memslot/invalid': 'the slot is marked as going, and entries that map it still stand',
  'mmu_notifier/started':
    'the entries for some pages are gone, and the host has not changed its own tables yet',
  'kvm_make_all_cpus_request/kicked': 'another vCPU has been interrupted, and is about to leave the guest',
  'kvm_flush_remote_tlbs/before-request': 'a flush of all TLBs begins, and nobody has its request yet',
  'kvm_flush_remote_tlbs/before-kick': 'every vCPU has its request, and none has been interrupted yet',
};
