/**
 * Deeds in which two vCPUs meet in the middle of what the hypervisor does: where flushes that come too early, too late or
 * unawaited show. All that these guests do is allowed, and they owe no more than other guests.
 */
import fc from 'fast-check';
import type { PreemptionPoint } from '../core/machine/preemption.ts';
import {
  change,
  changeText,
  choice,
  everywhere,
  invalidations,
  list,
  remedyOf,
  use,
  type Deed,
  type Guest,
  type Invalidations,
} from './guest-deeds.ts';
import { windowAt } from './guest-programs.ts';

/** Pages that are first in their tables, with the windows in which the kernel sees those. */
const TABLES = [
  { page: '0x400000', window: windowAt(0) },
  { page: '0x800000', window: windowAt(1) },
  { page: '0x40000000', window: windowAt(2) },
] as const;
const FREED_FROM_FLOOD = 3;

/** Two different vCPUs, where there are two. */
const pair = fc.tuple(fc.nat(2), fc.nat(1));
const namesOf = ([one, step]: [number, number], { vcpus }: Guest): [string, string] => {
  const first = one % vcpus;
  const second = (first + 1 + (step % Math.max(1, vcpus - 1))) % vcpus;
  return [`v${String(first)}`, `v${String(second)}`];
};

/** Stores that make no difference to the guest: the entry is not present before and after. */
const idle = (vcpu: string, window: string): string => `${vcpu} kernel write ${window}+0x10 = 0`;
const times = (count: number, line: string): readonly string[] => Array.from({ length: count }, () => line);

/** So many stores into a table that its shadow is given up, and one more, which nobody sees any longer. */
const floodedAndWritten = (
  guest: Guest,
  a: { by: string; window: string; invalidations: Invalidations },
): readonly string[] => [
  ...times(FREED_FROM_FLOOD, idle(a.by, a.window)),
  ...everywhere(guest, { ...a.invalidations, before: [] }, 'load-cr3 main'),
  idle(a.by, a.window),
];

/** Between write protection and the return to the guest. */
const WHILE_PROTECTING: readonly PreemptionPoint[] = [
  'rmap_write_protect/before-flush',
  'rmap_write_protect/after-flush',
  'kvm_flush_remote_tlbs/before-request',
  'kvm_flush_remote_tlbs/before-kick',
];

/**
 * One vCPU may write a table, and perhaps leaves the guest. Another has it shadowed again, while the first does something;
 * then the first changes an entry in it.
 */
export const tableTakenBack: fc.Arbitrary<Deed> = fc
  .record({
    pair,
    table: choice(TABLES),
    leaves: choice(['', 'halt', 'user-space']),
    point: choice(WHILE_PROTECTING),
    meanwhile: choice(['enter', 'kernel read 0x80000008', 'store', 'cpuid']),
    change: change.filter(({ kind }) => kind === 'small'),
    uses: list(use, 2),
    invalidations,
  })
  .map((a) => (guest) => {
    if (guest.vcpus === 1) return [];
    const [own, other] = namesOf(a.pair, guest);
    const { page, window } = a.table;
    const made = { ...a.change, address: page };
    const nested = a.meanwhile === 'store' ? idle(other, window) : `${other} ${a.meanwhile}`;
    return [
      ...floodedAndWritten(guest, { by: other, window, invalidations: a.invalidations }),
      ...(a.leaves === '' ? [] : [`${other} ${a.leaves}`]),
      `${own} ${a.uses[0]?.(`${page}+0x8`) ?? 'cpuid'}\n  at ${a.point}: ${nested}`,
      `${other} ${changeText(made, guest)}`,
      ...everywhere(guest, { ...a.invalidations, before: [] }, remedyOf(made)),
      `${own} ${a.uses[1]?.(`${page}+0x8`) ?? 'cpuid'}`,
    ];
  });

/**
 * A table is to be shadowed again: after the hypervisor has read an entry of it, and before it is protected, another vCPU
 * changes that entry.
 */
export const tableChangedUnderWalk: fc.Arbitrary<Deed> = fc
  .record({
    pair,
    table: choice(TABLES),
    point: choice<PreemptionPoint>(['walk_addr/done', 'rmap_write_protect/before-flush']),
    change: change.filter(({ kind }) => kind === 'small'),
    uses: list(use, 2),
    invalidations,
  })
  .map((a) => (guest) => {
    if (guest.vcpus === 1) return [];
    const [own, other] = namesOf(a.pair, guest);
    const { page, window } = a.table;
    const made = { ...a.change, address: page };
    return [
      ...floodedAndWritten(guest, { by: other, window, invalidations: a.invalidations }),
      `${own} ${a.uses[0]?.(`${page}+0x8`) ?? 'cpuid'}\n  at ${a.point}: ${other} ${changeText(made, guest)}`,
      ...everywhere(guest, { ...a.invalidations, before: [] }, remedyOf(made)),
      `${own} ${a.uses[1]?.(`${page}+0x8`) ?? 'cpuid'}`,
    ];
  });

/** While one vCPU walks, another has the table given up in which the walk is, and has one more page translated. */
export const tableFreedUnderWalk: fc.Arbitrary<Deed> = fc
  .record({ pair, tables: fc.shuffledSubarray([...TABLES], { minLength: 2, maxLength: 2 }), invalidations })
  .map((a) => (guest) => {
    const [table, next] = a.tables;
    if (guest.vcpus === 1 || table === undefined || next === undefined) return [];
    const [own, other] = namesOf(a.pair, guest);
    const settled = everywhere(guest, { ...a.invalidations, before: [] }, 'load-cr3 main');
    const inWalk = '  at page-walk/level-1:';
    return [
      ...times(FREED_FROM_FLOOD, idle(other, next.window)),
      `${other} user read ${table.page}+0x8`,
      ...settled,
      ...times(FREED_FROM_FLOOD - 1, idle(other, table.window)),
      [
        `${own} user read ${table.page}+0x8`,
        `${inWalk} ${idle(other, table.window)}`,
        `${inWalk} ${other} user read ${next.page}+0x8`,
      ].join('\n'),
      ...settled,
    ];
  });
