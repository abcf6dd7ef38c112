/**
 * The processor of a recorded guest program, as far as those programs use it: some thirty instructions, interrupt gates
 * and IRET. Every access to memory goes through the machine's engine, so that the engine sees what the recorded kernel
 * saw, in its order: fetches, stacks and descriptor tables included. Source: Intel SDM vol. 2 and 3.
 */
import { assert } from '../core/assert.ts';
import type { AccessKind } from '../core/hardware/registers.ts';
import type { GuestMemory } from './guest-memory.ts';

/** What the program asks of the world outside. */
export interface Outside {
  /** A port is written: the recorder's markers. Gives false where the vCPU has to stop there. */
  out(port: number, value: number): boolean;
  /** The guest has taken a page fault. */
  pageFault(of: { cr2: bigint; errorCode: number; rip: bigint }): void;
  setControl(register: 'cr0' | 'cr3' | 'cr4', value: bigint): void;
  invlpg(gva: bigint): void;
  /** Goes round in a loop that only another vCPU can end. */
  spins(): boolean;
}

export interface CpuStart {
  /** 64-bit code, else 32-bit. */
  readonly long: boolean;
  readonly rip: bigint;
  readonly rsp: bigint;
  /** Addresses of the descriptor tables and of the task state segment. */
  readonly gdt: bigint;
  readonly idt: bigint;
  readonly tss: bigint;
}

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const VECTOR_PF = 14;
const FLAG_ZERO = 1n << 6n;

/** A page fault that goes to the guest: the instruction begins anew, or the handler skips it. */
class GuestFault extends Error {
  readonly cr2: bigint;
  readonly errorCode: number;
  constructor(cr2: bigint, errorCode: number) {
    super('a fault for the guest');
    this.cr2 = cr2;
    this.errorCode = errorCode;
  }
}

export class GuestCpu {
  readonly regs: bigint[] = Array.from({ length: 16 }, () => 0n);
  rip: bigint;
  cpl = 0;
  private flags = 2n;
  private cr2 = 0n;
  private readonly start: CpuStart;
  private readonly memory: GuestMemory;
  private readonly outside: Outside;
  /** Bytes of the instruction that is being read, and how many of them were. */
  private at = 0n;
  /** Whether KVM's emulator did the last access, and with it the whole instruction. */
  private emulated = false;
  /** A fault is being delivered, which no instruction stands for. */
  private delivering = false;

  constructor(start: CpuStart, memory: GuestMemory, outside: Outside) {
    this.start = start;
    this.memory = memory;
    this.outside = outside;
    this.rip = start.rip;
    this.regs[RSP] = start.rsp;
  }

  /** Runs until a marker says stop, or the vCPU waits for another. */
  run(): void {
    for (let count = 0; count < LONGEST_RUN; count += 1) {
      if (!this.step()) return;
    }
    throw new Error('assertion failed: a guest program comes to its next marker');
  }

  private step(): boolean {
    const before = { rip: this.rip, rsp: this.reg(RSP) };
    try {
      return this.execute();
    } catch (error) {
      if (!(error instanceof GuestFault)) throw error;
      this.rip = before.rip;
      this.regs[RSP] = before.rsp;
      this.cr2 = error.cr2;
      this.outside.pageFault({ cr2: error.cr2, errorCode: error.errorCode, rip: before.rip });
      this.delivering = true;
      this.interrupt(VECTOR_PF, BigInt(error.errorCode));
      this.delivering = false;
      return true;
    }
  }

  private reg(index: number): bigint {
    return this.regs[index] ?? 0n;
  }

  private get width(): 4 | 8 {
    return this.start.long ? 8 : 4;
  }

  private access(
    kind: AccessKind,
    of: { gva: bigint; bytes: number; value?: bigint; system?: boolean; compare?: bigint },
  ): bigint {
    const address = this.start.long ? of.gva : of.gva & 0xffff_ffffn;
    const user = this.cpl === 3 && of.system !== true;
    const result = this.memory.access({
      kind,
      gva: address,
      bytes: of.bytes,
      value: of.value ?? 0n,
      user,
      rip: this.at,
      ofInstruction: !this.delivering,
      ...(of.compare === undefined ? {} : { compare: of.compare }),
    });
    if (result.kind === 'fault') throw new GuestFault(address, result.errorCode);
    this.emulated = result.emulated;
    return result.value;
  }

  private load(gva: bigint, bytes: number): bigint {
    return this.access('read', { gva, bytes });
  }

  private store(gva: bigint, bytes: number, value: bigint): void {
    this.access('write', { gva, bytes, value });
  }

  /** The next byte of the instruction. The first of each page is what the processor fetches. */
  private byte(): number {
    if (this.rip === this.at || (this.rip & 0xfffn) === 0n)
      this.access('execute', { gva: this.rip, bytes: 1 });
    const value = this.memory.peek(this.rip);
    this.rip += 1n;
    return value;
  }

  private imm(bytes: number): bigint {
    let value = 0n;
    for (let index = 0; index < bytes; index += 1) value |= BigInt(this.byte()) << BigInt(8 * index);
    return value;
  }

