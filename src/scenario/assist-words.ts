/** The words of the language with what they mean, for completion and hover, as far as a machine has them. */
import { COUNTERS } from '../core/counters.ts';
import { INSTRUCTIONS, type Instruction } from '../core/hardware/invalidations.ts';
import { invalidationMeaning } from '../core/hardware/invalidation-words.ts';
import { PREEMPTION_POINTS } from '../core/preemption-words.ts';
import { outsideRegisters, type OutsideRegister } from '../core/hardware/outside-registers.ts';
import { REGISTER_BITS } from '../core/hardware/registers.ts';
import { vcpusOf, type Settings } from '../core/settings.ts';
import { invalidationWords, isToday } from './machine-words.ts';

export type WordList = readonly (readonly [word: string, meaning: string])[];

const STATEMENTS: WordList = [
  ['title', 'The scenario in a few words.'],
  ['about', 'What one will understand, in quotes.'],
  ['minutes', 'How long it takes to go through.'],
  ['machine', 'Which hypervisor, era and processor.'],
  ['policy', 'How the hypervisor behaves, wrong behaviour included.'],
  [
    'choice',
    'What a reader may choose: a name, its values, and what it decides in quotes; lines ask for it behind when.',
  ],
  ['slot', 'Guest memory: address and size.'],
  ['generation', 'How often the memory slots have been changed before: an even number.'],
  ['let', 'A name for a number.'],
  ['map', "An entry of the guest's page tables."],
  ['space', 'Begins another address space.'],
  ['entry', 'Raw guest memory: address and 8 bytes, or bytes=4.'],
  ['given', 'Operations that run first, shown folded.'],
  ['begin', 'Counters and step numbers start at 0.'],
  ['v0', 'An operation of vCPU 0.'],
  ['host', 'The host acts: it changes its tables, invalidates cached translations, logs what is written.'],
  ['flip', 'A bit of memory or of a register changes, and nobody in the machine did it.'],
  ['note', 'Said while the operation above runs.'],
  ['expect', 'What must come out at this place.'],
  ['try', 'A button that runs the same text under other settings.'],
];
export const PRIVILEGES: WordList = [
  ['user', 'The program acts.'],
  ['kernel', "The guest's kernel acts; on arm64, EL1."],
  ['cpuid', 'An exit that changes nothing.'],
  ['halt', 'The vCPU halts: it does not run the guest until it next does something.'],
  ['user-space', 'The program of the vCPU in user space has work to do.'],
  ['enter', 'The vCPU runs the guest again.'],
  [
    'smi',
    'The vCPU enters System Management Mode: paging off, and the slots that are marked smm. The memory in which registers are saved is left out.',
  ],
  ['rsm', 'The vCPU leaves System Management Mode; its registers are as before.'],
];
const OPERATIONS: WordList = [
  ['read', 'Reads 8 bytes at an address.'],
  ['write', 'Writes at an address: write V = 1.'],
  ['exec', 'Fetches an instruction.'],
  ['set-pte', "Changes an entry of the guest's tables, through the kernel's window onto the table."],
  ['invlpg', 'Drops one translation from the TLB.'],
  ['invpcid', 'Drops translations of address spaces by their number: address, single, all, all-nonglobal.'],
  ['tlbi', 'Drops translations on arm64, on all processors or on this one.'],
  ['load-cr3', 'Switches to another address space.'],
  ['load-ttbr0', 'Switches to another address space, on arm64.'],
  ['set', 'Changes a control register or one bit of it.'],
  ['cpuid', 'An exit that changes nothing.'],
];
export const HANDLER: WordList = [
  ['retry', 'The handler ends, and the guest tries the access again.'],
  ['skip', 'The handler ends, and the access is given up.'],
];
export const TARGETS: WordList = [
  ['gfn', 'A guest frame by number.'],
  ['absent', 'The entry is 0.'],
  ['table-of', "The frame of the page table that serves an address: the kernel's window onto it."],
  ['table', 'The table that map lines made below this entry.'],
];
export const HOST_TARGETS: WordList = [
  ['absent', 'The entry is 0.'],
  ['frame', 'A host frame by number, with the rights read, write, exec.'],
  ['raw', 'The entry as a number.'],
];
export const RIGHTS: WordList = [
  ['read', 'The guest may read.'],
  ['write', 'The guest may write.'],
  ['exec', 'The guest may fetch instructions.'],
];
export const FLAGS: WordList = [
  ['rw', 'May be written (R/W set).'],
  ['ro', 'May not be written (R/W clear).'],
  ['user', 'User mode may use it (U/S set).'],
  ['kernel', 'Only the kernel may use it (U/S clear).'],
  ['accessed', 'Bit A: a walk has used the entry.'],
  ['dirty', 'Bit D: the page has been written.'],
  ['nx', 'No instructions may be fetched from it.'],
  ['global', 'Kept in the TLB over a CR3 load.'],
];
export const MAP_FLAGS: WordList = [
  ['fresh', 'The tables on the way are not marked accessed yet: no walk has used them.'],
];
export const KEY_FLAG: WordList = [['key=', 'Protection key of the page, 0 to 15.']];
export const WHEN: WordList = [['when', 'Only under these settings: flush=never, tlb=4,8 or cpu!=svm.']];
export const EXPECTED: WordList = [
  ...COUNTERS.map((counter) => [`${counter.name}=`, counter.meaning] as const),
  ['read=', 'What the last read got.'],
  ['fault', 'The last access gave the guest a fault; fault=0x5 of that code.'],
  ['no fault', 'The last access gave the guest no fault.'],
  ['no violation', 'No rule of the audit has been broken.'],
  ['no harm', 'No access reached what no correct processor could have given.'],
  ['violation', 'A rule of the audit has been broken.'],
  ['harm', 'An access did harm: stale-read, stale-write, lost-write.'],
  ...WHEN,
];
const EXPECTED_LOG: WordList = [
  ['dirty=', 'The frames that the last fetch of the dirty log gave, all of them: dirty=0x20,0x21.'],
  ['no dirty', 'The last fetch of the dirty log gave no frame.'],
];
export const EXPECTED_BARE: WordList = [
  ['host-fault', 'The second stage refused the last access; host-fault=0x181 with that code.'],
  ['no host-fault', 'The second stage refused nothing of the last access.'],
  ['physical=', 'The host physical address that the last access reached.'],
];
const EXTRA_REGISTERS: WordList = [
  ['pkru', 'Protection keys of user pages: two bits a key, access off and write off.'],
  ['pkrs', 'The same for kernel pages.'],
  ['ac', 'EFLAGS.AC: the kernel may touch user pages in spite of SMAP.'],
];
const FAMILIES: WordList = [
  ['invept', 'Drops what EPT tables gave: single, all.'],
  ['invvpid', 'Drops linear addresses of a virtual processor: address, single, all, single-keep-globals.'],
  ['invlpga', 'Drops one address of an ASID.'],
  ['tlb-control', 'What the next VMRUN drops: all, asid, asid-nonglobal.'],
  ['tlbi', 'Drops translations of stage 2, or of the whole virtual machine.'],
];
const LOG: WordList = [
  ['log', 'Begins or ends noting which frames of a slot are written: log slot=0 on.'],
  ['fetch-log', 'Fetches the frames of a slot that were written since the last fetch.'],
  ['flush-all', 'A thread of the host has the TLBs of all vCPUs flushed.'],
];
const CLEAR_LOG: WordList = [
  [
    'clear-log',
    'User space has dealt with frames of the log: clear-log slot=0, or some of it: 0x20000 pages=4.',
  ],
];
export const SLOT_TRAITS: WordList = [
  ['readonly', 'Reads are memory, writes go to user space.'],
  ['large', 'The host backs it by pages of 2 MiB.'],
  ['absent', 'It is not there at the start: host add-slot adds it.'],
  ['smm', 'Only a vCPU in System Management Mode has it, and that has no other slots.'],
  [
    'hva=',
    'Where its memory lies in the process; two slots may share memory. Usually 0x7f000000 and the address.',
  ],
];
const HOST_MEMORY: WordList = [
  ['unmap', 'The pages are gone, and come back as zeros when they are wanted: unmap 0x40000 pages=2.'],
  ['swap-out', 'The pages leave memory; what was in them comes back when they are wanted.'],
  ['write-protect', 'The process may no longer write the pages, and so the guest may not.'],
  ['make-writable', 'The process may write the pages again.'],
  ['collapse', 'Each whole 2 MiB of the pages gets one large page.'],
];
const SLOT_CHANGES: WordList = [
  ['add-slot', 'User space adds a memory slot to the running guest: add-slot slot=1.'],
  ['delete-slot', 'User space takes a memory slot away from the running guest.'],
];
export const LOG_STATES: WordList = [
  ['on', 'The log begins: every write right is taken away, so that the next write faults.'],
  ['off', 'The log ends.'],
];
const SET_ENTRY: WordList = [['set-entry', 'Changes an entry of the second stage, and invalidates nothing.']];
const OTHER: WordList = [
  ['on', "What the guest's own handler does: on #PF."],
  ['#PF', 'A page fault; on arm64, an abort of stage 1.'],
  ['level', 'The level of an entry: on x86 1 is the page table, on arm64 3 names pages.'],
  ['mmuscope', 'Every scenario begins with this word and the version of the language.'],
  ['main', 'The address space of the first map lines.'],
  ['bit', 'A bit of the word, 0 to 63.'],
  ['shadow', "An entry of the hypervisor's shadow tables."],
  ['register', 'A register that a flip reaches from outside: flip register tcr_el1 bit=39.'],
  ['keep', 'Cached translations of the address space stay (bit 63 of CR3).'],
  ['pcid', 'The number of an address space, 0 to 4095.'],
  ['asid', 'The number of an address space on arm64; of a guest on AMD.'],
  ['vpid', 'The number of a virtual processor; the first is 1.'],
  ['key', 'Protection key of the page, 0 to 15.'],
  ['bytes', 'How many bytes are meant.'],
  ['pages', 'How many pages are meant, from that address on.'],
];

