/**
 * Machines without KVM: `native`, where the processor walks the tables of the system itself, and `two-stage`, where a
 * second stage stands below that maps all of guest memory and that nobody maintains. They exist so that the processor
 * alone can be watched: its walks, its TLB, its invalidations.
 */
import { must } from '../assert.ts';
import type { Engine, FaultRequest, FaultResult } from '../engine.ts';
import {
  countSwept,
  invalidationOf,
  SWEEP_OF_WORLD_SWITCH,
  sweepCaches,
  sweepOf,
  type Sweep,
} from '../hardware/invalidate.ts';
import { outsideRegisters, placeOfBit } from '../hardware/outside-registers.ts';
import type { StageFault } from '../hardware/second-stage.ts';
import { pfnOfGfn } from '../kvm/memslots.ts';
import { invalidationMeaning } from '../hardware/invalidation-words.ts';
import { flushRemoteTlbs, serviceRequests } from '../kvm/remote-flush.ts';
import { STEPS_BARE } from '../machine/steps-bare.ts';
import { addSteps } from '../machine/steps.ts';
import type { Machine } from '../machine/machine.ts';
import { FIRST_GUEST_PFN, FIRST_SHADOW_PFN, guestFrameOf } from '../machine/world.ts';
import type { FlipOperation, HostEntryOperation, InvalidateOperation } from '../operations/operation.ts';
import { gfn, pfn } from '../quantities.ts';
import { isNested, NATIVE_BASE, tagOf } from './ground.ts';
import { translateAccess } from './guest-walks.ts';
import { callHostDebts, judgeOverdue, oweHostFlush, payHostDebts } from './host-debts.ts';
import { placeOf } from './host-stage.ts';
import { buildHostTables, hostEntryValue, hostEntryWord } from './host-tables.ts';
import { startPdptes, startRegisters, writeGuestRegister } from './registers.ts';

addSteps(STEPS_BARE, 'bare');

export const bare: Engine = {
  startRegisters,
  start,
  translate: translateAccess,
  pageFault: (m, fault) => ({ locked: false, body: () => deliverPageFault(m, fault) }),
  hostFault: (m, fault) => ({ locked: false, body: () => exitWithHostFault(m, fault) }),
  // Nothing takes the one vCPU out of the guest for longer than an exit.
  enter: () => undefined,
  leave: () => undefined,
  flushAll,
  backs,
  physical: (m, address) => (isNested(m) ? address : address - NATIVE_BASE),
  writeRegister: (m, write) => ({
    locked: false,
    body: () => writeGuestRegister(m, write, { tag: tagOf(m), place: (gpa) => placeOf(m, gpa) }),
  }),
  invlpg: (m, gva) => {
    const sweep = sweepOfInstruction(m, { name: 'invlpg', address: gva, tag: 0 });
    m.step('invlpg', { gva, dropped: countSwept(m, sweep) });
    sweepCaches(m, sweep);
  },
  invalidate,
  setHostEntry,
  flipped: (m, operation: FlipOperation) =>
    operation.place === 'host' ? hostEntryWord(m, operation) : undefined,
  flippedRegister: (m, { register, bit }) =>
    outsideRegisters(m.settings).includes(register) ? placeOfBit(register, bit) : undefined,
  setLogging: neverPlanned,
  fetchLog: neverPlanned,
  clearLog: neverPlanned,
  changeMemory: neverPlanned,
  changeSlot: neverPlanned,
  trivialExit: (m) => ({
    locked: false,
    body: () => {
      if (!isNested(m)) m.step('cpuid', {});
      else exitAndEnter(m, { reason: 'cpuid', gva: 0n, code: 0n });
    },
  }),
  judgeAccess: judgeOverdue,
  judged: false,
};

/** The scenario's text offers these on other machines only. */
function neverPlanned(): never {
  throw new Error('assertion failed: this machine does not have the operation');
}

function start(m: Machine): void {
  m.set('vcpu', 0, Object.freeze({ mode: 'guest', exitSerial: 0 }));
  startPdptes(m, (gpa) => NATIVE_BASE + gpa);
  if (isNested(m)) buildHostTables(m);
}

