/**
 * The sentences about the steps of a KVM of today: how it finds and builds, what is out of step, roots and requests.
 * Fetched for the runs that have such steps; those about leaves stand in
 * sentences-leaves.ts, those about devices, slots and the host in sentences-memory.ts.
 */
import { CR0_PG } from '../core/hardware/registers.ts';
import { errorCodeWords } from '../core/hardware/fault.ts';
import type { StepKind } from '../core/machine/steps.ts';
import type { STEPS_TODAY } from '../core/machine/steps-today.ts';
import {
  ACC_ALL,
  ACC_EXEC,
  ACC_USER,
  ACC_WRITE,
  isDirect,
  levelOfRole,
  roleField,
} from '../core/kvm-shadow/role.ts';
import type { Request } from '../core/kvm-shadow/flush.ts';
import { PFERR } from '../core/kvm-shadow/permissions.ts';
import { OF_LEAVES, OF_SYNC } from './sentences-leaves.ts';
import { OF_MEMORY } from './sentences-memory.ts';
import { entryText, hex, plural, sp, table, type Teller } from './telling.ts';

type TodaysKind = keyof typeof STEPS_TODAY;

/** Rights as KVM numbers them. Reading is always among them. */
const rightsText = (access: number): string =>
  [
    'read',
    ...((access & ACC_WRITE) === 0 ? [] : ['write']),
    ...((access & ACC_EXEC) === 0 ? [] : ['execute']),
    (access & ACC_USER) === 0 ? 'kernel only' : 'user too',
  ].join(', ');

/** What a shadow page stands for, as its key says. */
function standing(gfn: number, role: number): string {
  const access = roleField(role, 'access');
  const rights = access === ACC_ALL ? '' : ` (${rightsText(access)})`;
  if (isDirect(role)) return `for memory from guest frame ${hex(gfn)} on, without a guest table${rights}`;
  const part = roleField(role, 'has_4_byte_gpte') === 1 ? `, q${String(roleField(role, 'quadrant'))}` : '';
  return `for the ${table(levelOfRole(role))} in guest frame ${hex(gfn)}${part}${rights}`;
}

/** What kind of access an error code speaks of. */
const accessText = (code: number): string =>
  `a ${(code & PFERR.user) === 0 ? 'kernel' : 'user'} ${(code & PFERR.fetch) !== 0 ? 'fetch' : (code & PFERR.write) !== 0 ? 'write' : 'read'}`;

/** Requests to a vCPU, as what it has to do. */
const REQUESTED: Readonly<Record<Request, string>> = {
  MMU_FREE_OBSOLETE_ROOTS: 'to give up roots that are obsolete',
  MMU_SYNC: 'to bring its tables into step',
  LOAD_MMU_PGD: 'to run on another root',
  TLB_FLUSH: 'to flush its TLB',
  TLB_FLUSH_CURRENT: 'to flush what its TLB has through its root',
  TLB_FLUSH_GUEST: 'to flush its TLB, as the guest would',
};
const requestText = (request: string): string => REQUESTED[request as Request];

const PAGING: Readonly<Record<number, string>> = {
  0: 'it does not page',
  2: 'it pages with two levels',
  3: 'it pages with PAE',
  4: 'it pages with four levels',
  5: 'it pages with five levels',
};

const FLUSHED: Readonly<Record<string, string>> = {
  all: 'Somebody has changed tables that its translations may come from.',
  current: 'What was found through this root before may be false now.',
  guest: 'Something that the guest did empties the TLB of a real processor.',
  address: 'What the TLB has for this address must not be used any more.',
};

