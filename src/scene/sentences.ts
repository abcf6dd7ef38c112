/**
 * What a reader is told about each micro-step: one sentence for what happened, one for why. Made from a step's kind
 * and facts and from the world, in one place, ready to be translated. Plain English, no jargon unexplained.
 */
import { SHIPPED_BUGS, type Settings } from '../core/settings.ts';
import { RULES } from '../core/audit/audit.ts';
import type { Harm, Violation } from '../core/machine/tables.ts';
import type { StepView } from '../timeline/timeline.ts';
import { errorCodeWords } from '../core/hardware/fault.ts';
import { TABLE_NAMES_BY_LEVEL } from '../core/hardware/x86-entry.ts';
import type { StepFacts, StepKind } from '../core/machine/steps.ts';
import { FIRST_GUEST_PFN, FIRST_SHADOW_PFN } from '../core/machine/world.ts';

export interface Sentence {
  readonly what: string;
  readonly why: string;
}

/** What the words of a step depend on beside its facts: whose tables the processor walks. */
interface Told {
  /** The processor walks shadow tables that a hypervisor made. */
  readonly shadow: boolean;
  /** Arm numbers its tables, x86 names them. */
  readonly arm: boolean;
}

type Teller<K extends StepKind> = (facts: StepFacts<K>, told: Told) => Sentence;

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
const table = (level: number): string => TABLE_NAMES_BY_LEVEL[level] ?? `level ${String(level)}`;
const at = (level: number, index: number): string =>
  `${table(level)}[${index.toString(16).padStart(3, '0')}]`;
const tableOn = (level: number, { arm }: Told): string => (arm ? `level ${String(level)}` : table(level));
const slotOn = (level: number, index: number, told: Told): string =>
  told.arm ? `level ${String(level)} [${index.toString(16).padStart(3, '0')}]` : at(level, index);
const plural = (count: number, one: string, many: string): string =>
  `${count === 0 ? 'no' : String(count)} ${count === 1 ? one : many}`;

/** A host frame as people know it: guest frame, or shadow table. */
export function frameName(pfn: number): string {
  if (pfn >= FIRST_SHADOW_PFN) return `shadow frame ${hex(pfn)}`;
  return pfn >= FIRST_GUEST_PFN ? `guest frame ${hex(pfn - FIRST_GUEST_PFN)}` : `frame ${hex(pfn)}`;
}

const EXIT_WORDS: Readonly<Record<string, string>> = {
  '#PF': 'a page fault',
  IPI: 'an interrupt from another vCPU',
  'mov-cr3': 'a load of CR3',
  'mov-cr0': 'a change of CR0',
  'mov-cr4': 'a change of CR4',
  wrmsr: 'a write of EFER',
  cpuid: 'CPUID',
  'EPT violation': 'an EPT violation',
  'EPT misconfiguration': 'an EPT misconfiguration',
  'nested page fault': 'a nested page fault',
  'stage 2 abort': 'a stage 2 abort',
};
const FLUSH_WORDS: Readonly<Record<string, string>> = {
  'write-protect': 'A mapping has just lost its write right.',
  cr3: 'A new root is about to be used.',
  zap: 'Shadow entries have gone.',
  shadowed: 'The frame is a shadowed table.',
};