function backs(m: Machine, address: bigint): boolean {
  const frame = Number(address >> 12n);
  if (isNested(m) && frame >= FIRST_SHADOW_PFN) return true;
  return frame >= FIRST_GUEST_PFN && pfnOfGfn(m.world, gfn(guestFrameOf(pfn(frame)))) !== undefined;
}

/** Nobody intercepts page faults here: the guest's own kernel gets them. */
function deliverPageFault(m: Machine, fault: FaultRequest): FaultResult {
  const { gva, errorCode } = fault;
  m.step('page-fault', { gva, errorCode });
  m.setReg('cr2', gva);
  m.count('page_faults');
  return { kind: 'inject', errorCode };
}

function exitWithHostFault(m: Machine, { kind, gpa, code }: StageFault): FaultResult {
  exitAndEnter(m, { reason: kind, gva: gpa, code }, () => {
    m.count('host_faults');
    m.step('host-unmended', { gpa });
  });
  return { kind: 'unmended' };
}

function exitAndEnter(
  m: Machine,
  exit: { reason: StageFault['kind'] | 'cpuid' | 'IPI'; gva: bigint; code: bigint },
  meanwhile: () => void = () => undefined,
): void {
  const { reason, gva, code } = exit;
  const exitSerial = m.must('vcpu', m.vcpu).exitSerial + 1;
  const sweep = m.settings.cpu === 'vmx-novpid' ? SWEEP_OF_WORLD_SWITCH : undefined;
  const dropped = (): number => (sweep === undefined ? 0 : countSwept(m, sweep));
  const { asid } = tagOf(m);
  m.call('VM exit', { reason, serial: exitSerial }, () => {
    m.step('vm-exit', { reason, gva, errorCode: Number(code), dropped: dropped() });
    m.set('vcpu', m.vcpu, Object.freeze({ mode: 'hypervisor', exit: reason, exitSerial }));
    m.count('exits');
    if (sweep !== undefined) sweepCaches(m, sweep);
    meanwhile();
    m.step('vm-entry', { asid, dropped: dropped(), freshAsid: false });
    if (sweep !== undefined) sweepCaches(m, sweep);
    m.set('vcpu', m.vcpu, Object.freeze({ mode: 'guest', exitSerial }));
  });
}

/** A thread of the host has the vCPU leave the guest and flush what the host's tables gave, before it enters again. */
function flushAll(m: Machine): void {
  exitAndEnter(m, { reason: 'IPI', gva: 0n, code: 0n }, () => {
    flushRemoteTlbs(m, () => tagOf(m));
    serviceRequests(m, () => tagOf(m));
    m.amendLastStep(() => {
      callHostDebts(m);
    });
  });
}

function sweepOfInstruction(
  m: Machine,
  { name, address, tag }: Pick<InvalidateOperation, 'name' | 'address' | 'tag'>,
): Sweep & { broadcast: boolean } {
  const instruction = must(invalidationOf(name), name);
  const { broadcast } = instruction;
  return { ...sweepOf(instruction, tagOf(m), { address, tag }), broadcast: broadcast === true };
}

function invalidate(m: Machine, operation: InvalidateOperation): void {
  const { name, address, tag } = operation;
  const sweep = sweepOfInstruction(m, operation);
  const aim = invalidationMeaning(name);
  m.step('invalidate', { name, aim, address, tag, dropped: countSwept(m, sweep, sweep.broadcast) });
  sweepCaches(m, sweep, sweep.broadcast);
  payHostDebts(m);
}

function setHostEntry(m: Machine, { gpa, level, change }: HostEntryOperation): void {
  const word = hostEntryWord(m, { gpa, level });
  if (word === undefined) {
    m.step('outside-nothing', { gva: gpa, level });
    return;
  }
  const entry = hostEntryValue(m, level, change);
  m.step('host-entry-set', { gpa, level, entry });
  m.set('word', word, entry);
  oweHostFlush(m, word);
}