const isBare = ({ machine }: Settings): boolean => !machine.startsWith('kvm-');

/** What may begin a line: one that stands alone, or one that is indented below an operation. */
export const statementsFor = (settings: Settings, indented = false): WordList => [
  ...STATEMENTS.filter(
    ([word]) =>
      (word !== 'host' || settings.machine !== 'native') && (word !== 'generation' || isToday(settings)),
  ),
  ...vcpusFor(settings).slice(1),
  ...(indented && (vcpusOf(settings).length > 1 || isToday(settings)) ? MEANWHILE : []),
];

/** What may stand behind a slot's size. */
export const slotTraitsFor = (settings: Settings): WordList => (isToday(settings) ? SLOT_TRAITS : []);

const MEANWHILE: WordList = [
  ['at', 'What others do in the middle of the operation above, at a point that has a name.'],
];

/** The vCPUs of the machine. */
const vcpusFor = (settings: Settings): WordList =>
  vcpusOf(settings).map((vcpu) => [`v${String(vcpu)}`, `An operation of vCPU ${String(vcpu)}.`]);

/** Who may act in the middle of an operation. */
export const othersFor = (settings: Settings): WordList => [
  ...vcpusFor(settings),
  ...(isToday(settings) ? STATEMENTS.filter(([word]) => word === 'host') : []),
];