const TELLERS: { readonly [K in StepKind]: Teller<K> } = {
  'setup-memory': ({ gfn }) => ({
    what: `Guest frame ${hex(gfn)} gets its contents.`,
    why: 'Set-up of the scenario.',
  }),
  'setup-slot': ({ gfn, frames }) => ({
    what: `The guest gets ${String(frames)} frames of memory, from ${hex(gfn)} on.`,
    why: 'A memory slot says which guest frames real memory backs.',
  }),
  'setup-vcpu': ({ root }) => ({
    what: `A virtual CPU starts, its CR3 naming guest frame ${hex(root)}.`,
    why: 'CR3 tells the processor where the root of the page tables lies.',
  }),
  'remote-flush': ({ broadcast }) => ({
    what: broadcast
      ? 'The hypervisor invalidates on all processors at once.'
      : 'The hypervisor wants every vCPU to flush its TLB.',
    why: broadcast
      ? 'This processor broadcasts invalidations: no other vCPU has to be asked.'
      : 'Each vCPU may hold translations that the tables no longer give.',
  }),
  'request-set': ({ vcpu, kick }) => ({
    what: `vCPU ${String(vcpu)} gets the request to flush before it next enters the guest.`,
    why: kick
      ? 'It runs the guest now, so it has to be interrupted.'
      : 'It is outside the guest: it will see the request in time.',
  }),
  'request-serve': ({ dropped }) => ({
    what: `The vCPU carries out its request: ${plural(dropped, 'entry goes', 'entries go')}.`,
    why: 'This is the last moment before the guest runs again.',
  }),
  'ipi-send': ({ count }) => ({
    what: `${plural(count, 'vCPU is', 'vCPUs are')} interrupted out of the guest.`,
    why: 'An inter-processor interrupt is the only way to reach a vCPU that runs the guest.',
  }),
  'ipi-wait': ({ count }) => ({
    what: `The hypervisor has waited until ${count === 1 ? 'it has' : 'all have'} left the guest.`,
    why: 'Before that a table must not be freed, and a write through an old entry is still possible.',
  }),
  'outside-flip': ({ gpa, bit, set }) => ({
    what: `Bit ${String(bit)} of the word at guest address ${hex(gpa)} becomes ${set ? '1' : '0'}, from outside.`,
    why: 'Neither the guest nor the hypervisor did it, so neither knows: a stray write of a device, say.',
  }),
  'outside-flip-shadow': ({ level, bit, set }, told) => ({
    what: `Bit ${String(bit)} of the ${told.shadow ? 'shadow' : 'host'} ${tableOn(level, told)} entry becomes ${set ? '1' : '0'}, from outside.`,
    why: 'The hypervisor did not do it and will not look. The TLB may still hold what was there.',
  }),
  'outside-nothing': ({ level }, told) => ({
    what: `There is no ${told.shadow ? 'shadow' : 'host'} ${tableOn(level, told)} entry for this address now.`,
    why: 'The tables do not reach so far, so nothing changes.',
  }),
  'host-table': ({ pfn, level, gpa }, told) => ({
    what: `Host frame ${hex(pfn)} becomes the host ${tableOn(level, told)} for guest addresses from ${hex(gpa)} on.`,
    why: 'Set-up of the second stage: all guest memory is mapped before the guest runs.',
  }),
  'host-entry-set': ({ gpa, level, entry }, told) => ({
    what: `The hypervisor writes the host ${tableOn(level, told)} entry for guest address ${hex(gpa)}: ${entry === 0n ? 'empty' : hex(entry)}.`,
    why: 'It flushes nothing. What the TLB has kept of the old entry stays in use.',
  }),
  begin: () => ({ what: 'Ready. Step to see what happens.', why: 'Counters and step numbers start here.' }),

  'tlb-hit': ({ write, stale }) =>
    stale
      ? {
          what: 'The TLB answers, with a translation that the tables no longer give.',
          why: `The ${write ? 'write' : 'access'} goes through unseen: nobody asks the tables.`,
        }
      : { what: 'The TLB has the translation.', why: 'No walk is needed, and no fault can happen.' },
  'tlb-miss': ({ gva }, { shadow }) => ({
    what: `The TLB has no usable translation of ${hex(gva)}.`,
    why: shadow
      ? 'The processor has to walk the page tables: the shadow tables, for they are the ones that it knows.'
      : 'The processor has to walk the page tables.',
  }),
  'tlb-fill': ({ pfn, writable }) => ({
    what: `The TLB keeps the translation, to ${frameName(pfn)}, ${writable ? 'writable' : 'not for writing'}.`,
    why: 'The next access to this page needs no walk.',
  }),
  'tlb-fill-gpa': ({ gpa, pfn }) => ({
    what: `The TLB keeps where guest address ${hex(gpa)} lies: ${frameName(pfn)}.`,
    why: 'The next walk that needs this guest page asks no host table for it.',
  }),
  'tlb-evict': () => ({
    what: 'The TLB is full: the translation used longest ago goes.',
    why: 'Nothing was wrong with it. The next access to its page walks again.',
  }),
  'psc-fill': ({ stage, level }, told) => ({
    what: `A paging-structure cache keeps where the ${stage === 'host' ? 'host' : 'guest'} ${tableOn(level, told)} lies.`,
    why: 'The next walk of an address nearby may begin there.',
  }),
  'tlb-refuse': ({ errorCode }, { arm }) => ({
    what: `The cached translation does not allow this: ${arm ? `syndrome ${hex(errorCode)}` : errorCodeWords(errorCode)}.`,
    why: 'A refusal out of the TLB is a page fault, and the entry is dropped.',
  }),
  'walk-not-canonical': ({ gva }) => ({
    what: `${hex(gva)} is not canonical.`,
    why: 'Bits 63 to 47 must be equal. The processor raises a general protection fault without any walk.',
  }),
  'walk-read': ({ level, index, entry }, told) => ({
    what: `The processor reads ${told.shadow ? 'shadow ' : ''}${slotOn(level, index, told)}: ${entry === 0n ? 'empty' : hex(entry)}.`,
    why:
      level > 1
        ? 'Nine bits of the address choose the entry; the entry names the next table.'
        : 'The last level names the page itself and says what may be done with it.',
  }),
  'walk-set-bits': ({ level, dirty }, told) => ({
    what: `The processor marks the ${told.shadow ? 'shadow ' : ''}${tableOn(level, told)} entry ${dirty ? 'dirty' : 'accessed'}.`,
    why: 'The marks tell whoever owns the tables what has been used and written.',
  }),
  'walk-fault': ({ level, errorCode }, { shadow }) => ({
    what: `Page fault at the ${shadow ? 'shadow ' : ''}${table(level)}: ${errorCodeWords(errorCode)}.`,
    why: shadow
      ? `The error code is ${hex(errorCode)}. The hypervisor has asked to see every page fault of the guest.`
      : `The error code is ${hex(errorCode)}. The system's own handler gets it.`,
  }),
  'walk-register': ({ index, entry }) => ({
    what: `The processor takes root entry ${String(index)} out of its register: ${hex(entry)}.`,
    why: 'In PAE paging MOV CR3 loads the four root entries into registers. A walk does not read them from memory.',
  }),
  'walk-spared': ({ dimension, count, refs, by, stale }) => ({
    what: `${plural(refs, 'reference is', 'references are')} spared: a ${by} knows the way${stale ? ', an old one' : ''}.`,
    why:
      dimension === 'guest'
        ? `It remembers where the table behind the first ${plural(count, 'level', 'levels')} lies, and with what rights.`
        : `It remembers where this guest address lies, or the table on the way to it.`,
  }),
  'guest-entry-read': ({ level, index, entry, address }, told) => ({
    what: `The processor reads the guest's ${slotOn(level, index, told)}: ${entry === 0n ? 'empty' : hex(entry)}.`,
    why: `It lies at guest address ${hex(address)}, and where that is in host memory the reads before have found out.`,
  }),
  'guest-entry-set-bits': ({ level, dirty }, told) => ({
    what: `The processor marks the guest's ${tableOn(level, told)} entry ${dirty ? 'dirty' : 'accessed'}.`,
    why: 'For the second stage this is a write to guest memory.',
  }),
  'host-entry-read': ({ level, index, entry, gpa }, told) => ({
    what: `The processor reads host ${slotOn(level, index, told)}: ${entry === 0n ? 'empty' : hex(entry)}.`,
    why: `It looks for the place of guest address ${hex(gpa)} in host memory.`,
  }),
  'host-entry-set-bits': ({ level, dirty }, told) => ({
    what: `The processor marks the host's ${tableOn(level, told)} entry ${dirty ? 'dirty' : 'accessed'}.`,
    why: 'The marks tell the hypervisor which memory the guest has used and written.',
  }),
  'host-fault': ({ kind, gpa, code }) => ({
    what: `${kind} at guest address ${hex(gpa)}.`,
    why: `The second stage does not give this access. The hypervisor gets the fault, with code ${hex(code)}; the guest knows nothing of it.`,
  }),
  'arm-abort': ({ stage, level, why, syndrome }) => ({
    what: `Stage ${String(stage)} abort at level ${String(level)}: ${why}.`,
    why: `The syndrome register holds ${hex(syndrome)}. ${stage === 2 ? 'The hypervisor' : "The system's own kernel"} gets it.`,
  }),
  'data-read': ({ gva, value, bytes }) => ({
    what: `The guest reads ${hex(value)} at ${hex(gva)}.`,
    why: `${String(bytes)} bytes, without the hypervisor.`,
  }),
  'data-write': ({ gva, value }) => ({
    what: `The guest's store of ${hex(value)} at ${hex(gva)} takes effect.`,
    why: 'The processor wrote by itself, without the hypervisor.',
  }),
  'data-execute': ({ gva }) => ({
    what: `The guest fetches an instruction at ${hex(gva)}.`,
    why: 'The processor read by itself, without the hypervisor.',
  }),
  'vm-exit': ({ reason, dropped }) => ({
    what: `VM exit: ${EXIT_WORDS[reason] ?? reason} takes the processor to the hypervisor.`,
    why:
      dropped > 0
        ? `This processor tags nothing: leaving the guest empties the TLB (${plural(dropped, 'entry', 'entries')}).`
        : 'An exit costs a thousand instructions or more. This is the price to count.',
  }),
  'vm-entry': ({ asid, dropped, freshAsid }) => ({
    what: freshAsid
      ? `VM entry with a new address space number, ${String(asid)}.`
      : `VM entry: the guest runs again${asid === 0 ? '' : `, still with address space number ${String(asid)}`}.`,
    why: freshAsid
      ? 'Entries with the old number match no more: that is how this processor flushes.'
      : asid === 0
        ? dropped > 0
          ? `Entering empties the TLB too (${plural(dropped, 'entry', 'entries')}).`
          : 'Entering empties the TLB too; nothing was left in it.'
        : 'Nobody asked for a flush, so every cached translation is still valid for the processor.',
  }),
  'page-fault': ({ gva, errorCode }, { arm }) => ({
    what: arm
      ? `The processor raises an abort at ${hex(gva)}, with syndrome ${hex(errorCode)}.`
      : `The processor raises a page fault at ${hex(gva)}: ${errorCodeWords(errorCode)}.`,
    why: "No hypervisor asks for it: the system's own kernel gets it.",
  }),
  'host-unmended': ({ gpa }) => ({
    what: `The hypervisor has nothing to put at guest address ${hex(gpa)}.`,
    why: 'On this machine nobody mends host tables. The access never completes.',
  }),
  cpuid: () => ({ what: 'CPUID runs.', why: 'There is no hypervisor that would have to be asked.' }),
  'guest-register': ({ register, value, dropped }) => ({
    what: `The system's ${register.toUpperCase()} becomes ${hex(value)}.`,
    why:
      dropped > 0
        ? `This empties part of the TLB: ${plural(dropped, 'entry goes', 'entries go')}.`
        : 'No cached translation goes.',
  }),
  'pdpte-load': ({ count }) => ({
    what: `The processor loads ${String(count)} root entries into its registers.`,
    why: 'From now on it uses these, whatever happens to the table in memory.',
  }),
  invalidate: ({ name, aim, dropped }) => ({
    what: `${name.toUpperCase()}: ${plural(dropped, 'cached translation goes', 'cached translations go')}.`,
    why: `It is meant for: ${aim}.`,
  }),
  invlpg: ({ gva, dropped }) => ({
    what: `INVLPG: the guest drops its translation of ${hex(gva)} (${plural(dropped, 'entry', 'entries')}).`,
    why: 'The guest owes this after changing an entry. It runs without an exit in this era.',
  }),
  'guest-gp': () => ({
    what: 'The guest gets a general protection fault.',
    why: 'What it tried is not allowed.',
  }),
  'guest-handler': ({ errorCode, gva }) => ({
    what: `The guest's own page-fault handler starts, for ${hex(gva)}.`,
    why: `To the guest this looks like real hardware: ${errorCodeWords(errorCode)}.`,
  }),
  'guest-retry': ({ gva }) => ({
    what: `The handler returns; the guest tries ${hex(gva)} again.`,
    why: 'The instruction that faulted runs anew, as if nothing had happened.',
  }),
  'guest-skip': ({ handled }) => ({
    what: 'The guest gives up this access.',
    why: handled ? 'Its handler says so.' : 'It has no handler for this fault.',
  }),

  'guest-walk-root': ({ gfn }) => ({
    what: `The hypervisor begins at the guest's CR3: guest frame ${hex(gfn)}.`,
    why: "It walks the guest's own tables in software, to learn whose fault this is.",
  }),
  'guest-walk-read': ({ level, index, entry }) => ({
    what: `It reads the guest's ${at(level, index)}: ${entry === 0n ? 'empty' : hex(entry)}.`,
    why: 'This is what the guest itself believes its memory to be.',
  }),
  'guest-walk-set-accessed': ({ level }) => ({
    what: `It marks the guest's ${table(level)} entry accessed.`,
    why: 'Real hardware would have done so; the hypervisor has to do it in its place.',
  }),
  'guest-walk-refuse': ({ level, because }) => ({
    what: `The guest's own ${table(level)} entry refuses: ${because}.`,
    why: "So this fault is the guest's business, not the hypervisor's.",
  }),
  'guest-walk-done': ({ gfn }) => ({
    what: `The guest's tables allow it: the page is guest frame ${hex(gfn)}.`,
    why: 'So the guest did nothing wrong. The fault came from the shadow tables, and the hypervisor must settle it.',
  }),

  inject: ({ errorCode }) => ({
    what: `The hypervisor delivers the page fault to the guest: ${errorCodeWords(errorCode)}.`,
    why: 'CR2 gets the address, as the processor would have set it. The guest will never know.',
  }),
  'flood-reset': () => ({
    what: 'The count of table writes in a row is set to 0.',
    why: 'This fault was no write to a page table: the guest is not rewriting tables in bulk.',
  }),
  'flood-count': ({ gfn, count, flooded }) => ({
    what: `Write number ${String(count)} in a row into page table frame ${hex(gfn)}.`,
    why: flooded
      ? 'Three in a row look like a fork: from here on it is cheaper to give up the shadow of this table.'
      : 'Three in a row would look like a fork.',
  }),
  'pool-check': ({ left }) => ({
    what: `Only ${plural(left, 'shadow page is', 'shadow pages are')} left.`,
    why: 'The oldest ones are given up until 25 are free.',
  }),
  'hash-lookup': ({ gfn, found }) => ({
    what:
      found > 0
        ? `A shadow of guest frame ${hex(gfn)} exists: sp ${String(found)}.`
        : `Guest frame ${hex(gfn)} has no shadow page of this kind yet.`,
    why: 'Shadow pages are found in a hash, by guest frame and role.',
  }),
  'shadow-alloc': ({ serial, pfn }) => ({
    what: `A new, empty shadow page is taken: sp ${String(serial)}, in host frame ${hex(pfn)}.`,
    why: 'It will hold what the processor really walks.',
  }),
  'shadow-hash': ({ serial, gfn }) => ({
    what: `sp ${String(serial)} becomes the shadow of guest frame ${hex(gfn)}.`,
    why: 'From now on that frame counts as a page table, and no write to it may go unseen.',
  }),
  'parent-add': ({ serial }) => ({
    what: `sp ${String(serial)} notes which entry will point to it.`,
    why: 'If it is ever given up, that entry must be found and cleared.',
  }),
  'parent-remove': ({ serial }) => ({
    what: `sp ${String(serial)} forgets one entry that pointed to it.`,
    why: 'The link is about to be cut.',
  }),
  'shadow-unhash': ({ serial, gfn }) => ({
    what: `sp ${String(serial)} is no longer the shadow of guest frame ${hex(gfn)}.`,
    why: 'The frame is an ordinary page again, as far as the hypervisor is concerned.',
  }),
  'shadow-free': ({ pfn }) => ({
    what: `Host frame ${hex(pfn)} goes back to the pool.`,
    why: "The shadow can be built anew at any time: the guest's tables are the truth.",
  }),
  'shadow-keep': ({ serial }) => ({
    what: `sp ${String(serial)} is emptied, but stays.`,
    why: 'It is the root in use.',
  }),
  'root-pin': ({ serial }) => ({
    what: `sp ${String(serial)} is now in use as a root.`,
    why: 'A root in use is never freed.',
  }),
  'root-unpin': ({ serial }) => ({
    what: `sp ${String(serial)} is a root in use no longer.`,
    why: 'It stays in the hash: coming back to this address space will cost nothing.',
  }),
  'set-cr3': ({ root }) => ({
    what: `The processor's CR3 will name host frame ${hex(root)}.`,
    why: 'The guest believes that its own root is in use; really it is the shadow root.',
  }),
  'rmap-look': ({ pfn, count }) => ({
    what: `The reverse map of ${frameName(pfn)} lists ${plural(count, 'writable mapping', 'writable mappings')}.`,
    why: 'The reverse map answers the question: which shadow entries let the guest write this frame?',
  }),
  'rmap-add': ({ pfn, count }) => ({
    what: `The reverse map of ${frameName(pfn)} notes this entry (${String(count)} in all).`,
    why: 'It is writable now. If the frame becomes a page table, it must be found again.',
  }),
  'rmap-remove': ({ pfn, count }) => ({
    what: `The reverse map of ${frameName(pfn)} forgets this entry (${String(count)} left).`,
    why: 'It is about to stop being writable.',
  }),
  'write-protect': ({ gfn }) => ({
    what: `One mapping of guest frame ${hex(gfn)} becomes read-only.`,
    why: 'The frame is about to be shadowed as a page table, so the guest must no longer be able to write it unseen.',
  }),
  flush: ({ why, effect }) => ({
    what: `The hypervisor asks for a TLB flush: ${effect}.`,
    why: FLUSH_WORDS[why] ?? '',
  }),
  'flush-left-out': ({ why }) => ({
    what: 'No flush is asked for here.',
    why:
      why === 'policy'
        ? 'The policy says so. Whoever has the old right in the TLB keeps it.'
        : 'CR3 is loaded before the guest runs again, and that flushes anyway.',
  }),
  'fetch-look': ({ level, index, entry }) => ({
    what: `The hypervisor looks at shadow ${at(level, index)}: ${entry === 0n ? 'empty' : hex(entry)}.`,
    why:
      entry === 0n
        ? 'This part of the shadow path is missing and will be made.'
        : 'This part of the shadow path exists.',
  }),
  'spte-link': ({ level, serial }) => ({
    what: `The shadow ${table(level)} entry now links to sp ${String(serial)}.`,
    why: 'Links allow everything: rights are enforced in the last level only.',
  }),
  'spte-set': ({ gfn, writable, shadowed, guestDirty }) => ({
    what: `The shadow entry for guest frame ${hex(gfn)} is built, ${writable ? 'writable' : 'not writable'}.`,
    why: shadowed
      ? 'The frame is itself a page table, so the hardware right to write is held back; a software bit remembers that the guest allows it.'
      : guestDirty
        ? "It carries the rights that the guest's entry gives, and names the host frame."
        : "The guest's entry is not dirty yet: the first write has to fault, so that the mark can be set.",
  }),
  'spte-mmio': ({ gpa }) => ({
    what: `The shadow entry is marked as device memory: ${hex(gpa)}.`,
    why: 'No slot backs this address. Every access will exit, and a device model answers.',
  }),
  'spte-clear': ({ level, why }) => ({
    what: `The shadow ${table(level)} entry is cleared.`,
    why:
      why === 'guest write'
        ? 'The guest is changing the entry behind it, so it is no longer true.'
        : why === 'parent'
          ? 'The page that it points to is being given up.'
          : why === 'zap'
            ? 'The shadow page is being given up.'
            : "The guest's entry has gone.",
  }),
  'spte-raise': ({ gfn, device }) => ({
    what: device
      ? `The write bit is set in the shadow entry for guest frame ${hex(gfn)}, which stays not present.`
      : `The shadow entry for guest frame ${hex(gfn)} becomes writable.`,
    why: device
      ? 'The entry marks a device. The bit means nothing to the processor: every access exits as before.'
      : 'The guest allows it, and nothing stands against it any more.',
  }),
  'spte-lower-user': () => ({
    what: "The shadow entry becomes the kernel's alone.",
    why: 'The guest runs with CR0.WP=0: its kernel may write a read-only page, its users may not.',
  }),
  'spte-raise-user': () => ({
    what: 'The shadow entry is given back to user mode, read-only.',
    why: "It had been the kernel's alone for a write with CR0.WP=0.",
  }),
  spurious: ({ device }) => ({
    what: device ? 'The write bit of this entry is set already.' : 'The shadow entry allows it already.',
    why: device
      ? 'The entry marks a device, and is not present: the access is emulated next.'
      : 'Nothing to mend: the processor will succeed on the next try.',
  }),
  'fix-refuse': ({ because }) => ({
    what: `The shadow entry cannot be raised: ${because}.`,
    why: 'The guest itself does not allow it.',
  }),
  'shadowed-check': ({ gfn, pages }) => ({
    what:
      pages > 0
        ? `Guest frame ${hex(gfn)} is a page table in use.`
        : `Guest frame ${hex(gfn)} is not in use as a page table.`,
    why:
      pages > 0
        ? 'So this store must not go through by itself: the hypervisor has to see it.'
        : 'So the write right can be given.',
  }),
  'guest-set-dirty': ({ gfn }) => ({
    what: `The guest's entry in frame ${hex(gfn)} is marked dirty.`,
    why: 'Real hardware would have done so on this write.',
  }),
  emulate: ({ value, gpa }) => ({
    what: `The hypervisor runs the store itself: ${hex(value)} to guest address ${hex(gpa)}.`,
    why: 'That is how it sees the new entry before it takes effect.',
  }),
  'emulate-mmio': ({ gpa, write }) => ({
    what: `The hypervisor starts to run the ${write ? 'write' : 'read'} itself: it goes to ${hex(gpa)}, where no memory is.`,
    why: write
      ? 'A device is there. What is written must be given to whoever plays the device.'
      : 'A device is there. Only whoever plays the device knows what the read gets.',
  }),
  'userspace-exit': ({ gpa }) => ({
    what: `The vCPU leaves the kernel of the host too: a program in user space plays the device at ${hex(gpa)}.`,
    why: 'This is a user-space exit, the dearest of all: from the guest through the hypervisor to an ordinary program.',
  }),
  'device-answer': ({ value, write }) => ({
    what: write ? `The device has taken ${hex(value)}.` : `The device answers ${hex(value)}.`,
    why: 'No particular device is modelled: every read gets all ones.',
  }),
  'emulate-mmio-again': ({ value }) => ({
    what: `The emulator runs the read a second time and puts ${hex(value)} where the guest wants it.`,
    why: 'The first run had to stop for the answer. In this era it is finished without entering the guest in between.',
  }),
  'update-refuse': ({ because }) => ({
    what: `No shadow entry is built: ${because}.`,
    why: 'Only a whole, present and accessed entry can be built at once.',
  }),
  'guest-copy': ({ gfn, value }) => ({
    what: `The bytes reach guest memory: frame ${hex(gfn)} now holds ${hex(value)}.`,
    why: "In this era the shadow is settled first, then the guest's memory changes.",
  }),
  'register-write': ({ register, value }) => ({
    what: `The guest's ${register.toUpperCase()} becomes ${hex(value)}.`,
    why: 'How the tables are read depends on it.',
  }),
};

