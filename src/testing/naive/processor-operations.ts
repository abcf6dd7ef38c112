/**
 * The operations of a scenario on the naive processor: accesses, loads of registers, invalidations, changes of tables,
 * exits. What a load of a register empties is said by Intel SDM vol. 3, "Operations that invalidate TLBs and
 * paging-structure caches"; what an exit does without VPID, by the chapter on VMX address translation.
 */
import type { HostEntryOperation, Operation } from '../../core/operations/operation.ts';
import { bit, field, keep } from './bits.ts';
import { covers, type RememberedTable, type Translation, type Whose } from './caches.ts';
import { eptTables, longTables, armTables } from './cached-tables.ts';
import { HOST_ROOT, Processor, type Choices, type Outcome, type Registers } from './processor.ts';
import type { Access } from './processor-rules.ts';
import { survives } from './tlb.ts';
import { pdpteIsBad } from './x86.ts';

/** Frames of guest memory that exist, from gfn 0. */
interface Start {
  readonly registers: Registers;
  readonly memory: (at: bigint) => bigint;
  readonly frames: number;
}

const MEMORY_FRAME = 0x10000n;
const HOST_FRAME = 0x20000n;

export class NaiveMachine {
  readonly processor: Processor;
  readonly #choices: Choices;
  readonly #start: Start;

  constructor(choices: Choices, start: Start) {
    this.#choices = choices;
    this.#start = start;
    this.processor = new Processor(choices, start);
    this.#loadPdptes();
  }

