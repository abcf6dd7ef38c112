/** The sentences of a KVM of today about memory slots, devices and what the host does with the guest's memory. */
import type { STEPS_TODAY } from '../core/machine/steps-today.ts';
import { entryText, hex, plural, type Teller } from './telling.ts';

const NO_FRAME: Readonly<Record<string, { what: string; why: string }>> = {
  'being deleted': {
    what: 'its memory slot is being deleted',
    why: 'The access is tried again until the slot is gone.',
  },
  'no slot': { what: 'no memory slot backs it', why: 'A device must be there.' },
  'read-only slot': {
    what: 'its memory slot is read-only',
    why: 'A write goes to user space, as to a device. Reads are memory.',
  },
  fault: { what: 'the host gives no page for it', why: 'The process itself may not do that to its memory.' },
};

const FAULTED_IN: Readonly<Record<string, { what: string; why: string }>> = {
  zeros: {
    what: 'The host maps its one frame of zeros',
    why: 'The page is read before anybody wrote it, so it needs no frame of its own yet.',
  },
  new: {
    what: 'The host gives a fresh frame',
    why: "The guest's memory is memory of a process: a page gets its frame when it is first written.",
  },
  'copy on write': {
    what: 'The host gives a frame of its own',
    why: 'Until now the page shared the frame of zeros. This is the first write to it.',
  },
  'writable again': {
    what: 'The host makes its own entry writable again',
    why: 'The process may write there. The host had held the right back only to notice a write.',
  },
  'from swap': {
    what: 'The host brings back what was swapped out',
    why: 'The page is wanted again, with all that was in it.',
  },
};

/** Of changes that are made; the last piece of each has words of its own. */
const SLOT_CHANGES: Readonly<Record<string, string>> = {
  create: 'is there',
  delete: 'is gone',
  flags: 'has other flags: whether writes are logged, or forbidden',
  invalid: 'is being deleted: nothing may be mapped from it any more',
};

const HOST_MAPS: Readonly<Record<string, { what: string; why: string }>> = {
  memory: {
    what: 'The process that runs the guest gets memory',
    why: 'Memory slots will offer it to the guest.',
  },
  away: {
    what: 'The host takes pages away',
    why: 'The process has said that it does not need what is in them (madvise). They come back as zeros.',
  },
  'swapped out': {
    what: 'The host swaps pages out',
    why: 'Their frames are free for others. What was in them comes back when it is wanted.',
  },
  writable: { what: 'The process may write its pages again', why: 'It has asked for that (mprotect).' },
  'read-only': {
    what: 'The process may no longer write its pages',
    why: 'It has asked for that (mprotect).',
  },
  collapsed: {
    what: 'The host puts 512 pages into one large page',
    why: 'Their contents are copied (madvise). One entry can map all of it now.',
  },
};

const pageOfProcess = (hva: number): string => `page ${hex(hva)} of the process`;

