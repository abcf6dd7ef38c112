/**
 * What settings, their values and counters mean, in plain words: for tooltips, completions and tables. Fetched later than
 * the first picture, which shows none of it; `giveMeanings` puts them where they are read.
 */
import { COUNTERS } from './counters.ts';
import { SETTINGS } from './settings.ts';

/** By setting, and by `setting=value`. */
const OF_SETTINGS: Readonly<Record<string, string>> = {
  machine: 'Which hypervisor runs the guest.',
  'machine=kvm-2007': "KVM's first shadow MMU, as of 2007",
  'machine=kvm-shadow': "KVM's shadow MMU of today, with nested paging off",
  'machine=native': 'no hypervisor: the processor walks the tables of the system itself',
  'machine=two-stage':
    'a guest under nested paging, with host tables that map all of its memory from the start',
  era: 'Which state of the source code is modelled.',
  'era=2007b': 'mid-2007: shadow entries can be updated, 1024 shadow pages',
  'era=2006': 'as merged (2.6.20): shadow entries are only cleared, 256 shadow pages',
  'era=2007a': 'January 2007: fewer flushes proposed for write protection',
  'era=2007c': 'end of 2007 (2.6.24): several vCPUs, flushes of all TLBs, leaves built anew at each fault',
  'era=6.12': 'Linux 6.12 (2024): invalidating an address drops its entry, which is built at the next fault',
  'era=6.1': 'Linux 6.1 (2022): invalidating an address builds its new entry at once',
  'era=2011':
    "the kernel of June 2011: a device's mark carries no number, so each new slot gives up all shadow pages; flushes after a sync are put off. What the reference does not tell of 2011 is done as in 6.1. Which reserved bits the mark had is unverified",
  cpu: 'The processor, as far as its TLB matters.',
  'cpu=vmx-novpid': 'Intel before VPID: every VM exit and every VM entry empties the TLB',
  'cpu=svm': 'AMD: TLB entries carry an address space number (ASID) and survive VM exits',
  'cpu=vmx-vpid':
    'Intel with VPID: TLB entries carry the number of the virtual processor and survive VM exits. Processors have it since 2008; KVM of 2007 did not use it',
  'cpu=arm64':
    'Arm: entries carry the number of the virtual machine (VMID); invalidations reach all processors',
  guest: 'The paging mode of the guest.',
  'guest=4-level': '64-bit paging, 48-bit addresses',
  'guest=5-level': '64-bit paging, 57-bit addresses',
  'guest=3-level': '39-bit addresses, 4 KiB pages',
  'guest=pae': '32-bit addresses, 8-byte entries',
  'guest=2-level': '32-bit addresses, 4-byte entries',
  'guest=nonpaging': 'paging off: addresses stand for themselves',
  host: 'How many levels the tables of the second stage have.',
  'host=4-level': 'guest addresses of 48 bits',
  'host=5-level': 'guest addresses of 57 bits',
  'host=3-level': 'guest addresses of 40 bits, two start tables side by side',
  'host-pages': 'The size of the pages with which the second stage maps guest memory.',
  'host-pages=4K': '4 KiB',
  'host-pages=2M': '2 MiB',
  'ept-ad':
    'Whether EPT entries get accessed and dirty marks; then reading a guest table counts as writing it.',
  'ept-ad=on': 'marked',
  'ept-ad=off': 'not marked',
  psc: 'Which paging-structure caches the processor has: they remember tables on the way to a page.',
  'psc=off': 'none',
  'psc=guest': "for the guest's tables",
  'psc=both': "for the guest's tables and the host's",
  tlb: 'How many translations the TLB holds; the one used longest ago goes first.',
  'tlb=unlimited': 'nothing is ever displaced',
  'tlb=4': 'four',
  'tlb=8': 'eight',
  'tlb=16': 'sixteen',
  'tlb=64': 'sixty-four',
  vcpus: 'How many virtual processors the guest has.',
  'vcpus=1': 'one virtual processor',
  'vcpus=2': 'two',
  'vcpus=3': 'three',
  'vcpus=4': 'four',
  'nx-huge-pages': "Whether the processor's large-page bug forbids executable large pages (nx_huge_pages).",
  'nx-huge-pages=off': 'large pages may be executable',
  'nx-huge-pages=on': 'an executable page is never large',
  'log-clear': 'When the dirty log forgets what it has told, and takes write rights away again.',
  'log-clear=with-fetch': 'when it is fetched',
  'log-clear=apart': 'when user space says which frames it has dealt with',
  'log-clear=apart-all-set':
    'the same, and at the start every frame counts as written: no right is taken away yet',
  'mmio-without': 'Which of the helps for accesses to devices is left out, to see what it saves.',
  'mmio-without=none': 'nothing: all that the era has',
  'mmio-without=entries': 'no shadow entry marks a device: each access is looked up anew',
  'mmio-without=memory': 'the vCPU does not remember its last device access',
  'mmio-without=generation':
    'slot changes are not counted: each new slot gives up all shadow pages, as in 2011',
  'gpte-write':
    'What the hypervisor does with a shadow entry when it emulates a write to the guest entry behind it.',
  'gpte-write=update': 'clear the shadow entry and build the new one at once (2007b)',
  'gpte-write=zap': 'only clear the shadow entry; the next access faults and builds it (2006)',
  flush: 'When write-protecting a guest page table flushes the TLB.',
  'flush=always': 'for every mapping that loses its write right',
  'flush=on-fault': 'on the page-fault path only: a CR3 load flushes anyway (January 2007 proposal)',
  'flush=never': 'nowhere',
  'flush-reach': 'Whose TLBs a flush empties.',
  'flush-reach=all': 'those of every vCPU',
  'flush-reach=local': 'only that of the vCPU that asks (B-B2)',
  'flush-size':
    'How much a vCPU drops of its own TLB when a shadow entry changes. Others drop all: a request names no address.',
  'flush-size=context': 'all entries of the vCPU, as KVM did: it knows the changed entry, not its addresses',
  'flush-size=page':
    'each address that leads to the changed entry, by INVLPGA or INVVPID. The hardware can; KVM of 2007 did not',
  'flush-size=one-page': 'one address of each changed entry: others that lead to it are forgotten',
  'flush-when': 'Whether the TLBs are flushed before or after the shadow entry changes.',
  'flush-when=after': 'nobody can fill a TLB from the old entry any more',
  'flush-when=before': 'in between, another vCPU can fill its TLB from the old entry again',
  asids:
    'How many address space numbers the processor has. When all are used up, the TLB is emptied and they begin again.',
  'asids=63': 'sixty-three',
  'asids=4': 'four, so that one sees them run out',
  'cr3-cache':
    'Whether a guest that knows its hypervisor may load the shadow root of one of its last four address spaces itself.',
  'cr3-cache=off': 'every load of CR3 exits',
  'cr3-cache=on': 'loads of a CR3 in the cache do not exit; every flush by the hypervisor empties the cache',
  'shipped-bugs': 'Which bugs of the era are left in.',
  'shipped-bugs=all': 'as the era shipped',
  'shipped-bugs=none': 'all of them mended',
  'shipped-bugs=C-B2': 'the read-fault fixer clears W and leaves the entry in the reverse map',
  'shipped-bugs=C-B3': 'rights of upper guest entries are lost in the shadow leaf',
  'shipped-bugs=C-B4':
    'a write to a 32-bit page directory clears an entry in the wrong place, in every quadrant',
  'shipped-bugs=C-B5': 'large pages of one frame with different rights share their shadow page',
  'shipped-bugs=C-B6': 'an emulated table write zaps a shadow entry without a flush',
  'shipped-bugs=nx-slip': "no-execute of a large page is kept at the place of the user bit of its page's key",
  'shipped-bugs=nonpaging-write':
    'without paging, the guest writes frames that are still shadowed as tables, unseen (our reading, unverified)',
  'shipped-bugs=walk-race':
    "what a walk has read of a guest's table is used after the table is protected, even where another vCPU has changed it meanwhile (our reading, the reference does not name it)",
  break: 'Which mistakes the hypervisor makes that its era did not.',
  'break=none': 'none',
  'break=C-B2': 'the read-fault fixer clears W and leaves the entry in the reverse map',
  'break=C-B3': 'rights of upper guest entries are lost in the shadow leaf',
  'break=C-B4': 'a write to a 32-bit page directory clears an entry in the wrong place, in every quadrant',
  'break=C-B5': 'large pages of one frame with different rights share their shadow page',
  'break=C-B6': 'an emulated table write zaps a shadow entry without a flush',
  'break=nx-slip': "no-execute of a large page is kept at the place of the user bit of its page's key",
  'break=nonpaging-write':
    'without paging, the guest writes frames that are still shadowed as tables, unseen (our reading, unverified)',
  'break=walk-race':
    "what a walk has read of a guest's table is used after the table is protected, even where another vCPU has changed it meanwhile (our reading, the reference does not name it)",
  'break=E-B4': 'the dirty log is cleared after its lock is free again: what was written in between is lost',
  'break=D-B2': 'tables below which something is out of step are linked as they are',
  'break=D-B3':
    "tables below a guest's large page are told apart by the rights of the table above, not by the page's own",
  'break=D-B4': "tables below a guest's large page stay when the page's rights change",
  'break=D-B5': 'each table on the way is told apart by the rights of the whole way, not by those above it',
  'break=I-B1': 'a fault does not notice that the host has changed its pages since it looked',
  'break=I-B2': 'a fault does not notice that the host is just changing its pages',
  'break=F-B2': 'the number of slot changes moves on while vCPUs still see the old slots',
  'break=F-B4': 'the mark of a device keeps its old number when it is looked up anew',
  'break=F-B5': 'a vCPU remembers its last device access over a CR3 load',
  'break=B-B1': 'a table page is freed while the flush of the other vCPUs is still on its way',
  'break=B-B3': 'host flush-all says INVVPID where INVEPT is needed: what comes from EPT alone stays',
  'break=B-B4':
    'a flush looks who runs the guest before it sets the requests: who enters in between is missed',
};

