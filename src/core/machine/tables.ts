/**
 * The world's tables: the whole state of a machine, at a glance. Every value is a word, a number or a small frozen
 * record; records refer to one another by key, never by reference, so that each change can be undone alone.
 *
 * Keys: a memory word is named by its number (host physical address / 8), a register by `<vcpu>.<name>`, a thing by
 * a serial that is never used twice.
 */

import type { Gfn, Pfn } from '../quantities.ts';
import type { FormerEntry, HostPage, MmioInfo, MmuContext, TodaysPage, VmState } from './tables-today.ts';

/** Number of an 8-byte word of host memory: pfn * 512 + index. */
export type WordKey = number;

/** What a vCPU is doing. */
export interface VcpuState {
  readonly mode: 'guest' | 'hypervisor' | 'user space' | 'halted';
  /** Why the guest was left, while `mode` is `hypervisor`. */
  readonly exit?: ExitReason;
  /** Serial of the current or last exit: `exit:3`. */
  readonly exitSerial: number;
}
export type ExitReason =
  | 'EPT violation'
  | 'EPT misconfiguration'
  | 'nested page fault'
  | 'stage 2 abort'
  | 'start'
  | 'IPI'
  | 'hlt'
  | '#PF'
  | 'mov-cr3'
  | 'mov-cr0'
  | 'mov-cr4'
  | 'wrmsr'
  | 'cpuid'
  | 'SMI'
  | 'RSM'
  | 'invlpg'
  | 'signal';

/** Whose and which translations a cache entry serves. 0 where the processor has no such number. */
export interface CacheTag {
  /** VPID, ASID or VMID: the virtual machine or virtual processor. */
  readonly asid: number;
  /** PCID; the ASID of stage 1 on arm64: the address space inside the guest. */
  readonly pcid: number;
  /** Frame of the second stage's root table (EP4TA, nCR3, VTTBR): 0 for what comes from one dimension. */
  readonly root: number;
}

/**
 * One cached translation of a vCPU's TLB. `linear` comes from one dimension, `guest-physical` from the second stage
 * alone, `combined` from both.
 */
export interface TlbEntry extends CacheTag {
  readonly vcpu: number;
  readonly serial: number;
  readonly kind: 'linear' | 'combined' | 'guest-physical';
  /** Page number: address / 4096, of the first 4 KiB page that the entry covers. A guest frame for `guest-physical`. */
  readonly vpn: number;
  /** Size of the page as a power of two: 12 = 4 KiB, 21 = 2 MiB. The smaller of both dimensions. */
  readonly pageBits: number;
  readonly pfn: Pfn;
  /** Rights of the whole path of the guest's tables; of the second stage for `guest-physical`. */
  readonly readable: boolean;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
  /** arm64: whether EL0 may fetch; `executable` is EL1's then. */
  readonly userExecutable: boolean;
  /** Level of the leaf in the guest's tables, which arm64 names in a fault; absent for `guest-physical`. */
  readonly level?: number;
  readonly global: boolean;
  readonly dirty: boolean;
  readonly protectionKey: number;
  /** What the second stage grants, for `combined`. */
  readonly host?: HostRights;
  /** The table words it was derived from, in the order of the walk, and what they held. */
  readonly filledFrom: readonly WordKey[];
  readonly filledValues: readonly bigint[];
  /** The registers under which it was filled, as text: under others a fresh walk may end elsewhere. */
  readonly filledUnder: string;
  /** When it was last used, in uses of this TLB; kept only where the TLB is small. */
  readonly used: number;
}

export interface HostRights {
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  /** arm64: whether EL0 may fetch; `execute` is EL1's then. */
  readonly userExecute?: boolean;
}

/** A table that a paging-structure cache remembers: where the walk of the addresses with this prefix may begin. */
export interface PscEntry extends CacheTag {
  readonly vcpu: number;
  readonly serial: number;
  readonly stage: 'guest' | 'host';
  /** Levels that need not be read. */
  readonly depth: number;
  /** Address bits from `shift` up. */
  readonly prefix: bigint;
  readonly shift: number;
  /** Its address in the space that the entries name. */
  readonly table: bigint;
  /** Where the table lies in memory. */
  readonly place: bigint;
  /** Whether the second stage has allowed to write marks there. */
  readonly writable: boolean;
  /** Rights of the path so far, as the format of the walk has them. */
  readonly rights: unknown;
  readonly filledUnder: string;
  readonly filledFrom: readonly WordKey[];
  readonly filledValues: readonly bigint[];
}