  /** Runs one operation; an access gives its outcome. */
  run(operation: Operation): Outcome | undefined {
    switch (operation.kind) {
      case 'access': {
        const access = ({ read: 'r', write: 'w', execute: 'x' } as const)[operation.access];
        return this.#access(
          { va: operation.gva, access, user: operation.privilege === 'user' },
          operation.value,
        );
      }
      case 'invlpg':
        this.#invalidate('invlpg', operation.gva, 0);
        return undefined;
      case 'invalidate':
        this.#invalidate(operation.name, operation.address, operation.tag);
        return undefined;
      case 'load-cr3':
        this.#loadRoot(operation.root, operation.pcid ?? 0, operation.keep === true);
        return undefined;
      case 'set-register':
        this.#setRegister(operation.register, operation.mask, operation.value);
        return undefined;
      case 'set-host-entry':
        this.#setHostEntry(operation);
        return undefined;
      case 'flip':
        this.#flip(operation);
        return undefined;
      case 'cpuid':
        if (this.processor.nested) this.#worldSwitch();
        return undefined;
      // Only KVM's machines have more than one vCPU, and anything that takes one out of the guest for long.
      case 'leave':
      case 'enter':
      case 'flush-all':
        return undefined;
      case 'smi':
      case 'rsm':
      case 'log':
      case 'slot':
      case 'host-memory':
        throw new Error('these machines have no dirty log, no slots that change and no host that swaps');
    }
  }

  #access(q: Access, value: bigint): Outcome {
    const outcome = this.processor.translate(q);
    if (outcome.t === 'host fault') this.#worldSwitch();
    if (outcome.t === 'ok' && q.access === 'w' && this.#backed(outcome.at >> 12n))
      this.processor.ram.write(outcome.at, 8, value);
    return outcome;
  }

  #backed(frame: bigint): boolean {
    if (frame >= HOST_FRAME) return this.processor.nested;
    return frame >= MEMORY_FRAME && frame < MEMORY_FRAME + BigInt(this.#start.frames);
  }

  /** Without VPID everything of number 0 goes at exit and entry, globals too; what EPT alone gave stays. */
  #worldSwitch(): void {
    if (this.#choices.cpu !== 'vmx-novpid') return;
    this.processor.caches.forget((entry) => entry.kind !== 'guest-physical');
    this.processor.caches.forgetTables((table) => table.stage === 'guest');
  }

  #invalidate(name: string, address: bigint, tag: number): void {
    const now = this.processor.whose;
    this.processor.caches.forget((entry) => !keepsTranslation(name, entry, { now, address, tag }));
    this.processor.caches.forgetTables((table) => !keepsTable(name, table, { now, tag }));
  }

  /** MOV CR3: the new space's own, without globals, unless bit 63 asks to keep them. TTBR0_EL1 empties nothing. */
  #loadRoot(root: number, pcid: number, keeps: boolean): void {
    const { registers, caches, whose } = this.processor;
    const base = BigInt(root) << 12n;
    if (this.processor.arm) {
      registers.cr3 = base;
      registers.asid = pcid;
      return;
    }
    const identified = bit(registers.cr4, 17);
    if (keeps && !identified) return;
    const space = identified ? pcid : 0;
    const { guest } = whose;
    const pdptes = this.#pdptesAt(base);
    if (pdptes === 'bad') return;
    registers.cr3 = base | BigInt(space);
    if (this.processor.pae) registers.pdptes = pdptes;
    if (!keeps) {
      caches.forget(
        (entry) =>
          entry.kind !== 'guest-physical' && entry.guest === guest && entry.space === space && !entry.global,
      );
      caches.forgetTables(
        (table) => table.stage === 'guest' && table.guest === guest && table.space === space,
      );
    }
  }

  #loadPdptes(): void {
    const pdptes = this.#pdptesAt(this.processor.registers.cr3);
    if (this.processor.pae && pdptes !== 'bad') this.processor.registers.pdptes = pdptes;
  }

  /**
   * The root entries that PAE paging loads; a present one with a reserved bit makes the load fail. Where EPT does not map
   * their table, the machines read it where it lay at first.
   */
  #pdptesAt(cr3: bigint): readonly bigint[] | 'bad' {
    const { processor } = this;
    if (!processor.pae) return [];
    const table = keep(cr3, 31, 5);
    const entries = [0n, 8n, 16n, 24n].map((offset) => {
      const place = processor.placeAside(table + offset) ?? (MEMORY_FRAME << 12n) + table + offset;
      return processor.ram.word(place);
    });
    return entries.some((entry) => bit(entry, 0) && pdpteIsBad(entry, 40)) ? 'bad' : entries;
  }

  #setRegister(name: string, mask: bigint, value: bigint): void {
    const { registers } = this.processor;
    if (name === 'pkru' || name === 'pkrs' || name === 'ac') {
      registers[name] = value;
      return;
    }
    if (name === 'cr0' || name === 'cr4' || name === 'efer')
      this.#setControl(name, (registers[name] & ~mask) | value);
  }

  #setControl(name: 'cr0' | 'cr4' | 'efer', value: bigint): void {
    const { registers } = this.processor;
    const before = registers[name];
    const changes = (n: number): boolean => bit(before, n) !== bit(value, n);
    const begins = (n: number): boolean => changes(n) && bit(value, n);
    const long = bit(registers.efer, 10);
    if (name === 'cr0' && changes(31) && long) return;
    if (name === 'cr4' && begins(17) && (!long || field(registers.cr3, 11, 0) !== 0n)) return;
    const { guest, space } = this.processor.whose;
    registers[name] = value;
    const everything =
      name === 'cr0' ? changes(31) : name === 'cr4' && (changes(7) || (changes(17) && !begins(17)));
    const thisSpace = name === 'cr4' && begins(20);
    if (everything || thisSpace) {
      const goes = (of: Whose): boolean => of.guest === guest && (everything || of.space === space);
      this.processor.caches.forget((entry) => entry.kind !== 'guest-physical' && goes(entry));
      this.processor.caches.forgetTables((table) => table.stage === 'guest' && goes(table));
    }
    const reloads = name === 'cr0' ? changes(31) : name === 'cr4' && [4, 5, 7, 20].some(changes);
    if (reloads) this.#loadPdptes();
  }

  #flip(operation: Extract<Operation, { kind: 'flip' }>): void {
    const { ram } = this.processor;
    let at: bigint | undefined;
    if (operation.place === 'guest')
      at = ((MEMORY_FRAME + BigInt(operation.gfn)) << 12n) + BigInt(operation.index * 8);
    else if (operation.place === 'host') at = this.#hostEntryAt(operation.gpa, operation.level);
    if (at !== undefined) ram.write(at, 8, ram.word(at) ^ (1n << BigInt(operation.bit)));
  }

  #setHostEntry({ gpa, level, change }: HostEntryOperation): void {
    const at = this.#hostEntryAt(gpa, level);
    if (at === undefined) return;
    if (change.kind === 'page') throw new Error('the sequences write host entries as bare values');
    this.processor.ram.write(at, 8, change.kind === 'raw' ? change.value : 0n);
  }

  /** The entry for an address in the tables as they were built, whatever has become of the entries above it. */
  #hostEntryAt(gpa: bigint, level: number): bigint | undefined {
    if (!this.processor.nested) return undefined;
    const { cpu, host } = this.#choices;
    const levels = host === '5-level' ? 5 : 4;
    const tables =
      cpu === 'arm64'
        ? host === '3-level'
          ? armTables(1, 40)
          : armTables(0, 48)
        : cpu === 'svm'
          ? longTables(levels, true)
          : eptTables(levels, true);
    let table = HOST_ROOT;
    for (const at of tables.levels) {
      const place = table + field(gpa, at.shift + at.bits - 1, at.shift) * 8n;
      if (at.level === level) return place;
      const entry = this.#start.memory(place);
      if (tables.look(entry, at.level) !== 'table') return undefined;
      table = tables.tableOf(entry);
    }
    return undefined;
  }
}

