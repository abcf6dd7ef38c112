import { describe, expect, test } from 'vitest';
import { catalogueText, timelineOf } from '../testing/scenarios.ts';
import { changeText, functionRows, isStateChange, type Row } from './rows.ts';

/** A row of an annex: who, in which call, by which step, and which state it changes (a pattern for each). */
interface Golden {
  readonly actor: string;
  readonly call: string;
  readonly kind: string;
  readonly changes?: readonly RegExp[];
  readonly refs?: number;
}

function matches(row: Row, golden: Golden): boolean {
  return (
    row.call === golden.call &&
    row.steps.some((step) => step.kind === golden.kind && step.actor === golden.actor)
  );
}

/** Rows appear in this order, and no state changes but theirs. */
function holds(rows: readonly Row[], golden: readonly Golden[]): void {
  const queue = [...golden];
  for (const row of rows) {
    const next = queue[0];
    const changes = row.changes.filter(isStateChange).map(changeText);
    if (next !== undefined && matches(row, next)) {
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
      if (next.refs !== undefined)
        expect(row.steps.filter((step) => step.op === 'read' && 'entry' in step.facts).length).toBe(
          next.refs,
        );
    } else expect(changes, `between rows, in ${row.call}`).toEqual([]);
  }
  expect(queue).toEqual([]);
}

const bodyRows = (id: string, settings: Record<string, string>): readonly Row[] => {
  const timeline = timelineOf(catalogueText(id), settings);
  return functionRows(timeline, timeline.begin, timeline.length);
};

const INJECT: readonly Golden[] = [
  { actor: 'cpu', call: 'page walk', kind: 'walk-fault', refs: 4 },
  { actor: 'cpu', call: 'VM exit', kind: 'vm-exit', changes: [/^tlb:0:/] },
  { actor: 'kvm', call: 'walk_addr', kind: 'guest-walk-refuse', refs: 4 },
  {
    actor: 'kvm',
    call: 'inject_page_fault',
    kind: 'inject',
    changes: [/^reg:0\.cr2 none -> 0x7f3c5a823010$/, /^reg:0\.last_pt_write_count 0x0 -> 0x0$/],
  },
  { actor: 'guest', call: 'handler', kind: 'guest-handler' },
  { actor: 'cpu', call: 'page walk', kind: 'walk-fault', refs: 4 },
  { actor: 'cpu', call: 'VM exit', kind: 'vm-exit' },
  { actor: 'kvm', call: 'walk_addr', kind: 'guest-walk-done', refs: 4 },
  { actor: 'kvm', call: 'fetch', kind: 'fetch-look' },
  {
    actor: 'kvm',
    call: 'fix_write_pf',
    kind: 'shadowed-check',
    changes: [/^word:10016\.013 0x13063 -> 0x13063$/],
  },
  { actor: 'kvm', call: 'emulate_instruction', kind: 'emulate' },
  {
    actor: 'kvm',
    call: 'kvm_mmu_pte_write',
    kind: 'flood-count',
    changes: [/last_pt_write_gfn none -> 0x13$/, /last_pt_write_count 0x0 -> 0x1$/],
  },
  {
    actor: 'kvm',
    call: 'mmu_pte_write_zap_pte',
    kind: 'spte-clear',
    changes: [/^word:20003\.023 0x0 -> 0x0$/],
  },
];
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
      { actor: 'kvm', call: 'rmap_add', kind: 'rmap-add', changes: [/^rmap:65568 none -> /] },
      COPY,
      { actor: 'guest', call: 'operation', kind: 'guest-retry' },
      { actor: 'cpu', call: 'page walk', kind: 'walk-read', refs: 4 },
      {
        actor: 'cpu',
        call: 'operation',
        kind: 'tlb-fill',
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
      { actor: 'kvm', call: 'rmap_add', kind: 'rmap-add', changes: [/^rmap:65568 none -> /] },
      { actor: 'kvm', call: 'fix_write_pf', kind: 'spurious' },
      { actor: 'kvm', call: 'page_fault', kind: 'flood-reset', changes: [/last_pt_write_count 0x1 -> 0x0$/] },
      { actor: 'cpu', call: 'page walk', kind: 'walk-read', refs: 4 },
      {
        actor: 'cpu',
        call: 'operation',
        kind: 'tlb-fill',
        changes: [/^tlb:0:/, /^word:10020\.002 .* -> 0x0$/],
      },
    ]);
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
});
