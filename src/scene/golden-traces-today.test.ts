/** Golden traces of the reference, annex 6, on a KVM of today: each row by its step, and no state changes but theirs. */
import { expect, test } from 'vitest';
import { must } from '../core/assert.ts';
import type { TableName } from '../core/machine/tables.ts';
import { FIRST_SHADOW_PFN } from '../core/machine/world.ts';
import { frameOfWord, wordOf } from '../core/quantities.ts';
import { counter } from '../scenario/expectations.ts';
import { catalogueText, timelineOf } from '../testing/scenarios.ts';
import type { Change, StepView, Timeline } from '../timeline/timeline.ts';

/** What an annex says of one step: its kind, facts that it states, tables that it changes. */
type Row = readonly [kind: string, facts: Readonly<Record<string, unknown>>, changes?: readonly TableName[]];

/** State of the hypervisor that an annex would name if it changed; counters and the audit's own notes are none. */
const STATE: ReadonlySet<TableName> = new Set<TableName>([
  'sp',
  'unsyncBit',
  'request',
  'hostPage',
  'slotRmap',
  'writeTrack',
  'disallowLpage',
  'mmu',
  'tlb',
]);

function isState({ place, before, after }: Change): boolean {
  if (before === after) return false;
  if (place.table === 'word') return frameOfWord(Number(place.key)) >= FIRST_SHADOW_PFN;
  return STATE.has(place.table);
}

const changedBy = (step: StepView): readonly string[] => [
  ...new Set(step.changes.filter(isState).map(({ place }) => place.table)),
];

/** The steps of some operations of the body, from 1. */
function stepsOf(timeline: Timeline, first: number, last: number): readonly StepView[] {
  return timeline.operations
    .filter(({ section, number }) => section === 'body' && number >= first && number <= last)
    .flatMap(({ firstStep, endStep }) =>
      Array.from({ length: endStep - firstStep }, (_, at) => timeline.step(firstStep + at)),
    );
}

function holds(steps: readonly StepView[], rows: readonly Row[]): void {
  const queue = [...rows];
  for (const step of steps) {
    const [kind, facts, changes = []] = queue[0] ?? [];
    if (
      kind === step.kind &&
      Object.entries(facts ?? {}).every(([name, value]) => step.facts[name] === value)
    ) {
      queue.shift();
      expect(changedBy(step), `changed by ${kind}`).toEqual(changes);
    } else expect(changedBy(step), `between rows, by ${step.kind}`).toEqual([]);
  }
  expect(queue).toEqual([]);
}

const T = 0x13;
const PD = 3;
const ROLE_OF_PT = 0x3701;

test('annex 6.4, D-1 core: the table goes out of step at the first store, and into step when CR3 is loaded', () => {
  const timeline = timelineOf(catalogueText('eight-stores'));
  holds(stepsOf(timeline, 1, 1), [
    ['vm-exit', { reason: '#PF', errorCode: 3 }],
    ['track-check', { gfn: T, tracked: false }],
    ['map-requested', { gfn: T, level: 1 }],
    ['unsync-page', { gfn: T, role: ROLE_OF_PT }, ['sp']],
    ['unsync-mark', { serial: PD, children: 1 }, ['unsyncBit', 'sp']],
    ['unsync-mark', { serial: PD - 1, children: 1 }, ['unsyncBit', 'sp']],
    ['unsync-mark', { serial: PD - 2, children: 1 }, ['unsyncBit', 'sp']],
    // RO to W and MMU-writable.
    ['leaf-set', { gfn: T, entry: 0x10013e63n }, ['word']],
    ['tlb-fill', { writable: true }, ['tlb']],
    ['data-write', {}],
  ]);
  const seven = stepsOf(timeline, 2, 8);
  expect(seven.filter(({ kind }) => kind === 'vm-exit')).toEqual([]);
  expect(seven.filter(({ kind }) => kind === 'data-write')).toHaveLength(7);
  holds(seven, []);
  holds(stepsOf(timeline, 9, 9), [
    ['vm-exit', { reason: 'mov-cr3' }],
    ['request-make', { request: 'MMU_SYNC' }, ['request']],
    ['request-make', { request: 'TLB_FLUSH_CURRENT' }, ['request']],
    ['request-take', { request: 'MMU_SYNC' }, ['request']],
    // W and MMU-writable go again.
    ['leaf-protect', { gfn: T }, ['word']],
    ['flush-remote', {}],
    ['request-make', { request: 'TLB_FLUSH' }, ['request']],
    ['sync-page', { gfn: T, unsync: true }, ['sp']],
    ['sync-entry', {}],
    ['unsync-clear', { serial: PD, children: 0 }, ['unsyncBit', 'sp']],
    ['unsync-clear', { serial: PD - 1, children: 0 }, ['unsyncBit', 'sp']],
    ['unsync-clear', { serial: PD - 2, children: 0 }, ['unsyncBit', 'sp']],
    ['request-take', { request: 'TLB_FLUSH' }, ['request']],
    ['flush-own', {}, ['tlb']],
    ['request-take', { request: 'TLB_FLUSH_CURRENT' }, ['request']],
    ['vm-entry', {}],
  ]);
  timeline.seek(timeline.length);
  expect([counter(timeline, 'exits'), counter(timeline, 'mmu_unsync')]).toEqual([2, 0]);
  // New entries of the guest are not built ahead: they fault later.
  const shadowOfT = [...timeline.world.tables.sp.values()].find(({ role }) => role === ROLE_OF_PT);
  const stored = Array.from({ length: 8 }, (_, at) => 0x23 + at);
  const table = must(shadowOfT, 'the shadow of T').pfn;
  expect(stored.map((index) => timeline.world.word(wordOf(table, index)))).toEqual(stored.map(() => 0n));
});

test('annex 6.8, I-2: the host changes the page after it was looked up: the fault is tried again', () => {
  const timeline = timelineOf(catalogueText('changed-while-looking'));
  const steps = stepsOf(timeline, 1, 1);
  const looked = steps.find(({ kind }) => kind === 'pfn-found')?.facts;
  const seq = Number(looked?.['seq']);
  const retry = steps.findIndex(({ kind }) => kind === 'stale-check');
  holds(steps.slice(0, retry + 2), [
    ['vm-exit', { reason: '#PF' }],
    ['pfn-found', { seq }],
    ['notifier-start', { pages: 1 }],
    // Nothing is mapped yet, so nothing is zapped: only the host's own table changes.
    ['host-map', { how: 'swapped out' }, ['hostPage']],
    ['notifier-end', { seq: seq + 1 }],
    ['stale-check', { seq, now: seq + 1, stale: true }],
    ['vm-entry', {}],
  ]);
  const again = steps.slice(retry + 2);
  const found = again.find(({ kind }) => kind === 'pfn-found')?.facts;
  expect(found).toMatchObject({ gfn: looked?.['gfn'], seq: seq + 1 });
  expect(found?.['pfn']).not.toBe(looked?.['pfn']);
  expect(again.find(({ kind }) => kind === 'stale-check')?.facts).toMatchObject({
    seq: seq + 1,
    stale: false,
  });
  expect(again.find(({ kind }) => kind === 'map-requested')?.facts['pfn']).toBe(found?.['pfn']);
  timeline.seek(timeline.operations.at(-2)?.endStep ?? 0);
  expect([counter(timeline, 'exits'), counter(timeline, 'fault_retries')]).toEqual([2, 1]);
});
