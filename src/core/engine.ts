/** What every machine offers to the operations of a scenario, so that one scenario runs under any that fits. */
import type { Pfn } from './quantities.ts';
import type { AccessRequest } from './hardware/fault.ts';
import type { StageFault } from './hardware/second-stage.ts';
import type { Translation } from './hardware/tlb.ts';
import type { Settings } from './settings.ts';
import type { Machine } from './machine/machine.ts';
import type { Waits, Work } from './machine/sections.ts';
import type {
  DirtyFrames,
  FlipOperation,
  HostEntryOperation,
  HostMemoryOperation,
  InvalidateOperation,
  LogOperation,
  SlotOperation,
} from './operations/operation.ts';

export interface Translated extends AccessRequest {
  readonly gva: bigint;
}

/** An access that has come to its data. */
export interface Reached extends Translated {
  /** Host frame that it reached. */
  readonly pfn: Pfn;
}

export interface FaultRequest extends Translated {
  /** As the hardware reported it. */
  readonly errorCode: number;
  /** What the faulting instruction stores, should it have to be emulated. */
  readonly store: { readonly value: bigint; readonly bytes: number };
  /** Compare and exchange: what the place has to hold for the value to be stored. The emulator reads it first. */
  readonly compare?: bigint;
}

export type FaultResult =
  /**
   * The guest tries the same instruction again. `waits`: while it is true the guest would only come back with the same
   * fault, over and over, because somebody else is in the middle of something.
   */
  | { readonly kind: 'resume'; readonly waits?: Waits }
  /** The hypervisor ran the instruction; `value` is what a read got. */
  | { readonly kind: 'emulated'; readonly value: bigint }
  /** The fault belongs to the guest. */
  | { readonly kind: 'inject'; readonly errorCode: number }
  /** Nobody mends it: the access never completes. */
  | { readonly kind: 'unmended' };

export type ControlRegisterName = 'cr0' | 'cr3' | 'cr4' | 'efer' | 'pkru' | 'pkrs' | 'ac';

export interface RegisterWrite {
  readonly register: ControlRegisterName;
  readonly value: bigint;
  /** CR3: the identifier of the address space stays apart from `value` on arm64. */
  readonly pcid?: number;
  /** CR3: bit 63 of the value, by which cached translations stay. */
  readonly keep?: true;
}

/** A piece of a longer piece of work. */
export interface Phase {
  readonly waits?: Waits;
  readonly body: () => void;
}

export interface Engine {
  /** Control registers when a scenario begins, by the machine's names for them, without CR3. */
  readonly startRegisters: (settings: Settings) => Readonly<Record<string, bigint>>;
  /** Creates what the machine needs and enters the guest. Registers and memory are set already. */
  start(m: Machine): void;
  /** TLB, then a walk, as the processor does it for an access of the guest. */
  translate(m: Machine, request: Translated): Translation;
  /** A page fault that the processor has raised. */
  pageFault(m: Machine, fault: FaultRequest): Work<FaultResult>;
  /** A fault of the second stage. */
  hostFault(m: Machine, fault: StageFault): Work<FaultResult>;
  /** Bytes that the guest finds at a host address: none where no memory is. */
  backs(m: Machine, address: bigint): boolean;
  /** Address in the space that the guest calls physical, or host physical under a second stage: what an access reached. */
  physical(m: Machine, address: bigint): bigint;
  /** From VM exit to VM entry, where there is an exit; false when the guest gets #GP instead. */
  writeRegister(m: Machine, write: RegisterWrite): Work<boolean>;
  /** The guest invalidates one address. */
  invlpg(m: Machine, gva: bigint): void;
  /** Any other invalidation, by the guest or the hypervisor. */
  invalidate(m: Machine, operation: InvalidateOperation): void;
  /** The hypervisor changes an entry of its own tables. */
  setHostEntry(m: Machine, operation: HostEntryOperation): void;
  /** The word of the entry that a bit flip is aimed at, where the tables reach so far. */
  flipped(m: Machine, operation: FlipOperation): number | undefined;
  /** The same for a bit of a register: its name and place among the machine's, where the machine has it. */
  flippedRegister(
    m: Machine,
    operation: Extract<FlipOperation, { place: 'register' }>,
  ): { readonly name: string; readonly bit: number } | undefined;
  /** User space begins or ends logging which frames of a slot are written. */
  setLogging(m: Machine, slot: number, on: boolean): Work<void>;
  /** User space fetches the log of a slot. */
  fetchLog(m: Machine, slot: number): Work<DirtyFrames>;
  /** User space has dealt with frames of the log, and wants to hear of the next write to them. */
  clearLog(m: Machine, operation: LogOperation): Work<void>;
  /** The host takes pages from the process that runs the guest, changes their rights, or puts others in their place. */
  changeMemory(m: Machine, operation: HostMemoryOperation): void;
  /** User space adds or deletes a memory slot: pieces of work, each of which may have to wait for others. */
  changeSlot(m: Machine, operation: SlotOperation): readonly Phase[];
  /** An exit that changes nothing in the MMU; on machines that have it, the way into System Management Mode and back. */
  trivialExit(m: Machine, reason: 'cpuid' | 'smi' | 'rsm'): Work<void>;
  /**
   * Whether this takes the hypervisor's lock in the middle of what it does, so that it has to wait while another holds it:
   * an entry into the guest, an INVLPG, what a thread of the host does. Absent where the lock belongs to whole sections.
   */
  takesLock?(m: Machine, what: 'entry' | 'invlpg' | 'host'): boolean;
  /** Enters the guest, where the vCPU is not in it: before whatever the guest does. */
  enter(m: Machine): void;
  /** The vCPU stops running the guest until it next does something: it halts, or its program in user space has work. */
  leave(m: Machine, how: 'halt' | 'user-space'): void;
  /** The hypervisor flushes the TLBs of all vCPUs, from a thread of the host. */
  flushAll(m: Machine): void;
  /** Judges an access inside its own step, where tables of a hypervisor's making are not judged altogether. */
  judgeAccess?(m: Machine, access: Reached): void;
  /** Whether there are tables of a hypervisor's own making to be judged: by the audit, and access by access. */
  readonly judged: boolean;
}
