/**
 * The counters, one typed table: names as KVM's own statistics spell them, then as the reference does.
 * All count since `begin`.
 */
interface CounterSpec {
  readonly name: string;
  /** Where it is not the name. */
  readonly label?: string;
  /** On which machines it is shown first: those with a hypervisor of KVM's, or those that are the processor alone. */
  readonly prominent?: readonly ('kvm' | 'bare')[];
}

const SPECS = [
  {
    name: 'exits',
    label: 'VM exits',
    prominent: ['kvm', 'bare'],
  },
  {
    name: 'injected',
    prominent: ['kvm'],
  },
  {
    name: 'emulated',
    prominent: ['kvm'],
  },
  {
    name: 'pf_fixed',
    prominent: ['kvm'],
  },
  { name: 'pf_guest', label: 'pf_guest' },
  { name: 'mmio_exits', label: 'mmio_exits' },
  {
    name: 'tlb_flush',
  },
  {
    name: 'rmap_flush',
    prominent: ['kvm'],
  },
  {
    name: 'flushes',
    label: 'flush calls',
  },
  {
    name: 'flushes_needless',
    label: 'needless flushes',
  },
  {
    name: 'flushes_missing',
    label: 'missing flushes',
  },
  {
    name: 'flush_all',
    label: 'whole TLBs emptied',
  },
  {
    name: 'flush_ctx',
    label: 'contexts flushed',
  },
  {
    name: 'flush_va',
    label: 'addresses flushed',
  },
  {
    name: 'cr3_cache_hits',
    label: 'CR3 cache hits',
  },
  {
    name: 'cr3_cache_emptied',
    label: 'CR3 cache emptied',
  },
  {
    name: 'stale_hits',
    label: 'stale hits',
    prominent: ['kvm', 'bare'],
  },
  {
    name: 'walks',
  },
  { name: 'refs', prominent: ['kvm', 'bare'] },
  {
    name: 'adw',
    label: 'A/D writes',
    prominent: ['bare'],
  },
  { name: 'tlb_hits', label: 'TLB hits', prominent: ['bare'] },
  {
    name: 'tlb_misses',
    label: 'TLB misses',
    prominent: ['bare'],
  },
  { name: 'tlb_fills', label: 'TLB fills' },
  {
    name: 'remote_tlb_flush_requests',
    label: 'flush requests',
  },
  {
    name: 'remote_tlb_flush',
    label: 'remote flushes',
  },
  { name: 'ipis', label: 'IPIs' },
  { name: 'tlb_evictions', label: 'TLB evictions' },
  {
    name: 'spared',
    label: 'spared refs',
    prominent: ['bare'],
  },
  {
    name: 'pdpte_loads',
    label: 'PDPTE loads',
  },
  {
    name: 'page_faults',
    label: 'page faults',
    prominent: ['bare'],
  },
  {
    name: 'host_faults',
    label: 'host faults',
    prominent: ['bare'],
  },
  { name: 'pf_taken', label: 'pf_taken' },
  { name: 'pf_emulate', label: 'pf_emulate' },
  { name: 'pf_spurious', label: 'pf_spurious' },
  { name: 'pf_fast', label: 'pf_fast' },
  {
    name: 'pf_mmio_spte_created',
  },
  { name: 'invlpg', label: 'invlpg' },
  { name: 'insn_emulation', label: 'insn_emulation' },
  { name: 'mmu_shadow_zapped', label: 'mmu_shadow_zapped' },
  { name: 'mmu_pte_write', label: 'mmu_pte_write' },
  { name: 'mmu_pde_zapped', label: 'mmu_pde_zapped' },
  { name: 'mmu_flooded', label: 'mmu_flooded' },
  { name: 'mmu_recycled', label: 'mmu_recycled' },
  { name: 'mmu_cache_miss', label: 'mmu_cache_miss' },
  { name: 'mmu_unsync', label: 'mmu_unsync' },
  { name: 'pages_4k', label: 'pages_4k' },
  { name: 'pages_2m', label: 'pages_2m' },
  { name: 'pages_1g', label: 'pages_1g' },
  {
    name: 'nx_lpage_splits',
  },
  {
    name: 'max_mmu_rmap_size',
  },
  { name: 'pages_zapped', label: 'pages zapped' },
] as const satisfies readonly CounterSpec[];

export type CounterName = (typeof SPECS)[number]['name'];

export interface Counter extends CounterSpec {
  readonly name: CounterName;
  readonly label: string;
  /** Plain words; empty until `meanings.ts` is fetched. */
  meaning: string;
}

export const COUNTERS: readonly Counter[] = SPECS.map(
  (counter: CounterSpec & { readonly name: CounterName }) => ({
    label: counter.name,
    ...counter,
    meaning: '',
  }),
);

export const isCounterName = (name: string): name is CounterName =>
  COUNTERS.some((counter) => counter.name === name);
