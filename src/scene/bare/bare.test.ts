import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DEFAULT_SETTINGS, type Settings } from '../../core/settings.ts';
import { gfn, gva } from '../../core/quantities.ts';
import type { Program } from '../../core/operations/operation.ts';
import { insertOperation, lineAfter } from '../../scenario/edits.ts';
import { planScenario } from '../../scenario/plan.ts';
import { bareScenario } from '../../testing/bare-scenarios.ts';
import { planOf, RUNS } from '../../testing/scenarios.ts';
import { record, type Timeline } from '../../timeline/timeline.ts';
import { entryDiffs } from '../bit-diff.ts';
import { inspectRow } from '../inspect.ts';
import type { Inspected } from '../inspected.ts';
import { layOut, type Box, type Layout } from '../layout.ts';
import type { Scene, SceneBox } from '../parts.ts';
import { sceneAt } from '../scene.ts';
import { sentenceOf } from '../sentences.ts';
import { bareCast, bareShow } from './show.ts';

const VIEWPORTS = [
  { width: 950, height: 560 },
  { width: 1020, height: 440 },
  { width: 370, height: 470 },
] as const;

interface Table {
  readonly gfn: number;
  readonly level: number;
  readonly words: readonly (readonly [index: number, value: bigint])[];
}

/** A program whose guest has these tables, the first of them the root. */
function programOf(settings: Partial<Settings>, tables: readonly Table[], body: readonly string[]): Program {
  const machine = { ...DEFAULT_SETTINGS, machine: 'two-stage', cpu: 'vmx-vpid', ...settings };
  const plan = planOf(['mmuscope 1', 'machine two-stage', 'slot 0x0 8M', 'begin', ...body].join('\n'));
  return {
    ...plan.program,
    settings: machine,
    root: gfn(tables[0]?.gfn ?? 0),
    memory: tables.flatMap((table) =>
      table.words.map(([index, value]) => ({ gfn: gfn(table.gfn), index, value })),
    ),
    tables: tables.map((table) => ({
      gfn: gfn(table.gfn),
      level: table.level,
      firstGva: gva(0n),
      space: 'main',
    })),
  };
}

/** Rights of x86: present, writable, for user mode, accessed. */
const TABLE = 0x27n;
const chain = (levels: readonly number[], leaf: bigint): readonly Table[] =>
  levels.map((level, depth) => {
    const last = depth === levels.length - 1;
    const value = last ? leaf : (BigInt(0x11 + depth) << 12n) | TABLE;
    return { gfn: 0x10 + depth, level, words: [[0, value]] };
  });

const X86 = chain([4, 3, 2, 1], 0x21067n);
const LARGE: readonly Table[] = [
  ...chain([4, 3], 0n).slice(0, 1),
  { gfn: 0x11, level: 3, words: [[0, 0x12027n]] },
  { gfn: 0x12, level: 2, words: [[0, 0x2000e7n]] },
];
const TWO_LEVEL: readonly Table[] = [
  { gfn: 0x10, level: 2, words: [[0, 0x11027n]] },
  { gfn: 0x11, level: 1, words: [[0, (0x22067n << 32n) | 0x21027n]] },
];
const PAE: readonly Table[] = [
  { gfn: 0x10, level: 3, words: [[0, 0x11001n]] },
  { gfn: 0x11, level: 2, words: [[0, 0x12027n]] },
  { gfn: 0x12, level: 1, words: [[0, 0x21027n]] },
];
/** Stage 1: tables, and a page for EL0 that may be written. */
const ARM: readonly Table[] = [0, 1, 2, 3].map((level) => ({
  gfn: 0x10 + level,
  level,
  words: [[0, level === 3 ? 0x21000n | 0x743n : (BigInt(0x11 + level) << 12n) | 3n]],
}));
const ACCESS = ['v0 user write 0x8 = 1', 'v0 user read 0x0', 'v0 cpuid', 'v0 user read 0x1000'];

