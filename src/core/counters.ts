/**
 * The counters, one typed table: names as KVM's own statistics spell them, then as the reference does.
 * All count since `begin`.
 */
export interface CounterSpec {
  readonly name: string;
  readonly label: string;
  readonly meaning: string;
  /** On which machines it is shown first: those with a hypervisor of KVM's, or those that are the processor alone. */
  readonly prominent?: readonly ('kvm' | 'bare')[];
}

export const COUNTERS = [
  {
    name: 'exits',
    label: 'VM exits',
    meaning: 'Times the processor left the guest for the hypervisor.',
    prominent: ['kvm', 'bare'],
  },
  {
    name: 'injected',
    label: 'injected',
    meaning: 'Page faults that the hypervisor delivered to the guest.',
    prominent: ['kvm'],
  },
  {
    name: 'emulated',
    label: 'emulated',
    meaning: 'Guest instructions that the hypervisor ran in software.',
    prominent: ['kvm'],
  },
  {
    name: 'pf_fixed',
    label: 'pf_fixed',
    meaning: 'Faults that ended with a usable shadow entry or an emulated table write.',
    prominent: ['kvm'],
  },
  { name: 'pf_guest', label: 'pf_guest', meaning: 'Faults that belong to the guest itself.' },
  { name: 'mmio_exits', label: 'mmio_exits', meaning: 'Accesses to device memory that went to user space.' },
  {
    name: 'tlb_flush',
    label: 'tlb_flush',
    meaning: 'Flushes by CR3 loads (this era counts no others here).',
  },
  {
    name: 'rmap_flush',
    label: 'rmap_flush',
    meaning: 'Flush calls made while write-protecting a guest page table.',
    prominent: ['kvm'],
  },
  {
    name: 'flushes',
    label: 'flush calls',
    meaning:
      'Flushes of one TLB that the hypervisor asked for, whatever for. Each counts for the vCPU whose TLB it is.',
  },
  {
    name: 'flushes_needless',
    label: 'needless flushes',
    meaning: 'Those of them for a change that no entry of that TLB came from.',
  },
  {
    name: 'flushes_missing',
    label: 'missing flushes',
    meaning: 'Times that a vCPU ran the guest with an entry that should have been flushed before.',
  },
  {
    name: 'flush_all',
    label: 'whole TLBs emptied',
    meaning: 'Times that the address space numbers ran out and the TLB was emptied.',
  },
  {
    name: 'flush_ctx',
    label: 'contexts flushed',
    meaning: 'Times that all entries of a vCPU went at once: by a new ASID, or by INVVPID.',
  },
  {
    name: 'flush_va',
    label: 'addresses flushed',
    meaning: 'Single addresses dropped by INVLPGA or INVVPID.',
  },
  {
    name: 'cr3_cache_hits',
    label: 'CR3 cache hits',
    meaning: 'Loads of CR3 that needed no exit.',
  },
  {
    name: 'cr3_cache_emptied',
    label: 'CR3 cache emptied',
    meaning: 'Times that a flush threw other address spaces out of the cache.',
  },
  {
    name: 'stale_hits',
    label: 'stale hits',
    meaning: 'Uses of a TLB entry that a fresh walk would no longer give.',
    prominent: ['kvm', 'bare'],
  },
  {
    name: 'walks',
    label: 'walks',
    meaning: 'Page walks, by the processor or by the hypervisor in software.',
  },
  { name: 'refs', label: 'refs', meaning: 'Table entries read by page walks.', prominent: ['kvm', 'bare'] },
  {
    name: 'adw',
    label: 'A/D writes',
    meaning: 'Table entries whose accessed or dirty bit a walk of the processor set.',
    prominent: ['bare'],
  },
  { name: 'tlb_hits', label: 'TLB hits', meaning: 'Translations found in the TLB.', prominent: ['bare'] },
  {
    name: 'tlb_misses',
    label: 'TLB misses',
    meaning: 'Translations not found in the TLB.',
    prominent: ['bare'],
  },
  { name: 'tlb_fills', label: 'TLB fills', meaning: 'Entries put into the TLB.' },
  {
    name: 'remote_tlb_flush_requests',
    label: 'flush requests',
    meaning: 'Times that the TLBs of all vCPUs were to be flushed.',
  },
  {
    name: 'remote_tlb_flush',
    label: 'remote flushes',
    meaning: 'Those for which another vCPU had to be interrupted.',
  },
  { name: 'ipis', label: 'IPIs', meaning: 'vCPUs interrupted out of the guest.' },
  { name: 'tlb_evictions', label: 'TLB evictions', meaning: 'Entries that a full TLB gave up.' },
  {
    name: 'spared',
    label: 'spared refs',
    meaning: 'References that a cache made unnecessary.',
    prominent: ['bare'],
  },
  {
    name: 'pdpte_loads',
    label: 'PDPTE loads',
    meaning: 'Root entries that MOV CR3 loaded into registers (PAE).',
  },
  {
    name: 'page_faults',
    label: 'page faults',
    meaning: "Page faults that the processor gave to the system's own kernel.",
    prominent: ['bare'],
  },
  {
    name: 'host_faults',
    label: 'host faults',
    meaning: 'Faults of the second stage: they go to the hypervisor.',
    prominent: ['bare'],
  },
  { name: 'pf_taken', label: 'pf_taken', meaning: 'Faults that the hypervisor had to look into.' },
  { name: 'pf_emulate', label: 'pf_emulate', meaning: 'Faults that ended in the emulator.' },
  { name: 'pf_spurious', label: 'pf_spurious', meaning: 'Faults whose entry was as it should be already.' },
  { name: 'pf_fast', label: 'pf_fast', meaning: 'Faults mended without the lock.' },
  {
    name: 'pf_mmio_spte_created',
    label: 'pf_mmio_spte_created',
    meaning: 'Entries made that mark a device.',
  },
  { name: 'invlpg', label: 'invlpg', meaning: "INVLPG instructions of the guest's that exited." },
  { name: 'insn_emulation', label: 'insn_emulation', meaning: 'Instructions given to the emulator.' },
  { name: 'mmu_shadow_zapped', label: 'mmu_shadow_zapped', meaning: 'Shadow pages given up.' },
  {
    name: 'mmu_pte_write',
    label: 'mmu_pte_write',
    meaning: 'Emulated writes to memory that stands for a table.',
  },
  {
    name: 'mmu_pde_zapped',
    label: 'mmu_pde_zapped',
    meaning: 'Entries above level 1 zapped by such writes.',
  },
  {
    name: 'mmu_flooded',
    label: 'mmu_flooded',
    meaning: 'Pages given up because they were written so often.',
  },
  { name: 'mmu_recycled', label: 'mmu_recycled', meaning: 'Pages given up to make room.' },
  { name: 'mmu_cache_miss', label: 'mmu_cache_miss', meaning: 'Shadow pages that had to be made.' },
  { name: 'mmu_unsync', label: 'mmu_unsync', meaning: 'Shadow pages that are out of step now.' },
  { name: 'pages_4k', label: 'pages_4k', meaning: 'Leaves of 4 KiB now.' },
  { name: 'pages_2m', label: 'pages_2m', meaning: 'Leaves of 2 MiB now.' },
  { name: 'pages_1g', label: 'pages_1g', meaning: 'Leaves of 1 GiB now.' },
  {
    name: 'nx_lpage_splits',
    label: 'nx_lpage_splits',
    meaning: 'Tables that stand where an executable large page is forbidden.',
  },
  {
    name: 'max_mmu_rmap_size',
    label: 'max_mmu_rmap_size',
    meaning: 'The most entries that one frame already had when one more came.',
  },
  { name: 'pages_zapped', label: 'pages zapped', meaning: 'Shadow pages given up.' },
] as const satisfies readonly CounterSpec[];

export type CounterName = (typeof COUNTERS)[number]['name'];

export const isCounterName = (name: string): name is CounterName =>
  COUNTERS.some((counter) => counter.name === name);