const OF_WALKS = {
  'fault-report': ({ gva, errorCode }) => ({
    what: `The hypervisor looks at the fault at ${hex(gva)}: ${errorCodeWords(errorCode)}.`,
    why: "It may be the guest's own fault, a gap in the shadow, or a device.",
  }),
  'gwalk-begin': ({ gva, errorCode }) => ({
    what: `The hypervisor walks the guest's own tables for ${accessText(errorCode)} at ${hex(gva)}.`,
    why: "It does in software what the guest's processor would do, to learn what the guest itself allows.",
  }),
  'gwalk-element': ({ level, entry }) => ({
    what: `The guest's ${table(level)} entry is: ${entryText(entry)}.`,
    why: 'It is kept, to see later whether the guest has changed it meanwhile.',
  }),
  'gwalk-accessed': ({ gpa }) => ({
    what: `The guest's entry at ${hex(gpa)} is marked accessed.`,
    why: 'The whole walk has passed. A processor would have set the mark.',
  }),
  'gwalk-dirty': ({ gpa }) => ({
    what: `The guest's entry at ${hex(gpa)} is marked dirty.`,
    why: 'The access is a write. A processor would have set the mark.',
  }),
  'gwalk-error': ({ errorCode }) => ({
    what: `The guest's own tables refuse: ${errorCodeWords(errorCode)}.`,
    why: 'This is the fault that the guest would get from a real processor, so the guest gets it.',
  }),
  'stale-check': ({ seq, now, stale }) => ({
    what: stale ? 'What was found is out of date: nothing is mapped.' : 'What was found still holds.',
    why: !stale
      ? 'The frame was looked up without the lock. This check, with the lock, would see a change by the host.'
      : seq === now
        ? 'The host is changing pages just now, or the root has been given up. The access will fault again.'
        : `The host has changed pages: its number went from ${String(seq)} to ${String(now)}. The access will fault again.`,
  }),
} as const satisfies { readonly [K in TodaysKind]?: Teller<K> };

const OF_PAGES = {
  'pages-check': ({ left }) => ({
    what: `There is room for ${plural(left, 'more shadow page', 'more shadow pages')}.`,
    why:
      left < 5
        ? 'Fewer than 5: the oldest are given up until there is room for 25.'
        : 'A VM may have so many and no more. Below 5 the oldest would be given up.',
  }),
  'room-made': ({ left }) => ({
    what: `Now there is room for ${plural(left, 'more shadow page', 'more shadow pages')}.`,
    why: 'The oldest pages have gone. One that is the root of a vCPU is spared.',
  }),
  'sp-lookup': ({ gfn, role, found }) => ({
    what:
      found > 0
        ? `${sp(found)} is the shadow page ${standing(gfn, role)}.`
        : `There is no shadow page yet ${standing(gfn, role)}.`,
    why: 'Shadow pages are found by guest frame and role. The role holds everything that their entries depend on.',
  }),
  'sp-alloc': ({ serial, gfn, role }) => ({
    what: `An empty shadow page is made, ${sp(serial)}: ${standing(gfn, role)}.`,
    why: isDirect(role)
      ? 'No table of the guest lies behind it, so nothing has to be watched for it.'
      : "The processor will walk it in the place of the guest's table.",
  }),
  'sp-get': ({ serial, created }) => ({
    what: created ? `${sp(serial)} is ready.` : `${sp(serial)} serves again.`,
    why: created
      ? 'It fills up fault by fault.'
      : 'All entries that were built for it before can be used without a fault.',
  }),
  'sp-link': ({ level, serial }) => ({
    what: `The shadow ${table(level)} entry links to ${sp(serial)}.`,
    why: "A link allows everything. The rights of the guest's upper entries are in the role of the page below.",
  }),
  'sp-unlink': ({ level, serial }) => ({
    what: `The shadow ${table(level)} entry links to ${sp(serial)} no longer.`,
    why: 'A page knows every entry that links to it, so each can be found and cleared.',
  }),
  'sp-zap': ({ serial, gfn }) => ({
    what: `${sp(serial)}, of guest frame ${hex(gfn)}, is given up.`,
    why: 'Its entries go first, then the links to it. Faults will build again what is still needed.',
  }),
  'sp-doom': ({ serial, root }) => ({
    what: root ? `${sp(serial)} becomes invalid, but stays.` : `${sp(serial)} waits to be freed.`,
    why: root
      ? 'A vCPU has it as a root. It is asked to give it up before it runs the guest again.'
      : 'A processor may still be walking it. All vCPUs are told to flush before it is freed.',
  }),
  'sp-free': ({ serial, pfn }) => ({
    what: `${sp(serial)} is freed, and host frame ${hex(pfn)} with it.`,
    why: 'All vCPUs have been told to flush, so none will walk it any more.',
  }),
  'sp-root': ({ serial, rootCount }) => ({
    what:
      rootCount === 0
        ? `${sp(serial)} is no root any more.`
        : `${sp(serial)} is a root, ${rootCount === 1 ? 'once' : `${String(rootCount)} times`}.`,
    why: 'Current and remembered roots of all vCPUs are counted. What is counted is never freed.',
  }),
  'flood-zero': ({ serial }) => ({
    what: `The count of writes to the table of ${sp(serial)} is set to 0.`,
    why: 'The table has just been used, so the guest is not rewriting it in bulk.',
  }),
  'flood-one': ({ serial, count }) => ({
    what: `Write number ${String(count)} in a row to the table of ${sp(serial)}.`,
    why:
      count >= 3
        ? 'Nobody used the table in between: it looks like a fork. The shadow page is given up.'
        : 'After three without any use in between the shadow page would be given up.',
  }),
  'track-check': ({ gfn, tracked }) => ({
    what: `Guest frame ${hex(gfn)} is ${tracked ? '' : 'not '}write-tracked.`,
    why: tracked
      ? 'A table above the last level lies there. Each write to it is emulated, so that none goes unseen.'
      : 'No shadowed table above the last level lies there, so a write need not be emulated for that.',
  }),
  'track-gfn': ({ gfn, count }) => ({
    what:
      count === 0
        ? `Guest frame ${hex(gfn)} is no longer write-tracked.`
        : `Guest frame ${hex(gfn)} is write-tracked, for ${plural(count, 'shadow page', 'shadow pages')}.`,
    why:
      count === 0
        ? 'It is no shadowed table above the last level any more.'
        : 'It is a table above the last level, which may never go out of step: each write to it is emulated.',
  }),
  'large-forbid': ({ gfn, by }) => ({
    what: `${by > 0 ? 'One more reason' : 'One reason less'} against a large page over guest frame ${hex(gfn)}.`,
    why: 'A last table of the guest needs an entry of its own size, which alone can be write-protected.',
  }),
} as const satisfies { readonly [K in TodaysKind]?: Teller<K> };

