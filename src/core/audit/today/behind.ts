/** What an entry of a shadow page stands for: an entry of the guest's table behind it, or a frame of a direct page. */
import {
  isDirect,
  levelOfRole,
  roleField,
  spaceOfRole,
  ACC_EXEC,
  ACC_USER,
  ACC_WRITE,
} from '../../kvm-shadow/role.ts';
import { framesOf } from '../../kvm-shadow/vm.ts';
import { PTE_D, PTE_NX, PTE_P, PTE_U, PTE_W } from '../../hardware/x86-entry.ts';
import type { ShadowPage } from '../../machine/tables.ts';
import type { World } from '../../machine/world.ts';
import { wordOf } from '../../quantities.ts';
import { contentsAt, directGfn } from './overview.ts';

/** What is behind an entry, now. */
export interface Behind {
  /** The word of the guest's entry; none behind a direct page. */
  readonly word?: number;
  readonly present: boolean;
  /** The guest table that it names, should it be a link. */
  readonly table: number;
  /** The first guest frame that the shadow entry maps, should it map any. */
  readonly gfn: number;
  /** Rights of the entry alone; writing only where it is marked dirty too, should it map a page. */
  readonly access: number;
  readonly leafAccess: number;
}

const ALL = ACC_EXEC | ACC_WRITE | ACC_USER;

/** Undefined where the guest's table is in no memory now. */
export function behind(world: World, page: ShadowPage, word: number): Behind | undefined {
  if (isDirect(page.role)) {
    const gfn = directGfn(page, word);
    return { present: true, table: gfn, gfn, access: ALL, leafAccess: ALL };
  }
  const frame = contentsAt(world, page.gfn, spaceOfRole(page.role));
  if (frame === undefined) return undefined;
  const four = roleField(page.role, 'has_4_byte_gpte') === 1;
  const offset = four ? offsetOfFour(page.role, word % ENTRIES) : (word % ENTRIES) * 8;
  const guestWord = wordOf(frame, Math.floor(offset / 8));
  const whole = world.word(guestWord);
  const entry = four ? (whole >> BigInt((offset % 8) * 8)) & 0xffff_ffffn : whole;
  return {
    word: guestWord,
    ...(four ? readFour(entry, page, word) : readEight(entry, levelOfRole(page.role))),
  };
}

const ENTRIES = 512;

/** A guest's table of 1024 entries has two shadow pages, a directory four: each of its entries spans two of theirs. */
function offsetOfFour(role: number, index: number): number {
  const quadrant = roleField(role, 'quadrant');
  return levelOfRole(role) === 1 ? quadrant * 2048 + index * 4 : quadrant * 1024 + (index >> 1) * 4;
}

type Read = Omit<Behind, 'word'>;

function readEight(entry: bigint, level: number): Read {
  const frame = Number((entry & 0x000f_ffff_ffff_f000n) >> 12n);
  return { ...rightsOf(entry), table: frame, gfn: frame - (frame % framesOf(level)) };
}

/** A page of 4 MiB keeps address bits 39 to 32 in bits 20 to 13, and is mapped by two entries. */
function readFour(entry: bigint, page: ShadowPage, word: number): Read {
  const frame = Number((entry & 0xffff_f000n) >> 12n);
  if (levelOfRole(page.role) === 1) return { ...rightsOf(entry), table: frame, gfn: frame };
  const high = Number((entry >> 13n) & 0xffn) * 2 ** 20;
  const gfn = frame - (frame % 1024) + high + (word % 2) * ENTRIES;
  return { ...rightsOf(entry), table: frame, gfn };
}

function rightsOf(entry: bigint): Pick<Read, 'present' | 'access' | 'leafAccess'> {
  const access =
    ((entry & PTE_W) === 0n ? 0 : ACC_WRITE) |
    ((entry & PTE_U) === 0n ? 0 : ACC_USER) |
    ((entry & PTE_NX) === 0n ? ACC_EXEC : 0);
  const leafAccess = (entry & PTE_D) === 0n ? access & ~ACC_WRITE : access;
  return { present: (entry & PTE_P) !== 0n, access, leafAccess };
}
