/** Shadow entries of today as they are shown: their letters and names, and entries that stand for a device. */
import type { EntryBit } from '../../core/hardware/x86-entry.ts';
import { PDPTE_BITS, PTE_ADDRESS } from '../../core/hardware/x86-entry.ts';
import { levelsOf } from '../../core/hardware/x86-format.ts';
import type { EntryKind, TableLevel } from '../../core/hardware/format.ts';
import { must } from '../../core/assert.ts';
import { isLast, isMmio, isPresent, MMIO_GEN_BITS, SPTE_BITS } from '../../core/kvm-shadow/spte.ts';
import { letter, type Dialect, type Letter } from '../dialect.ts';
import { PAE_ROOT } from '../kvm-dialects.ts';

const SOURCE = 'the reference, D.1 and F.1';
const SHORT: Readonly<Record<string, string>> = {
  PS: 'L',
  'host-writable': 'h',
  'MMU-writable': 'm',
  'MMU-present': 'p',
};

/** Of an entry that is a table or a page, or nothing. */
export const SPTE_NAMES: readonly EntryBit[] = SPTE_BITS.map(({ bit, name, meaning }) => ({
  bit,
  name,
  meaning,
  short: SHORT[name] ?? name,
  source: SOURCE,
}));

/** Rights, and the mark by which the processor faults, of an entry that stands for a device. */
const MMIO_RIGHTS: readonly EntryBit[] = [
  { bit: 0, name: 'P', short: 'P', meaning: 'set, so that the reserved bit counts', source: SOURCE },
  { bit: 1, name: 'W', short: 'W', meaning: 'the guest entry lets it be written', source: SOURCE },
  { bit: 2, name: 'U', short: 'U', meaning: 'user mode may use it', source: SOURCE },
];
const LOW_GEN_BITS = 8;
const genPlace = (at: number): number => (at < LOW_GEN_BITS ? 3 + at : 52 + at - LOW_GEN_BITS);

/** Every bit with a meaning of an entry that stands for a device. */
export const MMIO_NAMES: readonly EntryBit[] = [
  ...MMIO_RIGHTS,
  {
    bit: 51,
    name: 'reserved',
    short: 'dev',
    meaning: 'makes the processor fault with RSVD: a device',
    source: SOURCE,
  },
  ...Array.from({ length: MMIO_GEN_BITS }, (_, at) => ({
    bit: genPlace(at),
    name: `generation ${String(at)}`,
    short: `g${String(at)}`,
    meaning: `bit ${String(at)} of the memslot generation in which it was made`,
    source: SOURCE,
  })),
];

const LEAF: Partial<Letter> = { only: 'leaf' };
const LETTERS: readonly Letter[] = [
  letter(SPTE_NAMES, 'NX', { rare: true }),
  letter(SPTE_NAMES, 'P'),
  letter(SPTE_NAMES, 'W'),
  letter(SPTE_NAMES, 'U'),
  letter(SPTE_NAMES, 'A'),
  letter(SPTE_NAMES, 'D', LEAF),
  letter(SPTE_NAMES, 'host-writable', LEAF),
  letter(SPTE_NAMES, 'MMU-writable', LEAF),
  letter(SPTE_NAMES, 'MMU-present'),
];

const isPaeRoot = ({ bits }: TableLevel): boolean => bits === PAE_ROOT.bits;

function kindOf(entry: bigint, at: TableLevel): EntryKind {
  if (isPaeRoot(at)) return (entry & 1n) === 0n ? 'absent' : 'table';
  if (isMmio(entry)) return 'malformed';
  if (!isPresent(entry)) return 'absent';
  return isLast(entry, at.level) ? 'leaf' : 'table';
}

const dialect = (letters: readonly Letter[]): Dialect => ({
  prefix: 'shadow',
  entryBytes: 8,
  levels: levelsOf('5-level'),
  kindOf,
  tableAddress: (entry) => entry & PTE_ADDRESS,
  pageAddress: (entry) => entry & PTE_ADDRESS,
  letters,
  bits: (kind, at) => (isPaeRoot(at) ? PDPTE_BITS : kind === 'malformed' ? MMIO_RIGHTS : SPTE_NAMES),
});

const LEAVES = dialect(LETTERS);
/** What leaves alone say takes no room where entries only link to tables. */
const LINKS = dialect(LETTERS.filter(({ only }) => only !== 'leaf'));

export const sptDialect = (leaves: boolean): Dialect => (leaves ? LEAVES : LINKS);

/** Names of all bits of an entry. */
export const namesOf = (entry: bigint, at: TableLevel): readonly EntryBit[] =>
  isPaeRoot(at) ? PDPTE_BITS : isMmio(entry) ? MMIO_NAMES : SPTE_NAMES;

export const levelAt = (level: number): TableLevel =>
  must(
    levelsOf('5-level').find((at) => at.level === level),
    'a level of shadow tables',
  );
