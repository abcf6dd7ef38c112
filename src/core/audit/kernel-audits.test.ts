import { describe, expect, test } from 'vitest';
import type { SettingChoices } from '../../scenario/ast.ts';
import { catalogueText, timelineOf } from '../../testing/scenarios.ts';
import { auditHistory } from '../../timeline/audit-history.ts';
import type { Timeline } from '../../timeline/timeline.ts';
import { levelOfRole } from '../kvm/role-2007.ts';
import { linkSpte } from '../kvm/spte-2007.ts';
import { World } from '../machine/world.ts';
import { gfn, pfn, wordOf } from '../quantities.ts';
import { auditState } from './audit.ts';
import {
  complaints,
  kernelAuditOf,
  kernelAudits,
  KERNEL_AUDITS,
  RULE_OF_KERNEL_AUDIT,
  type KernelAudits,
} from './kernel-audits.ts';
import { RULES, RULE_SPECS } from './rules.ts';

const HEAD = 'mmuscope 1\nmachine kvm-2007 cpu=svm\nslot 0x0 16M\n';
const WINDOW = 'map 0xffff888000000000 -> table-of 0x400000 rw kernel accessed dirty\n';

const C_B2 = `${HEAD}map 0x400000 -> gfn 0x40 ro user accessed dirty
begin
v0 kernel set cr0.wp = 0
v0 kernel write 0x400000 = 1
v0 user read 0x400000`;

const C_B3 = `${HEAD}map 0x400000 -> absent
map 0x401000 -> gfn 0x41 rw user accessed dirty
${WINDOW}map 0xffff888000001000 -> table-of 0x400000 level=2 rw kernel accessed dirty
given
  v0 kernel set-pte 0x400000 level=2 -> table ro user accessed
  v0 user read 0x401000
begin
v0 kernel set-pte 0x400000 -> gfn 0x40 rw user accessed dirty
v0 user write 0x400000 = 1`;

const C_B6 = `${HEAD}map 0x400000 -> gfn 0x40 rw user accessed dirty
${WINDOW}begin
v0 user write 0x400000 = 1
v0 kernel set-pte 0x400000 -> gfn 0x41 ro user accessed dirty`;

/** A page mapped writable and one mapped read-only: one bit from outside in a leaf of either. */
const TWO_PAGES = `${HEAD}map 0x400000 -> gfn 0x40 rw user accessed dirty
map 0x401000 -> gfn 0x41 ro user accessed dirty
begin
v0 user write 0x400000 = 1
v0 user read 0x401000`;

/** The kernel's window onto its own page table is read-only in the shadow, because the table is shadowed. */
const TABLE_WINDOW = `${HEAD}map 0x400000 -> gfn 0x40 rw user accessed dirty
${WINDOW}begin
v0 user read 0x400000
v0 kernel read 0xffff888000000000`;

/** Address space B has mapped a page of its own; then main runs again. */
const OTHER_SPACE = `${HEAD}map 0x400000 -> gfn 0x40 rw user accessed dirty
space B kernel=main
map 0x500000 -> gfn 0x45 rw user accessed dirty
begin
v0 kernel load-cr3 B
v0 user read 0x500000
v0 kernel load-cr3 main`;

interface Seen {
  readonly broken: readonly string[];
  readonly complains: readonly string[];
  /** For each broken rule: the kernel's check that finds that very thing. */
  readonly found: readonly (string | undefined)[];
  readonly audits: KernelAudits;
}

function lookAt(timeline: Timeline, position = timeline.length): Seen {
  timeline.seek(position);
  const { world, program } = timeline;
  const audits = kernelAudits(world, program.settings);
  const state = auditState(world);
  const violations = state.kind === 'broken' ? state.violations : [];
  return {
    broken: [...new Set(violations.map(({ rule }) => rule))].sort(),
    complains: complaints(audits),
    found: violations.map((violation) => kernelAuditOf(audits, violation)),
    audits,
  };
}

const end = (text: string, settings: SettingChoices = {}): Seen => lookAt(timelineOf(text, settings));

describe('what the kernel of 2007 would have seen of the bugs it shipped', () => {
  test('C-B2: audit_rmap counts one entry too many, the other two pass', () => {
    const seen = end(C_B2);
    expect(seen).toMatchObject({ broken: ['INV-2'], complains: ['audit_rmap'], found: ['audit_rmap'] });
    expect(seen.audits.rmap).toEqual({ listed: 1, writable: 0 });
  });

  test('C-B3: no check looks at rights, so none complains of a leaf that allows too much', () => {
    expect(end(C_B3)).toMatchObject({ broken: ['INV-13'], complains: [], found: [undefined] });
  });

  test('C-B6: no check knows the TLB', () => {
    expect(end(C_B6)).toMatchObject({ broken: ['INV-6'], complains: [], found: [undefined] });
  });

  test('C-B1: all three pass while the TLB entry is stale, and audit_mappings finds what came of it', () => {
    const timeline = timelineOf(catalogueText('stale-tlb'), { flush: 'never' });
    const { broken } = auditHistory(timeline);
    const stale = broken.find(({ violation }) => violation.rule === 'INV-6')?.found ?? 0;
    expect(lookAt(timeline, stale + 1)).toMatchObject({
      broken: ['INV-6'],
      complains: [],
      found: [undefined],
    });
    const last = lookAt(timeline);
    expect(last.broken).toEqual(['INV-1', 'INV-6']);
    expect(last.complains).toEqual(['audit_mappings']);
    expect(new Set(last.found)).toEqual(new Set(['audit_mappings', undefined]));
    expect(last.audits.mappings.found).toMatchObject([
      { gva: 0x7f3c5a823000n, mapped: pfn(0x10020), named: pfn(0x10021) },
    ]);
  });

  test.each([
    ['C-B2', C_B2],
    ['C-B3', C_B3],
    ['C-B6', C_B6],
    ['C-B1', catalogueText('stale-tlb')],
  ])('%s mended: all three pass', (_id, text) => {
    const settings = { 'shipped-bugs': 'none', flush: 'always' };
    expect(end(text, settings)).toMatchObject({ broken: [], complains: [] });
  });
});