const MACHINES: Readonly<Record<string, { settings: Partial<Settings>; tables: readonly Table[] }>> = {
  native: { settings: { machine: 'native' }, tables: X86 },
  'native, 5 levels': {
    settings: { machine: 'native', guest: '5-level' },
    tables: chain([5, 4, 3, 2, 1], 0x21067n),
  },
  'native, 2 levels': { settings: { machine: 'native', guest: '2-level' }, tables: TWO_LEVEL },
  'native, PAE': { settings: { machine: 'native', guest: 'pae', psc: 'guest' }, tables: PAE },
  'native, paging off': { settings: { machine: 'native', guest: 'nonpaging' }, tables: [] },
  'native, arm64': { settings: { machine: 'native', cpu: 'arm64' }, tables: ARM },
  EPT: { settings: { psc: 'both' }, tables: X86 },
  'EPT without marks, five levels': { settings: { 'ept-ad': 'off', host: '5-level' }, tables: X86 },
  'EPT, large pages': { settings: { 'host-pages': '2M' }, tables: LARGE },
  'EPT before VPID, TLB of four': { settings: { cpu: 'vmx-novpid', tlb: '4' }, tables: X86 },
  'nested paging': { settings: { cpu: 'svm' }, tables: X86 },
  'nested paging, PAE': { settings: { cpu: 'svm', guest: 'pae' }, tables: PAE },
  'stage 2': { settings: { cpu: 'arm64', psc: 'both' }, tables: ARM },
  'stage 2 of three levels': { settings: { cpu: 'arm64', host: '3-level' }, tables: ARM },
};

const runOf = (name: string): Timeline => {
  const { settings, tables } = MACHINES[name] as (typeof MACHINES)[string];
  return record(programOf(settings, tables, ACCESS));
};

function scenesOf(timeline: Timeline): readonly Scene[] {
  const cast = bareCast(timeline);
  const layout = layOut(cast, VIEWPORTS[0]);
  return Array.from({ length: timeline.length - timeline.begin + 1 }, (_, offset) => {
    timeline.seek(timeline.begin + offset);
    return sceneAt(timeline, { cast, layout, names: new Map(), show: bareShow });
  });
}

function overlaps(layout: Layout): readonly string[] {
  const all = [...layout.boxes];
  const meet = (a: Box, b: Box): boolean =>
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
  return all.flatMap(([id, box], index) =>
    all
      .slice(index + 1)
      .filter(([, other]) => meet(box, other))
      .map(([other]) => `${id} ~ ${other}`),
  );
}

const boxNamed = (scene: Scene | undefined, title: string): SceneBox | undefined =>
  scene?.boxes.find((box) => box.title === title);
const letters = (row: SceneBox['rows'][number] | undefined): string =>
  row?.flags.map((flag) => flag.text).join('') ?? '';

describe.each(Object.keys(MACHINES))('%s', (name) => {
  const timeline = runOf(name);
  const scenes = scenesOf(timeline);

  test('has a scene for every step, every box in its place, rows told apart, links between what is drawn', () => {
    for (const scene of scenes) {
      expect(scene.boxes.length).toBe(scene.layout.boxes.size);
      const ids = new Set(scene.boxes.map((box) => box.id));
      const rows = scene.boxes.flatMap((box) => box.rows.map((row) => row.id));
      expect(new Set(rows).size).toBe(rows.length);
      expect(JSON.stringify(scene.boxes)).not.toMatch(/undefined|NaN/);
      for (const link of scene.links) expect(ids.has(link.to.box), link.id).toBe(true);
      expect(new Set(scene.links.map((link) => link.id)).size).toBe(scene.links.length);
    }
  });
  test('has a sentence for every step', () => {
    for (let index = timeline.begin; index < timeline.length; index += 1) {
      const { what, why } = sentenceOf(timeline.step(index), timeline.program.settings);
      expect(`${what} ${why}`).not.toMatch(/undefined|NaN/);
    }
  });
  test('puts no two boxes in one place, and all boxes of a zone inside it', () => {
    for (const viewport of VIEWPORTS) {
      const layout = layOut(bareCast(timeline), viewport);
      expect(overlaps(layout)).toEqual([]);
      for (const box of scenes[0]?.boxes ?? []) {
        const zone = layout.zones[box.zone] as Box;
        const area = layout.boxes.get(box.id) as Box;
        expect(area.x, box.id).toBeGreaterThanOrEqual(zone.x);
        expect(area.x + area.width, box.id).toBeLessThanOrEqual(zone.x + zone.width);
        expect(area.y + area.height, box.id).toBeLessThanOrEqual(zone.y + zone.height);
      }
    }
  });
  test('lights up what each read of a table and each change of an entry is about', () => {
    scenes.slice(1).forEach((scene, offset) => {
      const step = timeline.step(timeline.begin + offset);
      if (!/^(walk-read|(guest|host)-entry-(read|set-bits)|walk-set-bits)$/.test(step.kind)) return;
      const lit = scene.boxes.flatMap((box) => box.rows.filter((row) => row.state !== 'quiet'));
      expect(lit.length, step.kind).toBe(1);
      expect(scene.motions.length).toBeGreaterThan(0);
    });
  });
});

