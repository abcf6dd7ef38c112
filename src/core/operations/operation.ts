/**
 * What a scenario can ask a machine to do: the vocabulary that stands between a scenario's text and the model.
 * A program holds inputs only: guest memory, slots, address spaces, and operations.
 */
import type { Gfn, Gva, VcpuId } from '../quantities.ts';
import type { PreemptionPoint } from '../machine/preemption.ts';
import type { InvalidationName } from '../hardware/invalidations.ts';
import type { OutsideRegister } from '../hardware/outside-registers.ts';
import type { HostRights } from '../machine/tables.ts';
import type { Settings } from '../settings.ts';

export type AccessKind = 'read' | 'write' | 'execute';
export type Privilege = 'user' | 'kernel';
export type ControlRegister = 'cr0' | 'cr4' | 'efer';
/** Registers that only some machines have, by name: PKRU, IA32_PKRS, and EFLAGS.AC as 0 or 1. */
export type ExtraRegister = 'pkru' | 'pkrs' | 'ac';

/** One memory access by the guest. `value` is what a write stores, in `bytes` bytes. */
export interface AccessOperation {
  readonly kind: 'access';
  readonly vcpu: VcpuId;
  readonly privilege: Privilege;
  readonly access: AccessKind;
  readonly gva: Gva;
  readonly bytes: 1 | 2 | 4 | 8;
  readonly value: bigint;
  /** What the guest's own page-fault handler does; without one, a faulting access is skipped. */
  readonly onFault?: Handler;
  /** Set when the store is meant as a change of a guest's entry (`set-pte`): the address that it maps, for the reader. */
  readonly setsEntryOf?: Gva;
}

export interface Handler {
  readonly operations: readonly PlannedOperation[];
  readonly then: 'retry' | 'skip';
}

export type Operation =
  | AccessOperation
  | { readonly kind: 'invlpg'; readonly vcpu: VcpuId; readonly gva: Gva }
  | {
      readonly kind: 'load-cr3';
      readonly vcpu: VcpuId;
      readonly root: Gfn;
      /** Bits 11:0 of the value: the identifier of the address space, where CR4.PCIDE is set. */
      readonly pcid?: number;
      /** Bit 63 of the value: cached translations of that address space stay. */
      readonly keep?: true;
    }
  | InvalidateOperation
  | HostEntryOperation
  | {
      readonly kind: 'set-register';
      readonly vcpu: VcpuId;
      readonly register: ControlRegister | ExtraRegister | 'cr3';
      /** The bits to change and what they become. */
      readonly mask: bigint;
      readonly value: bigint;
    }
  | { readonly kind: 'cpuid'; readonly vcpu: VcpuId }
  /** The vCPU enters System Management Mode, or leaves it. */
  | { readonly kind: 'smi' | 'rsm'; readonly vcpu: VcpuId }
  /** The vCPU stops running the guest: it halts, or its program in user space has work to do. */
  | { readonly kind: 'leave'; readonly vcpu: VcpuId; readonly how: 'halt' | 'user-space' }
  /** It runs the guest again. Any other operation of it does so first, too. */
  | { readonly kind: 'enter'; readonly vcpu: VcpuId }
  /** A thread of the host has the TLBs of all vCPUs flushed. */
  | { readonly kind: 'flush-all'; readonly vcpu: VcpuId }
  | LogOperation
  | HostMemoryOperation
  | SlotOperation
  | FlipOperation;

/** Frames of a slot that were written since user space last fetched its log, in rising order. */
export type DirtyFrames = readonly Gfn[];

/** User space begins or ends the dirty log of a slot, or fetches what it says. */
export interface LogOperation {
  readonly kind: 'log';
  /** The thread of this vCPU asks. */
  readonly vcpu: VcpuId;
  /** Slots are counted from 0, in the order of the text. */
  readonly slot: number;
  readonly does: 'begin' | 'end' | 'fetch' | 'clear';
  /** `clear`: the frames that user space has dealt with, first and number; without them, the whole slot. */
  readonly frames?: { readonly first: Gfn; readonly count: number };
}

/** What the host does to pages of the process that runs the guest; a thread of its own does it, not a vCPU's. */
export interface HostMemoryOperation {
  readonly kind: 'host-memory';
  readonly vcpu: VcpuId;
  readonly does: HostMemoryChange;
  /** Page number in the process. */
  readonly hva: number;
  readonly pages: number;
}

export const HOST_MEMORY_CHANGES = [
  'unmap',
  'swap-out',
  'write-protect',
  'make-writable',
  'collapse',
] as const;
export type HostMemoryChange = (typeof HOST_MEMORY_CHANGES)[number];

