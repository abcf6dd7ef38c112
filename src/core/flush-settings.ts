/**
 * How TLBs are flushed, as settings: how much of one, before or after the change, out of how many address space numbers,
 * and what else a flush empties. And the mistakes about flushes that can be made on purpose and that no era shipped, with the
 * ids of the reference; B-B2, a flush of the own TLB only, is a policy of its own: `flush-reach=local`.
 */

const KVM_2007 = ['kvm-2007'];
/** Processors whose TLB survives VM exits, and that can drop single addresses of it for a hypervisor. */
const TAGGED = ['svm', 'vmx-vpid'];
/** The era with several vCPUs. */
const SMP = ['2007c'];

export const FLUSH_SETTINGS = [
  {
    name: 'flush-size',
    where: 'policy',
    machines: KVM_2007,
    cpus: TAGGED,
    label: 'flush size',
    values: [
      {
        value: 'context',
      },
      {
        value: 'page',
      },
      {
        value: 'one-page',
        wrong: true,
      },
    ],
  },
  {
    name: 'flush-when',
    where: 'policy',
    machines: KVM_2007,
    eras: SMP,
    label: 'flush comes',
    values: [
      { value: 'after' },
      {
        value: 'before',
        wrong: true,
      },
    ],
  },
  {
    name: 'asids',
    where: 'machine',
    machines: KVM_2007,
    cpus: ['svm'],
    label: 'ASIDs',
    values: [{ value: '63' }, { value: '4' }],
  },
  {
    name: 'cr3-cache',
    where: 'policy',
    machines: KVM_2007,
    eras: ['2007a'],
    cpus: ['vmx-novpid'],
    label: 'CR3 cache',
    values: [
      { value: 'off' },
      {
        value: 'on',
      },
    ],
  },
] as const;

export const MISTAKES = [
  {
    value: 'B-B1',
    machines: KVM_2007,
    eras: SMP,
  },
  {
    value: 'B-B3',
    machines: ['two-stage'],
    cpus: ['vmx-vpid'],
  },
  {
    value: 'B-B4',
    machines: KVM_2007,
    eras: SMP,
  },
] as const;
export type Mistake = (typeof MISTAKES)[number]['value'];

/** Whether the machine makes a mistake on purpose that no era shipped. */
export const hasMistake = (
  { settings }: { readonly settings: { readonly break: string } },
  mistake: Mistake,
): boolean => settings.break.split(',').includes(mistake);
