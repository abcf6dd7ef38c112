/** The same as strings.ts, for what is loaded when first wanted: the first picture does not wait for these. */
export const WALK = {
  none: 'This operation has made no page walk yet.',
  next: 'Go to the next walk',
  title: {
    one: (gva: string): string => `Translate ${gva}`,
    two: (gva: string): string => `Translate ${gva} in two dimensions`,
    host: (gva: string): string => `Translate ${gva} by the second stage alone`,
  },
  how: {
    one: 'Each row reads one entry. It names the next table, the last one names the page.',
    two: 'A guest table has a gpa. Its row finds that in host memory, then reads the guest’s own entry.',
    host: 'The guest does not page: its address is a gpa already. One walk of the host’s tables.',
  },
  over: 'This walk is over. The step shown comes after it.',
  steps: 'Walk of the page tables, reference by reference',
  guestTable: 'guest table',
  hostColumn: (table: string): string => `host ${table}`,
  guestColumn: 'guest entry',
  entryColumn: 'entry',
  sumColumn: 'read',
  page: 'the page',
  gpa: 'gpa',
  unknown: 'not known yet',
  sum: (read: number, of: number): string => `${String(read)} of ${String(of)}`,
  corner: 'the access itself',
  cached: 'cached',
  fault: 'fault',
  register: 'register',
  notNeeded: 'not needed',
  notReached: 'not reached',
  times: (times: number): string => `${String(times)}×`,
  largePage: (size: string): string => `${size} page`,
  mark: { accessed: 'A', dirty: 'D' },
  marked: { accessed: 'the walk set its accessed bit', dirty: 'the walk set its dirty bit' },
  empty: 'empty',
  arrow: '→',
  state: {
    'to come': 'still to come',
    read: 'read',
    register: 'taken out of a register, no reference',
    spared: (by: string): string => `spared by ${by}`,
    'not needed': (why: string): string => `not needed: ${why}`,
    'at fault': 'read, and at fault',
    'never reached': 'never reached: a fault came before',
  },
  place: (number: number, full: number): string => `Reference ${String(number)} of ${String(full)}`,
  cell: {
    host: (table: string, row: string): string => `host ${table}, for ${row}`,
    guest: (table: string): string => `the guest’s ${table}`,
    one: (table: string): string => table,
    ofTable: (table: string): string => `the guest’s ${table}`,
  },
  reading: {
    entry: (index: string): string => `entry ${index}`,
    at: (formula: string, address: string): string => `${formula} = ${address}`,
    atGuest: (formula: string, gpa: string, address: string): string =>
      `gpa ${formula} = ${gpa}, in host memory ${address}`,
    holds: (entry: string): string => `holds ${entry}`,
    names: (frame: string): string => `names frame ${frame}`,
  },
  totals: {
    read: (count: number): string => (count === 1 ? 'reference' : 'references'),
    spared: 'spared',
    notNeeded: 'not needed',
    full: 'In full',
    met: 'For the pages met here',
    formula: {
      guest: 'guest tables, the page',
      host: 'host levels, guest entry',
      corner: 'the access itself',
    },
    one: (levels: number): string => `${String(levels)} levels, one reference each`,
  },
} as const;

export const SHARE = {
  privacy: 'Nothing leaves this browser: the link itself holds the scenario, its settings and this step.',
  link: 'Link to this step',
  markdown: 'Markdown',
  iframe: 'Part of a page',
  qr: 'QR code',
  noQr: 'The link is too long for a code that a camera can read across a room.',
  copy: 'Copy',
  copied: 'Copied',
  file: 'File',
  save: 'Save the text as a file',
  open: 'Open a file',
  short: 'Every mail and chat program carries that.',
  advice:
    'Some mail and chat programs cut links of more than 2,000. If it arrives cut, save the text as a file.',
  tooLong: 'This text is too long for a link. Save it as a file.',
  length: (characters: number): string => `${String(characters)} characters.`,
  fileTooLarge: (bytes: number, bound: number): string =>
    `The file has ${String(bytes)} bytes; a scenario has at most ${String(bound)}. Nothing was opened.`,
} as const;

export const SCENARIOS = {
  search: 'Search the scenarios',
  fresh: 'New scenario',
  drafts: 'Your texts, kept in this browser',
  draftsBound: 'The newest 40 are kept. Nothing is sent anywhere.',
  from: 'from',
  delete: 'Delete',
  found: (count: number): string => (count === 1 ? '1 scenario' : `${String(count)} scenarios`),
  minutes: (minutes: number): string => `${String(minutes)} min`,
  recorded: {
    title: 'From a real kernel',
    about:
      "Guest programs that ran under KVM itself. The model runs the same program, and the kernel's own trace stands beside its steps.",
    random: 'From a real kernel: programs made at random',
    steps: (steps: number): string => `${String(steps)} steps`,
    kernel: (kernel: string): string => `Linux ${kernel}`,
  },
  template: [
    'mmuscope 1',
    'title My scenario',
    'machine kvm-2007 era=2007b cpu=vmx-novpid guest=4-level vcpus=1',
    'policy gpte-write=update flush=on-fault',
    '',
    'slot 0x0 64M',
    'let V = 0x7f3c5a823000  # a page of the program',
    'map V -> gfn 0x20 rw user accessed dirty',
    '',
    'begin',
    'v0 user read V',
    'v0 user write V = 1',
    '',
  ].join('\n'),
} as const;