describe('each check, against a bit that changes from outside', () => {
  test.each([
    ['a leaf loses W and stays listed', TWO_PAGES, '0x400000 level=1 bit=1', ['audit_rmap']],
    ['a leaf gains W and is not listed', TWO_PAGES, '0x401000 level=1 bit=1', ['audit_rmap']],
    ['a leaf names another frame', TWO_PAGES, '0x401000 level=1 bit=12', ['audit_mappings']],
    ['a leaf vanishes', TWO_PAGES, '0x401000 level=1 bit=0', []],
    ['a leaf lets users at a kernel page', TABLE_WINDOW, '0xffff888000000000 level=1 bit=2', []],
    // The reverse map has no entry, and nobody looks at the leaf itself.
    [
      'a leaf lets the guest write its table',
      TABLE_WINDOW,
      '0xffff888000000000 level=1 bit=1',
      ['audit_rmap'],
    ],
    ['a table link vanishes', TWO_PAGES, '0x401000 level=2 bit=0', []],
  ])('%s', (_what, text, flip, complains) => {
    expect(end(`${text}\nflip shadow ${flip}`).complains).toEqual(complains);
  });

  test('a guest entry that changes unseen: audit_mappings walks the guest tables', () => {
    const seen = end(`${TWO_PAGES}\nflip 0x13008 bit=0`);
    expect(seen).toMatchObject({ broken: ['INV-1'], complains: ['audit_mappings'] });
    expect(seen.audits.mappings.found).toMatchObject([{ gva: 0x401000n, named: undefined }]);
  });

  test('audit_rmap compares sums: one entry too many and one too few cancel out', () => {
    const text = `${TWO_PAGES}\nflip shadow 0x400000 level=1 bit=1\nflip shadow 0x401000 level=1 bit=1`;
    expect(end(text)).toMatchObject({ complains: [], audits: { rmap: { listed: 1, writable: 1 } } });
    expect(end(text).broken).toContain('INV-2');
  });

  test('audit_mappings stays below the root in use: another address space may be wrong', () => {
    const seen = end(`${OTHER_SPACE}\nflip 0x17800 bit=12`);
    expect(seen).toMatchObject({ broken: ['INV-1'], complains: [], found: [undefined] });
  });

  test('audit_write_protection goes by the reverse map alone: an entry that is not writable will do', () => {
    const timeline = timelineOf(catalogueText('wp-zero'), { 'shipped-bugs': 'C-B2' });
    expect(timeline.stop?.kind).toBe('host-stopped');
    expect(lookAt(timeline).complains).toEqual(['audit_rmap', 'audit_write_protection']);
  });
});

describe('while the hypervisor is at work', () => {
  test('a page is hashed before its frame is write-protected: audit_write_protection complains in between', () => {
    const timeline = timelineOf(catalogueText('stale-tlb'));
    const complained = new Set<string>();
    for (let position = timeline.begin; position <= timeline.length; position += 1)
      for (const name of lookAt(timeline, position).complains) complained.add(name);
    expect([...complained].sort()).toContain('audit_write_protection');
    expect(lookAt(timeline).complains).toEqual([]);
  });

  test('looking leaves the world as it is', () => {
    const timeline = timelineOf(catalogueText('stale-tlb'), { flush: 'never' });
    const [position, other] = [timeline.length, timelineOf(catalogueText('stale-tlb'), { flush: 'never' })];
    for (let at = 0; at <= position; at += 1) lookAt(timeline, at);
    expect(timeline.world.firstDifference(other.world)).toBeUndefined();
  });
});

test('a processor that walks PAE tables has four roots: audit_mappings begins at each, 1 GiB apart', () => {
  const { world, program } = timelineOf(TWO_PAGES);
  const [directory] = [...world.tables.sp.values()].filter(
    (page) => levelOfRole(page.role) === 2 && page.gfn === gfn(0x12),
  );
  const rootsFrame = pfn(0xf000);
  const auditedWith = (index: number): KernelAudits => {
    const copy = new World(world);
    copy.put('word', wordOf(rootsFrame, index), linkSpte(directory?.pfn ?? pfn(0)));
    copy.put('reg', '0.root_hpa', BigInt(rootsFrame) << 12n);
    return kernelAudits(copy, program.settings);
  };
  expect(auditedWith(0).mappings).toEqual({ leaves: 2, found: [] });
  expect(auditedWith(2).mappings.found).toMatchObject([
    { gva: 0x80400000n, mapped: pfn(0x10040), named: undefined },
    { gva: 0x80401000n, mapped: pfn(0x10041), named: undefined },
  ]);
});

test('each check and each rule is described', () => {
  expect(Object.keys(RULE_SPECS)).toEqual(Object.keys(RULES));
  expect(KERNEL_AUDITS.map((name) => RULES[RULE_OF_KERNEL_AUDIT[name]])).not.toContain(undefined);
});