  private push(value: bigint): void {
    const rsp = this.reg(RSP) - BigInt(this.width);
    this.store(rsp, this.width, value);
    this.regs[RSP] = rsp;
  }

  private pop(): bigint {
    const value = this.load(this.reg(RSP), this.width);
    this.regs[RSP] = this.reg(RSP) + BigInt(this.width);
    return value;
  }

  /** Reads and runs one instruction; false where the vCPU stops after it. */
  private execute(): boolean {
    this.at = this.rip;
    const prefix = { operand16: false, wide: false };
    let opcode = this.byte();
    if (opcode === 0xf3) opcode = this.byte();
    if (opcode === 0x66) {
      prefix.operand16 = true;
      opcode = this.byte();
    }
    if (this.start.long && (opcode & 0xf0) === 0x40) {
      prefix.wide = (opcode & 8) !== 0;
      opcode = this.byte();
    }
    const bytes = prefix.wide ? 8 : prefix.operand16 ? 2 : 4;
    if (opcode >= 0xb8 && opcode <= 0xbf) {
      this.setReg(opcode & 7, bytes, this.imm(bytes));
      return true;
    }
    if (opcode >= 0xb0 && opcode <= 0xb7) {
      this.setReg(opcode & 7, 1, this.imm(1));
      return true;
    }
    if (opcode >= 0x50 && opcode <= 0x57) {
      this.push(this.reg(opcode & 7));
      return true;
    }
    if (opcode >= 0x58 && opcode <= 0x5f) {
      this.regs[opcode & 7] = this.pop();
      return true;
    }
    return this.other(opcode, bytes);
  }

  private setReg(index: number, bytes: number, value: bigint): void {
    if (bytes >= 4) this.regs[index] = value & mask(bytes);
    else this.regs[index] = (this.reg(index) & ~mask(bytes)) | (value & mask(bytes));
  }

  /** The operand of a ModRM byte: a register, or an address. */
  private modrm(): { reg: number; rm: number | undefined; address: bigint } {
    const byte = this.byte();
    const [mod, reg, rm] = [byte >> 6, (byte >> 3) & 7, byte & 7];
    if (mod === 3) return { reg, rm, address: 0n };
    if (rm === 4) {
      const sib = this.byte();
      assert(sib === 0x24, 'only [rsp] is addressed by a second byte');
    }
    const base = this.reg(rm);
    const offset =
      mod === 1 ? BigInt.asIntN(8, this.imm(1)) : mod === 2 ? BigInt.asIntN(32, this.imm(4)) : 0n;
    return { reg, rm: undefined, address: base + offset };
  }

  private other(opcode: number, bytes: number): boolean {
    switch (opcode) {
      case 0x0f:
        return this.twoByte();
      case 0x8a: {
        const { reg, address } = this.modrm();
        this.setReg(reg, 1, this.load(address, 1));
        return true;
      }
      case 0x88: {
        const { reg, address } = this.modrm();
        this.store(address, 1, this.reg(reg) & 0xffn);
        return true;
      }
      case 0x8b: {
        const { reg, rm, address } = this.modrm();
        this.setReg(reg, bytes, rm === undefined ? this.load(address, bytes) : this.reg(rm));
        return true;
      }
      case 0x89: {
        const { reg, rm, address } = this.modrm();
        if (rm === undefined) this.store(address, bytes, this.reg(reg) & mask(bytes));
        else this.setReg(rm, bytes, this.reg(reg));
        return true;
      }
      case 0x6a:
        this.push(BigInt.asUintN(this.width * 8, BigInt.asIntN(8, this.imm(1))));
        return true;
      case 0x68:
        this.push(BigInt.asUintN(this.width * 8, BigInt.asIntN(32, this.imm(4))));
        return true;
      case 0xe6:
      case 0xe7:
        return this.outside.out(Number(this.imm(1)), Number(this.reg(RAX) & 0xffff_ffffn));
      case 0xff: {
        const { reg, rm, address } = this.modrm();
        const target = rm === undefined ? this.load(address, this.width) : this.reg(rm);
        if (reg === 2) this.push(this.rip);
        else assert(reg === 4, 'only jumps and calls');
        this.rip = target;
        return true;
      }
      case 0xc3:
        this.rip = this.pop();
        return true;
      case 0xc2: {
        const extra = this.imm(2);
        this.rip = this.pop();
        this.regs[RSP] = this.reg(RSP) + extra;
        return true;
      }
      case 0x90:
        return true;
      default:
        return this.control(opcode, bytes);
    }
  }

