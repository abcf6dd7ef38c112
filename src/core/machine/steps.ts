/**
 * The closed list of micro-steps and of calls. Actor, operation and kind of object follow from a step's kind by
 * this table; the sentence that a reader sees is made from kind and facts elsewhere (scene/sentences).
 *
 * Facts are typed here so that the journal can keep them in columns: `n` a number, `w` a 64-bit word,
 * `b` yes or no, `s` a text out of a small set.
 */

import { spec, type FactSchema, type FactType } from './step-spec.ts';
import { CALLS_TODAY } from './calls-today.ts';
import type { STEPS_BARE } from './steps-bare.ts';
import type { STEPS_TODAY } from './steps-today.ts';

export type { Actor, FactType, Space, StepOp } from './step-spec.ts';

const FIRST_STEPS = {
  'setup-memory': spec('host', 'write', 'page', { gfn: 'n' }),
  'setup-slot': spec('vmm', 'write', 'slot', { gfn: 'n', frames: 'n' }),
  'setup-vcpu': spec('vmm', 'write', 'vcpu', { root: 'n' }),

  'remote-flush': spec('kvm', 'flush', 'TLB', { broadcast: 'b' }),
  'request-set': spec('kvm', 'request', 'vcpu', { vcpu: 'n', request: 's', kick: 'b', needless: 'b' }),
  'modes-look': spec('kvm', 'check', 'vcpu', { count: 'n' }),
  'request-serve': spec('kvm', 'flush', 'TLB', { request: 's', by: 's', dropped: 'n' }),
  'ipi-send': spec('kvm', 'ipi', 'vcpu', { count: 'n' }),
  'ipi-unwaited': spec('kvm', 'check', 'vcpu', { count: 'n' }),
  'ipi-wait': spec('kvm', 'check', 'vcpu', { count: 'n' }),

  'outside-flip': spec('host', 'write', 'page', { gpa: 'w', bit: 'n', set: 'b' }),
  'outside-flip-shadow': spec('host', 'write', 'sPT', { gva: 'w', level: 'n', bit: 'n', set: 'b' }),
  'outside-flip-register': spec('host', 'write', 'vcpu', { register: 's', bit: 'n', set: 'b' }),
  'outside-nothing': spec('host', 'check', 'sPT', { gva: 'w', level: 'n' }),

  'point-missed': spec('host', 'check', 'vcpu', { point: 's' }),
  'turn-wait': spec('kvm', 'check', 'vcpu', { why: 's' }),
  'lock-wait': spec('kvm', 'lock', 'vcpu', { holder: 'n' }),
  'walk-abandoned': spec('cpu', 'check', 'vcpu', { gva: 'w' }),
  'vcpu-leave': spec('kvm', 'exit', 'vcpu', { how: 's' }),

  begin: spec('host', 'check', 'vcpu', {}),

  'tlb-hit': spec('cpu', 'hit', 'TLB', { serial: 'n', write: 'b', stale: 'b' }),
  'tlb-miss': spec('cpu', 'miss', 'TLB', { gva: 'w' }),
  'tlb-fill': spec('cpu', 'fill', 'TLB', { serial: 'n', pfn: 'n', writable: 'b' }),
  'tlb-evict': spec('cpu', 'flush', 'TLB', { serial: 'n' }),
  'tlb-refuse': spec('cpu', 'check', 'TLB', { serial: 'n', errorCode: 'n' }),
  'walk-not-canonical': spec('cpu', 'check', 'vcpu', { gva: 'w' }),
  'walk-read': spec('cpu', 'read', 'sPT', { level: 'n', index: 'n', entry: 'w' }),
  'walk-set-bits': spec('cpu', 'cmpxchg', 'sPT', { level: 'n', dirty: 'b' }),
  'walk-fault': spec('cpu', 'check', 'sPT', { level: 'n', errorCode: 'n' }),
  'walk-register': spec('cpu', 'read', 'vcpu', { level: 'n', index: 'n', entry: 'w' }),
  'walk-spared': spec('cpu', 'hit', 'PSC', {
    dimension: 's',
    row: 'n',
    level: 'n',
    count: 'n',
    refs: 'n',
    by: 's',
    stale: 'b',
  }),
  'data-read': spec('cpu', 'read', 'page', { gva: 'w', value: 'w', bytes: 'n' }),
  'data-write': spec('cpu', 'write', 'page', { gva: 'w', value: 'w', bytes: 'n' }),
  'data-execute': spec('cpu', 'read', 'page', { gva: 'w' }),
  'vm-exit': spec('cpu', 'exit', 'vcpu', { reason: 's', gva: 'w', errorCode: 'n', dropped: 'n' }),
  'vm-entry': spec('cpu', 'entry', 'vcpu', { asid: 'n', dropped: 'n', freshAsid: 'b' }),
  cpuid: spec('cpu', 'check', 'vcpu', {}),
  'cr3-cache-load': spec('guest', 'write', 'vcpu', { slot: 'n', cr3: 'w', dropped: 'n' }),
  'pdpte-load': spec('cpu', 'read', 'vcpu', { count: 'n' }),
  invalidate: spec('cpu', 'flush', 'TLB', { name: 's', aim: 's', address: 'w', tag: 'n', dropped: 'n' }),
  invlpg: spec('cpu', 'flush', 'TLB', { gva: 'w', dropped: 'n' }),

  'guest-gp': spec('guest', 'inject', 'vcpu', {}),
  'guest-handler': spec('guest', 'entry', 'vcpu', { errorCode: 'n', gva: 'w' }),
  'guest-retry': spec('guest', 'entry', 'vcpu', { gva: 'w' }),
  'guest-skip': spec('guest', 'entry', 'vcpu', { gva: 'w', handled: 'b' }),

  'guest-walk-root': spec('kvm', 'read', 'vcpu', { gfn: 'n', level: 'n' }),
  'guest-walk-pdptr': spec('kvm', 'read', 'vcpu', { index: 'n', entry: 'w' }),
  'guest-walk-read': spec('kvm', 'read', 'gPT', { level: 'n', index: 'n', entry: 'w' }),
  'guest-walk-set-accessed': spec('kvm', 'write', 'gPT', { level: 'n' }),
  'guest-walk-refuse': spec('kvm', 'check', 'gPT', { level: 'n', errorCode: 'n', because: 's' }),
  'guest-walk-done': spec('kvm', 'check', 'gPT', { gfn: 'n', refs: 'n' }),
  'gpte-check': spec('kvm', 'check', 'gPT', { level: 'n', changed: 'b' }),

  inject: spec('kvm', 'inject', 'vcpu', { gva: 'w', errorCode: 'n' }),
  'flood-reset': spec('kvm', 'write', 'vcpu', { was: 'n' }),
  'flood-count': spec('kvm', 'write', 'vcpu', { gfn: 'n', count: 'n', flooded: 'b' }),

  'pool-check': spec('kvm', 'check', 'hash', { left: 'n' }),
  'hash-lookup': spec('kvm', 'lookup', 'hash', { gfn: 'n', role: 'n', found: 'n' }),
  'shadow-alloc': spec('kvm', 'alloc', 'page', { serial: 'n', pfn: 'n' }),
  'shadow-hash': spec('kvm', 'write', 'hash', { serial: 'n', gfn: 'n', role: 'n' }),
  'parent-add': spec('kvm', 'link', 'sPT', { serial: 'n', count: 'n' }),
  'parent-remove': spec('kvm', 'unlink', 'sPT', { serial: 'n', count: 'n' }),
  'shadow-unhash': spec('kvm', 'unlink', 'hash', { serial: 'n', gfn: 'n' }),
  'shadow-free': spec('kvm', 'free', 'page', { serial: 'n', pfn: 'n' }),
  'shadow-keep': spec('kvm', 'check', 'page', { serial: 'n', rootCount: 'n' }),
  'root-pin': spec('kvm', 'write', 'vcpu', { serial: 'n', rootCount: 'n' }),
  'root-unpin': spec('kvm', 'write', 'vcpu', { serial: 'n', rootCount: 'n' }),
  'pae-root': spec('kvm', 'write', 'vcpu', { index: 'n', serial: 'n' }),
  'set-cr3': spec('kvm', 'write', 'vcpu', { root: 'n' }),

  'rmap-look': spec('kvm', 'lookup', 'rmap', { pfn: 'n', count: 'n' }),
  'rmap-add': spec('kvm', 'link', 'rmap', { pfn: 'n', count: 'n' }),
  'rmap-remove': spec('kvm', 'unlink', 'rmap', { pfn: 'n', count: 'n' }),
  'write-protect': spec('kvm', 'write', 'sPT', { gfn: 'n', forLog: 'b' }),
  flush: spec('kvm', 'flush', 'TLB', { why: 's', effect: 's', dropped: 'n', needless: 'b' }),
  'flush-page': spec('kvm', 'flush', 'TLB', { name: 's', gva: 'w', dropped: 'n' }),
  'cr3-cache-keep': spec('kvm', 'write', 'vcpu', { slot: 'n', cr3: 'w' }),
  'cr3-cache-choose': spec('kvm', 'write', 'vcpu', { slot: 'n', cr3: 'w' }),
  'cr3-cache-stay': spec('kvm', 'check', 'vcpu', { slot: 'n', count: 'n' }),
  'cr3-cache-empty': spec('kvm', 'write', 'vcpu', { count: 'n' }),
  'flush-left-out': spec('kvm', 'check', 'TLB', { why: 's' }),

  'fetch-look': spec('kvm', 'read', 'sPT', { level: 'n', index: 'n', entry: 'w' }),
  'spte-link': spec('kvm', 'write', 'sPT', { level: 'n', serial: 'n' }),
  'spte-mark-large': spec('kvm', 'write', 'sPT', {}),
  'spte-set': spec('kvm', 'write', 'sPT', { gfn: 'n', writable: 'b', shadowed: 'b', guestDirty: 'b' }),
  'spte-mmio': spec('kvm', 'write', 'sPT', { gpa: 'w' }),
  'spte-clear': spec('kvm', 'write', 'sPT', { level: 'n', why: 's' }),
  'spte-raise': spec('kvm', 'write', 'sPT', { gfn: 'n', device: 'b' }),
  'spte-lower-user': spec('kvm', 'write', 'sPT', { gfn: 'n' }),
  'spte-raise-user': spec('kvm', 'write', 'sPT', { gfn: 'n' }),
  spurious: spec('kvm', 'check', 'sPT', { gfn: 'n', device: 'b' }),
  'fix-refuse': spec('kvm', 'check', 'sPT', { because: 's' }),
  'shadowed-check': spec('kvm', 'lookup', 'hash', { gfn: 'n', pages: 'n' }),
  'guest-set-dirty': spec('kvm', 'write', 'gPT', { gfn: 'n' }),
  emulate: spec('kvm', 'emulate', 'vcpu', { gva: 'w', gpa: 'w', value: 'w', bytes: 'n' }),
  'emulate-mmio': spec('kvm', 'emulate', 'vcpu', { gpa: 'w', write: 'b' }),
  'userspace-exit': spec('kvm', 'exit', 'vcpu', { gpa: 'w', write: 'b' }),
  'device-answer': spec('vmm', 'entry', 'vcpu', { gpa: 'w', value: 'w', write: 'b' }),
  'emulate-mmio-again': spec('kvm', 'emulate', 'vcpu', { gpa: 'w', value: 'w', bytes: 'n' }),
  'quadrant-skip': spec('kvm', 'check', 'sPT', { serial: 'n', quadrant: 'n' }),
  'update-refuse': spec('kvm', 'check', 'sPT', { because: 's' }),
  'guest-copy': spec('kvm', 'write', 'gPT', { gfn: 'n', value: 'w', bytes: 'n' }),
  'slot-look': spec('kvm', 'lookup', 'slot', { gfn: 'n', backed: 'b' }),
  'slot-log': spec('vmm', 'write', 'slot', { slot: 'n', on: 'b' }),
  'log-fetch': spec('kvm', 'read', 'slot', { slot: 'n', count: 'n' }),
  'log-clear': spec('kvm', 'write', 'slot', { slot: 'n', count: 'n' }),
  'register-write': spec('kvm', 'write', 'vcpu', { register: 's', value: 'w' }),
} as const;

