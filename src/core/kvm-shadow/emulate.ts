/**
 * The emulator: an instruction that the hardware could not finish is run in software. A store into a shadowed table goes
 * to memory first, then to the shadow; an access to a device goes to user space. Source: the reference, D.2, D.8, F.3.
 */
import type { FaultRequest, FaultResult } from '../engine.ts';
import type { Machine } from '../machine/machine.ts';
import { walkAddr } from './guest-walk.ts';
import { wordOfGpa } from './host-memory.ts';
import { inject } from './inject.ts';
import { matchesGpa, matchesGva } from './mmio-entry.ts';
import { PFERR, permissionFault } from './permissions.ts';
import { trackWrite } from './track-write.ts';
import { markDirty } from './vm.ts';

const isPaging = (m: Machine): boolean => (m.must('mmu', m.vcpu).cpuRole.base & 0xf) !== 0;

/**
 * The emulator reads the instruction by the guest's tables, where the scenario says at which address it stands (`rip`).
 */
export function fetchInstruction(m: Machine, user: boolean): void {
  const rip = m.reg('rip');
  if (rip === 0n || !isPaging(m)) return;
  walkAddr(m, { gva: rip, code: PFERR.fetch | (user ? PFERR.user : 0) });
}

/** `x86_emulate_instruction`. */
export function emulate(m: Machine, fault: FaultRequest): FaultResult {
  return m.call('x86_emulate_instruction', { gva: fault.gva }, () => {
    fetchInstruction(m, fault.user);
    m.step('emulate-begin', { gva: fault.gva });
    m.count('emulated');
    m.count('insn_emulation');
    if (fault.compare === undefined) return access(m, fault, fault.access === 'write');
    const read = access(m, fault, false);
    if (read.kind !== 'emulated') return read;
    // Where the comparison fails, what was read is written back.
    const value = read.value === fault.compare ? fault.store.value : read.value;
    return access(m, { ...fault, store: { ...fault.store, value } }, true);
  });
}

/** One access of the emulator: memory, or a device. */
function access(m: Machine, fault: FaultRequest, write: boolean): FaultResult {
  const code = (write ? PFERR.write : 0) | (fault.user ? PFERR.user : 0);
  const found = locate(m, { gva: fault.gva, code });
  if (found.kind === 'fault') return inject(m, { gva: fault.gva, errorCode: found.errorCode });
  const { value, bytes } = fault.store;
  if (!found.device) {
    const done = write ? store(m, { gpa: found.gpa, value, bytes }) : load(m, { gpa: found.gpa, bytes });
    if (done !== undefined) return { kind: 'emulated', value: done };
  }
  return inUserSpace(m, { gpa: found.gpa, write, value, bytes });
}

type Located =
  | { readonly kind: 'at'; readonly gpa: bigint; readonly device: boolean }
  | { readonly kind: 'fault'; readonly errorCode: number };

/** `vcpu_mmio_gva_to_gpa`: what is remembered of the last device access, else a walk of the guest's tables. */
function locate(m: Machine, of: { gva: bigint; code: number }): Located {
  const write = (of.code & PFERR.write) !== 0;
  const known = m.get('mmio', m.vcpu);
  if (isPaging(m) || matchesGva(m, of.gva)) {
    const { permissions } = m.must('mmu', m.vcpu);
    const allowed =
      !isPaging(m) ||
      permissionFault(permissions, { access: known?.access ?? 0, code: of.code, smapOff: false }) === 0;
    if (matchesGva(m, of.gva) && known !== undefined && allowed) {
      const gpa = (BigInt(known.gfn) << 12n) | (of.gva & 0xfffn);
      m.step('mmio-match', { gva: of.gva, gpa, write });
      return { kind: 'at', gpa, device: true };
    }
  }
  const walked = isPaging(m) ? walkAddr(m, of) : undefined;
  if (walked?.kind === 'fault') return walked;
  const gpa = walked === undefined ? of.gva & 0xffff_ffffn : (BigInt(walked.gfn) << 12n) | (of.gva & 0xfffn);
  const device = matchesGpa(m, gpa);
  if (device) m.step('mmio-match', { gva: of.gva, gpa, write });
  return { kind: 'at', gpa, device };
}

/** `emulator_write_phys`: memory first. Undefined where nothing may be written. */
function store(m: Machine, of: { gpa: bigint; value: bigint; bytes: number }): bigint | undefined {
  const word = wordOfGpa(m, of.gpa, { write: true });
  if (word === undefined) return undefined;
  m.step('emulate-store', of);
  const shift = (of.gpa & 7n) * 8n;
  const mask = ((1n << BigInt(of.bytes * 8)) - 1n) << shift;
  m.set('word', word, (m.word(word) & ~mask) | ((of.value << shift) & mask));
  markDirty(m, Number(of.gpa >> 12n));
  trackWrite(m, of);
  return of.value;
}

function load(m: Machine, of: { gpa: bigint; bytes: number }): bigint | undefined {
  const word = wordOfGpa(m, of.gpa, { write: false });
  if (word === undefined) return undefined;
  const value = (m.word(word) >> ((of.gpa & 7n) * 8n)) & ((1n << BigInt(of.bytes * 8)) - 1n);
  m.step('emulate-load', { ...of, value }, [word]);
  return value;
}

/** What a device that nobody models answers, unless the scenario says otherwise: all ones. */
function answerOf(m: Machine, bytes: number): bigint {
  const mask = (1n << BigInt(bytes * 8)) - 1n;
  return (m.reg('device') === 0n ? mask : m.reg('device')) & mask;
}

function inUserSpace(
  m: Machine,
  of: { gpa: bigint; write: boolean; value: bigint; bytes: number },
): FaultResult {
  const { gpa, write } = of;
  const value = write ? of.value : answerOf(m, of.bytes);
  const state = m.must('vcpu', m.vcpu);
  m.step('userspace-exit', { gpa, write });
  m.set('vcpu', m.vcpu, Object.freeze({ ...state, mode: 'user space' }));
  m.count('mmio_exits');
  m.step('device-access', { gpa, value, bytes: of.bytes, write });
  m.set('vcpu', m.vcpu, state);
  return { kind: 'emulated', value };
}