interface Aim {
  readonly now: Whose;
  readonly tag: number;
}

function keepsTranslation(name: string, entry: Translation, aim: Aim & { address: bigint }): boolean {
  const { now, tag } = aim;
  // INVVPID of all numbers leaves number 0 alone: that is the hypervisor's own.
  if (name === 'invvpid-all' && entry.guest === 0) return true;
  return survives(
    name,
    {
      kind: entry.kind,
      sameGuest: entry.guest === now.guest,
      sameSpace: entry.space === now.space,
      sameRoot: entry.root === now.root,
      global: entry.global,
      covers: covers(entry, aim.address),
    },
    { guestNamed: entry.guest === tag, spaceNamed: entry.space === tag },
  );
}

/** What each invalidation leaves of the paging-structure caches, case by case. */
function keepsTable(name: string, table: RememberedTable, { now, tag }: Aim): boolean {
  const guestTable = table.stage === 'guest';
  const sameGuest = table.guest === now.guest;
  switch (name) {
    case 'invlpg':
    case 'tlbi-vae1is':
      return !(guestTable && sameGuest && table.space === now.space);
    case 'invpcid-address':
    case 'invpcid-single':
      return !(guestTable && sameGuest && table.space === tag);
    case 'invpcid-all':
    case 'invpcid-all-nonglobal':
    case 'tlbi-vmalle1is':
    case 'tlbi-vmalle1':
      return !(guestTable && sameGuest);
    case 'invvpid-address':
    case 'invvpid-single':
    case 'invvpid-single-keep-globals':
    case 'invlpga':
      return !(guestTable && table.guest === tag);
    case 'invvpid-all':
      return !(guestTable && table.guest !== 0);
    case 'invept-single':
      return table.root !== now.root;
    case 'invept-all':
      return table.root === 0;
    case 'tlb-control-all':
    case 'tlbi-alle1is':
      return false;
    case 'tlb-control-asid':
    case 'tlb-control-asid-nonglobal':
    case 'tlbi-vmalls12e1is':
      return !sameGuest;
    case 'tlbi-ipas2e1is':
      return guestTable || !sameGuest;
    default:
      throw new Error(`no such operation: ${name}`);
  }
}
