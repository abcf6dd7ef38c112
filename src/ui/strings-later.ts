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
  frame: (frame: string): string => `→${frame}`,
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
  register: 'Register bit',
  target: 'Becomes',
  space: 'Address space',
  bit: 'Bit',
  add: 'Add after this operation',
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
  ['T', 'translate an address'],
  ['?', 'this list'],
] as const;

export const COMPARE = {
  swap: 'Swap',
  swapMeaning: 'Let run B lead, and A follow',
  differences: 'How A and B differ',
  none: 'The two runs do not differ.',
  first: 'First difference',
  levels: { visible: 'The guest sees it', cost: 'Cost', steps: 'Steps' },
  steps: 'From here on the steps differ.',
  totals: 'At the end',
  counter: 'Counter',
  minus: 'B − A',
  more: (count: number): string => `${String(count)} more are not listed.`,
} as const;

/** Of the stage, what is loaded with many tables. */
export const STAGE_LATER = {
  overview: 'The whole picture, with the part that the window shows. Press to go there.',
};
