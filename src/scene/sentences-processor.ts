/** The sentences about what the processor does: caches, walks, faults, accesses, exits and entries; and about its guest. */
import { errorCodeWords } from '../core/hardware/fault.ts';
import type { StepKind } from '../core/machine/steps.ts';
import { frameName, hex, plural, slotOn, table, tableOn, type Teller } from './telling.ts';

const EXIT_WORDS: Readonly<Record<string, string>> = {
  '#PF': 'a page fault',
  IPI: 'an interrupt from another vCPU',
  'mov-cr3': 'a load of CR3',
  'mov-cr0': 'a change of CR0',
  'mov-cr4': 'a change of CR4',
  wrmsr: 'a write of EFER',
  cpuid: 'CPUID',
  signal: 'a signal for its thread: user space has something to do',
  'EPT violation': 'an EPT violation',
  'EPT misconfiguration': 'an EPT misconfiguration',
  'nested page fault': 'a nested page fault',
  'stage 2 abort': 'a stage 2 abort',
};
export const OF_PROCESSOR = {
  'tlb-hit': ({ write, stale }) =>
    stale
      ? {
          what: 'The TLB answers, with a translation that a walk would no longer give.',
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
} as const satisfies { readonly [K in StepKind]?: Teller<K> };