type AllSteps = typeof FIRST_STEPS & typeof STEPS_BARE & typeof STEPS_TODAY;
/** Those that an engine brings with it are here from when it is loaded. */
export const STEPS = { ...FIRST_STEPS } as AllSteps;

export type StepKind = keyof AllSteps;
const kinds = Object.keys(FIRST_STEPS) as StepKind[];
/** Every kind that is known by now; a kind keeps its number. */
export const STEP_KINDS: readonly StepKind[] = kinds;

const todays = new Set<StepKind>();

/** The steps that an engine brings with it; told when it is loaded. */
export function addSteps(steps: Partial<AllSteps>, group: 'bare' | 'today'): void {
  for (const kind of Object.keys(steps) as StepKind[]) {
    if (!(kind in STEPS)) kinds.push(kind);
    if (group === 'today') todays.add(kind);
  }
  Object.assign(STEPS, steps);
}

/** Whether a kind came with the engine of a KVM of today. */
export const isOfToday = (kind: StepKind): boolean => todays.has(kind);

interface FactValue {
  n: number;
  w: bigint;
  b: boolean;
  s: string;
}
export type FactsOf<Schema> = {
  readonly [K in keyof Schema]: Schema[K] extends FactType ? FactValue[Schema[K]] : never;
};
export type StepFacts<K extends StepKind> = FactsOf<AllSteps[K]['facts']>;

