import { describe, expect, test } from 'vitest';
import { catalogueText, timelineOf } from '../testing/scenarios.ts';
import { counter } from '../scenario/expectations.ts';
import type { StepView, Timeline } from '../timeline/timeline.ts';
import { changeText, functionRows, isStateChange, type Row } from './rows.ts';

/** A row of an annex: who, in which call, by which step, and which state it changes (a pattern for each). */
interface Golden {
  readonly actor: string;
  readonly call: string;
  readonly kind: string;
  readonly changes?: readonly RegExp[];
  readonly refs?: number;
  /** Facts that the step states, error codes for one. */
  readonly facts?: Readonly<Record<string, unknown>>;
}

const stepOf = (row: Row, golden: Golden): Row['steps'][number] | undefined =>
  row.call === golden.call
    ? row.steps.find((step) => step.kind === golden.kind && step.actor === golden.actor)
    : undefined;

/** Rows appear in this order, and no state changes but theirs. */
function holds(rows: readonly Row[], golden: readonly Golden[]): void {
  const queue = [...golden];
  for (const row of rows) {
    const next = queue[0];
    const changes = row.changes.filter(isStateChange).map(changeText);
    const step = next === undefined ? undefined : stepOf(row, next);
    if (next !== undefined && step !== undefined) {
      queue.shift();
      const expected = next.changes ?? [];
      expect(
        changes.filter((change) => !expected.some((pattern) => pattern.test(change))),
        `unlisted in ${next.call} ${next.kind}`,
      ).toEqual([]);
      expect(
        expected.filter((pattern) => !changes.some((change) => pattern.test(change))),
        `missing in ${next.call} ${next.kind}`,
      ).toEqual([]);
      if (next.facts !== undefined) expect(step.facts, `${next.call} ${next.kind}`).toMatchObject(next.facts);
      if (next.refs !== undefined)
        expect(row.steps.filter((step) => step.op === 'read' && 'entry' in step.facts).length).toBe(
          next.refs,
        );
    } else expect(changes, `between rows, in ${row.call}`).toEqual([]);
  }
  expect(queue).toEqual([]);
}

const stepsOf = (timeline: Timeline): readonly StepView[] =>
  Array.from({ length: timeline.length - timeline.begin }, (_, at) => timeline.step(timeline.begin + at));
const textOf = (row: Row): string =>
  [row.call, ...row.steps.map(({ kind }) => kind), ...row.changes.filter(isStateChange).map(changeText)].join(
    ' ',
  );

const bodyRows = (id: string, settings: Record<string, string>): readonly Row[] => {
  const timeline = timelineOf(catalogueText(id), settings);
  return functionRows(timeline, timeline.begin, timeline.length);
};

/** The address of the write, and that of the entry in the kernel's window K: entry 0x23 of 8 bytes. */
const V = 0x7f3c5a823010n;
const K_ENTRY = 0xffff880000013118n;

const INJECT: readonly Golden[] = [
  { actor: 'cpu', call: 'page walk', kind: 'walk-fault', refs: 4, facts: { level: 1, errorCode: 6 } },
  {
    actor: 'cpu',
    call: 'VM exit',
    kind: 'vm-exit',
    changes: [/^tlb:0:/],
    facts: { reason: '#PF', gva: V, errorCode: 6 },
  },
  {
    actor: 'kvm',
    call: 'walk_addr',
    kind: 'guest-walk-refuse',
    refs: 4,
    facts: { level: 1, because: 'not present', errorCode: 6 },
  },
  {
    actor: 'kvm',
    call: 'inject_page_fault',
    kind: 'inject',
    facts: { gva: V, errorCode: 6 },
    changes: [/^reg:0\.cr2 none -> 0x7f3c5a823010$/, /^reg:0\.last_pt_write_count 0x0 -> 0x0$/],
  },
  { actor: 'guest', call: 'handler', kind: 'guest-handler', facts: { errorCode: 6 } },
  { actor: 'cpu', call: 'page walk', kind: 'walk-fault', refs: 4, facts: { level: 1, errorCode: 3 } },
  {
    actor: 'cpu',
    call: 'VM exit',
    kind: 'vm-exit',
    facts: { reason: '#PF', gva: K_ENTRY, errorCode: 3 },
  },
  { actor: 'kvm', call: 'walk_addr', kind: 'guest-walk-done', refs: 4, facts: { gfn: 0x13, refs: 4 } },
  { actor: 'kvm', call: 'fetch', kind: 'fetch-look' },
  {
    actor: 'kvm',
    call: 'fix_write_pf',
    kind: 'shadowed-check',
    facts: { gfn: 0x13, pages: 1 },
    changes: [/^word:10016\.013 0x13063 -> 0x13063$/],
  },
  {
    actor: 'kvm',
    call: 'emulate_instruction',
    kind: 'emulate',
    facts: { gva: K_ENTRY, gpa: 0x13118n, value: 0x20067n, bytes: 8 },
  },
  {
    actor: 'kvm',
    call: 'kvm_mmu_pte_write',
    kind: 'flood-count',
    facts: { gfn: 0x13, count: 1, flooded: false },
    changes: [/last_pt_write_gfn none -> 0x13$/, /last_pt_write_count 0x0 -> 0x1$/],
  },
  {
    actor: 'kvm',
    call: 'mmu_pte_write_zap_pte',
    kind: 'spte-clear',
    changes: [/^word:20003\.023 0x0 -> 0x0$/],
  },
];
/** Frame 0x10020: none, then a plain pointer to the entry. */
const POINTER = /^rmap:65568 none -> .*"kind":"one"/;

