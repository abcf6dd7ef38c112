/**
 * The sentences about steps that the first picture has none of: what is given up, hits in the TLB, devices, the dirty
 * log, 32-bit guests, several vCPUs, second stages, caches of tables. Fetched for the runs that have such steps.
 */
import { errorCodeWords } from '../core/hardware/fault.ts';
import type { StepKind } from '../core/machine/steps.ts';
import { frameName, hex, plural, slotOn, table, tableOn, type Teller } from './telling.ts';

export const OF_RARE_STEPS = {
  'guest-walk-set-accessed': ({ level }) => ({
    what: `It marks the guest's ${table(level)} entry accessed.`,
    why: 'Real hardware would have done so; the hypervisor has to do it in its place.',
  }),
  'gpte-check': ({ level, changed }) => ({
    what: `The guest's ${table(level)} entry ${changed ? 'has changed since it was read' : 'is still what was read'}.`,
    why: changed
      ? 'Nothing is built from what is no longer true. The access will fault again.'
      : 'Another vCPU could have written it since. A shadow must not be built from what is no longer true.',
  }),
  'parent-remove': ({ serial }) => ({
    what: `sp ${String(serial)} forgets one entry that pointed to it.`,
    why: 'The link is about to be cut.',
  }),
  'shadow-unhash': ({ serial, gfn }) => ({
    what: `sp ${String(serial)} no longer stands for guest frame ${hex(gfn)}.`,
    why: 'As far as this shadow goes, the frame is an ordinary page again.',
  }),
  'shadow-free': ({ pfn }) => ({
    what: `Host frame ${hex(pfn)} goes back to the pool.`,
    why: "The shadow can be built anew at any time: the guest's tables are the truth.",
  }),
  'root-unpin': ({ serial }) => ({
    what: `sp ${String(serial)} is a root in use no longer.`,
    why: 'It stays in the hash: coming back to this address space will cost nothing.',
  }),
  'rmap-remove': ({ pfn, count }) => ({
    what: `The reverse map of ${frameName(pfn)} forgets this entry (${String(count)} left).`,
    why: 'It is about to stop being writable.',
  }),
  'write-protect': ({ gfn, forLog }) => ({
    what: `One mapping of guest frame ${hex(gfn)} becomes read-only.`,
    why: forLog
      ? 'The next write to the frame is to be noted in the dirty log, so it has to fault.'
      : 'The frame is about to be shadowed as a page table, so the guest must no longer be able to write it unseen.',
  }),
  'flush-left-out': ({ why }) => ({
    what: 'No flush is asked for here.',
    why:
      why === 'policy'
        ? 'The policy says so. Whoever has the old right in the TLB keeps it.'
        : why === 'local'
          ? 'The policy reaches this vCPU only. The others keep what they have.'
          : 'CR3 is loaded before the guest runs again, and that flushes anyway.',
  }),
  'spte-raise': ({ gfn, device }) => ({
    what: device
      ? `The write bit is set in the shadow entry for guest frame ${hex(gfn)}, which stays not present.`
      : `The shadow entry for guest frame ${hex(gfn)} becomes writable.`,
    why: device
      ? 'The entry marks a device. The bit means nothing to the processor: every access exits as before.'
      : 'The guest allows it, and nothing stands against it any more.',
  }),
  'tlb-hit': ({ write, stale }) =>
    stale
      ? {
          what: 'The TLB answers, with a translation that a walk would no longer give.',
          why: `The ${write ? 'write' : 'access'} goes through unseen: nobody asks the tables.`,
        }
      : { what: 'The TLB has the translation.', why: 'No walk is needed, and no fault can happen.' },
  'tlb-refuse': ({ errorCode }, { arm }) => ({
    what: `The cached translation does not allow this: ${arm ? `syndrome ${hex(errorCode)}` : errorCodeWords(errorCode)}.`,
    why: 'A refusal out of the TLB is a page fault, and the entry is dropped.',
  }),
  'walk-set-bits': ({ level, dirty }, told) => ({
    what: `The processor marks the ${told.shadow ? 'shadow ' : ''}${tableOn(level, told)} entry ${dirty ? 'dirty' : 'accessed'}.`,
    why: 'The marks tell whoever owns the tables what has been used and written.',
  }),
  'data-execute': ({ gva }) => ({
    what: `The guest fetches an instruction at ${hex(gva)}.`,
    why: 'The processor read by itself, without the hypervisor.',
  }),
  'page-fault': ({ gva, errorCode }, { arm }) => ({
    what: arm
      ? `The processor raises an abort at ${hex(gva)}, with syndrome ${hex(errorCode)}.`
      : `The processor raises a page fault at ${hex(gva)}: ${errorCodeWords(errorCode)}.`,
    why: "No hypervisor asks for it: the system's own kernel gets it.",
  }),
  invlpg: ({ gva, dropped }) => ({
    what: `INVLPG: the guest drops its translation of ${hex(gva)} (${plural(dropped, 'entry', 'entries')}).`,
    why: 'The guest owes this after changing an entry. It runs without an exit in this era.',
  }),
  'guest-skip': ({ handled }) => ({
    what: 'The guest gives up this access.',
    why: handled ? 'Its handler says so.' : 'It has no handler for this fault.',
  }),
  'remote-flush': ({ broadcast }) => ({
    what: broadcast
      ? 'The hypervisor invalidates on all processors at once.'
      : 'The hypervisor wants every vCPU to flush its TLB.',
    why: broadcast
      ? 'This processor broadcasts invalidations: no other vCPU has to be asked.'
      : 'Each vCPU may hold translations that the tables no longer give.',
  }),
  'request-set': ({ vcpu, kick, needless }) => ({
    what: `vCPU ${String(vcpu)} gets the request to flush before it next enters the guest.`,
    why: `${
      kick
        ? 'It runs the guest now, so it has to be interrupted.'
        : 'It is outside the guest: it will see the request in time.'
    }${needless ? ' For it the flush is needless: no entry of its TLB comes from what changes.' : ''}`,
  }),
  'modes-look': ({ count }) => ({
    what: `The hypervisor looks who runs the guest: ${plural(count, 'vCPU', 'vCPUs')}.`,
    why: 'Only these will be interrupted. But nobody has a request yet: who enters the guest from here on runs with old entries.',
  }),
  'flush-page': ({ name, gva, dropped }) => ({
    what: `${name} drops what translates ${hex(gva)}: ${plural(dropped, 'entry goes', 'entries go')}.`,
    why: 'The address leads to the entry that changes. All other translations stay.',
  }),
  'cr3-cache-choose': ({ slot }) => ({
    what: `Slot ${String(slot)} of the cache of roots is for the address space that is loaded.`,
    why: 'Intel processors can be told four values of CR3 whose loading does not exit.',
  }),
  'cr3-cache-keep': ({ slot, cr3 }) => ({
    what: `Slot ${String(slot)} of the cache of roots now has CR3 ${hex(cr3)}.`,
    why: 'The guest knows its hypervisor: it may come back to this address space without an exit.',
  }),
  'cr3-cache-stay': ({ slot, count }) => ({
    what: `${plural(count, 'root stays', 'roots stay')} in use: slot ${String(slot)} of the cache has ${count === 1 ? 'it' : 'them'}.`,
    why: 'The guest may load this address space again at any time, and the hypervisor will not be asked.',
  }),
  'cr3-cache-empty': ({ count }) => ({
    what: `The flush empties the cache of roots: ${plural(count, 'other address space goes', 'other address spaces go')}.`,
    why: 'Any load of CR3 exits from now on, until the cache has filled again.',
  }),
  'cr3-cache-load': ({ slot, cr3, dropped }) => ({
    what: `The guest loads CR3 ${hex(cr3)} by itself, from slot ${String(slot)} of the cache of roots: no exit.`,
    why: `The processor drops all translations but the global ones, as at any load of CR3: ${plural(dropped, 'entry', 'entries')}.`,
  }),
  'request-serve': ({ by, dropped }) => ({
    what: `The vCPU carries out its request, by ${by}: ${plural(dropped, 'entry goes', 'entries go')} now.`,
    why: 'This is the last moment before the guest runs again.',
  }),
  'ipi-send': ({ count }) => ({
    what: `${plural(count, 'vCPU is', 'vCPUs are')} interrupted out of the guest.`,
    why: 'An inter-processor interrupt is the only way to reach a vCPU that runs the guest.',
  }),
  'ipi-unwaited': ({ count }) => ({
    what: `The hypervisor goes on while ${count === 1 ? 'the interrupt is' : 'the interrupts are'} still on the way.`,
    why: 'A vCPU in the middle of an access ends it first: it may still walk tables that are no more, and use old entries.',
  }),
  'ipi-wait': ({ count }) => ({
    what: `The hypervisor has waited until ${count === 1 ? 'that vCPU has' : 'all of them have'} left the guest.`,
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
  'outside-flip-register': ({ register, bit, set }) => ({
    what: `Bit ${String(bit)} of ${register.toUpperCase()} becomes ${set ? '1' : '0'}, from outside.`,
    why: 'Nobody in the machine did it, so nothing is flushed. The TLB may still hold what was found before.',
  }),
  'point-missed': ({ point }) => ({
    what: `Nobody came to ${point}, so what was planned there did not happen.`,
    why: 'Under these settings the machine does not get to that point.',
  }),
  'lock-wait': ({ holder }) => ({
    what: `This vCPU waits: ${holder < 0 ? 'a thread of the host' : `vCPU ${String(holder)}`} holds the hypervisor's lock.`,
    why: 'It goes on as soon as the lock is free.',
  }),
  'turn-wait': ({ why }) => ({
    what: `Here somebody has to wait: ${why}.`,
    why: 'It goes on as soon as that is over.',
  }),
  'walk-abandoned': () => ({
    what: 'The page walk is given up: the processor was interrupted in the middle of it.',
    why: 'The instruction begins anew when the guest runs again, and reads the tables as they are then.',
  }),
  'vcpu-leave': ({ how }) => ({
    what: how === 'halt' ? 'The vCPU halts.' : 'The vCPU is in user space: its program there has work to do.',
    why: 'It does not run the guest now. Before it does, it looks whether anybody has left it a request.',
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
  'guest-walk-pdptr': ({ index, entry }) => ({
    what: `The root entry ${String(index)} is in a register: ${entry === 0n ? 'empty' : hex(entry)}.`,
    why: 'Under PAE the four root entries are loaded together with CR3. What memory says about them now does not matter.',
  }),
  'pool-check': ({ left }) => ({
    what: `Only ${plural(left, 'shadow page is', 'shadow pages are')} left.`,
    why: 'The oldest ones are given up until 25 are free.',
  }),
  'shadow-keep': ({ serial }) => ({
    what: `sp ${String(serial)} is emptied, but stays.`,
    why: 'It is the root in use.',
  }),
  'pae-root': ({ index, serial }) => ({
    what:
      serial === 0
        ? `Root entry ${String(index)} of the shadow stays empty.`
        : `Root entry ${String(index)} of the shadow names sp ${String(serial)}.`,
    why:
      serial === 0
        ? "The guest's own root entry is empty, too."
        : 'Each of four root entries serves one GiB. The guest has 32-bit addresses; its shadow has PAE tables.',
  }),
  'set-cr3': ({ root }) => ({
    what: `The processor's CR3 will name host frame ${hex(root)}.`,
    why: 'The guest believes that its own root is in use; really it is the shadow root.',
  }),
  'spte-mark-large': () => ({
    what: 'The entry above is marked: the guest maps this range with one large page.',
    why: 'The shadow splits a large page into small ones, for each of its frames can be a page table of its own.',
  }),
  'spte-mmio': ({ gpa }) => ({
    what: `The shadow entry is marked as device memory: ${hex(gpa)}.`,
    why: 'No slot backs this address. Every access will exit, and a device model answers.',
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
    why: `No particular device is modelled: ${write ? 'what is written does nothing' : 'every read gets all ones'}.`,
  }),
  'emulate-mmio-again': ({ value }) => ({
    what: `The emulator runs the read a second time and puts ${hex(value)} where the guest wants it.`,
    why: 'The first run had to stop for the answer. Some eras finish it at once, others let the guest fault once more for it.',
  }),
  'quadrant-skip': ({ serial, quadrant }) => ({
    what: `sp ${String(serial)} stands for another part of this table: nothing to do.`,
    why: `A 32-bit guest's table has twice the entries of a shadow table, its directory four times. This page is part q${String(quadrant)}.`,
  }),
  'update-refuse': ({ because }) => ({
    what: `No shadow entry is built: ${because}.`,
    why: 'Only a whole, present and accessed entry can be built at once.',
  }),
  'slot-look': ({ gfn, backed }) => ({
    what: backed
      ? `Memory backs guest frame ${hex(gfn)}.`
      : `No memory backs guest frame ${hex(gfn)}: a device must be there.`,
    why: 'Paging is off, so the address is guest physical, and there is no table of the guest to walk.',
  }),
  'slot-log': ({ slot, on }) => ({
    what: `User space ${on ? 'begins' : 'ends'} the dirty log of slot ${String(slot)}.`,
    why: 'The dirty log says which frames were written. Moving a running guest to another host needs it.',
  }),
  'log-fetch': ({ slot, count }) => ({
    what: `User space fetches the dirty log of slot ${String(slot)}: ${plural(count, 'frame was', 'frames were')} written.`,
    why:
      count === 0
        ? 'Nothing was written, so nothing has to be protected.'
        : 'To see the next write to any frame of the slot, its write rights are taken away.',
  }),
  'log-clear': ({ count }) => ({
    what: `${plural(count, 'bit is', 'bits are')} cleared: the log begins anew.`,
    why: 'Each frame that is written from now on faults once and is noted again.',
  }),
  'register-write': ({ register, value }) => ({
    what: `The guest's ${register.toUpperCase()} becomes ${hex(value)}.`,
    why: 'How the tables are read depends on it.',
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
  'walk-not-canonical': ({ gva }) => ({
    what: `${hex(gva)} is not canonical.`,
    why: 'Bits 63 to 47 must be equal. The processor raises a general protection fault without any walk.',
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
  'guest-gp': () => ({
    what: 'The guest gets a general protection fault.',
    why: 'What it tried is not allowed.',
  }),
} satisfies { readonly [K in StepKind]?: Teller<K> };