const OF_COUNTERS: Readonly<Record<string, string>> = {
  exits: 'Times the processor left the guest for the hypervisor.',
  injected: 'Page faults that the hypervisor delivered to the guest.',
  emulated: 'Guest instructions that the hypervisor ran in software.',
  pf_fixed: 'Faults that ended with a usable shadow entry or an emulated table write.',
  pf_guest: 'Faults that belong to the guest itself.',
  mmio_exits: 'Accesses to device memory that went to user space.',
  tlb_flush: 'Flushes by CR3 loads (this era counts no others here).',
  rmap_flush: 'Flush calls made while write-protecting a guest page table.',
  flushes:
    'Flushes of one TLB that the hypervisor asked for, whatever for. Each counts for the vCPU whose TLB it is.',
  flushes_needless: 'Those of them for a change that no entry of that TLB came from.',
  flushes_missing: 'Times that a vCPU ran the guest with an entry that should have been flushed before.',
  flush_all: 'Times that the address space numbers ran out and the TLB was emptied.',
  flush_ctx: 'Times that all entries of a vCPU went at once: by a new ASID, or by INVVPID.',
  flush_va: 'Single addresses dropped by INVLPGA or INVVPID.',
  cr3_cache_hits: 'Loads of CR3 that needed no exit.',
  cr3_cache_emptied: 'Times that a flush threw other address spaces out of the cache.',
  stale_hits: 'Uses of a TLB entry that a fresh walk would no longer give.',
  walks: 'Page walks, by the processor or by the hypervisor in software.',
  refs: 'Table entries read by page walks.',
  adw: 'Table entries whose accessed or dirty bit a walk of the processor set.',
  tlb_hits: 'Translations found in the TLB.',
  tlb_misses: 'Translations not found in the TLB.',
  tlb_fills: 'Entries put into the TLB.',
  remote_tlb_flush_requests: 'Times that the TLBs of all vCPUs were to be flushed.',
  remote_tlb_flush: 'Those for which another vCPU had to be interrupted.',
  ipis: 'vCPUs interrupted out of the guest.',
  tlb_evictions: 'Entries that a full TLB gave up.',
  spared: 'References that a cache made unnecessary.',
  pdpte_loads: 'Root entries that MOV CR3 loaded into registers (PAE).',
  page_faults: "Page faults that the processor gave to the system's own kernel.",
  host_faults: 'Faults of the second stage: they go to the hypervisor.',
  pf_taken: 'Faults that the hypervisor had to look into.',
  pf_emulate: 'Faults that ended in the emulator.',
  pf_spurious: 'Faults whose entry was as it should be already.',
  pf_fast: 'Faults mended without the lock.',
  pf_mmio_spte_created: 'Entries made that mark a device.',
  invlpg: "INVLPG instructions of the guest's that exited.",
  insn_emulation: 'Instructions given to the emulator.',
  mmu_shadow_zapped: 'Shadow pages given up.',
  mmu_pte_write: 'Emulated writes to memory that stands for a table.',
  mmu_pde_zapped: 'Entries above level 1 zapped by such writes.',
  mmu_flooded: 'Pages given up because they were written so often.',
  mmu_recycled: 'Pages given up to make room.',
  mmu_cache_miss: 'Shadow pages that had to be made.',
  mmu_unsync: 'Shadow pages that are out of step now.',
  pages_4k: 'Leaves of 4 KiB now.',
  pages_2m: 'Leaves of 2 MiB now.',
  pages_1g: 'Leaves of 1 GiB now.',
  nx_lpage_splits: 'Tables that stand where an executable large page is forbidden.',
  max_mmu_rmap_size: 'The most entries that one frame already had when one more came.',
  root_loads: 'Times that a root table had to be looked up or made: it was not among those remembered.',
  mmio_quick_hits: 'Device accesses that the vCPU knew again: no table was read.',
  mmio_entry_hits: 'Device accesses that a shadow entry told: no guest table and no slot was read.',
  mmio_stale: 'Device accesses whose entry is older than a change of the slots: all was looked up again.',
  notifier_zaps: 'Shadow entries cleared because the host changes its pages.',
  fault_retries: 'Faults given up because something had changed meanwhile; the guest comes back with them.',
  swap_ins: 'Pages that the host brought back from its swap.',
  pages_zapped: 'Shadow pages given up.',
};

/** Fills in every meaning. Calling it again changes nothing. */
export function giveMeanings(): void {
  for (const setting of SETTINGS) {
    setting.meaning ||= OF_SETTINGS[setting.name] ?? '';
    for (const choice of setting.values)
      choice.meaning ||= OF_SETTINGS[`${setting.name}=${choice.value}`] ?? '';
  }
  for (const counter of COUNTERS) counter.meaning ||= OF_COUNTERS[counter.name] ?? '';
}

giveMeanings();