/** User space adds a memory slot to the running guest, or takes one away; a thread of its own does it. */
export interface SlotOperation {
  readonly kind: 'slot';
  readonly vcpu: VcpuId;
  readonly slot: number;
  /** What is added; absent where the slot goes. */
  readonly adds?: Slot;
}

/** An instruction that invalidates cached translations; see hardware/invalidate for what each does. */
export interface InvalidateOperation {
  readonly kind: 'invalidate';
  readonly vcpu: VcpuId;
  readonly name: InvalidationName;
  readonly address: bigint;
  readonly tag: number;
}

/** The hypervisor of a `two-stage` machine changes an entry of its tables, and flushes nothing. */
export interface HostEntryOperation {
  readonly kind: 'set-host-entry';
  readonly vcpu: VcpuId;
  /** Guest physical address that the entry serves. */
  readonly gpa: bigint;
  /** As the host's format counts levels: x86 1 = PT, arm64 3 = pages. */
  readonly level: number;
  readonly change: HostEntryChange;
}

export type HostEntryChange =
  | { readonly kind: 'absent' }
  /** A page of the level's size at this host frame, with these rights. */
  | { readonly kind: 'page'; readonly frame: number; readonly rights: HostRights }
  | { readonly kind: 'raw'; readonly value: bigint };

/**
 * One bit of memory or of a register changes, and neither the guest nor its hypervisor did it or hears of it: a device
 * that writes where it should not, a debugger, a fault of the memory.
 */
export type FlipOperation = {
  readonly kind: 'flip';
  readonly vcpu: VcpuId;
  /** 0..63. */
  readonly bit: number;
} & (
  | { readonly place: 'guest'; readonly gfn: Gfn; readonly index: number }
  | { readonly place: 'shadow'; readonly gva: Gva; readonly level: number }
  /** The entry of `level` of the second stage that serves a guest physical address. */
  | { readonly place: 'host'; readonly gpa: bigint; readonly level: number }
  | { readonly place: 'register'; readonly register: OutsideRegister }
);

/** What other vCPUs do in the middle of an operation, at a named point of the machine's work. */
export interface Meanwhile {
  readonly point: PreemptionPoint;
  /** From 1: at which of the times that the operation comes there. */
  readonly visit: number;
  readonly operations: readonly PlannedOperation[];
}

/** An operation as it is run. */
export interface RunPlan {
  readonly operation: Operation;
  readonly meanwhile?: readonly Meanwhile[];
}

/** An operation with its place in the scenario's text. */
export interface PlannedOperation extends RunPlan {
  /** The text as printed, without indentation: `v0 user write 0x7f3c5a823010`. */
  readonly text: string;
  /** First line of it in the scenario's text, from 1. */
  readonly line: number;
  /** Last line that belongs to it (a handler's block is longer than one line). */
  readonly lastLine: number;
  /** From 1: its number among those that the text has, which may leave out some for this run; otherwise its place. */
  readonly number?: number;
}

/** A range of guest frames backed by host memory. */
export interface Slot {
  readonly firstGfn: Gfn;
  /** Number of 4 KiB frames. */
  readonly frames: number;
  /** Reads are memory, writes go to user space. */
  readonly readonly?: true;
  /** The host backs it by pages of 2 MiB, where its place in the process allows. */
  readonly large?: true;
  /** Page number of its memory in the process; without one, memory of its own at the usual place. */
  readonly hva?: number;
  /** Not there when the guest starts: user space adds it later. */
  readonly absent?: true;
  /** For vCPUs in System Management Mode, which have no others. */
  readonly smm?: true;
}

/** One 8-byte word of guest memory as it stands before anything runs. */
export interface MemoryWord {
  readonly gfn: Gfn;
  /** 0..511. */
  readonly index: number;
  readonly value: bigint;
}

/** A frame that the scenario's `map` lines use as a page table; knowledge of the author, for names on the stage. */
export interface GuestTable {
  readonly gfn: Gfn;
  /** As the guest's format counts: x86 1 = PT, arm64 3 = pages. */
  readonly level: number;
  /** First address that the table translates. */
  readonly firstGva: Gva;
  readonly space: string;
}

export interface Program {
  readonly settings: Settings;
  readonly slots: readonly Slot[];
  /** How often the slots have been changed before, as the number that every change moves on. */
  readonly generation?: number;
  readonly memory: readonly MemoryWord[];
  readonly tables: readonly GuestTable[];
  /** Root frame of the address space that the vCPUs start in. */
  readonly root: Gfn;
  /** Run first, shown folded. */
  readonly given: readonly PlannedOperation[];
  /** Run after counters and step numbers are set to 0. */
  readonly body: readonly PlannedOperation[];
}
