/** The micro-steps of machines without KVM: second stages, their caches, Arm. Known once their engine is loaded. */
import { spec } from './step-spec.ts';

export const STEPS_BARE = {
  'host-table': spec('host', 'alloc', 'EPT', { pfn: 'n', level: 'n', gpa: 'w' }),
  'host-entry-set': spec('host', 'write', 'EPT', { gpa: 'w', level: 'n', entry: 'w' }),
  'tlb-fill-gpa': spec('cpu', 'fill', 'TLB', { serial: 'n', gpa: 'w', pfn: 'n' }),
  'psc-fill': spec('cpu', 'fill', 'PSC', { serial: 'n', level: 'n', stage: 's' }),
  'guest-entry-read': spec('cpu', 'read', 'gPT', { level: 'n', index: 'n', entry: 'w', address: 'w' }),
  'guest-entry-set-bits': spec('cpu', 'cmpxchg', 'gPT', { level: 'n', dirty: 'b' }),
  'host-entry-read': spec('cpu', 'read', 'EPT', { row: 'n', level: 'n', index: 'n', entry: 'w', gpa: 'w' }),
  'host-entry-set-bits': spec('cpu', 'cmpxchg', 'EPT', { row: 'n', level: 'n', dirty: 'b' }),
  'host-fault': spec('cpu', 'check', 'EPT', { row: 'n', level: 'n', gpa: 'w', kind: 's', code: 'w' }),
  'arm-abort': spec('cpu', 'check', 'gPT', { stage: 'n', level: 'n', why: 's', syndrome: 'w' }),
  'page-fault': spec('cpu', 'inject', 'vcpu', { gva: 'w', errorCode: 'n' }),
  'host-unmended': spec('host', 'check', 'EPT', { gpa: 'w' }),
  'guest-register': spec('guest', 'write', 'vcpu', { register: 's', value: 'w', dropped: 'n' }),
} as const;