const COPY: Golden = {
  actor: 'kvm',
  call: 'emulate_instruction',
  kind: 'guest-copy',
  changes: [/^word:10013\.023 0x0 -> 0x20067$/],
};

describe('annex 6.2, a user write to V', () => {
  test('update: the entry is built while the store is emulated, and the retry needs no exit', () => {
    holds(bodyRows('three-exits', { 'gpte-write': 'update' }), [
      ...INJECT,
      { actor: 'kvm', call: 'set_pte', kind: 'spte-set', changes: [/^word:20003\.023 0x0 -> 0x10020c67$/] },
      { actor: 'kvm', call: 'rmap_add', kind: 'rmap-add', changes: [POINTER] },
      COPY,
      { actor: 'guest', call: 'operation', kind: 'guest-retry' },
      { actor: 'cpu', call: 'page walk', kind: 'walk-read', refs: 4 },
      {
        actor: 'cpu',
        call: 'operation',
        kind: 'tlb-fill',
        facts: { pfn: 0x10020, writable: true },
        changes: [/^tlb:0:/, /^word:10020\.002 .* -> 0x0$/],
      },
    ]);
  });
  test('zap: the entry stays empty, and the retry costs the third exit', () => {
    holds(bodyRows('three-exits', { 'gpte-write': 'zap' }), [
      ...INJECT,
      COPY,
      { actor: 'guest', call: 'operation', kind: 'guest-retry' },
      { actor: 'cpu', call: 'page walk', kind: 'walk-fault', refs: 4 },
      { actor: 'cpu', call: 'VM exit', kind: 'vm-exit' },
      { actor: 'kvm', call: 'walk_addr', kind: 'guest-walk-done', refs: 4 },
      { actor: 'kvm', call: 'fetch', kind: 'fetch-look' },
      { actor: 'kvm', call: 'set_pte', kind: 'spte-set', changes: [/^word:20003\.023 0x0 -> 0x10020c67$/] },
      { actor: 'kvm', call: 'rmap_add', kind: 'rmap-add', changes: [POINTER] },
      { actor: 'kvm', call: 'fix_write_pf', kind: 'spurious' },
      { actor: 'kvm', call: 'page_fault', kind: 'flood-reset', changes: [/last_pt_write_count 0x1 -> 0x0$/] },
      { actor: 'cpu', call: 'page walk', kind: 'walk-read', refs: 4 },
      {
        actor: 'cpu',
        call: 'operation',
        kind: 'tlb-fill',
        facts: { pfn: 0x10020, writable: true },
        changes: [/^tlb:0:/, /^word:10020\.002 .* -> 0x0$/],
      },
    ]);
  });

  test('row 6: the entry that refuses is the window onto T, read-only', () => {
    const timeline = timelineOf(catalogueText('three-exits'), {});
    const entries = stepsOf(timeline)
      .filter(({ kind, facts }) => kind === 'walk-read' && (facts as { level: number }).level === 1)
      .map(({ facts }) => (facts as { entry: bigint }).entry);
    expect(entries.slice(0, 2)).toEqual([0n, 0x10013461n]);
  });
  test.each(['2006', '2007a', '2007b'])('the first two exits are the same in era %s', (era) => {
    const rows = bodyRows('three-exits', { era, 'gpte-write': 'zap' });
    expect(rows.map(textOf)).toEqual(bodyRows('three-exits', { 'gpte-write': 'zap' }).map(textOf));
  });
  test('counters, where the annex gives them', () => {
    const timeline = timelineOf(catalogueText('three-exits'), { 'gpte-write': 'update' });
    const at = (kind: string, nth = 0): Record<string, number> => {
      const step = stepsOf(timeline).filter((one) => one.kind === kind)[nth];
      timeline.seek((step?.index ?? 0) + 1);
      return Object.fromEntries(
        (['exits', 'injected', 'emulated', 'pf_fixed'] as const).map((name) => [
          name,
          counter(timeline, name),
        ]),
      );
    };
    expect(at('vm-exit')).toMatchObject({ exits: 1, injected: 0 });
    expect(at('inject')).toMatchObject({ exits: 1, injected: 1 });
    expect(at('vm-exit', 1)).toMatchObject({ exits: 2, injected: 1, emulated: 0 });
    expect(at('emulate')).toMatchObject({ exits: 2, emulated: 1, pf_fixed: 1 });
    expect(at('tlb-fill')).toEqual({ exits: 2, injected: 1, emulated: 1, pf_fixed: 1 });
  });
});