/** The calls that open a span, named as the kernel (or the processor's manual) names them. */
export const CALLS = {
  operation: { index: 'n' },
  handler: { gva: 'w' },
  'page walk': { gva: 'w', access: 's' },
  'VM exit': { reason: 's', serial: 'n' },
  page_fault: { gva: 'w', errorCode: 'n' },
  walk_addr: { gva: 'w' },
  inject_page_fault: { gva: 'w', errorCode: 'n' },
  fetch: { gva: 'w' },
  fix_write_pf: { gva: 'w' },
  fix_read_pf: { gva: 'w' },
  kvm_mmu_get_page: { gfn: 'n', level: 'n' },
  rmap_write_protect: { gfn: 'n', flushTlb: 'b' },
  rmap_add: { gfn: 'n' },
  rmap_remove: { gfn: 'n' },
  set_pte: { gfn: 'n' },
  set_pde: { gfn: 'n' },
  nonpaging_map: { gpa: 'w' },
  kvm_vm_ioctl_set_memory_region: { slot: 'n' },
  kvm_vm_ioctl_get_dirty_log: { slot: 'n' },
  kvm_mmu_slot_remove_write_access: { slot: 'n' },
  emulate_instruction: { gva: 'w' },
  kvm_mmu_pte_write: { gpa: 'w', bytes: 'n' },
  mmu_pte_write_zap_pte: { index: 'n' },
  mmu_pte_write_new_pte: { index: 'n' },
  kvm_mmu_zap_page: { serial: 'n' },
  kvm_mmu_free_some_pages: { left: 'n' },
  paging_new_cr3: { root: 'n' },
  mmu_alloc_roots: { root: 'n' },
  mmu_free_roots: { serial: 'n' },
  kvm_mmu_reset_context: { root: 'n' },
  set_register: { register: 's' },
  kvm_flush_remote_tlbs: {},
  ...CALLS_TODAY,
} as const satisfies Readonly<Record<string, FactSchema>>;

export type CallName = keyof typeof CALLS;
export const CALL_NAMES = Object.keys(CALLS) as readonly CallName[];
export type CallFacts<K extends CallName> = FactsOf<(typeof CALLS)[K]>;
