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

type BitRow = readonly [name: string, at: number, clear: string, set: string];

/** Fields of one bit, all from one source. */
const bits = (source: string, rows: readonly BitRow[]): readonly CodeField[] =>
  rows.map(([name, at, clear, set]) => ({ name, high: at, low: at, values: { 0: clear, 1: set }, source }));

const ESR = 'Arm ARM, ESR_ELx';

/** The error code that the processor pushes with #PF. */
export const PAGE_FAULT_FIELDS: readonly CodeField[] = bits('Intel SDM vol. 3, page-fault exceptions', [
  ['P', 0, 'an entry is not present', 'the entries are present, and refuse'],
  ['W/R', 1, 'a read or a fetch', 'a write'],
  ['U/S', 2, 'by the kernel', 'by user mode'],
  ['RSVD', 3, 'no reserved bit', 'a bit is set that must be clear'],
  ['I/D', 4, 'no instruction fetch is reported', 'an instruction fetch'],
  ['PK', 5, 'no protection key', 'a protection key refuses'],
]);

export const EXITINFO1_FIELDS: readonly CodeField[] = bits('AMD APM vol. 2, nested page faults', [
  ['P', 0, 'a nested entry is not present', 'the nested entries are present, and refuse'],
  ['RW', 1, 'a read or a fetch', 'a write'],
  ['US', 2, 'by the kernel', 'by user mode: to nested paging every access is one'],
  ['RSV', 3, 'no reserved bit', 'a bit is set that must be clear'],
  ['ID', 4, 'no instruction fetch', 'an instruction fetch'],
  ['NPF final', 32, 'not on the page itself', "on the guest's page itself"],
  ['NPF table', 33, "not on a table of the guest's", 'on reaching a table of the guest'],
]);

export const EPT_QUALIFICATION_FIELDS: readonly CodeField[] = bits(
  'Intel SDM vol. 3, exit qualification for EPT violations',
  [
    ['read', 0, 'not a read', 'a data read'],
    ['write', 1, 'not a write', 'a data write'],
    ['fetch', 2, 'not a fetch', 'an instruction fetch'],
    ['R', 3, 'the entries do not let it be read', 'the entries let it be read'],
    ['W', 4, 'the entries do not let it be written', 'the entries let it be written'],
    ['X', 5, 'the entries do not let it be fetched', 'the entries let it be fetched'],
    ['linear', 7, 'no linear address is reported', 'a linear address belongs to it'],
    ['page', 8, 'on reaching a table of the guest', "on the guest's page itself"],
  ],
);

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
    source: ESR,
  },
  ...bits(ESR, [
    ['IL', 25, 'a 16-bit instruction', 'a 32-bit instruction'],
    ['S1PTW', 7, 'on the page itself', 'on reaching a table of stage 1'],
    ['WnR', 6, 'a read or a fetch', 'a write'],
  ]),
  { name: 'FSC', high: 5, low: 0, values: STATUS, source: ESR },
];

/** The value of a field in a code. */
export const fieldOf = (code: bigint, { high, low }: Pick<CodeField, 'high' | 'low'>): number =>
  Number((code >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n));