export const DOING = {
  what: 'What',
  who: 'Who',
  address: 'Address',
  value: 'Value',
  physical: 'Physical address of the guest',
  register: 'Register, or a bit of it',
  target: 'Becomes',
  space: 'Address space',
  bit: 'Bit',
  level: 'Level',
  slot: 'Memory slot',
  pages: 'Pages',
  from: 'From this address of the guest on; empty: all of it',
  log: 'Log',
  place: 'Where',
  places: {
    memory: 'guest memory',
    shadow: 'a shadow entry',
    host: 'an entry of the second stage',
    register: 'a register',
  },
  outside: 'Register',
  vcpu: 'vCPU',
  when: 'When',
  after: 'after this operation',
  near: 'in the middle of it',
  far: 'points that it does not reach',
  there: (meaning: string): string => `There ${meaning}.`,
  visit: 'Which time',
  visits: ['the first', 'the second', 'the third', 'the fourth'],
  by: { guest: 'The guest', vcpu: 'The vCPU', host: 'The host', outside: 'From outside' },
  means: {
    read: 'Reads 8 bytes.',
    write: 'Stores 8 bytes.',
    exec: 'Fetches an instruction.',
    invlpg: 'Drops one translation from the TLB.',
    'tlbi vae1is': 'Drops one translation, on all processors.',
    'set-pte': 'The kernel changes an entry of its own tables, through its window onto them.',
    'load-cr3': 'Switches to another address space.',
    'load-ttbr0': 'Switches to another address space.',
    set: 'Changes a control register, or one bit of it.',
    cpuid: 'A VM exit that changes nothing.',
    halt: 'The vCPU stops until it next does something.',
    'user-space': 'The vCPU leaves the guest: its program in user space has work to do.',
    enter: 'The vCPU runs the guest again, and first does what others have asked of it.',
    'host flush-all': 'A thread of the host has the TLBs of all vCPUs flushed.',
    'host log': 'User space begins or ends noting which frames are written.',
    'host fetch-log': 'User space asks which frames were written since it last asked.',
    'host clear-log': 'User space has dealt with frames of the log, and wants to hear of the next write.',
    'host unmap': 'The host takes pages away. They come back as zeros when they are wanted.',
    'host swap-out': 'Pages leave memory. What was in them comes back when they are wanted.',
    'host write-protect': 'The process may no longer write the pages, and so the guest may not.',
    'host make-writable': 'The process may write the pages again.',
    'host collapse': 'Each whole 2 MiB of the pages gets one large page.',
    'host add-slot': 'User space adds a memory slot to the running guest.',
    'host delete-slot': 'User space takes a memory slot away from the running guest.',
    flip: 'A bit changes, and nobody in the machine hears of it.',
  },
  add: 'Add after this operation',
  addInside: 'Add in the middle of this operation',
} as const;

export const INSPECT = {
  flip: 'Press a bit to flip it: a line is added to the text, and the scenario runs anew.',
  who: 'Who flips it',
  kernel: 'The guest’s kernel',
  outside: 'Nobody: from outside',
  registers: 'Registers',
} as const;

/** Which key does what. */
export const KEYS = [
  ['Right, Page down', 'step'],
  ['Left, Page up', 'step back'],
  ['Shift and right or left', 'over the next or last call'],
  ['Up', 'out of this call'],
  ['Down', 'into the next call'],
  ['] and [', 'next and previous operation'],
  ['Home, End', 'first and last step'],
  ['Space', 'play and pause'],
  ['Ctrl Z, Ctrl Y', 'undo and redo a change of the text'],
  ['Enter on a box', 'look into its entry'],
  ['D, Shift D', 'next and previous difference of two runs'],
  ['T', 'translate an address'],
  ['A', 'the audit: rules, and the steps that break them'],
  ['M', 'the MMU context of KVM of today: how the guest pages, and its roots'],
  ['K', "the kernel's own trace, beside a recorded program"],
  ['?', 'this list'],
] as const;