  private control(opcode: number, bytes: number): boolean {
    switch (opcode) {
      case 0xcd: {
        const vector = Number(this.imm(1));
        this.interrupt(vector);
        return true;
      }
      case 0xcf:
        this.iret();
        return true;
      case 0xeb: {
        const offset = BigInt.asIntN(8, this.imm(1));
        this.rip += offset;
        return true;
      }
      case 0x74:
      case 0x75: {
        const offset = BigInt.asIntN(8, this.imm(1));
        if (((this.flags & FLAG_ZERO) !== 0n) === (opcode === 0x74)) this.rip += offset;
        return offset >= 0n || (this.flags & FLAG_ZERO) !== 0n || !this.outside.spins();
      }
      case 0x81:
      case 0x83: {
        const { reg, rm, address } = this.modrm();
        assert(reg === 7, 'only CMP');
        const imm = opcode === 0x83 ? BigInt.asIntN(8, this.imm(1)) : BigInt.asIntN(32, this.imm(4));
        const value = rm === undefined ? this.load(address, bytes) : this.reg(rm);
        this.compare(value, imm, bytes);
        return true;
      }
      case 0x39:
      case 0x3b: {
        const { reg, rm, address } = this.modrm();
        const other = rm === undefined ? this.load(address, bytes) : this.reg(rm);
        this.compare(other, this.reg(reg), bytes);
        return true;
      }
      default:
        throw new Error(
          `assertion failed: an instruction of a recorded program is known: ${opcode.toString(16)} at ${this.at.toString(16)}`,
        );
    }
  }

  private compare(left: bigint, right: bigint, bytes: number): void {
    const equal = (left & mask(bytes)) === (right & mask(bytes));
    this.flags = equal ? this.flags | FLAG_ZERO : this.flags & ~FLAG_ZERO;
  }

  private twoByte(): boolean {
    const opcode = this.byte();
    switch (opcode) {
      case 0x20: {
        const { reg, rm } = this.modrm();
        assert(reg === 2 && rm !== undefined, 'only CR2 is read');
        this.regs[rm] = this.cr2;
        return true;
      }
      case 0x22: {
        const { reg, rm = 0 } = this.modrm();
        const register = reg === 0 ? 'cr0' : reg === 3 ? 'cr3' : 'cr4';
        this.memory.atInstruction(this.at);
        this.outside.setControl(register, this.reg(rm));
        return true;
      }
      case 0x01: {
        const { address } = this.modrm();
        this.memory.atInstruction(this.at);
        this.outside.invlpg(address);
        return true;
      }
      case 0xc7: {
        const { reg, address } = this.modrm();
        assert(reg === 1, 'only CMPXCHG8B');
        this.compareExchange(address);
        return true;
      }
      default:
        throw new Error(
          `assertion failed: an instruction of a recorded program is known: 0f ${opcode.toString(16)}`,
        );
    }
  }

  /** CMPXCHG8B: EDX:EAX is what the program read before, ECX:EBX what it stores. Read first, and then always written. */
  private compareExchange(address: bigint): void {
    const value = ((this.reg(RCX) & 0xffff_ffffn) << 32n) | (this.reg(RBX) & 0xffff_ffffn);
    const compare = ((this.reg(RDX) & 0xffff_ffffn) << 32n) | (this.reg(RAX) & 0xffff_ffffn);
    this.access('read', { gva: address, bytes: 8, value, compare });
    if (!this.emulated) this.access('write', { gva: address, bytes: 8, value, compare });
  }

  /** Delivery through an interrupt gate. Descriptors are read by the processor itself, as the kernel would. */
  private interrupt(vector: number, errorCode?: bigint): void {
    const { long, idt, gdt, tss } = this.start;
    const system = (gva: bigint, bytes: number): bigint => this.access('read', { gva, bytes, system: true });
    const gate = idt + BigInt(vector * (long ? 16 : 8));
    const low = system(gate, 8);
    const target =
      (low & 0xffffn) |
      ((low >> 32n) & 0xffff_0000n) |
      (long ? (system(gate + 8n, 4) & 0xffff_ffffn) << 32n : 0n);
    const selector = (low >> 16n) & 0xffffn;
    system(gdt + (selector & ~7n), 8);
    const outer = this.cpl === 3;
    const [oldRsp, oldCs] = [this.reg(RSP), outer ? (long ? 0x23n : 0x1bn) : selector];
    if (outer) this.regs[RSP] = long ? system(tss + 4n, 8) : system(tss + 4n, 4) & 0xffff_ffffn;
    else if (long) this.regs[RSP] = oldRsp & ~0xfn;
    if (outer && !long) system(gdt + 0x10n, 8);
    this.cpl = 0;
    if (long || outer) {
      this.push(outer ? 0x1bn : 0x10n);
      this.push(oldRsp);
    }
    this.push(this.flags);
    this.push(outer ? oldCs | 3n : selector);
    this.push(this.rip);
    if (errorCode !== undefined) this.push(errorCode);
    this.rip = target;
  }

  private iret(): void {
    const { long, gdt } = this.start;
    const rip = this.pop();
    const selector = this.pop();
    this.flags = this.pop();
    this.access('read', { gva: gdt + (selector & ~7n), bytes: 8, system: true });
    const outer = (selector & 3n) === 3n;
    if (long || outer) {
      const rsp = this.pop();
      const ss = this.pop();
      if (outer) this.access('read', { gva: gdt + (ss & ~7n), bytes: 8, system: true });
      this.regs[RSP] = rsp;
    }
    if (outer) this.cpl = 3;
    this.rip = rip;
  }
}

const mask = (bytes: number): bigint => (1n << BigInt(bytes * 8)) - 1n;
/** Instructions between two markers. */
const LONGEST_RUN = 10_000;
