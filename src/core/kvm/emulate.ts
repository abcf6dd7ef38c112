/**
 * What the hypervisor does in software for the guest: a store into a shadowed table, an access to device memory. The
 * emulator runs the instruction; a device model in user space answers for devices.
 */
import type { FaultRequest, FaultResult } from '../engine.ts';
import type { Machine } from '../machine/machine.ts';
import type { Gfn } from '../quantities.ts';
import { markPageDirty } from './dirty-log.ts';
import { traitsOf } from './era-2007.ts';
import { guestWord } from './memslots.ts';
import { pteWrite } from './pte-write.ts';

/** A store into a frame that is shadowed as a table: shadow first, then memory. */
export function emulateTableWrite(m: Machine, frame: Gfn, fault: FaultRequest): FaultResult {
  const { value, bytes } = fault.store;
  const gpa = (BigInt(frame) << 12n) | (fault.gva & 0xfffn);
  m.call('emulate_instruction', { gva: fault.gva }, () => {
    m.step('emulate', { gva: fault.gva, gpa, value, bytes });
    m.count('emulated');
    const word = guestWord(m, frame, Number((gpa & 0xfffn) >> 3n));
    const after = mergeBytes(word === undefined ? 0n : m.word(word), {
      value,
      bytes,
      offset: Number(gpa & 7n),
    });
    pteWrite(m, { gpa, bytes, word: after });
    if (word === undefined) return;
    m.step('guest-copy', { gfn: frame, value: after, bytes });
    m.set('word', word, after);
    markPageDirty(m, frame);
  });
  return { kind: 'emulated', value: 0n };
}

/** An 8-byte word with `bytes` bytes of it replaced, from byte `offset` on (little-endian). */
export function mergeBytes(word: bigint, store: { value: bigint; bytes: number; offset: number }): bigint {
  const shift = BigInt(store.offset * 8);
  const mask = ((1n << BigInt(store.bytes * 8)) - 1n) << shift;
  return BigInt.asUintN(64, (word & ~mask) | ((store.value << shift) & mask));
}

/** The device model has answered, and the guest is to fault once more so that the emulator takes the answer (2006). */
const ANSWERED = 'mmio_answered';

/**
 * Device memory. The emulator runs the instruction up to the access, the vCPU leaves the kernel so that a device model
 * in user space answers, and for a read the emulator runs once more, to put the answer where it belongs: at once, or in
 * the first eras after the guest was entered and has faulted again. Reads of a device that nobody models give all ones.
 */
export function emulateMmio(m: Machine, frame: Gfn, fault: FaultRequest): FaultResult {
  const gpa = (BigInt(frame) << 12n) | (fault.gva & 0xfffn);
  const write = fault.access === 'write';
  const { bytes } = fault.store;
  const value = write ? fault.store.value : (1n << BigInt(bytes * 8)) - 1n;
  if (m.reg(ANSWERED) !== 0n) return takeAnswer(m, { gva: fault.gva, gpa, value, bytes });
  m.call('emulate_instruction', { gva: fault.gva }, () => {
    m.step('emulate-mmio', { gpa, write });
    m.count('emulated');
  });
  inUserSpace(m, { gpa, write, value });
  if (write) return { kind: 'emulated', value };
  if (traitsOf(m.settings).deviceReadFaultsTwice) {
    m.amendLastStep(() => {
      m.setReg(ANSWERED, 1n);
    });
    return { kind: 'resume' };
  }
  return takeAnswer(m, { gva: fault.gva, gpa, value, bytes });
}

function takeAnswer(
  m: Machine,
  read: { gva: bigint; gpa: bigint; value: bigint; bytes: number },
): FaultResult {
  const { gva, gpa, value, bytes } = read;
  m.call('emulate_instruction', { gva }, () => {
    m.step('emulate-mmio-again', { gpa, value, bytes });
    m.count('emulated');
    if (m.reg(ANSWERED) !== 0n) m.setReg(ANSWERED, 0n);
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
