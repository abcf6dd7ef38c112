import { describe, expect, test } from 'vitest';
import { probe } from '../core/operations/probe.ts';
import type { Flip, ProbeRegister } from '../core/operations/probe-flips.ts';
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

describe('registers of arm64 and root entries of PAE', () => {
  const cardsOn = (settings: SettingChoices, flips: readonly Flip[] = []) => {
    const { world, settings: all } = benchOn(settings);
    return registerCards(world, all, { vcpu: 0, flips });
  };
  const labelOf = (
    cards: ReturnType<typeof registerCards>,
    [title, short]: readonly [string, string],
  ): string | undefined => {
    const card = cards.find((candidate) => candidate.title === title);
    return [...(card?.named ?? []), ...(card?.rest ?? [])].find((bit) => bit.short === short)?.label;
  };
  const flip = (register: ProbeRegister, bit: number): Flip => ({ kind: 'register', register, bit });

  test.each<[string, SettingChoices, readonly string[]]>([
    ['native', { machine: 'native', cpu: 'arm64' }, ['SCTLR_EL1', 'TCR_EL1', 'TTBR0_EL1', 'PSTATE.PAN']],
    [
      'two-stage',
      { machine: 'two-stage', cpu: 'arm64' },
      ['SCTLR_EL1', 'TCR_EL1', 'TTBR0_EL1', 'PSTATE.PAN', 'HCR_EL2', 'VTCR_EL2', 'VTTBR_EL2'],
    ],
    [
      'PAE',
      { machine: 'native', cpu: 'svm', guest: 'pae' },
      [
        ...['CR0', 'CR4', 'EFER', 'EFLAGS.AC', 'PKRU', 'PKRS', 'CR3'],
        ...['PDPTE0', 'PDPTE1', 'PDPTE2', 'PDPTE3'],
      ],
    ],
    ['a shadow MMU', {}, ['CR0', 'CR4', 'EFER', 'CR3']],
  ])('%s', (_name, settings, titles) => {
    expect(cardsOn(settings).map(({ title }) => title)).toEqual(titles);
  });

  const ARM: SettingChoices = { machine: 'two-stage', cpu: 'arm64' };
  test.each<[readonly [string, string], readonly Flip[], string]>([
    [['SCTLR_EL1', 'M'], [], 'bit 0, M: stage 1 translates, set'],
    [
      ['TCR_EL1', 'T0SZ[4]'],
      [],
      'bit 4, T0SZ[4]: size of the addresses: 64 minus this many bits (now 16: 48-bit addresses), set',
    ],
    [
      ['TCR_EL1', 'T0SZ[4]'],
      [flip('tcr_el1', 4)],
      'bit 4, T0SZ[4]: size of the addresses: 64 minus this many bits (now 0: 64-bit addresses, which this processor does not have), clear, flipped',
    ],
    [
      ['TCR_EL1', 'TG0[1]'],
      [flip('tcr_el1', 14), flip('tcr_el1', 15)],
      'bit 15, TG0[1]: size of the smallest page (now 3: reserved, taken as 4 KiB), set, flipped',
    ],
    [['VTCR_EL2', 'SL0[0]'], [], 'bit 6, SL0[0]: the level at which the walk starts (now 2: level 0), clear'],
    [
      ['VTCR_EL2', 'PS[1]'],
      [flip('vtcr_el2', 17)],
      'bit 17, PS[1]: size of physical addresses (now 7: more than there are, taken as 48 bits), set, flipped',
    ],
    [['VTTBR_EL2', '48'], [], 'bit 48, VMID: number of the virtual machine, set'],
    [['TTBR0_EL1', '16'], [], 'bit 16, BADDR: where the root table lies, set'],
    [
      ['PSTATE.PAN', 'PAN'],
      [],
      'bit 0, PAN: privileged access never: EL1 may not touch pages that EL0 may use, clear',
    ],
  ])('%j after %j', (place, flips, label) => {
    expect(labelOf(cardsOn(ARM, flips), place)).toBe(label);
  });

  test('a root entry in a register is flipped in place, at the walk and among the registers', () => {
    const { look, settings } = benchOn({ machine: 'native', cpu: 'svm', guest: 'pae' });
    const [root] = entryCards([look()], settings);
    expect(root).toMatchObject({ title: 'PDPT[000]', about: 'kept in a register since CR3 was loaded' });
    expect(root?.named.map(({ short }) => short)).toEqual(['P', 'wt', 'cd']);
    expect(root?.named[0]?.flip).toEqual(flip('pdpte0', 0));
    const now = look({ flips: [flip('pdpte0', 0)] });
    expect(now.outcome.kind).toBe('page-fault');
    const [changed] = entryCards([look(), now], settings);
    expect((changed?.before ?? 0n) ^ (changed?.after ?? 0n)).toBe(1n);
    expect(changed?.named[0]).toMatchObject({ set: false, flipped: true });
  });

  test('their lines are lines of the language', () => {
    const text = TEXT.replace('begin', 'machine two-stage cpu=arm64\nbegin');
    const { plan, world, settings, ask } = benchOn({}, text);
    const flips = [flip('tcr_el1', 39), flip('vttbr_el2', 48)];
    const lines = probeLines({ world, settings, names: plan.names }, ask({ flips }));
    expect(lines).toEqual([
      'flip register tcr_el1 bit=39',
      'flip register vttbr_el2 bit=48',
      'v0 user read V+0x10',
    ]);
    const added = insertOperation(text, { after: lineAfter(text, '1'), operation: lines.join('\n') });
    expect(planScenario(added.text).kind).toBe('ok');
  });
});

describe('bits of a protection key', () => {
  test.each<[string, SettingChoices, readonly Flip[], string]>([
    [
      'in force with CR4.PKE',
      { guest: '4-level' },
      [{ kind: 'register', register: 'cr4', bit: 22 }],
      'bit 59, PK0: protection key, bit 0: PKRU, or for kernel pages PKRS, says what is allowed, clear',
    ],
    [
      'ignored without',
      { guest: '4-level' },
      [],
      'bit 59, part of a protection key, ignored while CR4.PKE and CR4.PKS are clear, clear',
    ],
    ['unknown to PAE', { guest: 'pae' }, [], 'bit 59, no name, clear'],
  ])('%s', (_name, settings, flips, label) => {
    const { look, settings: all } = benchOn({ machine: 'native', cpu: 'svm', ...settings });
    const leaf = entryCards([look(), look({ flips })], all).at(-1);
    const bits = [...(leaf?.named ?? []), ...(leaf?.rest ?? [])];
    expect(bits.find((bit) => bit.label.startsWith('bit 59,'))?.label).toBe(label);
    const table = entryCards([look({ flips })], all)[0];
    expect(table?.rest.find(({ short }) => short === '59')?.label).toBe('bit 59, no name, clear');
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
