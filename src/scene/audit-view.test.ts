import { describe, expect, test } from 'vitest';
import { CATALOGUE_IDS, catalogueText, planOf, timelineOf } from '../testing/scenarios.ts';
import { auditHistory, flushesDue } from '../timeline/audit-history.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { auditState } from '../core/audit/audit.ts';
import { RULES } from '../core/audit/rules.ts';
import { RULES_TODAY } from '../core/audit/today/rules.ts';
import { alarmsOf } from './alarms.ts';
import { originOf } from '../core/audit/origin.ts';
import { auditEvents, isAudited, kernelView, ruleViews, stepNumber, subjectOf } from './audit-view.ts';
import { marksOf } from './flame.ts';
import { kvmShow } from './kvm-show.ts';

const staleTlb = (): Timeline => timelineOf(catalogueText('stale-tlb'), { flush: 'never' });
const number = (timeline: Timeline, step: number): number => stepNumber(timeline, step) ?? 0;

const AUDITED = CATALOGUE_IDS.filter((id) => isAudited(planOf(catalogueText(id)).program.settings));

function standingsAt(timeline: Timeline, position: number): Record<string, string> {
  timeline.seek(position);
  const views = ruleViews(timeline, auditHistory(timeline));
  return Object.fromEntries(views.map(({ id, standing }) => [id, standing]));
}

describe('the whole run', () => {
  test('the forgotten flush: broken by the write-protect, found at the entry, then harm twice', () => {
    const timeline = staleTlb();
    const events = auditEvents(timeline, auditHistory(timeline));
    expect(
      events.map((event) => [
        number(timeline, event.step),
        event.kind === 'broken'
          ? `${event.rules[0].violation.rule} by ${String(number(timeline, event.rules[0].cause))}`
          : event.kind === 'harm'
            ? event.done.harm.kind
            : event.message,
      ]),
    ).toEqual([
      [55, 'INV-6 by 50'],
      [64, 'INV-1 by 64'],
      [64, 'stale-write'],
      [72, 'stale-read'],
    ]);
    const [first] = events;
    expect(first?.kind === 'broken' && timeline.step(first.rules[0].cause).kind).toBe('write-protect');
    expect(timeline.step(first?.step ?? 0).kind).toBe('vm-entry');
  });

  test('a run in which nothing breaks has no events and no marks of them', () => {
    const timeline = timelineOf(catalogueText('stale-tlb'));
    expect(auditEvents(timeline, auditHistory(timeline))).toEqual([]);
    const kinds = marksOf(timeline, timeline.begin, timeline.length).map(({ kind }) => kind);
    expect(kinds).not.toContain('broken');
    expect(kinds).not.toContain('harm');
  });

  test('marks on the timeline: a letter for each step that goes wrong, side by side where two things do', () => {
    const timeline = staleTlb();
    const marks = marksOf(timeline, timeline.begin, timeline.length)
      .filter(({ kind }) => kind === 'broken' || kind === 'harm')
      .map(({ step, letter, shift }) => [number(timeline, step), letter, Math.sign(shift ?? 0)]);
    expect(marks).toEqual([
      [55, 'B', 0],
      [64, 'B', -1],
      [64, 'H', 1],
      [72, 'H', 0],
    ]);
  });

  test('a host that stops is the last event', () => {
    const timeline = timelineOf(catalogueText('wp-zero'), { 'shipped-bugs': 'C-B2' });
    const events = auditEvents(timeline, auditHistory(timeline));
    expect(events.map(({ kind }) => kind)).toEqual(['broken', 'stop']);
    expect(events.at(-1)?.step).toBe(timeline.length - 1);
  });

  test('a bit that is flipped back mends the rule, and the history says at which step', () => {
    const text = `mmuscope 1\nmachine kvm-2007 cpu=svm\nslot 0x0 16M\nlet V = 0x400000
map V -> gfn 0x40 rw user accessed dirty\nbegin\nv0 user write V = 1
flip shadow V level=1 bit=1\nflip shadow V level=1 bit=1\nv0 cpuid`;
    const timeline = timelineOf(text);
    const [rule] = auditHistory(timeline).broken;
    expect([rule?.violation.rule, rule?.cause, rule?.found]).toEqual(['INV-2', rule?.found, rule?.cause]);
    expect(rule?.mended).toBe((rule?.found ?? 0) + 1);
    expect(standingsAt(timeline, (rule?.found ?? 0) + 1)['INV-2']).toBe('broken');
    expect(standingsAt(timeline, timeline.length)['INV-2']).toBe('mended');
  });
});

