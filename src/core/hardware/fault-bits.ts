/**
 * What a fault says about itself, field by field, as data: the error code of an x86 page fault, EXITINFO1 of AMD's
 * nested page fault, the exit qualification of Intel's EPT violation, and Arm's exception syndrome.
 */

export interface CodeField {
  readonly name: string;
  readonly high: number;
  readonly low: number;
  /** What a value of the field means; for one bit, what clear (0) and set (1) mean. */
  readonly values: Readonly<Record<number, string>>;
  readonly source: string;
}

const bit =
  (source: string) =>
  (name: string, at: number, clear: string, set: string): CodeField => ({
    name,
    high: at,
    low: at,
    values: { 0: clear, 1: set },
    source,
  });

const sdm = bit('Intel SDM vol. 3, page-fault exceptions');
const apm = bit('AMD APM vol. 2, nested page faults');
const ept = bit('Intel SDM vol. 3, exit qualification for EPT violations');
const arm = bit('Arm ARM, ESR_ELx');

/** The error code that the processor pushes with #PF. */
export const PAGE_FAULT_FIELDS: readonly CodeField[] = [
  sdm('P', 0, 'an entry is not present', 'the entries are present, and refuse'),
  sdm('W/R', 1, 'a read or a fetch', 'a write'),
  sdm('U/S', 2, 'by the kernel', 'by user mode'),
  sdm('RSVD', 3, 'no reserved bit', 'a bit is set that must be clear'),
  sdm('I/D', 4, 'no instruction fetch is reported', 'an instruction fetch'),
  sdm('PK', 5, 'no protection key', 'a protection key refuses'),
];

export const EXITINFO1_FIELDS: readonly CodeField[] = [
  apm('P', 0, 'a nested entry is not present', 'the nested entries are present, and refuse'),
  apm('RW', 1, 'a read or a fetch', 'a write'),
  apm('US', 2, 'by the kernel', 'by user mode: to nested paging every access is one'),
  apm('RSV', 3, 'no reserved bit', 'a bit is set that must be clear'),
  apm('ID', 4, 'no instruction fetch', 'an instruction fetch'),
  apm('NPF final', 32, 'not on the page itself', "on the guest's page itself"),
  apm('NPF table', 33, "not on a table of the guest's", 'on reaching a table of the guest'),
];

export const EPT_QUALIFICATION_FIELDS: readonly CodeField[] = [
  ept('read', 0, 'not a read', 'a data read'),
  ept('write', 1, 'not a write', 'a data write'),
  ept('fetch', 2, 'not a fetch', 'an instruction fetch'),
  ept('R', 3, 'the entries do not let it be read', 'the entries let it be read'),
  ept('W', 4, 'the entries do not let it be written', 'the entries let it be written'),
  ept('X', 5, 'the entries do not let it be fetched', 'the entries let it be fetched'),
  ept('linear', 7, 'no linear address is reported', 'a linear address belongs to it'),
  ept('page', 8, 'on reaching a table of the guest', "on the guest's page itself"),
];

const STATUS: Readonly<Record<number, string>> = Object.fromEntries(
  (
    [
      [0x00, 'address size fault'],
      [0x04, 'translation fault'],
      [0x08, 'access flag fault'],
      [0x0c, 'permission fault'],
    ] as const
  ).flatMap(([code, words]) =>
    [0, 1, 2, 3].map((level) => [code + level, `${words}, level ${String(level)}`]),
  ),
);

export const SYNDROME_FIELDS: readonly CodeField[] = [
  {
    name: 'EC',
    high: 31,
    low: 26,
    values: {
      0x20: 'instruction abort from a lower exception level',
      0x21: 'instruction abort from the same exception level',
      0x24: 'data abort from a lower exception level',
      0x25: 'data abort from the same exception level',
    },
    source: 'Arm ARM, ESR_ELx',
  },
  arm('IL', 25, 'a 16-bit instruction', 'a 32-bit instruction'),
  arm('S1PTW', 7, 'on the page itself', 'on reaching a table of stage 1'),
  arm('WnR', 6, 'a read or a fetch', 'a write'),
  { name: 'FSC', high: 5, low: 0, values: STATUS, source: 'Arm ARM, ESR_ELx' },
];

/** The value of a field in a code. */
export const fieldOf = (code: bigint, { high, low }: Pick<CodeField, 'high' | 'low'>): number =>
  Number((code >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n));
