/** Rules of the paging-structure caches, each in the smallest scenario that shows it. */
import { describe, expect, test } from 'vitest';
import { counter } from '../../scenario/expectations.ts';
import { counters, ends, LEAF, run, V } from '../../testing/cache-scenarios.ts';

describe('paging-structure caches', () => {
  const TWO = `map ${V} -> gfn 0x21 ${LEAF}\nmap 0x401000 -> gfn 0x22 ${LEAF}`;

  test('a violation of the second stage forgets the tables of the second stage that led to it', () => {
    const timeline = run(
      'two-stage cpu=vmx-vpid psc=both',
      `${TWO}
begin
v0 user read ${V}
host set-entry 0x22000 -> absent
host set-entry 0x0 level=2 -> frame 0x10000 read write exec
v0 user read 0x401000
v0 user read 0x401000`,
    );
    expect(ends(timeline)).toEqual(['0x10021000', 'EPT violation', '0x10022000']);
  });

  test('where the second stage has not allowed to write into a remembered table, a mark asks it', () => {
    const timeline = run(
      'two-stage cpu=vmx-vpid ept-ad=off psc=guest',
      `map ${V} -> gfn 0x21 ${LEAF}\nmap 0x401000 -> gfn 0x22 rw user
begin
host set-entry 0x13000 -> frame 0x10013 read
v0 user read ${V}
v0 user read 0x401000`,
    );
    expect(ends(timeline)).toEqual(['0x10021000', 'EPT violation']);
  });

  test('PAE: what the root registers name is no part of the caches', () => {
    const timeline = run('native guest=pae psc=guest', `${TWO}\nbegin\nv0 user read ${V}`);
    expect([...timeline.world.tables.psc.values()].map(({ depth }) => depth)).toEqual([2]);
  });

  test('a translation filled from a table of another address space is stale, though nothing in memory has changed', () => {
    const timeline = run(
      'native cpu=arm64 psc=guest',
      `${TWO}\nspace B kernel=main\n  map 0x401000 -> gfn 0x32 ${LEAF}
begin
v0 user read ${V}
v0 kernel load-ttbr0 B
v0 user read 0x401000
v0 user read 0x401000`,
    );
    expect(ends(timeline).slice(1)).toEqual(['0x22000', '0x22000']);
    expect(counter(timeline, 'stale_hits')).toBe(2);
  });

  test('a walk begins at the deepest table that is known, and what it does not read is spared', () => {
    const timeline = run('native psc=guest', `${TWO}\nbegin\nv0 user read ${V}\nv0 user read 0x401000`);
    expect(counters(timeline, 'refs', 'spared')).toEqual([4 + 1, 3]);
  });

  test('with a second stage the reads on the way to each of the guest tables are spared too', () => {
    const timeline = run(
      'two-stage cpu=svm psc=guest',
      `${TWO}\nbegin\nv0 user read ${V}\nv0 user read 0x401000`,
    );
    // Three of the guest's entries, and four of the second stage's for each of its four tables.
    expect(counters(timeline, 'refs', 'spared')).toEqual([24 + 5, 3 + 4 * 4]);
  });

  test('a table serves only the addresses that lead to it', () => {
    const timeline = run(
      'native psc=guest',
      `map ${V} -> gfn 0x21 ${LEAF}
map 0x800000 -> gfn 0x22 ${LEAF}
begin
v0 user read ${V}
v0 user read 0x800000`,
    );
    expect(ends(timeline)).toEqual(['0x21000', '0x22000']);
  });

  test('a fault forgets no tables that lead only to other addresses', () => {
    const timeline = run(
      'native psc=guest',
      `${TWO}\nmap 0x800000 -> absent
begin
v0 user read ${V}
v0 user read 0x800000
v0 user read 0x401000`,
    );
    expect(ends(timeline)).toEqual(['0x21000', 'fault 0x4', '0x22000']);
    // From the root; from the page directory, which both share; from the page table, which the fault leaves.
    expect(counter(timeline, 'refs')).toBe(4 + 2 + 1);
  });

  test('a table of the guest serves no walk of the second stage, though the address is the same', () => {
    const timeline = run(
      'two-stage cpu=svm psc=both',
      `map ${V} -> gfn 0x21 ${LEAF}
map 0x800000 -> gfn 0x400 ${LEAF}
begin
v0 user read ${V}
v0 user read 0x800000`,
    );
    expect(ends(timeline)).toEqual(['0x10021000', '0x10400000']);
  });

  test('a table serves the address space that it was found for', () => {
    const timeline = run(
      'native psc=guest',
      `${TWO}
space B kernel=main
  map 0x401000 -> gfn 0x32 ${LEAF}
given
  v0 kernel set cr4.pcide = 1
begin
v0 user read ${V}
v0 kernel load-cr3 B pcid=1 keep
v0 user read 0x401000`,
    );
    expect(ends(timeline)).toEqual(['0x21000', '0x32000']);
  });

  test.each(['native psc=guest', 'two-stage cpu=svm psc=both', 'two-stage cpu=vmx-vpid psc=guest'])(
    '%s: a walk from a remembered table keeps the rights of the way to it: read-only above stays read-only',
    (machine) => {
      const timeline = run(
        machine,
        `${TWO}
begin
flip 0x12010 bit=1
v0 user read ${V}
v0 user write 0x401000 = 1`,
      );
      expect(ends(timeline)[1]).toBe('fault 0x7');
      expect(counter(timeline, 'spared')).toBeGreaterThan(0);
    },
  );

  // Nothing else finds one of the same depth and prefix: a walk keeps only what is deeper than all that it could use, and
  // it could use any that was found with its own levels.
  test('arm64: a table found under another start level takes the place of the one with the same depth and prefix', () => {
    // T0SZ from 16 to 25: the root is a table of level 1. The entry of 0x200000 in 0x12 names a page then, once accessed.
    const timeline = run(
      'native cpu=arm64 psc=guest',
      `map 0x0 -> gfn 0x21 ${LEAF}
map 0x200000 -> gfn 0x22 ${LEAF}
map 0x40000000 -> gfn 0x23 ${LEAF}
begin
flip 0x12008 bit=10
v0 user read 0x0
flip register tcr_el1 bit=3
flip register tcr_el1 bit=0
v0 kernel read 0x1000
flip register tcr_el1 bit=3
flip register tcr_el1 bit=0
v0 user read 0x40000000`,
    );
    expect(ends(timeline)).toEqual(['0x21000', '0x14000', '0x23000']);
    // The last walk finds no table of level 1 any more: it begins at the root.
    expect(counters(timeline, 'refs', 'spared')).toEqual([4 + 3 + 4, 0]);
  });

  test('the mark of an entry is noted at that entry, also where the second stage was read for it in between', () => {
    const timeline = run(
      'two-stage cpu=vmx-vpid ept-ad=off',
      `map ${V} -> gfn 0x21 ${LEAF}\nmap 0x401000 -> gfn 0x22 rw user
begin
host set-entry 0x13000 -> frame 0x10013 read
v0 user read ${V}
host set-entry 0x13000 -> frame 0x10013 read write exec
v0 user read 0x401000`,
    );
    expect(ends(timeline)).toEqual(['0x10021000', '0x10022000']);
    const { world } = timeline;
    const filled = [...world.tables.tlb.values()].find(
      ({ kind, vpn }) => kind === 'combined' && vpn === 0x401,
    );
    const words = filled?.filledFrom ?? [];
    const values = filled?.filledValues ?? [];
    // The second entry of the page table, which lies in host frame 0x10013. Bit 5: accessed.
    const at = words.indexOf((0x10013 * 0x1000 + 8) / 8);
    expect((values[at] ?? 0n) & 0x20n).toBe(0x20n);
    expect(values[at]).toBe(world.word(words[at] ?? 0));
    // The entry of the second stage was read on the way there, and again for the mark.
    const changed = words.filter((word, index) => index < at && values[index] !== world.word(word));
    expect(changed).toHaveLength(1);
    expect(words.lastIndexOf(changed[0] ?? 0)).toBeGreaterThan(at);
  });
});