const OF_VCPUS = {
  'flush-remote': ({ why }) => ({
    what: `All vCPUs are to flush: ${why}.`,
    why: 'Each may still hold translations that the tables no longer give.',
  }),
  'smm-enter': ({ cr0 }) => ({
    what: `The vCPU enters System Management Mode${(cr0 & CR0_PG) === 0n ? '' : '; paging is off there'}.`,
    why: 'Its firmware runs now, behind the back of the kernel, with memory slots of its own. CR0, CR3, CR4 and EFER are kept for the way back.',
  }),
  'smm-refuse': ({ inSmm }) =>
    inSmm
      ? {
          what: 'The vCPU is in System Management Mode already.',
          why: 'Another SMI has to wait until RSM. The model lets it go.',
        }
      : {
          what: 'The vCPU is not in System Management Mode.',
          why: 'A processor would raise #UD, an invalid instruction. The model goes on behind it.',
        },
  'smm-leave': ({ cr0, cr3 }) => ({
    what: `The vCPU leaves System Management Mode: CR3 is ${hex(cr3)} again${(cr0 & CR0_PG) === 0n ? '' : ', and paging is on'}.`,
    why: 'The kernel goes on as if nothing had been. The usual memory slots count again.',
  }),
  'flush-put-off': ({ count }) => ({
    what: `The flush for it is put off: tlbs_dirty is ${String(count)} now.`,
    why: 'The guest has changed its own table, so it flushes for itself. The host flushes at the latest when it takes a page away.',
  }),
  'flush-own': ({ how, dropped }) => ({
    what: `The vCPU flushes ${how === 'address' ? 'one address' : 'its TLB'}: ${plural(dropped, 'entry goes', 'entries go')}.`,
    why: FLUSHED[how] ?? how,
  }),
  'request-make': ({ vcpu, request }) => ({
    what: `vCPU ${String(vcpu)} is asked ${requestText(request)}.`,
    why: 'It looks for requests each time before it runs the guest.',
  }),
  'request-take': ({ request }) => ({
    what: `The vCPU has been asked ${requestText(request)}.`,
    why: 'It does so now: this is the last moment before the guest runs.',
  }),
  'role-set': ({ cpu }) => ({
    what: `The guest's paging is worked out anew: ${PAGING[Number(cpu & 0xfn)] ?? 'in a way of its own'}.`,
    why: "Two roles come of it: cpu_role for the guest's own paging, root_role for the root tables that serve it.",
  }),
  'root-load': ({ pgd, hpa }) => ({
    what: `The root for CR3 ${hex(pgd)} is host frame ${hex(hpa)}.`,
    why: 'The processor begins its walks there. The guest believes that its own root is in use.',
  }),
  'root-free': ({ which }) => ({
    what: which === 0 ? 'The vCPU gives up its root.' : `The vCPU forgets previous root ${String(which)}.`,
    why:
      which === 0
        ? 'Before it runs the guest again, a root is looked up or built.'
        : 'To come back to that address space will need a lookup.',
  }),
  'root-rotate': ({ pgd, found, at: number }) => ({
    what: found
      ? `Previous root ${String(number)} serves CR3 ${hex(pgd)}.`
      : number === 0
        ? `No previous root serves CR3 ${hex(pgd)}.`
        : `Previous root ${String(number)} does not serve CR3 ${hex(pgd)}.`,
    why: found
      ? 'It was built for this CR3 and this role, so nothing is looked up or built.'
      : 'A root serves only the CR3 and the role that it was built for. Three are remembered.',
  }),
  'pdptr-read': ({ changed }) => ({
    what: `The four root entries of PAE are read: ${changed ? 'they have changed' : 'as before'}.`,
    why: changed
      ? 'The guest has other tables now, so its root is given up.'
      : 'They are kept in registers, and what was built for them still serves.',
  }),
  'emulate-begin': () => ({
    what: "The emulator takes over one instruction of the guest's.",
    why: 'The processor may not finish it alone: it writes a table in use, reaches a device or exits by itself.',
  }),
  'emulate-retry': ({ gfn, zapped }) => ({
    what: `The instruction is not emulated but tried again${zapped ? `: the shadow of guest frame ${hex(gfn)} is gone` : ''}.`,
    why: 'Without a shadow of the frame that it writes, the processor can finish it alone.',
  }),
  'emulate-store': ({ gpa, value, bytes }) => ({
    what: `The emulator writes ${hex(value)} to guest address ${hex(gpa)} (${plural(bytes, 'byte', 'bytes')}).`,
    why: "The guest's memory changes first, then the shadow of what was there.",
  }),
  'emulate-load': ({ gpa, value }) => ({
    what: `The emulator reads ${hex(value)} at guest address ${hex(gpa)}.`,
    why: 'The instruction needs it, and memory is there.',
  }),
  'track-write': ({ gpa }) => ({
    what: `Shadows of what lies at guest address ${hex(gpa)} are looked for.`,
    why: 'Entries made from the old contents are false now. They are cleared, and built again by faults.',
  }),
} as const satisfies { readonly [K in TodaysKind]?: Teller<K> };

