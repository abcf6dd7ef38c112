import { describe, expect, test } from 'vitest';
import { timelineOf } from '../../testing/scenarios.ts';
import type { World } from '../machine/world.ts';
import { gfn, spte } from '../quantities.ts';
import { permissionBitmap } from './permissions.ts';
import { cpuRoleOf, cpuRoleWord, rootRoleOf, withRole } from './role.ts';
import { mmioEntryOf, mmioSpte } from './spte.ts';

/** The state after a run on the machine, with tables from guest frame 0x10 up and host frames 0x10000 beyond. */
function worldAfter(lines: string, machine = ''): World {
  const timeline = timelineOf(
    `mmuscope 1\ntitle Golden\nmachine kvm-shadow ${machine}\nslot 0x0 8M\n${lines}\n`,
  );
  timeline.seek(timeline.length);
  return timeline.world;
}

const pages = (world: World) => [...world.tables.sp.values()].sort((a, b) => a.age - b.age);
/** Entries of the shadow page of a guest table and a level. */
function entriesOf(world: World, table: number, level: number): readonly bigint[] {
  const page = pages(world).find((of) => of.gfn === gfn(table) && (of.role & 0xf) === level);
  return page === undefined ? [] : world.wordsOfShadowFrame(page.pfn).map((word) => world.word(word));
}

const V = '0x400000';
/** The four tables of an address take frames 0x10 (root) to 0x13 (level 1). */
const LEAF_TABLE = 0x13;

describe("entries of today's shadow tables (annex 5.2, legacy rows)", () => {
  test.each([
    ['RWX user, clean host-writable', 'rw user accessed dirty', 'read', 0x10020e67n],
    ['the same without execute', 'rw user accessed dirty nx', 'read', 0x8000000010020e67n],
    ["the guest's D is clear: no W, no M", 'rw user accessed', 'read', 0x10020a25n],
    ['and a write sets D, in both', 'rw user accessed', 'write', 0x10020e67n],
  ])('%s', (_name, flags, verb, expected) => {
    const store = verb === 'write' ? ' = 1' : '';
    const world = worldAfter(`map ${V} -> gfn 0x20 ${flags}\nbegin\nv0 user ${verb} ${V}${store}`);
    expect(entriesOf(world, LEAF_TABLE, 1)).toEqual([expected]);
  });

  test('the kernel map of a table above level 1 is refused the write: no W, no M', () => {
    // Frame 0x12 is the page directory.
    const world = worldAfter(
      `map ${V} -> gfn 0x20 rw user accessed dirty\nmap 0x600000 -> table-of ${V} level=2 rw kernel accessed dirty\nbegin\nv0 user read ${V}\nv0 kernel read 0x600000`,
    );
    const entries = pages(world).flatMap(({ pfn, role }) =>
      (role & 0xf) === 1 ? world.wordsOfShadowFrame(pfn).map((word) => world.word(word)) : [],
    );
    expect(entries).toContain(0x10012a21n);
  });

  test('the dirty log takes W and leaves M', () => {
    const world = worldAfter(
      `map ${V} -> gfn 0x20 rw user accessed dirty\nbegin\nv0 user write ${V} = 1\nhost log slot=0 on`,
    );
    expect(entriesOf(world, LEAF_TABLE, 1)).toEqual([0x10020e65n]);
  });

  test('an entry that links to a table allows everything', () => {
    const world = worldAfter(`map ${V} -> gfn 0x20 rw user accessed dirty\nbegin\nv0 user read ${V}`);
    const [first] = entriesOf(world, 0x10, 4);
    const [child] = pages(world).filter((page) => (page.role & 0xf) === 3);
    expect(first).toBe((BigInt(child?.pfn ?? 0) << 12n) | 0x827n);
  });

  test.each([
    [{ gfn: 0xfee00, access: 6, generation: 6 }, 0x80000fee00037n],
    [{ gfn: 0x20000, access: 6, generation: 2 }, 0x8000020000017n],
    [{ gfn: 0x20000, access: 2, generation: 0x7fffe }, 0x7ff80000200007f3n],
  ])('a device entry %o, and back', (entry, expected) => {
    expect(mmioSpte(entry)).toBe(spte(expected));
    expect(mmioEntryOf(expected)).toEqual(entry);
  });
});

