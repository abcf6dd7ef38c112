/**
 * What a reader is told about each micro-step: one sentence for what happened, one for why. Made from a step's kind
 * and facts and from the world, in one place, ready to be translated. Plain English, no jargon unexplained.
 */
import { SHIPPED_BUGS, type Settings } from '../core/settings.ts';
import { RULES } from '../core/audit/audit.ts';
import type { Harm, Violation } from '../core/machine/tables.ts';
import type { StepView } from '../timeline/timeline.ts';
import { errorCodeWords } from '../core/hardware/fault.ts';
import type { StepKind } from '../core/machine/steps.ts';
import { OF_PROCESSOR } from './sentences-processor.ts';
import { HARM_WORDS } from './harm-words.ts';
import {
  at,
  frameName,
  hex,
  plural,
  table,
  tableOn,
  type Sentence,
  type Teller,
  type Told,
} from './telling.ts';

const FLUSH_WORDS: Readonly<Record<string, string>> = {
  'write-protect': 'A mapping has just lost its write right.',
  cr3: 'A new root is about to be used.',
  zap: 'Shadow entries have gone.',
  shadowed: 'The frame is a shadowed table.',
  'dirty-log': 'Writes must be seen again from now on, so no old right to write may be left in the TLB.',
};

const TELLERS: { readonly [K in StepKind]: Teller<K> } = {
  ...OF_PROCESSOR,

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
  'outside-flip-register': ({ register, bit, set }) => ({
    what: `Bit ${String(bit)} of ${register.toUpperCase()} becomes ${set ? '1' : '0'}, from outside.`,
    why: 'Nobody in the machine did it, so nothing is flushed. The TLB may still hold what was found before.',
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

  'guest-walk-root': ({ gfn }) => ({
    what: `The hypervisor begins at the guest's CR3: guest frame ${hex(gfn)}.`,
    why: "It walks the guest's own tables in software, to learn whose fault this is.",
  }),
  'guest-walk-pdptr': ({ index, entry }) => ({
    what: `The root entry ${String(index)} is in a register: ${entry === 0n ? 'empty' : hex(entry)}.`,
    why: 'Under PAE the four root entries are loaded together with CR3. What memory says about them now does not matter.',
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
  'write-protect': ({ gfn, forLog }) => ({
    what: `One mapping of guest frame ${hex(gfn)} becomes read-only.`,
    why: forLog
      ? 'The next write to the frame is to be noted in the dirty log, so it has to fault.'
      : 'The frame is about to be shadowed as a page table, so the guest must no longer be able to write it unseen.',
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
  'spte-mark-large': () => ({
    what: 'The entry above is marked: the guest maps this range with one large page.',
    why: 'The shadow splits a large page into small ones, for each of its frames can be a page table of its own.',
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
    why: 'The first run had to stop for the answer. An era finishes it at once, or lets the guest fault once more for it.',
  }),
  'quadrant-skip': ({ serial, quadrant }) => ({
    what: `sp ${String(serial)} stands for another part of this table: nothing to do.`,
    why: `A 32-bit guest's table has twice the entries of a shadow table, its directory four times. This is part ${String(quadrant)}.`,
  }),
  'update-refuse': ({ because }) => ({
    what: `No shadow entry is built: ${because}.`,
    why: 'Only a whole, present and accessed entry can be built at once.',
  }),
  'guest-copy': ({ gfn, value }) => ({
    what: `The bytes reach guest memory: frame ${hex(gfn)} now holds ${hex(value)}.`,
    why: "In this era the shadow is settled first, then the guest's memory changes.",
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
};

/** The sentences of a step of a run under these settings. */
export function sentenceOf(
  step: { readonly kind: StepKind; readonly facts: unknown },
  settings: Settings,
): Sentence {
  const tell = TELLERS[step.kind] as (facts: unknown, told: Told) => Sentence;
  return tell(step.facts, { shadow: settings.machine.startsWith('kvm-'), arm: settings.cpu === 'arm64' });
}

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
