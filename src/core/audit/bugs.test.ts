import { describe, expect, test } from 'vitest';
import type { SettingChoices } from '../../scenario/ast.ts';
import { catalogueText, timelineOf } from '../../testing/scenarios.ts';
import { counter } from '../../scenario/expectations.ts';

const HEAD = 'mmuscope 1\nmachine kvm-2007 cpu=svm\nslot 0x0 16M\n';
const WINDOW = 'map 0xffff888000000000 -> table-of 0x400000 rw kernel accessed dirty\n';
const UPPER = 'map 0xffff888000001000 -> table-of 0x400000 level=2 rw kernel accessed dirty\n';

const found = (text: string, settings: SettingChoices = {}): string[] =>
  [...timelineOf(text, settings).world.tables.violation.values()].map((v) =>
    `${v.rule} ${v.bug ?? ''}`.trim(),
  );
const harms = (text: string, settings: SettingChoices = {}): string[] =>
  [...timelineOf(text, settings).world.tables.harm.values()].map((harm) => harm.kind);

/** CR0.WP=0: a kernel write to a read-only user page, then a user read of it. */
const C_B2 = `${HEAD}map 0x400000 -> gfn 0x40 ro user accessed dirty
begin
v0 kernel set cr0.wp = 0
v0 kernel write 0x400000 = 1
v0 user read 0x400000`;

/** The page directory says read-only; the guest then writes a writable page-table entry. */
const C_B3 = `${HEAD}map 0x400000 -> absent
map 0x401000 -> gfn 0x41 rw user accessed dirty
${WINDOW}${UPPER}given
  v0 kernel set-pte 0x400000 level=2 -> table ro user accessed
  v0 user read 0x401000
begin
v0 kernel set-pte 0x400000 -> gfn 0x40 rw user accessed dirty
v0 user write 0x400000 = 1`;

/** A writable translation is cached; the guest changes the entry, and the zap leaves the reverse map. */
const C_B6 = `${HEAD}map 0x400000 -> gfn 0x40 rw user accessed dirty
${WINDOW}begin
v0 user write 0x400000 = 1
v0 kernel set-pte 0x400000 -> gfn 0x41 ro user accessed dirty`;

describe('each shipped bug breaks its rule, and mending it mends the rule', () => {
  test.each([
    ['C-B2', C_B2, 'INV-2 C-B2'],
    ['C-B3', C_B3, 'INV-13 C-B3'],
    ['C-B6', C_B6, 'INV-6 C-B6'],
  ])('%s', (id, text, violation) => {
    expect(found(text)).toContain(violation);
    expect(found(text, { 'shipped-bugs': id })).toContain(violation);
    expect(found(text, { 'shipped-bugs': 'none' })).toEqual([]);
  });

  test('C-B3 lets a user write what the page directory forbids', () => {
    expect(harms(C_B3)).toEqual(['lost-write']);
    expect(harms(C_B3, { 'shipped-bugs': 'none' })).toEqual([]);
  });

  test('after C-B2 a write-protect meets a leaf that is not writable, and the host kernel stops', () => {
    const text = `${HEAD}map 0x400000 -> gfn 0x40 ro user accessed dirty
begin
v0 kernel set cr0.wp = 0
v0 kernel write 0x400000 = 1
v0 user read 0x400000
v0 kernel load-cr3 gfn 0x40`;
    expect(timelineOf(text).stop?.kind).toBe('host-stopped');
    expect(timelineOf(text, { 'shipped-bugs': 'none' }).stop).toBeUndefined();
  });
});

/** C-4 with T loaded by MOV CR3 instead of a fault: R is the root of another address space. */
const CR3_PATH = `${HEAD}map 0x400000 -> gfn 0x40 rw user accessed
map 0xffff888000000000 -> table-of 0x400000 level=4 in B rw kernel accessed dirty
space B kernel=main
map 0x400000 -> gfn 0x42 rw user accessed
begin
v0 kernel write 0xffff888000000008 = 0
v0 kernel load-cr3 B
v0 kernel write 0xffff888000000010 = 0x1`;

describe('C-4: a stale hit only where the flush is left out, on the fault path, of a processor that keeps entries', () => {
  const cases = ['svm', 'vmx-novpid'].flatMap((cpu) =>
    ['always', 'on-fault', 'never'].flatMap((flush) =>
      ['fault', 'cr3'].map(
        (path) => [cpu, flush, path, cpu === 'svm' && flush === 'never' && path === 'fault' ? 1 : 0] as const,
      ),
    ),
  );
  test.each(cases)('%s, flush=%s, %s path: %i', (cpu, flush, path, expected) => {
    const timeline = timelineOf(path === 'fault' ? catalogueText('stale-tlb') : CR3_PATH, { cpu, flush });
    expect(counter(timeline, 'stale_hits')).toBe(expected);
    expect(timeline.world.tables.harm.size > 0).toBe(expected > 0);
  });

  test('C-3: a CR3 load makes a flush call for each writable mapping, or none where the proposal spares them', () => {
    const calls = (flush: string): number => counter(timelineOf(CR3_PATH, { flush }), 'rmap_flush');
    expect([calls('always'), calls('on-fault'), calls('never')]).toEqual([1, 0, 0]);
  });
});

describe('INV-14', () => {
  test('a guest whose handler never mends its fault goes round in its own circle, and is stopped by a bound', () => {
    const text = `${HEAD}map 0x400000 -> absent
begin
v0 user read 0x400000
  on #PF
    retry`;
    const timeline = timelineOf(text);
    expect(found(text)).toEqual([]);
    expect(counter(timeline, 'injected')).toBe(17);
  });
});