describe('the cast', () => {
  test('without a hypervisor has no zone for one', () => {
    expect(layOut(bareCast(runOf('native')), VIEWPORTS[0]).zones.hypervisor).toBeUndefined();
  });
  test('has of the host tables one of each level, with the rows that a walk reads; the rest is counted', () => {
    const scene = scenesOf(runOf('EPT')).at(-1);
    const host = scene?.boxes.filter((box) => box.zone === 'hypervisor') ?? [];
    expect(host.map((box) => box.title)).toEqual(['EPT PML4', 'EPT PDPT', 'EPT PD', 'EPT PT']);
    expect(boxNamed(scene, 'EPT PT')?.rows.map((row) => row.index)).toEqual([
      '010',
      '011',
      '012',
      '013',
      '021',
    ]);
    expect(boxNamed(scene, 'EPT PT')?.fold).toBe('+507 mapped');
    expect(boxNamed(scene, 'EPT PML4')?.fold).toBe('511 empty');
  });
  test('names host tables as their processor does', () => {
    expect(boxNamed(scenesOf(runOf('nested paging'))[0], 'nested PT')).toBeDefined();
    expect(boxNamed(scenesOf(runOf('stage 2'))[0], 'stage 2 level 3')).toBeDefined();
    expect(boxNamed(scenesOf(runOf('stage 2'))[0], 'stage 1 level 0')).toBeDefined();
  });
});

describe('an entry', () => {
  const rowsOf = (name: string, title: string): SceneBox['rows'] =>
    boxNamed(scenesOf(runOf(name)).at(-1), title)?.rows ?? [];

  test('of a two-level guest is half a word: two rows, each with its own mark', () => {
    const rows = rowsOf('native, 2 levels', 'PT');
    expect(rows.map((row) => [row.index, row.text, letters(row)])).toEqual([
      ['000', '21', 'PWUAD'],
      ['001', '22', 'PWUAD'],
    ]);
    expect(new Set(rows.map((row) => row.id)).size).toBe(2);
  });
  test('of EPT has read, write and execute rights, and marks only where EPTP asks for them', () => {
    expect(letters(rowsOf('EPT', 'EPT PT').at(-1))).toBe('RWXAD');
    expect(letters(rowsOf('EPT without marks, five levels', 'EPT PT').at(-1))).toBe('RWX');
  });
  test('for a large page says so, with its size', () => {
    const [row] = rowsOf('EPT, large pages', 'PD');
    expect([row?.text, letters(row)]).toEqual(['200 2M', 'L\u00a0PWUAD']);
    expect(row?.title).toContain('a page of 2M');
  });
  test('of arm64 is read by its own bits', () => {
    expect(letters(rowsOf('stage 2', 'stage 1 level 3')[0])).toBe('VWUA');
    expect(letters(rowsOf('stage 2', 'stage 1 level 0')[0]).trim()).toBe('V');
    expect(letters(rowsOf('stage 2', 'stage 2 level 3').at(-1))).toBe('VRWXA');
    expect(rowsOf('stage 2', 'stage 1 level 3')[0]?.title).toContain('AP[1]: EL0 may use it');
  });
});

