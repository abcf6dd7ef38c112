/**
 * KVM's first shadow MMU, as of mid-2007, for 4-level guests on one vCPU: `page_fault` and what leads to it and away
 * from it. Source: the mid-2007 paging_tmpl.h and mmu.c, as the project's reference describes them.
 *
 * Leaves out: other guest modes, the dirty log, several vCPUs.
 */
import { gfnOfAddress, pfnOfEntry, spte, wordOf } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import {
  CR0_PG,
  CR0_WP,
  CR4_PAE,
  CR4_PGE,
  CR4_PSE,
  EFER_NXE,
  pagingRegisters,
  type PagingRegisters,
} from '../hardware/registers.ts';
import { indexAt, PTE_ADDRESS } from '../hardware/x86-entry.ts';
import type { Engine, FaultRequest, FaultResult, RegisterWrite } from '../engine.ts';
import { refusal } from '../hardware/fault.ts';
import { countEntries, dropEntries, translate, translates } from '../hardware/tlb.ts';
import { walk } from '../hardware/walk.ts';
import { fetch } from './fetch.ts';
import { fixReadFault, fixWriteFault } from './fix-fault.ts';
import { walkAddr, type GuestWalk } from './guest-walk.ts';
import { guestWord, pfnOfGfn } from './memslots.ts';
import { pteWrite } from './pte-write.ts';
import { pagingNewCr3, resetContext } from './roots.ts';
import { EMPTY_POOL, freeSomePages, shadowPageAt } from './shadow-page.ts';
import { isMmio, isPresent } from './spte-2007.ts';
import { currentAsid, vmEntry, vmExit } from './vendor.ts';

export const kvm2007: Engine = {
  startRegisters: () => START_REGISTERS,
  start: (m) => {
    m.set('frames', 'shadow', EMPTY_POOL);
    m.set('vcpu', 0, Object.freeze({ mode: 'hypervisor', exit: 'start', exitSerial: 0 }));
    resetContext(m);
    enterGuest(m);
  },
  translate: (m, request) => {
    const registers = hardwareRegisters(m);
    return translate(m, {
      va: request.gva,
      request,
      kind: 'linear',
      tag: { asid: currentAsid(m), pcid: 0, root: 0 },
      under: '',
      refuses: (entry) => refusal(entry, request, registers),
      walk: () => walk(m, { ...request, registers }),
    });
  },
  backs: () => true,
  physical: (_m, address) => address,
  hostFault: () => ({ kind: 'unmended' }),
  invlpg,
  invalidate: neverPlanned,
  setHostEntry: neverPlanned,
  flipped: (m, operation) => (operation.place === 'shadow' ? shadowEntry(m, operation) : undefined),
  flippedRegister: () => undefined,
  judged: true,
  pageFault: (m, fault) =>
    duringExit(m, { reason: '#PF', gva: fault.gva, errorCode: fault.errorCode }, () =>
      handlePageFault(m, fault),
    ),
  writeRegister,
  trivialExit: (m, reason) => {
    duringExit(m, { reason }, () => undefined);
  },
};

/** The scenario's text offers these on other machines only. */
function neverPlanned(): void {
  throw new Error('assertion failed: this machine does not have the operation');
}

/** INVLPG runs in the guest itself: neither vendor's KVM intercepted it in this era. */
function invlpg(m: Machine, gva: bigint): void {
  const which = translates(gva, currentAsid(m));
  m.step('invlpg', { gva, dropped: countEntries(m, which) });
  dropEntries(m, which);
}

/** The guest runs on shadow tables with CR0.WP set, whatever it chose itself. */
export function hardwareRegisters(m: Machine): PagingRegisters {
  return pagingRegisters({
    cr0: m.reg('cr0') | CR0_WP,
    cr3: m.reg('root_hpa'),
    cr4: CR4_PAE,
    efer: m.reg('efer'),
  });
}

function shadowEntry(m: Machine, { gva, level }: { gva: bigint; level: number }): number | undefined {
  let table = m.get('sp', Number(m.reg('root_serial')))?.pfn;
  for (let at = ROOT_LEVEL; table !== undefined; at -= 1) {
    const word = wordOf(table, indexAt(gva, at));
    if (at === level) return word;
    const entry = spte(m.word(word));
    table = isPresent(entry) ? shadowPageAt(m.world, pfnOfEntry(entry))?.pfn : undefined;
  }
  return undefined;
}

const ROOT_LEVEL = 4;

function duringExit<R>(m: Machine, exit: Parameters<typeof vmExit>[1], handle: () => R): R {
  const serial = m.must('vcpu', m.vcpu).exitSerial + 1;
  return m.call('VM exit', { reason: exit.reason, serial }, () => {
    vmExit(m, exit);
    const result = handle();
    m.point('unlock');
    enterGuest(m);
    return result;
  });
}

function enterGuest(m: Machine): void {
  vmEntry(m);
  m.point('entry');
}

function handlePageFault(m: Machine, fault: FaultRequest): FaultResult {
  return m.call('page_fault', { gva: fault.gva, errorCode: fault.errorCode }, () => {
    freeSomePages(m);
    const walked = walkAddr(m, fault);
    if (walked.kind === 'fault') return injectPageFault(m, fault.gva, walked.errorCode);
    const word = fetch(m, walked);
    const fixed =
      fault.access === 'write'
        ? fixWriteFault(m, { walk: walked, request: fault, word })
        : fixReadFault(m, { walk: walked, request: fault, word });
    if (fixed !== 'write-to-table') resetFlood(m);
    if (isMmio(spte(m.word(word)))) return emulateMmio(m, walked, fault);
    m.amendLastStep(() => {
      m.count('pf_fixed');
    });
    return fixed === 'write-to-table' ? emulateTableWrite(m, walked, fault) : { kind: 'resume' };
  });
}