describe('annex 6.3, the flush left out in the fault path', () => {
  const rows = (flush: string): readonly string[] =>
    bodyRows('stale-tlb', { flush, cpu: 'svm' }).flatMap((row) => [
      ...row.steps.map((step) => `${step.actor} ${step.kind}`),
      ...row.changes.filter(isStateChange).map(changeText),
    ]);
  const inOrder = (lines: readonly string[], wanted: readonly RegExp[]): void => {
    let from = 0;
    for (const pattern of wanted) {
      const at = lines.findIndex((line, index) => index >= from && pattern.test(line));
      expect(at, `${String(pattern)} after line ${String(from)}`).toBeGreaterThanOrEqual(0);
      from = at + 1;
    }
  };
  test('flush=never: the stale entry lets the store through, and the old frame is read', () => {
    inOrder(rows('never'), [
      /^kvm emulate$/,
      /^word:20002\.0d4 0x0 -> 0x0$/,
      /^cpu vm-exit$/,
      /^kvm shadow-hash$/,
      /^rmap:65555 .* -> none$/,
      /^kvm flush-left-out$/,
      /^word:20006\.013 0x10013463 -> 0x10013461$/,
      /^kvm spte-set$/,
      /^cpu vm-entry$/,
      /^violation:1 .*INV-6/,
      /^cpu tlb-hit$/,
      /^cpu data-write$/,
      /^harm:1 .*stale-write/,
      /^word:10013\.023 0x20027 -> 0x21027$/,
      /^violation:2 .*INV-1"/,
      /^cpu invlpg$/,
      /^cpu walk-read$/,
      /^harm:2 .*stale-read/,
    ]);
  });
  test('flush=on-fault: a new ASID, so the store exits, and the new frame is read', () => {
    const lines = rows('on-fault');
    inOrder(lines, [
      /^rmap:65555 .* -> none$/,
      /^kvm flush$/,
      /^word:20006\.013 0x10013463 -> 0x10013461$/,
      /^cpu vm-entry$/,
      /^cpu tlb-miss$/,
      /^cpu walk-fault$/,
      /^cpu vm-exit$/,
      /^kvm emulate$/,
      /^word:20007\.023 .* -> 0x0$/,
      /^word:10013\.023 0x20027 -> 0x21027$/,
      /^cpu invlpg$/,
      /^cpu data-read$/,
    ]);
    expect(lines.filter((line) => /^(violation|harm):/.test(line))).toEqual([]);
  });

  /** Facts of the steps of a kind in the body, in order. */
  const factsOf = (flush: string, kind: string): readonly Readonly<Record<string, unknown>>[] =>
    stepsOf(timelineOf(catalogueText('stale-tlb'), { flush, cpu: 'svm' }))
      .filter((step) => step.kind === kind)
      .map(({ facts }) => facts);
  test('steps 1 and 4: the address space number stays without the flush, and is a new one with it', () => {
    const fresh = (flush: string): readonly unknown[] =>
      factsOf(flush, 'vm-entry').map(({ freshAsid }) => freshAsid);
    expect(fresh('never')).toEqual([false, false]);
    expect(new Set(factsOf('never', 'vm-entry').map(({ asid }) => asid)).size).toBe(1);
    expect(fresh('on-fault').slice(0, 2)).toEqual([false, true]);
    const [before, after] = factsOf('on-fault', 'vm-entry').map(({ asid }) => Number(asid));
    expect(after).toBe((before ?? 0) + 1);
  });
  test('step 5: one stale hit, no exit, INV-3 holds and INV-6 does not', () => {
    const timeline = timelineOf(catalogueText('stale-tlb'), { flush: 'never', cpu: 'svm' });
    expect(factsOf('never', 'tlb-hit').filter(({ stale }) => stale === true)).toHaveLength(1);
    expect(counter(timeline, 'stale_hits')).toBe(1);
    const store = timeline.operations.filter(({ section }) => section === 'body')[3];
    const kinds = stepsOf(timeline)
      .filter(({ index }) => index >= (store?.firstStep ?? 0) && index < (store?.endStep ?? 0))
      .map(({ kind }) => kind);
    expect(kinds).toEqual(['tlb-hit', 'data-write']);
    const rules = [...timeline.world.tables.violation.values()].map(({ rule }) => rule);
    expect(new Set(rules)).toEqual(new Set(['INV-6', 'INV-1']));
  });
  test('step 6: INVLPG drops one translation, and that of K stays', () => {
    const [invlpg] = factsOf('never', 'invlpg');
    expect(invlpg).toMatchObject({ gva: 0x7f3c5a823000n, dropped: 1 });
    const { world } = timelineOf(catalogueText('stale-tlb'), { flush: 'never', cpu: 'svm' });
    expect(
      [...world.tables.tlb.values()].filter(({ pfn, writable }) => pfn === 0x10013 && writable),
    ).not.toEqual([]);
  });
  test('step 7: the old frame, or the new one', () => {
    const last = (flush: string): unknown => factsOf(flush, 'data-read').at(-1)?.['value'];
    expect([last('never'), last('on-fault')]).toEqual([0xda7a0020n, 0xda7a0021n]);
  });
});