export const COMPARE = {
  swap: 'Swap A and B',
  views: 'What to compare',
  two: 'Two runs',
  table: 'Table of runs',
  differences: 'How A and B differ',
  none: 'The two runs do not differ.',
  previous: 'Previous difference (Shift and D)',
  next: 'Next difference (D)',
  previousSign: '◀ Difference',
  nextSign: 'Difference ▶',
  first: 'First difference',
  operation: (label: string): string => `Operation ${label}`,
  levels: { visible: 'The guest sees it', cost: 'Cost', steps: 'Steps' },
  letters: { visible: 'G', cost: 'C', steps: 'S' },
  sums: {
    visible: (count: number): string => `${String(count)} that the guest sees`,
    cost: (count: number): string => `${String(count)} in cost`,
    steps: (count: number): string => `${String(count)} in steps`,
  },
  engines: 'Two different engines: what the guest sees and what it costs is compared, not each step.',
  coarse: (count: number): string =>
    count === 1
      ? 'One stretch of steps was too long to be aligned exactly.'
      : `${String(count)} stretches of steps were too long to be aligned exactly.`,
  waits: (other: string): string => `Waits: run ${other} takes this step alone.`,
  counters: 'Counters',
  scopes: { here: 'Here', operation: 'This operation', end: 'At the end' },
  counter: 'Counter',
  minus: 'B − A',
  equal: 'No counter differs.',
  broken: 'Broken rules',
  harm: 'Harm',
  more: (count: number): string =>
    `${String(count)} more are not listed (differencesListed). The buttons above lead to them too.`,
  lanes: { timeline: 'Timeline of both runs', marks: 'differ' },
} as const;

export const RUNS_TABLE = {
  about: 'One guest program under every combination of up to three settings. Columns show only what differs.',
  close: 'Close the table',
  vary: (number: number): string => `Setting ${String(number)}`,
  nothing: 'none',
  values: 'Values',
  runs: (count: number): string => (count === 1 ? '1 run' : `${String(count)} runs`),
  one: 'Choose at least two values of a setting.',
  run: 'Run',
  open: 'Open',
  compare: 'Compare',
  openNamed: (number: number): string => `Open run ${String(number)}`,
  compareNamed: (number: number, base: number): string =>
    `Compare run ${String(number)} with run ${String(base)}, the base`,
  base: 'base',
  actions: 'Go there',
  harm: 'Harm',
  rules: 'Broken rules',
  stops: 'Stops',
  same: (number: number): string => `the same run as ${String(number)}`,
  notRun: (why: string): string => `Not run: ${why}.`,
  alike: 'The guest sees the same in all of them, and no counter differs.',
  leftOut: (count: number): string =>
    `${String(count)} more operations differ for the guest and are not shown.`,
  differs: 'not as in the base',
  nothingThere: 'none',
} as const;

/** Whether one or several, in digits. */
const many = (count: number, one: string, several: string): string =>
  `${String(count)} ${count === 1 ? one : several}`;