describe('the hardware', () => {
  test('holds the root entries of PAE in registers, and says which of them a walk takes', () => {
    const scenes = scenesOf(runOf('native, PAE'));
    const cpu = boxNamed(scenes.at(-1), 'CPU 0');
    expect(cpu?.rows.map((row) => row.index)).toEqual([
      'CR3',
      'mode',
      'PDPTE0',
      'PDPTE1',
      'PDPTE2',
      'PDPTE3',
    ]);
    expect(scenes.some((scene) => scene.boxes[0]?.rows[2]?.state === 'read')).toBe(true);
    expect(boxNamed(scenesOf(runOf('nested paging, PAE')).at(-1), 'vCPU 0')?.rows.length).toBe(3);
  });
  test('shows combined and guest-physical translations, each with its rights and size', () => {
    const tlb = boxNamed(scenesOf(runOf('EPT')).at(-1), 'TLB');
    expect(tlb?.rows.map((row) => row.index)).toContain('gpa');
    const combined = tlb?.rows.find((row) => row.index === 'va');
    expect([combined?.text, letters(combined)]).toEqual(['0 → 10021', 'WUXD\u00a0rwx']);
    expect(tlb?.subtitle).toBe('VPID 1');
  });
  test('links a translation to the leaf that it came from', () => {
    const scene = scenesOf(runOf('EPT')).at(-1);
    const kinds = scene?.links.filter((link) => link.kind === 'tlb').map((link) => link.to.box);
    expect(new Set(kinds?.map((box) => box.slice(0, 2)))).toEqual(new Set(['gt', 'ht']));
  });
  test('has a box of table caches only where the processor has such', () => {
    expect(boxNamed(scenesOf(runOf('EPT')).at(-1), 'table caches')?.rows.length).toBe(3);
    expect(boxNamed(scenesOf(runOf('nested paging')).at(-1), 'table caches')).toBeUndefined();
  });
});

test("a guest's table is a frame: the host's leaf leads to it", () => {
  const scene = scenesOf(runOf('EPT')).at(-1);
  const targets = scene?.links.filter((link) => link.kind === 'shadow').map((link) => link.to.box);
  expect(targets).toEqual(['gt:10', 'gt:11', 'gt:12', 'gt:13', 'frame:21']);
});

describe('looking into', () => {
  const look = (name: string, title: string, at: number): Inspected | undefined => {
    const timeline = runOf(name);
    const row = boxNamed(scenesOf(timeline).at(-1), title)?.rows[at];
    return inspectRow(timeline, row?.id ?? '', new Map());
  };
  const flips = (found: Inspected | undefined, bit: number): readonly string[] =>
    found?.bits.find((candidate) => candidate.bit === bit)?.flips.map((flip) => flip.text) ?? [];

  test("a guest's entry gives the line that flips a bit of its word", () => {
    const found = look('EPT', 'PT', 0);
    expect(found?.title).toBe('PT entry 000, frame 13');
    expect(flips(found, 1)).toEqual(['flip 0x13000 bit=1']);
    expect(found?.bits.find((bit) => bit.bit === 1)?.meaning).toBe('RW: writable');
  });
  test('the upper of two entries in a word flips bits from 32 on', () => {
    const found = look('native, 2 levels', 'PT', 1);
    expect(found?.bits.length).toBe(32);
    expect(flips(found, 1)).toEqual(['flip 0x11000 bit=33']);
  });
  test("a host's entry gives the address that it serves and its level", () => {
    const found = look('EPT', 'EPT PT', 4);
    expect(found?.about).toBe('translates guest address 0x21000');
    expect(flips(found, 0)).toEqual(['flip host 0x21000 level=1 bit=0']);
    expect(flips(look('stage 2', 'stage 2 level 3', 4), 7)).toEqual(['flip host 0x21000 level=3 bit=7']);
  });
  test('a translation says what it came from', () => {
    const found = look('EPT', 'TLB', 5);
    expect(found?.about).toBe('0x0 → host frame 10021');
    expect(found?.facts?.find((fact) => fact.name === 'host grants')?.text).toBe('read, write, fetch');
    expect(found?.facts?.at(-1)?.text).toMatch(/^EPT PT entry \[021\], host frame 20003: 0x/);
  });
  test('a register of each machine is named as its processor does', () => {
    expect(look('stage 2', 'vCPU 0', 0)?.title).toBe('TTBR0_EL1');
    expect(look('native', 'CPU 0', 0)?.title).toBe('CR3');
    expect(look('native, PAE', 'CPU 0', 2)?.bits.at(-1)?.meaning).toContain('present');
  });
});

