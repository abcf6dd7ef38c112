import { describe, expect, test } from 'vitest';
import { probe } from '../core/operations/probe.ts';
import type { Flip } from '../core/operations/probe-flips.ts';
import type { Probe, ProbeRequest } from '../core/operations/probe-result.ts';
import type { SettingChoices } from '../scenario/ast.ts';
import { planScenario } from '../scenario/plan.ts';
import { gfn } from '../core/quantities.ts';
import { catalogueText, planOf } from '../testing/scenarios.ts';
import { record } from '../timeline/timeline.ts';
import { insertOperation, lineAfter } from '../scenario/edits.ts';
import { probeLines, typedAddress } from './probe-lines.ts';
import { outcomeView } from './probe-outcome.ts';
import { toggled } from './probe-bits.ts';
import { registerCards } from './probe-registers.ts';
import { entryCards, partAt, probeRows } from './probe-view.ts';

const TEXT =
  'mmuscope 1\nslot 0x0 16M\nlet V = 0x400000\nmap V -> gfn 0x40 rw user accessed dirty\nbegin\nv0 cpuid';

function benchOn(settings: SettingChoices, text = TEXT) {
  const plan = planOf(text, settings);
  const { world, program } = record(plan.program);
  const ask = (part: Partial<ProbeRequest>): ProbeRequest => ({
    vcpu: 0,
    gva: 0x400010n,
    access: 'read',
    user: true,
    flips: [],
    caches: 'empty',
    ...part,
  });
  return {
    plan,
    world,
    settings: program.settings,
    ask,
    look: (part: Partial<ProbeRequest> = {}): Probe => probe(world, program.settings, ask(part)),
  };
}

const flipOf = (cards: ReturnType<typeof entryCards>, title: string, short: string): Flip => {
  const found = cards.find((card) => card.title === title)?.named.find((bit) => bit.short === short);
  if (found === undefined) throw new Error(`no bit ${short} of ${title}`);
  return found.flip;
};