describe('role words (annex 5.2)', () => {
  const LONG = { cr0: 0x8001_0001n, cr4: 0x20n, efer: 0xd00n };
  test('a guest of four levels', () => {
    const role = cpuRoleOf(LONG);
    expect(cpuRoleWord(role)).toBe(0x81_0000_3704n);
    expect(rootRoleOf(role)).toBe(0x3704);
    expect(withRole(rootRoleOf(role), { level: 1 })).toBe(0x3701);
  });
  test.each([
    ['two levels', { cr0: 0x8001_0001n, cr4: 0x10n, efer: 0n }, 0x5_0000_2712n, 0x3713],
    ['PAE', { cr0: 0x8001_0001n, cr4: 0x20n, efer: 0x800n }, 0x1_0000_3703n, 0x3703],
    ['no paging', { cr0: 0x31n, cr4: 0n, efer: 0n }, 0x1_0000_0780n, 0x1783],
    ['CR0.WP clear', { ...LONG, cr0: 0x8000_0001n }, 0x81_0000_1704n, 0x1704],
    ['SMEP without CR0.WP', { ...LONG, cr0: 0x8000_0001n, cr4: 0x10_0020n }, 0xa1_0000_5704n, 0x5704],
    ['five levels', { ...LONG, cr4: 0x1020n }, 0xc1_0000_3705n, 0x3705],
  ])('%s', (_name, registers, cpu, root) => {
    expect(cpuRoleWord(cpuRoleOf(registers))).toBe(cpu);
    expect(rootRoleOf(cpuRoleOf(registers))).toBe(root);
  });
  test('a page table of a guest of two levels, quadrant 1, and a direct page below a large one', () => {
    const small = worldAfter(
      `map ${V} -> gfn 0x20 rw user accessed dirty\nbegin\nv0 user read ${V}`,
      'guest=2-level',
    );
    expect(pages(small).map(({ role }) => role)).toContain(0x3711);
    const upper = worldAfter(
      `map 0x600000 -> gfn 0x20 rw user accessed dirty\nbegin\nv0 user read 0x600000`,
      'guest=2-level',
    );
    expect(pages(upper).map(({ role }) => role)).toContain(0x3731);
    const large = worldAfter(
      `map ${V} level=2 -> gfn 0x200 ro user accessed dirty\nbegin\nv0 user read ${V}`,
    );
    expect(pages(large).map(({ role }) => role)).toContain(0x3581);
  });
});

describe('permission bitmaps', () => {
  const all = { wp: true, nx: true, smep: false, smap: false };
  const refuses = (mode: typeof all, code: number, access: number): boolean =>
    (((permissionBitmap(mode)[code >> 1] ?? 0) >> access) & 1) === 1;
  // Rights: execute 1, write 2, user 4. Error code: write 2, user 4, fetch 16.
  test.each([
    ['a user read of a user page', all, 4, 4, false],
    ['a user read of a kernel page', all, 4, 3, true],
    ['a user write without W', all, 6, 5, true],
    ['a kernel write without W', all, 2, 5, true],
    ['the same with CR0.WP clear', { ...all, wp: false }, 2, 5, false],
    ['a user write without W, CR0.WP clear', { ...all, wp: false }, 6, 5, true],
    ['a fetch without X', all, 0x14, 6, true],
    ['the same where no-execute does not count', { ...all, nx: false }, 0x14, 6, false],
    ['a kernel fetch of a user page with SMEP', { ...all, smep: true }, 0x10, 5, true],
    ['a kernel read of a user page with SMAP', { ...all, smap: true }, 0, 4, true],
    ['the same with SMAP put aside', { ...all, smap: true }, 8, 4, false],
  ])('%s', (_name, mode, code, access, expected) => {
    expect(refuses(mode, code, access)).toBe(expected);
  });
});
