/**
 * The counters, one typed table: names as KVM's own statistics spell them, then as the reference does.
 * All count since `begin`, but for gauges.
 */
interface CounterSpec {
  readonly name: string;
  /** Where it is not the name. */
  readonly label?: string;
  /** On which machines it is shown first: those with a hypervisor of KVM's, or those that are the processor alone. */
  readonly prominent?: readonly ('kvm' | 'bare')[];
  /** It says how many there are now, or the most that there were; `begin` leaves it alone. */
  readonly gauge?: true;
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
  { name: 'invlpg' },
  { name: 'insn_emulation' },
  { name: 'mmu_shadow_zapped' },
  { name: 'mmu_pte_write' },
  { name: 'mmu_pde_zapped' },
  { name: 'mmu_flooded' },
  { name: 'mmu_recycled' },
  { name: 'mmu_cache_miss' },
  { name: 'mmu_unsync', gauge: true },
  { name: 'pages_4k', gauge: true },
  { name: 'pages_2m', gauge: true },
  { name: 'pages_1g', gauge: true },
  { name: 'nx_lpage_splits', gauge: true },
  { name: 'max_mmu_rmap_size', gauge: true },
  { name: 'root_loads', label: 'root loads' },
  { name: 'mmio_quick_hits', label: 'device, remembered' },
  { name: 'mmio_entry_hits', label: 'device, by entry' },
  { name: 'mmio_stale', label: 'device, stale' },
  { name: 'notifier_zaps', label: 'zaps for the host' },
  { name: 'fault_retries', label: 'retries' },
  { name: 'swap_ins', label: 'swap-ins' },
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

const GAUGES: ReadonlySet<string> = new Set(
  COUNTERS.filter(({ gauge }) => gauge === true).map(({ name }) => name),
);
export const isGauge = (name: string): boolean => GAUGES.has(name);

export const isCounterName = (name: string): name is CounterName =>
  COUNTERS.some((counter) => counter.name === name);