test('the bits of a step are those of its format', () => {
  const timeline = runOf('stage 2');
  const step = Array.from({ length: timeline.length }, (_, index) => timeline.step(index)).find(
    (candidate) => candidate.kind === 'host-entry-read' && candidate.facts['level'] === 3,
  );
  timeline.seek((step?.index ?? 0) + 1);
  const [diff] = entryDiffs(timeline, step, bareShow.entryIn);
  expect(diff?.name).toBe('stage 2 level 3 entry [010], host frame 20003');
  expect(diff?.bits.map((bit) => bit.name)).toContain('S2AP[1]');
});

test('an entry of a map line can be changed by the kernel through its window, and read at its address', () => {
  const plan = planOf(
    [
      'mmuscope 1',
      'machine native cpu=arm64 guest=3-level',
      'slot 0x0 4M',
      'map 0x400000 -> gfn 0x21 ro user',
      'map 0x500000 -> table-of 0x400000 rw kernel',
      'begin',
      'v0 user read 0x400000',
    ].join('\n'),
  );
  const timeline = record(plan.program);
  const row = boxNamed(scenesOf(timeline).at(-1), 'level 3')?.rows[0];
  const found = inspectRow(timeline, row?.id ?? '', plan.names);
  expect(found?.about).toBe('translates 0x400000');
  expect(found?.bits.find((bit) => bit.short === 'RO')?.flips[0]?.text).toMatch(
    /^v0 kernel write 0x500000 = 0x/,
  );
  expect(found?.actions.map(({ text }) => text)).toContain('v0 kernel tlbi vae1is 0x400000');
});

test('any generated run has its scenes, no two boxes in one place, and every line that the inspector offers is accepted', () => {
  fc.assert(
    fc.property(bareScenario, fc.nat(), fc.nat(), fc.nat(31), (text, place, which, at) => {
      const plan = planOf(text);
      const timeline = record(plan.program);
      const cast = bareCast(timeline);
      for (const viewport of VIEWPORTS) expect(overlaps(layOut(cast, viewport))).toEqual([]);
      timeline.seek(timeline.begin + (place % (timeline.length - timeline.begin + 1)));
      const layout = layOut(cast, VIEWPORTS[1]);
      const scene = sceneAt(timeline, { cast, layout, names: plan.names, show: bareShow });
      expect(scene.boxes.length).toBe(layout.boxes.size);
      expect(JSON.stringify(scene.boxes)).not.toMatch(/undefined|NaN/);
      const rows = scene.boxes.flatMap((box) => box.rows.map((row) => row.id));
      const found = inspectRow(timeline, rows[which % rows.length] ?? '', plan.names);
      const [label = '0'] = timeline.nameOf(timeline.position).split('.');
      for (const { text: operation } of [...(found?.bits[at]?.flips ?? []), ...(found?.actions ?? [])]) {
        const planned = planScenario(
          insertOperation(text, { after: lineAfter(text, label), operation }).text,
        );
        expect(
          planned.kind === 'ok' ? [] : planned.problems.map((problem) => problem.message),
          operation,
        ).toEqual([]);
        if (planned.kind === 'ok') record(planned.plan.program);
      }
    }),
    { numRuns: Math.ceil(RUNS / 4) },
  );
});

test('a fault shakes the table that was read last, an invalidation sweeps the TLB and the table caches', () => {
  const { settings, tables } = MACHINES['native, PAE'] as (typeof MACHINES)[string];
  const body = ['v0 user read 0x0', 'v0 kernel invlpg 0x0', 'v0 user read 0x1000'];
  const timeline = record(programOf(settings, tables, body));
  const scenes = scenesOf(timeline);
  const motionsAt = (kind: string): readonly string[] => {
    const at = scenes.findIndex((_, offset) => timeline.step(timeline.begin + offset - 1).kind === kind);
    return scenes[at]?.motions.map((motion) => `${motion.kind} ${motion.box}`) ?? [];
  };
  expect(motionsAt('walk-fault')).toEqual(['fault gt:12']);
  expect(motionsAt('invlpg')).toEqual(['flush tlb:0', 'flush psc:0']);
});