/** The points at which another vCPU may act. */
export const POINTS: WordList = Object.entries(PREEMPTION_POINTS).map(([name, meaning]) => [
  `${name}:`,
  `${meaning[0]?.toUpperCase() ?? ''}${meaning.slice(1)}.`,
]);

/** What the guest can do on this machine. */
export function operationsFor(settings: Settings): WordList {
  const arm = settings.cpu === 'arm64';
  const missing = arm
    ? ['invlpg', 'invpcid', 'load-cr3', 'set']
    : ['tlbi', 'load-ttbr0', ...(isBare(settings) ? [] : ['invpcid'])];
  return OPERATIONS.filter(([word]) => !missing.includes(word));
}

const existing = (settings: Settings, by: Instruction['by']): readonly Instruction[] =>
  INSTRUCTIONS.filter((spec) => spec.by === by && spec.cpus.includes(settings.cpu));

/** What the hypervisor can do on this machine. */
export const hostWordsFor = (settings: Settings): WordList => {
  if (isToday(settings))
    return [
      ...LOG,
      ...(settings['log-clear'] === 'with-fetch' ? [] : CLEAR_LOG),
      ...HOST_MEMORY,
      ...SLOT_CHANGES,
    ];
  if (!isBare(settings)) return LOG;
  const known = existing(settings, 'hypervisor').map(({ name }) => invalidationWords(name).split(' ')[0]);
  return [...SET_ENTRY, ...FAMILIES.filter(([word]) => known.includes(word))];
};