/** A table of a second stage that maps all of guest memory. Its entries are the words of frame `pfn`. */
export interface HostTable {
  readonly pfn: Pfn;
  /** 0 = root. */
  readonly depth: number;
  /** First guest physical address that it serves. */
  readonly gpa: bigint;
}

export interface SlotRecord {
  readonly firstGfn: Gfn;
  readonly frames: number;
  /** Writes to its frames are noted in the dirty log. */
  readonly logged?: true;
  /** Page number of its memory in the process that runs the guest; absent where memory is a fixed run of host frames. */
  readonly hva?: number;
  /** Reads are memory, writes go to user space. */
  readonly readonly?: true;
  /** The host backs it by pages of 2 MiB, where its place in the process allows. */
  readonly large?: true;
  /** Being deleted: nothing may be mapped from it any more. */
  readonly invalid?: true;
  /** Only a vCPU in System Management Mode has it, and that has no others. */
  readonly smm?: true;
}

/** Where a shadow page is pointed to from: nothing, one entry, or a chain of five-slot nodes. */
export type Parents =
  | { readonly kind: 'none' }
  | { readonly kind: 'one'; readonly word: WordKey }
  | { readonly kind: 'chain'; readonly head: number };

/** `struct kvm_mmu_page` of 2007. Its 512 entries are the words of frame `pfn`. */
export interface ShadowPage {
  readonly serial: number;
  readonly pfn: Pfn;
  readonly gfn: Gfn;
  /** The role word; see kvm/role-2007. */
  readonly role: number;
  readonly parents: Parents;
  readonly rootCount: number;
  /** Place in the active list: the newest has the largest. */
  readonly age: number;
  /** `slot_bitmap`: bit n is set where a leaf of it may map a frame of slot n. */
  readonly slots: number;
  /** What a page of today has besides. */
  readonly today?: TodaysPage;
}

/** Reverse map head of a host frame, in the representation of 2007. */
export type RmapHead =
  { readonly kind: 'one'; readonly word: WordKey } | { readonly kind: 'chain'; readonly head: number };

/** A node of a reverse map (four entries) or of a parent chain (five). */
export interface ListNode {
  readonly words: readonly WordKey[];
  readonly next?: number;
}

/** The shadow frame allocator: `fresh` is the lowest frame never used, `free` the returned ones, ascending. */
export interface FrameAllocator {
  readonly fresh: Pfn;
  readonly free: readonly Pfn[];
  /** `n_free_mmu_pages`. */
  readonly pagesLeft: number;
  /** Buckets of the hash of shadow pages. */
  readonly buckets: number;
}

/** A flush that a change of a table obliges the hypervisor to make. */
export interface OwedFlush {
  readonly serial: number;
  readonly vcpu: number;
  readonly words: readonly WordKey[];
  /** Before the vCPU runs the guest again, or before the host takes the page away. */
  readonly due: 'entry' | 'unmap';
  /** For the dirty log: due only when user space, asking in the place of this vCPU, is told what the log says. */
  readonly asker?: number;
  /** The step that made the change. */
  readonly cause: number;
  /** Id of the shipped bug or broken policy by which nobody will pay. */
  readonly bug?: string;
  readonly overdue?: true;
}

/**
 * Where rules must hold: lock released or exit handled, guest about to run, a frame about to be given back, operation done.
 */
export type AuditPoint = 'unlock' | 'entry' | 'free' | 'op';

export interface Violation {
  readonly serial: number;
  readonly rule: string;
  /** The audit point at which it was found. */
  readonly point: AuditPoint;
  /** The step since which the rule has been false. */
  readonly cause: number;
  /** Id of the place or thing that breaks it: `word:20003.022`. */
  readonly subject: string;
  /** Set once the rule holds again for this subject. */
  readonly mended?: true;
  readonly bug?: string;
}

export interface Harm {
  readonly serial: number;
  readonly kind: 'stale-read' | 'stale-write' | 'lost-write';
  readonly gva: bigint;
  /** Host frame that the access reached. */
  readonly got: Pfn;
  /** Host frame that a correct walk names, or undefined where a correct walk refuses. */
  readonly correct?: Pfn;
}

/** A translation that a correct TLB may still hold, because the guest has not invalidated it. */
export interface ArchitecturalTranslation {
  readonly pfn: Pfn;
  readonly writable: boolean;
  /** User mode may use it. */
  readonly user: boolean;
}

