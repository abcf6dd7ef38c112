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
    meaning:
      'How much a vCPU drops of its own TLB when a shadow entry changes. Others drop all: a request names no address.',
    values: [
      {
        value: 'context',
        meaning: 'all entries of the vCPU, as KVM did: it knows the changed entry, not its addresses',
      },
      {
        value: 'page',
        meaning:
          'each address that leads to the changed entry, by INVLPGA or INVVPID. The hardware can; KVM of 2007 did not',
      },
      {
        value: 'one-page',
        meaning: 'one address of each changed entry: others that lead to it are forgotten',
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
    meaning: 'Whether the TLBs are flushed before or after the shadow entry changes.',
    values: [
      { value: 'after', meaning: 'nobody can fill a TLB from the old entry any more' },
      {
        value: 'before',
        meaning: 'in between, another vCPU can fill its TLB from the old entry again',
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
    meaning:
      'How many address space numbers the processor has. When all are used up, the TLB is emptied and they begin again.',
    values: [
      { value: '63', meaning: 'sixty-three' },
      { value: '4', meaning: 'four, so that one sees them run out' },
    ],
  },
  {
    name: 'cr3-cache',
    where: 'policy',
    machines: KVM_2007,
    eras: ['2007a'],
    cpus: ['vmx-novpid'],
    label: 'CR3 cache',
    meaning:
      'Whether a guest that knows its hypervisor may load the shadow root of one of its last four address spaces itself.',
    values: [
      { value: 'off', meaning: 'every load of CR3 exits' },
      {
        value: 'on',
        meaning: 'loads of a CR3 in the cache do not exit; every flush by the hypervisor empties the cache',
      },
    ],
  },
] as const;

export const MISTAKES = [
  {
    value: 'B-B1',
    meaning: 'a table page is freed while the flush of the other vCPUs is still on its way',
    machines: KVM_2007,
    eras: SMP,
  },
  {
    value: 'B-B3',
    meaning: 'host flush-all says INVVPID where INVEPT is needed: what comes from EPT alone stays',
    machines: ['two-stage'],
    cpus: ['vmx-vpid'],
  },
  {
    value: 'B-B4',
    meaning: 'a flush looks who runs the guest before it sets the requests: who enters in between is missed',
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