describe('entries on the way', () => {
  test('have a name, a place, and each bit with its meaning and state', () => {
    const { look, settings } = benchOn({ machine: 'native', cpu: 'vmx-vpid' });
    const cards = entryCards([look()], settings);
    expect(cards.map(({ title }) => title)).toEqual(['PML4[000]', 'PDPT[000]', 'PD[002]', 'PT[000]']);
    expect(cards[3]?.about).toBe('guest 0x13000');
    expect(cards[3]?.named[1]?.label).toBe('bit 1, W: writable, set');
    expect(cards[3]?.rest.find((bit) => bit.short === '18')?.label).toBe('bit 18, part of the address, set');
    expect((cards[3]?.named.length ?? 0) + (cards[3]?.rest.length ?? 0)).toBe(64);
  });
  test('of the second stage say for what they are read, each once', () => {
    const { look, settings } = benchOn({ machine: 'two-stage', cpu: 'vmx-vpid' });
    const cards = entryCards([look()], settings);
    const host = cards.filter(({ dimension }) => dimension === 'host');
    expect(host[0]?.about).toMatch(/^host 0x20000000, for 5 places of the guest's walk$/);
    expect(host.at(-1)?.about).toMatch(/to find the page$/);
    expect(host[0]?.named.map(({ short }) => short)).toContain('X');
    expect(new Set(cards.map(({ id }) => id)).size).toBe(cards.length);
  });
  test('of 2-level paging are 4 bytes, and their bits are flipped in their half of the word', () => {
    const { program } = planOf(TEXT, { machine: 'native', cpu: 'svm', guest: '2-level' });
    const { world } = record({
      ...program,
      memory: [
        { gfn: gfn(0x10), index: 0, value: 0x11067n << 32n },
        { gfn: gfn(0x11), index: 0, value: 0x40067n },
      ],
      root: gfn(0x10),
    });
    const ask = { vcpu: 0, gva: 0x400010n, access: 'write', user: true, caches: 'empty' } as const;
    const base = probe(world, program.settings, { ...ask, flips: [] });
    expect(outcomeView(base, program.settings).headline).toBe('It reaches physical address 0x40010.');
    const [directory] = entryCards([base], program.settings);
    expect(directory).toMatchObject({ title: 'PD[001]', about: 'guest 0x10004', before: 0x11067n });
    expect((directory?.named.length ?? 0) + (directory?.rest.length ?? 0)).toBe(32);
    const flips = directory?.named.filter(({ short }) => short === 'W').map(({ flip }) => flip) ?? [];
    const now = probe(world, program.settings, { ...ask, flips });
    expect(now.outcome).toMatchObject({ kind: 'page-fault', errorCode: 7 });
    expect(entryCards([base, now], program.settings)[0]?.after).toBe(0x11065n);
  });
  test('of stage 2 on arm64 are called so', () => {
    const { look, settings } = benchOn({ machine: 'two-stage', cpu: 'arm64' });
    expect(entryCards([look()], settings)[0]?.title).toMatch(/^Stage 2 level 0/);
  });
  test('a flip taken twice is none', () => {
    const flip: Flip = { kind: 'entry', word: 5, bit: 1 };
    expect(toggled(toggled([], flip), flip)).toEqual([]);
  });
});

describe('what flips do', () => {
  test('the first step that differs is found, and the outcome says before and after', () => {
    const { look, settings } = benchOn({ machine: 'native', cpu: 'vmx-vpid' });
    const base = look({ access: 'write' });
    const flips = [flipOf(entryCards([base], settings), 'PD[002]', 'W')];
    const now = look({ access: 'write', flips });
    expect(probeRows(now, settings)[partAt(base, now) ?? -1]?.what).toContain('PD[002]');
    expect(partAt(base, base)).toBeUndefined();
    expect(outcomeView(base, settings)).toMatchObject({
      kind: 'reached',
      headline: 'It reaches physical address 0x40010.',
      detail: 'A page of 4 KiB.',
    });
    const after = outcomeView(now, settings);
    expect(after.headline).toBe('Page fault: user write, not allowed.');
    expect(after.codes[0]?.fields.filter(({ set }) => set).map(({ name }) => name)).toEqual([
      'U/S',
      'W/R',
      'P',
    ]);
  });
  test('a fault of the second stage is taken apart by its own names', () => {
    for (const [cpu, title, code] of [
      ['vmx-vpid', 'Exit qualification', 0x19cn],
      ['svm', 'EXITINFO1', 0x1_0000_0015n],
    ] as const) {
      const { look, settings } = benchOn({ machine: 'two-stage', cpu });
      const leaf = look().entries.findLast(({ dimension }) => dimension === 'host');
      const bit = cpu === 'svm' ? 63 : 2;
      const now = look({ access: 'execute', flips: [{ kind: 'entry', word: leaf?.word ?? 0, bit }] });
      const [shown] = outcomeView(now, settings).codes;
      expect([shown?.title, shown?.value]).toEqual([title, code]);
      expect(outcomeView(now, settings).kind).toBe('host-fault');
    }
  });
  test('registers of the machine are offered, bit by bit', () => {
    const { world, settings } = benchOn({ machine: 'native', cpu: 'svm' });
    const cards = registerCards(world, settings, {
      vcpu: 0,
      flips: [{ kind: 'register', register: 'cr4', bit: 21 }],
    });
    const smap = cards.find(({ id }) => id === 'cr4')?.named.find(({ short }) => short === 'SMAP');
    expect(smap).toMatchObject({ set: true, flipped: true });
    expect(cards.find(({ id }) => id === 'pkru')?.named).toHaveLength(32);
  });
});

describe('text', () => {
  const names = new Map([['V', 0x400000n]]);
  test('an address is a number, a name, or a sum; anything else is said what is wrong with', () => {
    expect(typedAddress('V + 0x10', names)).toEqual({ kind: 'address', gva: 0x400010n });
    expect(typedAddress('0x7f3c5a823010', names)).toEqual({ kind: 'address', gva: 0x7f3c5a823010n });
    expect(typedAddress(' ', names).kind).toBe('nothing');
    const unknown = typedAddress('W', names);
    expect(unknown.kind === 'problem' ? unknown.sentence : '').toContain('Names here: V');
    expect(typedAddress('V+', names).kind).toBe('problem');
    expect(typedAddress('0x10000000000000000', names).kind).toBe('problem');
  });
  test('the lines of a trial are lines of the language, and do the same', () => {
    const text = catalogueText('three-exits');
    const { plan, world, settings, ask, look } = benchOn({}, text);
    const gva = (plan.names.get('V') ?? 0n) + 0x18n;
    const base = look({ gva, access: 'write' });
    const flips = [
      flipOf(entryCards([base], settings), 'Shadow PT[023]', 'W'),
      { kind: 'register', register: 'cr0', bit: 16 } as const,
    ];
    const lines = probeLines({ world, settings, names: plan.names }, ask({ gva, access: 'write', flips }));
    expect(lines).toEqual([
      'v0 kernel set cr0.wp = 0',
      'flip shadow V+0x18 level=1 bit=1',
      'v0 user write V+0x18 = 1',
    ]);
    const added = insertOperation(text, { after: lineAfter(text, '1'), operation: lines.join('\n') });
    expect(planScenario(added.text).kind).toBe('ok');
  });
});
