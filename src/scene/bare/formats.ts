/**
 * The tables of a machine without KVM as they are shown: their format, and the letters and names for what an entry says.
 */
import { armGuestFormat, isArm } from '../../core/bare/registers.ts';
import { armHostFormat, eptHostFormat, hostKindOf } from '../../core/bare/host-tables.ts';
import {
  STAGE1_LEAF_BITS,
  STAGE1_TABLE_BITS,
  STAGE2_LEAF_BITS,
  STAGE2_TABLE_BITS,
} from '../../core/hardware/arm-entry.ts';
import { stage1Format, stage2Format } from '../../core/hardware/arm-format.ts';
import { EPT_BITS, eptFormat } from '../../core/hardware/ept-format.ts';
import type { EntryKind, PagingFormat, TableLevel } from '../../core/hardware/format.ts';
import type { PagingMode } from '../../core/hardware/paging-mode.ts';
import { CR4_PSE, EFER_NXE, PHYSICAL_BITS } from '../../core/hardware/registers.ts';
import { X86_BITS, type EntryBit } from '../../core/hardware/x86-entry.ts';
import { x86Format } from '../../core/hardware/x86-format.ts';
import type { World } from '../../core/machine/world.ts';
import type { Settings } from '../../core/settings.ts';

/** One place of an entry's flags. */
export interface Letter {
  readonly text: string;
  readonly mask: bigint;
  readonly meaning: string;
  /** Set where all bits of the mask are clear. */
  readonly inverted?: true;
  /** Says nothing in an entry that names a table; or only in such a one. */
  readonly only?: 'leaf' | 'table';
  /** Takes no room where it is not set. */
  readonly rare?: true;
}

export type Geometry = Pick<
  PagingFormat<unknown>,
  'entryBytes' | 'levels' | 'kindOf' | 'tableAddress' | 'pageAddress'
>;

/** A format with its words. */
export interface Dialect extends Geometry {
  /** What stands before the name of a level: `EPT`. */
  readonly prefix: string;
  readonly letters: readonly Letter[];
  /** Named bits of an entry of this kind. */
  readonly bits: (kind: EntryKind, at: TableLevel) => readonly EntryBit[];
}

const letter = (
  bits: readonly EntryBit[],
  name: string,
  more: Partial<Omit<Letter, 'mask' | 'meaning'>> = {},
): Letter => {
  const spec = bits.find((bit) => bit.name === name);
  if (spec === undefined) throw new Error(`assertion failed: no entry bit ${name}`);
  return {
    text: spec.short,
    mask: 1n << BigInt(spec.bit),
    meaning: `${spec.name}: ${spec.meaning}`,
    ...more,
  };
};

const X86_LETTERS: readonly Letter[] = [
  letter(X86_BITS, 'XD', { rare: true }),
  letter(X86_BITS, 'G', { rare: true, only: 'leaf' }),
  letter(X86_BITS, 'P'),
  letter(X86_BITS, 'RW'),
  letter(X86_BITS, 'US'),
  letter(X86_BITS, 'A'),
  letter(X86_BITS, 'D', { only: 'leaf' }),
];
const EPT_RIGHTS = ['R', 'W', 'X'].map((name) => letter(EPT_BITS, name));
const EPT_MARKS = [letter(EPT_BITS, 'A'), letter(EPT_BITS, 'D', { only: 'leaf' })];
const STAGE1_LETTERS: readonly Letter[] = [
  ...['PXN', 'UXN'].map((name) => letter(STAGE1_LEAF_BITS, name, { rare: true, only: 'leaf' })),
  ...STAGE1_TABLE_BITS.slice(2).map(({ name }) =>
    letter(STAGE1_TABLE_BITS, name, { rare: true, only: 'table' }),
  ),
  letter(STAGE1_LEAF_BITS, 'VALID'),
  {
    ...letter(STAGE1_LEAF_BITS, 'AP[2]', { only: 'leaf', inverted: true }),
    text: 'W',
    meaning: 'AP[2] clear: writable',
  },
  letter(STAGE1_LEAF_BITS, 'AP[1]', { only: 'leaf' }),
  letter(STAGE1_LEAF_BITS, 'AF', { only: 'leaf' }),
];
const STAGE2_LETTERS: readonly Letter[] = [
  letter(STAGE2_LEAF_BITS, 'VALID'),
  letter(STAGE2_LEAF_BITS, 'S2AP[0]', { only: 'leaf' }),
  letter(STAGE2_LEAF_BITS, 'S2AP[1]', { only: 'leaf' }),
  { text: 'X', mask: 3n << 53n, meaning: 'XN is 0: everybody may fetch', only: 'leaf', inverted: true },
  letter(STAGE2_LEAF_BITS, 'AF', { only: 'leaf' }),
];