export const AUDIT = {
  title: 'Audit',
  titleOf: (side: string) => `Audit of run ${side}`,
  whose: 'Whose audit',
  side: (side: string) => `Run ${side}`,
  none: 'Nothing is audited on this machine: no hypervisor keeps tables of its own that could go wrong.',
  now: {
    broken: (rules: number): string => `${many(rules, 'rule is', 'rules are')} broken at this step.`,
    'in-flight': 'The hypervisor is at work. A rule may be false until it is done.',
    holds: 'Every rule holds at this step.',
  },
  run: {
    title: 'In this run',
    clean: 'No rule breaks anywhere in this run, and nothing is harmed.',
    list: 'What goes wrong in this run, by step',
    all: (count: number): string => `Show all ${String(count)}`,
    breaks: (rule: string, count: number): string =>
      count === 1 ? `${rule} found broken` : `${rule} found broken in ${String(count)} places`,
    mended: (step: string): string => `mended in ${step}`,
    harm: {
      'stale-read': 'Harm: a read that no correct processor gives',
      'stale-write': 'Harm: a write that the hypervisor never saw',
      'lost-write': 'Harm: a write to a frame that is not mapped here',
    },
  },
  rules: {
    title: 'The rules at this step',
    standing: {
      broken: 'Broken',
      coming: 'Broken, not found yet',
      'in flight': 'In flight',
      mended: 'Holds again',
      holds: 'Holds',
      'not applicable': 'Does not apply',
    },
    inFlight: {
      false: 'It is false here, for good reason: the hypervisor is in the middle of its work.',
      true: 'It is true here, and need not be before the hypervisor is done.',
      owed: 'A flush is owed. That is no breach until it is due.',
    },
    mustHold: 'Must hold',
    point: {
      unlock: 'when an exit has been handled',
      entry: 'before the guest runs',
      free: 'before a frame is used again',
      op: 'at the end of an operation',
    },
    foundAt: {
      unlock: 'when the exit had been handled',
      entry: 'before the guest ran',
      free: 'before the frame was used again',
      op: 'at the end of the operation',
    },
    precisely: 'Precisely',
    about: 'About',
    cause: (step: string): string => `Broken by ${step}`,
    found: (step: string): string => `Found at ${step}`,
    willBeFound: (step: string): string => `To be found at ${step}`,
    mended: (step: string): string => `Mended at ${step}`,
    goesBack: 'Origin',
    outside: 'a bit that was changed from outside',
    shipped: (id: string, meaning: string): string => `${id}, a bug that this era shipped: ${meaning}`,
    onPurpose: (id: string, meaning: string): string =>
      `${id}, a mistake made on purpose (break=${id}): ${meaning}`,
    policy: (id: string, choice: string): string => `${id}, a policy that is wrong on purpose: ${choice}`,
    unknown: 'no bug that is known here',
    seen: (audit: string): string => `Its ${audit} complains of it too.`,
    unseen: 'None of its own checks complains of it.',
    kernel: 'KVM of 2007',
    more: (count: number): string => `${many(count, 'more place', 'more places')} of the same kind.`,
  },
  owed: {
    title: 'Flushes owed here',
    none: 'None.',
    who: (vcpu: number): string => `The hypervisor owes vCPU ${String(vcpu)} a flush`,
    due: (vcpu: number): string => `due before vCPU ${String(vcpu)} runs the guest again`,
    overdue: 'overdue: the guest runs, and the TLB still allows what the tables do not',
    since: (step: string): string => `Owed since ${step}`,
    overdueSince: (step: string): string => `Overdue since ${step}`,
    entries: (names: string): string => `What the TLB keeps of ${names} must go.`,
    nobody: 'Nobody will make it',
  },
  kernel: {
    title: 'The kernel’s own checks, as of 2007',
    how: 'KVM had three checks on itself, for its developers. They ran before and after a page fault was handled. Here they look at this very step.',
    passes: 'Passes',
    complains: 'Complains',
    atWork: 'The hypervisor is at work: a complaint here may have a good reason.',
    asks: {
      audit_rmap: 'As many entries in the reverse maps as writable leaves?',
      audit_write_protection: 'Does no reverse map list a writable entry for a shadowed table?',
      audit_mappings: 'Does each leaf name the frame that the guest’s tables name?',
    },
    ours: (rule: string): string => `Ours: ${rule}`,
    rmap: (listed: number, writable: number): string =>
      `${many(listed, 'entry is', 'entries are')} listed, ${many(writable, 'leaf is', 'leaves are')} writable.`,
    writeProtection: (pages: number): string =>
      `${many(pages, 'guest table is', 'guest tables are')} shadowed, and no reverse map lists anything for them.`,
    writable: (gfn: string, entries: number): string =>
      `Guest frame ${gfn} is shadowed as a table, and its reverse map lists ${many(entries, 'entry', 'entries')}.`,
    mappings: (leaves: number): string =>
      leaves === 1
        ? '1 leaf below the root in use names the right frame.'
        : `${String(leaves)} leaves below the root in use name the right frames.`,
    wrong: (address: string, mapped: string, named: string | undefined): string =>
      `${address}: the shadow leads to host frame ${mapped}, the guest’s tables to ${named ?? 'nothing'}.`,
    blind: {
      audit_rmap: 'It compares two sums. Two mistakes can cancel out.',
      audit_write_protection: 'It believes the reverse map. A writable leaf that is not listed goes unseen.',
      audit_mappings:
        'It compares frames, not rights, and only below the root in use: other address spaces go unseen.',
    },
    blindAll:
      'None of them looks at the TLB (INV-6), at rights (INV-13), at the links between shadow pages (INV-4), at roots (INV-5) or at the dirty log (INV-12). A stale TLB entry goes unseen until it has done its harm.',
  },
  step: (number: number | undefined): string =>
    number === undefined ? 'a step before the first' : `step ${String(number)}`,
  harm: (address: string, got: string, correct: string | undefined): string =>
    got === correct
      ? `${address}: the right frame, ${got}, by a translation that should be gone.`
      : `${address}: reached host frame ${got}; a correct walk ${correct === undefined ? 'refuses' : `leads to ${correct}`}.`,
} as const;

/** Of the stage, what is loaded with many tables. */
export const LANGUAGE_TITLE = 'The scenario language';

export const STAGE_LATER = {
  role: 'role',
  /** Of a table that is drawn small. */
  folded: (used: number) =>
    `folded: this step touches none of its ${String(used)} ${used === 1 ? 'entry' : 'entries'} in use`,
  overview: 'The whole picture, with the part that the window shows. Press to go there.',
};

/** Of a link in which something is wrong, and of a run that had to stop. */
export const TROUBLES = {
  stopped: 'The run stops here',
  title: 'About this link',
  text: 'The text that arrived',
  open: 'Open this text',
};