/** The value of each table. */
export interface TableValues {
  word: bigint;
  reg: bigint;
  counter: number;
  serial: number;
  blank: number;
  vcpu: VcpuState;
  /** What a vCPU has to do before it enters the guest. */
  request: readonly string[];
  tlb: TlbEntry;
  psc: PscEntry;
  slot: SlotRecord;
  /** 1 for a frame that was written since user space last fetched the dirty log. */
  dirty: number;
  /** 1 for a frame of a logged slot that was written since then in truth: what the log is judged by. */
  written: number;
  hostTable: HostTable;
  sp: ShadowPage;
  /** Serial of the shadow page whose table lies in a frame. */
  owner: number;
  hash: readonly number[];
  rmap: RmapHead;
  rnode: ListNode;
  pnode: ListNode;
  frames: FrameAllocator;
  owed: OwedFlush;
  violation: Violation;
  harm: Harm;
  held: readonly ArchitecturalTranslation[];
  vm: VmState;
  mmu: MmuContext;
  mmio: MmioInfo;
  hostPage: HostPage;
  /** `shadowed_translation`: guest frame << 12 | rights of the guest's entry behind a shadow entry. */
  shadowed: bigint;
  /** 1 where a bit of `unsync_child_bitmap` is set. */
  unsyncBit: number;
  slotRmap: RmapHead;
  /** How many reasons forbid a large page. */
  disallowLpage: number;
  /** How many shadow pages above level 1 a guest frame has. */
  writeTrack: number;
  /** What a word of a guest's shadowed table held before, as long as a correct TLB may still hold it; oldest first. */
  former: readonly FormerEntry[];
  /** The number of steps at which a vCPU's guest last invalidated: everything, or one page. */
  invalidated: number;
}

/** The key of each table. */
export interface TableKeys {
  word: number;
  reg: string;
  counter: string;
  serial: string;
  blank: Pfn;
  vcpu: number;
  request: number;
  tlb: string;
  psc: string;
  slot: number;
  dirty: Gfn;
  written: Gfn;
  hostTable: Pfn;
  sp: number;
  owner: Pfn;
  hash: number;
  rmap: Pfn;
  rnode: number;
  pnode: number;
  frames: string;
  owed: number;
  violation: number;
  harm: number;
  held: string;
  vm: 'kvm';
  /** By vCPU. */
  mmu: number;
  mmio: number;
  /** By page number in the process that runs the guest. */
  hostPage: number;
  /** By number of the shadow entry's word. */
  shadowed: number;
  unsyncBit: number;
  /** By slot, level and first guest frame: `0.1.20`. */
  slotRmap: string;
  disallowLpage: string;
  /** By slot and guest frame: `0.20`. */
  writeTrack: string;
  /** By number of the word. */
  former: number;
  /** By vCPU, and by page number of the address: `0`, `0:400`. */
  invalidated: string;
}

export type TableName = keyof TableValues;

/** How the journal stores a table's values: 64-bit words and numbers inline, records in a side table. */
export const TABLE_FORM: Readonly<Record<TableName, 'word' | 'number' | 'record'>> = {
  word: 'word',
  reg: 'word',
  counter: 'number',
  serial: 'number',
  blank: 'number',
  vcpu: 'record',
  request: 'record',
  tlb: 'record',
  psc: 'record',
  slot: 'record',
  dirty: 'number',
  written: 'number',
  hostTable: 'record',
  sp: 'record',
  owner: 'number',
  hash: 'record',
  rmap: 'record',
  rnode: 'record',
  pnode: 'record',
  frames: 'record',
  owed: 'record',
  violation: 'record',
  harm: 'record',
  held: 'record',
  vm: 'record',
  mmu: 'record',
  mmio: 'record',
  hostPage: 'record',
  shadowed: 'word',
  unsyncBit: 'number',
  slotRmap: 'record',
  disallowLpage: 'number',
  writeTrack: 'number',
  former: 'record',
  invalidated: 'number',
};

export const TABLE_NAMES = Object.keys(TABLE_FORM) as readonly TableName[];

/** The id of a place or thing as text: `word:10013.023`, `reg:0.cr3`, `sp:12`, `tlb:0:57`. */
export function idText(table: TableName, key: number | string): string {
  if (table !== 'word') return `${table}:${String(key)}`;
  const word = Number(key);
  return `word:${Math.floor(word / 512).toString(16)}.${(word % 512).toString(16).padStart(3, '0')}`;
}