/** The sentences of a step of a run under these settings. */
export function sentenceOf(
  step: { readonly kind: StepKind; readonly facts: unknown },
  settings: Settings,
): Sentence {
  const tell = TELLERS[step.kind] as (facts: unknown, told: Told) => Sentence;
  return tell(step.facts, { shadow: settings.machine.startsWith('kvm-'), arm: settings.cpu === 'arm64' });
}

/** What an access did that no correct processor would have done. */
export const HARM_WORDS: Readonly<Record<Harm['kind'], string>> = {
  'stale-read': 'The read got what no correct processor could have given.',
  'stale-write': 'The write went through a TLB entry that should be gone. The hypervisor never saw it.',
  'lost-write': 'The write landed in a frame that the guest does not map here.',
};

/** A shipped bug is named as its era's; all else is a policy that the scenario chose. */
const bugName = (bug: string): string =>
  bug === 'flip'
    ? 'a bit was changed from outside before'
    : SHIPPED_BUGS.some((shipped) => shipped === bug)
      ? `${bug}, a bug that this era shipped`
      : `${bug}, a policy that is wrong on purpose`;

/** Rules that break and harm that is done in this very step, as sentences. */
export function alarmsOf(step: StepView): readonly string[] {
  return step.changes.flatMap(({ place, before, after }) => {
    if (place.table === 'harm' && after !== undefined) return [HARM_WORDS[(after as Harm).kind]];
    if (place.table !== 'violation' || before !== undefined) return [];
    const { rule, bug } = after as Violation;
    return [`Rule ${rule} breaks here${bug === undefined ? '' : ` (${bugName(bug)})`}. ${RULES[rule] ?? ''}`];
  });
}
