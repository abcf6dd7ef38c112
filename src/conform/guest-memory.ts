/** The guest's memory as its processor reaches it: through KVM's tables, with the exits that this takes. */
import type { FaultResult } from '../core/engine.ts';
import { kvmShadow, hardwareRegisters } from '../core/kvm-shadow/kvm-shadow.ts';
import { PFERR_PRESENT, PFERR_RSVD } from '../core/hardware/fault.ts';
import type { AccessKind } from '../core/hardware/registers.ts';
import { paeRootWord } from '../core/kvm-shadow/shadow-walk.ts';
import { walk } from '../core/hardware/walk.ts';
import type { Machine } from '../core/machine/machine.ts';
import type { Work } from '../core/machine/sections.ts';

export interface MemoryAccess {
  readonly kind: AccessKind;
  readonly gva: bigint;
  readonly bytes: number;
  readonly value: bigint;
  readonly user: boolean;
  /** Where the instruction stands. */
  readonly rip: bigint;
  /** The access belongs to an instruction, which the processor fetches again after each exit. */
  readonly ofInstruction: boolean;
  /** Compare and exchange: what the place has to hold for the value to be stored. */
  readonly compare?: bigint;
}

export type AccessEnd =
  | { readonly kind: 'done'; readonly value: bigint; readonly emulated: boolean }
  | { readonly kind: 'fault'; readonly errorCode: number };

/** Does a piece of work from the exit to the entry. */
export function work<R>({ before, body, after }: Work<R>): R {
  before?.();
  const result = body();
  after?.();
  return result;
}

const ACCESSED = 1n << 5n;
/** The processor under the recordings leaves out P where it tells of a reserved bit; real ones set it. */
const asRecorded = (errorCode: number): number =>
  (errorCode & PFERR_RSVD) === 0 ? errorCode : errorCode & ~PFERR_PRESENT;
/** Faults of one access in a row. */
const MOST_FAULTS = 32;

export class GuestMemory {
  private readonly m: Machine;
  private readonly vcpu: number;

  constructor(m: Machine, vcpu: number) {
    this.m = m;
    this.vcpu = vcpu;
  }

  /** Says where the instruction stands that is about to exit. */
  atInstruction(rip: bigint): void {
    const { m } = this;
    m.vcpu = this.vcpu;
    m.amendLastStep(() => {
      m.setReg('rip', rip);
    });
  }

  /**
   * One access. There is no TLB in between: the recorded processor's own is emptied by each exit, and what would be stale
   * in one is not in the recordings.
   */
  access(of: MemoryAccess): AccessEnd {
    const { m } = this;
    this.atInstruction(of.rip);
    for (let faults = 0; faults < MOST_FAULTS; faults += 1) {
      const found = walk(m, {
        gva: of.gva,
        access: of.kind,
        user: of.user,
        registers: hardwareRegisters(m),
      });
      this.markPdpte(of.gva);
      if (found.kind === 'ok') return { kind: 'done', value: this.touch(of, found.address), emulated: false };
      if (found.kind === 'not-canonical')
        throw new Error('assertion failed: recorded programs use canonical addresses');
      const result: FaultResult = work(
        kvmShadow.pageFault(m, {
          gva: of.gva,
          access: of.kind,
          user: of.user,
          errorCode: asRecorded(found.errorCode),
          store: { value: of.value, bytes: of.bytes },
          ...(of.compare === undefined ? {} : { compare: of.compare }),
        }),
      );
      if (result.kind === 'inject') return { kind: 'fault', errorCode: result.errorCode };
      if (result.kind === 'emulated') return { kind: 'done', value: result.value, emulated: true };
      if (of.ofInstruction && of.kind !== 'execute') this.fetchAgain(of);
    }
    throw new Error('assertion failed: an access ends');
  }

  private fetchAgain({ rip, user }: MemoryAccess): void {
    const fetch = { kind: 'execute', gva: rip, bytes: 1, value: 0n, user, rip, ofInstruction: true } as const;
    const end = this.access(fetch);
    if (end.kind === 'fault')
      throw new Error('assertion failed: an instruction that ran can be fetched again');
  }

  /**
   * The processor under the recordings walks the four PAE root entries like any table, and marks them accessed. Real
   * processors have no such mark there.
   */
  private markPdpte(gva: bigint): void {
    const { m } = this;
    if ((m.must('mmu', this.vcpu).rootRole & 0xf) > 3) return;
    const word = paeRootWord(this.vcpu, Number((gva >> 30n) & 3n));
    if (m.word(word) === 0n) return;
    m.amendLastStep(() => {
      m.set('word', word, m.word(word) | ACCESSED);
    });
  }

  private touch(of: MemoryAccess, address: bigint): bigint {
    const { m } = this;
    if (of.kind === 'write') {
      const old = this.get(address, of.bytes);
      const value = of.compare === undefined || of.compare === old ? of.value : old;
      m.step('data-write', { gva: of.gva, value, bytes: of.bytes });
      this.put(address, of.bytes, value);
      return value;
    }
    const value = this.get(address, of.bytes);
    if (of.kind === 'read') m.step('data-read', { gva: of.gva, value, bytes: of.bytes });
    return value;
  }

  private get(address: bigint, bytes: number): bigint {
    let value = 0n;
    for (let index = 0n; index < BigInt(bytes); index += 1n) {
      const at = address + index;
      value |= ((this.m.word(Number(at >> 3n)) >> ((at & 7n) * 8n)) & 0xffn) << (index * 8n);
    }
    return value;
  }

  private put(address: bigint, bytes: number, value: bigint): void {
    for (let index = 0n; index < BigInt(bytes); index += 1n) {
      const at = address + index;
      const shift = (at & 7n) * 8n;
      const word = Number(at >> 3n);
      const byte = (value >> (index * 8n)) & 0xffn;
      this.m.set('word', word, (this.m.word(word) & ~(0xffn << shift)) | (byte << shift));
    }
  }

  /** A byte of code that the processor has just fetched, without a further access. */
  peek(gva: bigint): number {
    return Number(this.look(gva, 1));
  }

  private look(gva: bigint, bytes: number): bigint {
    const { m } = this;
    m.vcpu = this.vcpu;
    return m.lookAside(() => {
      const found = walk(m, { gva, access: 'read', user: false, registers: hardwareRegisters(m) });
      return found.kind === 'ok' ? this.get(found.address, bytes) : 0n;
    });
  }
}