export const OF_MEMORY = {
  'pfn-found': ({ gfn, pfn, writable, seq }) => ({
    what: `Guest frame ${hex(gfn)} is host frame ${hex(pfn)}${writable ? '' : ', not to be written'}.`,
    why: `The host may change that at any time: its number of changes, ${String(seq)}, is noted and compared later.`,
  }),
  'pfn-none': ({ gfn, why }) => ({
    what: `Guest frame ${hex(gfn)} has no host frame: ${NO_FRAME[why]?.what ?? why}.`,
    why: NO_FRAME[why]?.why ?? why,
  }),
  'host-fault-in': ({ hva, why }) => ({
    what: `${FAULTED_IN[why]?.what ?? why}, at ${pageOfProcess(hva)}.`,
    why: FAULTED_IN[why]?.why ?? why,
  }),
  'dirty-mark': ({ gfn }) => ({
    what: `The dirty log notes guest frame ${hex(gfn)}.`,
    why: 'It has been written, or may be from now on without a fault.',
  }),

  'mmio-set': ({ gfn, generation }) => ({
    what: `The shadow entry marks guest frame ${hex(gfn)} as a device's${generation < 0 ? '' : `, generation ${String(generation)}`}.`,
    why:
      generation < 0
        ? 'A reserved bit makes each access fault in a way that says so. The mark counts until the entry is cleared.'
        : 'A reserved bit makes each access fault in a way that says so. The generation tells whether slots changed since.',
  }),
  'mmio-clear': ({ gfn }) => ({
    what: `The entry that marked guest frame ${hex(gfn)} as a device's is cleared.`,
    why: "The guest's entry behind it has changed, or its page is being given up.",
  }),
  'mmio-remember': ({ gva, gfn, generation }) => ({
    what: `The vCPU remembers that ${hex(gva)} is a device: guest frame ${hex(gfn)}.`,
    why: `The next access there needs no table, as long as the slots stay as they are${generation < 0 ? '' : ` (generation ${String(generation)})`}.`,
  }),
  'mmio-forget': ({ gfn }) => ({
    what: `The vCPU forgets its last device, guest frame ${hex(gfn)}.`,
    why: 'The same address may mean something else from now on.',
  }),
  'mmio-quick': ({ gva, hit }) => ({
    what: hit
      ? `${hex(gva)} is the device that the vCPU remembers.`
      : `The vCPU does not remember ${hex(gva)}.`,
    why: hit
      ? 'No table is read: the instruction goes to the emulator at once.'
      : "The shadow tables are looked at next. That is still cheaper than the guest's tables and the slots.",
  }),
  'mmio-check': ({ generation, now, valid }) => ({
    what: valid
      ? `The entry's generation, ${String(generation)}, is the current one.`
      : `The entry is of generation ${String(generation)}; now it is ${String(now)}.`,
    why: valid
      ? 'No memory slot has changed since it was made: it is still a device.'
      : 'Memory slots have changed, or are changing: the entry says nothing any more. The long way follows.',
  }),
  'mmio-found': ({ gfn }) => ({
    what: `The shadow entry says that guest frame ${hex(gfn)} is a device's.`,
    why: "Neither the guest's tables nor the memory slots had to be asked.",
  }),
  'mmio-bug': ({ entry }) => ({
    what: `The shadow entry ${entryText(entry)} neither marks a device nor is empty.`,
    why: 'KVM of 2011 answers −1: it takes this for a bug in its own tables. What came of it then is not told; here the guest tries again.',
  }),
  'mmio-match': ({ gpa }) => ({
    what: `The emulator knows guest address ${hex(gpa)} for a device's.`,
    why: 'It is the one that the vCPU remembers, so no memory slot is searched.',
  }),
  'device-access': ({ gpa, value, write }) => ({
    what: write
      ? `The device at ${hex(gpa)} has taken ${hex(value)}.`
      : `The device at ${hex(gpa)} answers ${hex(value)}.`,
    why: 'A program in user space plays it.',
  }),

  'slot-set': ({ slot, change, generation }) =>
    change === 'settled'
      ? {
          what: `Everybody sees the change of memory slot ${String(slot)}${generation < 0 ? '' : `: generation ${String(generation)} begins`}.`,
          why:
            generation < 0
              ? 'Nobody looks at the slots as they were any more.'
              : 'Entries that mark devices count only in their own generation. The older ones say nothing any more.',
        }
      : {
          what: `Memory slot ${String(slot)} ${SLOT_CHANGES[change] ?? change}.`,
          why:
            generation <= 0
              ? 'A memory slot says which guest frames real memory backs.'
              : `Who looks it up from now on finds it so. Marks of devices count in generation ${String(generation)} only.`,
        },
  'zap-all': ({ validGen, pages }) => ({
    what: `All shadow pages are obsolete at once, ${String(pages)} of them: the valid generation is ${String(validGen)} now.`,
    why: 'A page of the other generation is never used again, so the freeing itself may take its time.',
  }),
  'notifier-start': ({ hva, pages }) => ({
    what: `The host is about to change ${plural(pages, 'page', 'pages')}, from ${pageOfProcess(hva)} on.`,
    why: 'The hypervisor has to clear every entry for them first. A fault that comes meanwhile must be tried again.',
  }),
  'notifier-end': ({ seq }) => ({
    what: `The host has made its change, number ${String(seq)}.`,
    why: 'A fault that looked up a frame before sees another number, and is tried again.',
  }),
  'host-map': ({ hva, how }) => ({
    what: `${HOST_MAPS[how]?.what ?? how}, from ${pageOfProcess(hva)} on.`,
    why: HOST_MAPS[how]?.why ?? how,
  }),
} as const satisfies { readonly [K in keyof typeof STEPS_TODAY]?: Teller<K> };