function injectPageFault(m: Machine, gva: bigint, errorCode: number): FaultResult {
  m.call('inject_page_fault', { gva, errorCode }, () => {
    m.step('inject', { gva, errorCode });
    m.setReg('cr2', gva);
    m.count('injected');
    m.count('pf_guest');
    resetFlood(m);
  });
  return { kind: 'inject', errorCode };
}

/** `last_pt_write_count` = 0: a fault that is no table write ends a series of them. */
function resetFlood(m: Machine): void {
  m.step('flood-reset', { was: Number(m.reg('last_pt_write_count')) });
  m.setReg('last_pt_write_count', 0n);
}

function emulateTableWrite(m: Machine, walk: GuestWalk, fault: FaultRequest): FaultResult {
  const { value, bytes } = fault.store;
  const gpa = (BigInt(walk.gfn) << 12n) | (fault.gva & 0xfffn);
  m.call('emulate_instruction', { gva: fault.gva }, () => {
    m.step('emulate', { gva: fault.gva, gpa, value, bytes });
    m.count('emulated');
    const word = guestWord(m, walk.gfn, Number((gpa & 0xfffn) >> 3n));
    const after = mergeBytes(word === undefined ? 0n : m.word(word), {
      value,
      bytes,
      offset: Number(gpa & 7n),
    });
    pteWrite(m, { gpa, bytes, word: after });
    if (word === undefined) return;
    m.step('guest-copy', { gfn: walk.gfn, value: after, bytes });
    m.set('word', word, after);
  });
  return { kind: 'emulated', value: 0n };
}

/** An 8-byte word with `bytes` bytes of it replaced, from byte `offset` on (little-endian). */
export function mergeBytes(word: bigint, store: { value: bigint; bytes: number; offset: number }): bigint {
  const shift = BigInt(store.offset * 8);
  const mask = ((1n << BigInt(store.bytes * 8)) - 1n) << shift;
  return BigInt.asUintN(64, (word & ~mask) | ((store.value << shift) & mask));
}

/**
 * Device memory. The emulator runs the instruction up to the access, the vCPU leaves the kernel so that a device model
 * in user space answers, and for a read the emulator runs once more, to put the answer where it belongs: without
 * entering the guest in between. Reads of a device that nobody models give all ones.
 */
function emulateMmio(m: Machine, walk: GuestWalk, fault: FaultRequest): FaultResult {
  const gpa = (BigInt(walk.gfn) << 12n) | (fault.gva & 0xfffn);
  const write = fault.access === 'write';
  const { bytes } = fault.store;
  const value = write ? fault.store.value : (1n << BigInt(bytes * 8)) - 1n;
  m.call('emulate_instruction', { gva: fault.gva }, () => {
    m.step('emulate-mmio', { gpa, write });
    m.count('emulated');
  });
  inUserSpace(m, { gpa, write, value });
  if (write) return { kind: 'emulated', value };
  m.call('emulate_instruction', { gva: fault.gva }, () => {
    m.step('emulate-mmio-again', { gpa, value, bytes });
    m.count('emulated');
  });
  return { kind: 'emulated', value };
}

function inUserSpace(m: Machine, access: { gpa: bigint; write: boolean; value: bigint }): void {
  const { gpa, write, value } = access;
  const state = m.must('vcpu', m.vcpu);
  m.step('userspace-exit', { gpa, write });
  m.set('vcpu', m.vcpu, Object.freeze({ ...state, mode: 'user space' }));
  m.count('mmio_exits');
  m.step('device-answer', { gpa, value, write });
  m.set('vcpu', m.vcpu, state);
}

/** Bits that a guest of this machine may change. */
const CHANGEABLE: Readonly<Record<'cr0' | 'cr4' | 'efer', bigint>> = {
  cr0: CR0_WP,
  cr4: CR4_PGE | CR4_PSE,
  efer: EFER_NXE,
};
/** Bits 51:12 and the two cache-control bits. */
const CR3_VALID = PTE_ADDRESS | 0x18n;

function writeRegister(m: Machine, { register, value }: RegisterWrite): boolean {
  if (register === 'pkru' || register === 'pkrs' || register === 'ac') return false;
  const reason = register === 'efer' ? 'wrmsr' : (`mov-${register}` as const);
  return duringExit(m, { reason }, () =>
    m.call('set_register', { register }, () => {
      if (!registerValueFits(m, register, value)) return false;
      m.step('register-write', { register, value });
      m.setReg(register, value);
      if (register === 'cr3') pagingNewCr3(m, value);
      else resetContext(m);
      return true;
    }),
  );
}

function registerValueFits(m: Machine, register: 'cr0' | 'cr3' | 'cr4' | 'efer', value: bigint): boolean {
  if (register === 'cr3') {
    return (value & ~CR3_VALID) === 0n && pfnOfGfn(m.world, gfnOfAddress(value)) !== undefined;
  }
  return ((value ^ m.reg(register)) & ~CHANGEABLE[register]) === 0n;
}

/** Registers of a vCPU when a scenario begins: long mode, paging on, write protect on, NX on. */
const START_REGISTERS = {
  cr0: CR0_PG | CR0_WP | 1n,
  cr4: CR4_PAE | CR4_PGE,
  efer: EFER_NXE | 0x500n,
} as const;
