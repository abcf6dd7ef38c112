/** The sentences about what the processor does: caches, walks, faults, accesses, exits and entries; and about its guest. */
import { errorCodeWords } from '../core/hardware/fault.ts';
import type { ExitReason } from '../core/machine/tables.ts';
import type { StepKind } from '../core/machine/steps.ts';
import { frameName, hex, plural, slotOn, table, type Teller } from './telling.ts';

/** A reason that has no words here is said as it is. */
const EXIT_WORDS: Readonly<Record<Exclude<ExitReason, 'start' | 'SMI' | 'RSM'>, string>> = {
  '#PF': 'a page fault',
  IPI: 'an interrupt from another vCPU',
  'mov-cr3': 'a load of CR3',
  'mov-cr0': 'a change of CR0',
  'mov-cr4': 'a change of CR4',
  wrmsr: 'a write of EFER',
  cpuid: 'CPUID',
  signal: 'a signal from user space',
  hlt: 'the instruction HLT',
  invlpg: 'INVLPG',
  'EPT violation': 'an EPT violation',
  'EPT misconfiguration': 'an EPT misconfiguration',
  'nested page fault': 'a nested page fault',
  'stage 2 abort': 'a stage 2 abort',
};
export const OF_PROCESSOR = {
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
  'walk-read': ({ level, index, entry }, told) => ({
    what: `The processor reads ${told.shadow ? 'shadow ' : ''}${slotOn(level, index, told)}: ${entry === 0n ? 'empty' : hex(entry)}.`,
    why:
      level > 1
        ? 'Nine bits of the address choose the entry; the entry names the next table.'
        : 'The last level names the page itself and says what may be done with it.',
  }),
  'walk-fault': ({ level, errorCode }, { shadow }) => ({
    what: `Page fault at the ${shadow ? 'shadow ' : ''}${table(level)}: ${errorCodeWords(errorCode)}.`,
    why: shadow
      ? `The error code is ${hex(errorCode)}. The hypervisor has asked to see every page fault of the guest.`
      : `The error code is ${hex(errorCode)}. The system's own handler gets it.`,
  }),
  'data-read': ({ gva, value, bytes }) => ({
    what: `The guest reads ${hex(value)} at ${hex(gva)}.`,
    why: `${plural(bytes, 'byte', 'bytes')}, without the hypervisor.`,
  }),
  'data-write': ({ gva, value }) => ({
    what: `The guest's store of ${hex(value)} at ${hex(gva)} takes effect.`,
    why: 'The processor wrote by itself, without the hypervisor.',
  }),
  'vm-exit': ({ reason, dropped }) => ({
    what: `VM exit: ${(EXIT_WORDS as Readonly<Record<string, string>>)[reason] ?? reason} takes the processor to the hypervisor.`,
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
      ? dropped > 0
        ? `All numbers were used up: the TLB is emptied (${plural(dropped, 'entry', 'entries')}), and they begin again.`
        : 'Entries with the old number match no more: that is how this processor flushes.'
      : asid === 0
        ? dropped > 0
          ? `Entering empties the TLB too (${plural(dropped, 'entry', 'entries')}).`
          : 'Entering empties the TLB too; nothing was left in it.'
        : 'Nobody asked for a flush, so every cached translation is still valid for the processor.',
  }),
  'guest-handler': ({ errorCode, gva }) => ({
    what: `The guest's own page-fault handler starts, for ${hex(gva)}.`,
    why: `To the guest this looks like real hardware: ${errorCodeWords(errorCode)}.`,
  }),
  'guest-retry': ({ gva }) => ({
    what: `The handler returns; the guest tries ${hex(gva)} again.`,
    why: 'The instruction that faulted runs anew, as if nothing had happened.',
  }),
} as const satisfies { readonly [K in StepKind]?: Teller<K> };