/** In PAE paging the root entries grant and mark nothing. */
const PDPTE_BITS = X86_BITS.filter((bit) => ['P', 'PWT', 'PCD'].includes(bit.name));

const X86_MODES: readonly string[] = ['2-level', 'pae', '4-level', '5-level'] satisfies PagingMode[];

/** The guest's tables as the processor reads them with its registers as they are; none where paging stays off. */
export function guestDialect(settings: Settings, world?: World): Dialect | undefined {
  if (isArm(settings)) {
    const options = armGuestFormat(settings);
    if (options === undefined) return undefined;
    return {
      ...stage1Format(options),
      prefix: settings.machine === 'two-stage' ? 'stage 1' : '',
      letters: STAGE1_LETTERS,
      bits: (kind) => (kind === 'table' ? STAGE1_TABLE_BITS : STAGE1_LEAF_BITS),
    };
  }
  if (!X86_MODES.includes(settings.guest)) return undefined;
  const mode = settings.guest as PagingMode;
  const has = (register: string, mask: bigint): boolean =>
    world === undefined || ((world.get('reg', `0.${register}`) ?? 0n) & mask) !== 0n;
  const format = x86Format({
    mode,
    physicalBits: PHYSICAL_BITS,
    nxe: mode !== '2-level' && has('efer', EFER_NXE),
    pse: has('cr4', CR4_PSE),
  });
  return {
    ...format,
    prefix: '',
    letters: X86_LETTERS,
    bits: (_kind, at) => (mode === 'pae' && at.level === 3 ? PDPTE_BITS : X86_BITS),
  };
}

/** The host's tables; none where there is no second stage. */
export function hostDialect(settings: Settings): Dialect | undefined {
  if (settings.machine !== 'two-stage') return undefined;
  switch (hostKindOf(settings)) {
    case 'ept': {
      const options = eptHostFormat(settings);
      const letters = options.accessedDirty ? [...EPT_RIGHTS, ...EPT_MARKS] : EPT_RIGHTS;
      return { ...eptFormat(options), prefix: 'EPT', letters, bits: () => EPT_BITS };
    }
    case 'npt': {
      const mode = settings.host === '5-level' ? '5-level' : '4-level';
      const format = x86Format({ mode, physicalBits: PHYSICAL_BITS, nxe: true, pse: true });
      return { ...format, prefix: 'nested', letters: X86_LETTERS, bits: () => X86_BITS };
    }
    case 'arm':
      return {
        ...stage2Format(armHostFormat(settings)),
        prefix: 'stage 2',
        letters: STAGE2_LETTERS,
        bits: (kind) => (kind === 'table' ? STAGE2_TABLE_BITS : STAGE2_LEAF_BITS),
      };
  }
}

/** `EPT PT`, `stage 2 level 3`, `PDPT`. */
export const tableName = ({ prefix }: Pick<Dialect, 'prefix'>, at: TableLevel): string =>
  prefix === '' ? at.name : `${prefix} ${at.name}`;

/** A page's size in words: `2M`. */
export function sizeText(pageBits: number): string {
  if (pageBits < 20) return `${String(2 ** (pageBits - 10))}K`;
  return pageBits < 30 ? `${String(2 ** (pageBits - 20))}M` : `${String(2 ** (pageBits - 30))}G`;
}