describe('a rule at the cursor', () => {
  test('goes from holding over broken but not found to broken', () => {
    const timeline = staleTlb();
    const at = (step: number): string | undefined => standingsAt(timeline, timeline.begin + step)['INV-6'];
    expect([at(1), at(49), at(50), at(54), at(55), at(72)]).toEqual([
      'holds',
      'in flight',
      'coming',
      'coming',
      'broken',
      'broken',
    ]);
  });

  test('is false in flight for good reason: a page is hashed before its frame is write-protected', () => {
    const timeline = timelineOf(catalogueText('stale-tlb'));
    const history = auditHistory(timeline);
    const seen = new Set<string>();
    for (let position = timeline.begin; position <= timeline.length; position += 1) {
      timeline.seek(position);
      for (const { id, standing, isFalse } of ruleViews(timeline, history)) {
        expect(['holds', 'in flight']).toContain(standing);
        if (isFalse) expect(standing).toBe('in flight');
        if (isFalse) seen.add(id);
      }
    }
    expect([...seen].sort()).toEqual(expect.arrayContaining(['INV-2', 'INV-3', 'INV-6']));
  });

  test.each(AUDITED)('says what the lamp says, at every step: %s', (id) => {
    for (const settings of [{}, { flush: 'never', cpu: 'svm' }, { 'shipped-bugs': 'all' }]) {
      const timeline = timelineOf(catalogueText(id), settings);
      const history = auditHistory(timeline);
      for (let position = timeline.begin; position <= timeline.length; position += 1) {
        timeline.seek(position);
        const views = ruleViews(timeline, history);
        const state = auditState(timeline.world);
        const broken = state.kind === 'broken' ? state.violations.map(({ rule }) => rule) : [];
        const open = views.filter(({ standing }) => standing === 'broken').map(({ id: rule }) => rule);
        expect(new Set(open)).toEqual(new Set(broken));
      }
    }
  });

  test("a KVM of today has rules of its own, and none of the kernel's checks of 2007", () => {
    const timeline = timelineOf(
      'mmuscope 1\nmachine kvm-shadow\nslot 0x0 16M\nmap 0x400000 -> gfn 0x20 rw user accessed dirty\nbegin\nv0 user read 0x400000\nflip shadow 0x400000 level=1 bit=10',
    );
    timeline.seek(timeline.length);
    const views = ruleViews(timeline, auditHistory(timeline));
    const standing = Object.fromEntries(views.map((view) => [view.id, view.standing]));
    expect(Object.keys(standing).sort()).toEqual(Object.keys(RULES_TODAY).sort());
    // A leaf that the processor may write, and KVM says that it may not.
    expect(views[0]).toMatchObject({ id: 'INV-7', standing: 'broken' });
    expect(Object.values(standing).filter((of) => of !== 'holds')).toEqual(['broken']);
    expect(kernelView(timeline)).toBeUndefined();
    const flip = timeline.step(views[0]?.cases[0]?.found ?? 0);
    expect(alarmsOf(flip, timeline.program.settings)).toEqual([
      `Rule INV-7 breaks here (a bit was changed from outside before). ${RULES_TODAY['INV-7']?.words ?? ''}`,
    ]);
  });

  test('does not apply where no hypervisor keeps tables of its own', () => {
    const timeline = timelineOf(catalogueText('stale-right'));
    const views = ruleViews(timeline, auditHistory(timeline));
    expect(views.map(({ id }) => id)).toEqual(Object.keys(RULES));
    expect(new Set(views.map(({ standing }) => standing))).toEqual(new Set(['not applicable']));
  });
});

describe('what a violation is about and goes back to', () => {
  test('the entry or the TLB entry, with its row on the stage, and whether the kernel would have known', () => {
    const timeline = staleTlb();
    const { names } = planOf(catalogueText('stale-tlb'));
    const told = ruleViews(timeline, auditHistory(timeline))
      .filter(({ standing }) => standing === 'broken')
      .map(({ id, cases }) => {
        const subject = subjectOf(cases[0]?.violation.subject ?? '', { timeline, show: kvmShow, names });
        const finds = cases[0] === undefined ? undefined : kernelView(timeline)?.finds(cases[0].violation);
        return [id, subject.text, finds];
      });
    expect(told).toEqual([
      ['INV-1', 'shadow entry, sp 8 [023]', 'audit_mappings'],
      ['INV-6', 'TLB entry of vCPU 0 for K', undefined],
    ]);
  });

  test('a frame that the dirty log does not know of', () => {
    const timeline = timelineOf(
      'mmuscope 1\nmachine kvm-2007\nslot 0x0 16M\nbegin\nhost log slot=0 on\nflip 0x41000 bit=0',
    );
    const [rule] = auditHistory(timeline).broken;
    const { names } = planOf(catalogueText('stale-tlb'));
    expect(subjectOf(rule?.violation.subject ?? '', { timeline, show: kvmShow, names })).toEqual({
      text: 'guest frame 0x41',
    });
  });

  test('a bug of the era, a policy, something from outside, a mistake on purpose', () => {
    const { settings } = staleTlb().program;
    // An era that never had the bug has it only on purpose, and its origin says so.
    expect(originOf('C-B4', { ...settings, break: 'C-B4' })).toMatchObject({ kind: 'break', id: 'C-B4' });
    expect(originOf('C-B4', { ...settings, era: '2006', break: 'C-B4' })).toMatchObject({ kind: 'shipped' });
    expect(originOf('B-B2', { ...settings, 'flush-reach': 'local' })).toMatchObject({
      choice: 'flush-reach=local',
    });
    expect(originOf('C-B2', settings)).toMatchObject({ kind: 'shipped', id: 'C-B2' });
    expect(originOf('C-B1', settings)).toEqual({ kind: 'policy', id: 'C-B1', choice: 'flush=never' });
    expect(originOf('flip', settings)).toEqual({ kind: 'outside' });
  });

  test('an owed flush knows the step since which it is overdue', () => {
    const timeline = staleTlb();
    timeline.seek(timeline.begin + 50);
    expect(flushesDue(timeline)).toMatchObject([{ owed: { vcpu: 0, bug: 'C-B1' } }]);
    expect(flushesDue(timeline)[0]).not.toHaveProperty('overdueSince');
    timeline.seek(timeline.length);
    expect(flushesDue(timeline).map(({ overdueSince }) => number(timeline, overdueSince ?? 0))).toEqual([55]);
  });
});