/** The compiler asks for a sentence of each step of today. */
export const OF_TODAYS_STEPS: { readonly [K in TodaysKind]: Teller<K> } = {
  ...OF_WALKS,
  ...OF_PAGES,
  ...OF_SYNC,
  ...OF_LEAVES,
  ...OF_VCPUS,
  ...OF_MEMORY,
};

/** Steps that a KVM of 2007 has too, and of which something else is true today. */
export const INSTEAD_TODAY: { readonly [K in StepKind]?: Teller<K> } = {
  'vm-entry': () => ({
    what: 'VM entry: the guest runs again.',
    why: 'Everything that this vCPU was asked to do before, flushes among it, has been done.',
  }),
  'tlb-fill': ({ pfn, writable }) => ({
    what: `The TLB keeps the translation, to host frame ${hex(pfn)}, ${writable ? 'writable' : 'not for writing'}.`,
    why: 'The next access to this page needs no walk.',
  }),
  invlpg: ({ gva }) => ({
    what: `INVLPG is done for ${hex(gva)}.`,
    why: 'It exits: the shadow may be out of step for this address, and only the hypervisor can mend that.',
  }),
  'pae-root': ({ index, serial }) => ({
    what:
      serial === 0
        ? `Root entry ${String(index)} of the shadow is empty.`
        : `Root entry ${String(index)} of the shadow names ${sp(serial)}.`,
    why:
      serial === 0
        ? "The guest's own root entry is empty, or the root is being given up."
        : 'Each of four root entries serves one GiB. The guest has 32-bit addresses; its shadow has PAE tables.',
  }),
  'log-fetch': ({ slot, count }) => ({
    what: `User space fetches the dirty log of slot ${String(slot)}: ${plural(count, 'frame was', 'frames were')} written.`,
    why: 'To see the next write, their write rights go: at once, or when user space says that it has dealt with them.',
  }),
  'log-clear': ({ slot, count }) => ({
    what: `User space has dealt with ${plural(count, 'frame', 'frames')} of slot ${String(slot)}.`,
    why: 'Their bits are cleared and their write rights go, so that the next write is seen.',
  }),
};