/** The forms of an instruction that invalidates: `single`, `all`. */
export const formsFor = (family: string, settings: Settings, by: Instruction['by']): WordList =>
  existing(settings, by).flatMap(({ name }) => {
    const [own, form] = invalidationWords(name).split(' ');
    return own === family && form !== undefined ? [[form, invalidationMeaning(name)] as const] : [];
  });

/** `cr0.wp = `, and the registers that only bare machines have. */
export const registersFor = (settings: Settings): WordList => [
  ...REGISTER_BITS.map(({ register, name, meaning }) => [`${register}.${name} = `, meaning] as const),
  ...(isBare(settings) ? EXTRA_REGISTERS.map(([word, meaning]) => [`${word} = `, meaning] as const) : []),
];

/** What `flip register` reaches on this machine. */
export const flippedFor = (settings: Settings): WordList =>
  outsideRegisters(settings).map((register) => [`${register} bit=`, OUTSIDE_MEANINGS[register]] as const);

const PDPTE = 'A root entry of PAE paging, as the processor keeps it.';
const OUTSIDE_MEANINGS: Readonly<Record<OutsideRegister, string>> = {
  sctlr_el1: 'System control: stage 1 on or off, write implies execute never.',
  tcr_el1: 'Translation control of stage 1: sizes, granule, hardware marks.',
  ttbr0_el1: 'The root table of stage 1, and the ASID.',
  pan: 'PSTATE.PAN: EL1 may not touch pages of EL0.',
  hcr_el2: "The hypervisor's configuration: stage 2 on or off.",
  vtcr_el2: 'Translation control of stage 2: sizes, granule, start level, hardware marks.',
  vttbr_el2: 'The root table of stage 2, and the VMID.',
  pdpte0: PDPTE,
  pdpte1: PDPTE,
  pdpte2: PDPTE,
  pdpte3: PDPTE,
};

export const expectedFor = (settings: Settings): WordList =>
  isBare(settings) ? [...EXPECTED, ...EXPECTED_BARE] : [...EXPECTED, ...EXPECTED_LOG];

export const flagsFor = (settings: Settings): WordList =>
  isBare(settings) &&
  (settings.guest === '4-level' || settings.guest === '5-level') &&
  settings.cpu !== 'arm64'
    ? [...FLAGS, ...KEY_FLAG]
    : FLAGS;

const named = (lists: readonly WordList[]): ReadonlyMap<string, string> =>
  new Map(lists.flat().map(([word, meaning]) => [word.replace(/[=:]$/, ''), meaning]));

/** Words that mean something else, or only something, behind `expect`. */
export const EXPECT_WORDS = named([EXPECTED_LOG]);

/** Every word by itself; the guest's meaning wins over the hypervisor's. */
export const ALL_WORDS = named([
  HOST_TARGETS,
  FAMILIES,
  LOG,
  CLEAR_LOG,
  SLOT_TRAITS,
  HOST_MEMORY,
  SLOT_CHANGES,
  MEANWHILE,
  POINTS,
  SET_ENTRY,
  EXTRA_REGISTERS,
  OTHER,
  STATEMENTS,
  PRIVILEGES,
  OPERATIONS,
  HANDLER,
  TARGETS,
  FLAGS,
  MAP_FLAGS,
  EXPECTED_BARE,
  EXPECTED,
]);
