import { describe, expect, test } from 'vitest';
import { gfn } from '../core/quantities.ts';
import { insertOperation, lineAfter } from '../scenario/edits.ts';
import { planScenario } from '../scenario/plan.ts';
import { GUEST_TEXTS, type GuestText } from '../testing/guest-texts.ts';
import { probe } from '../core/operations/probe.ts';
import { entryCards } from './probe-view.ts';
import { planOf } from '../testing/scenarios.ts';
import { record, type Timeline } from '../timeline/timeline.ts';
import { addressAt } from './address.ts';
import { entryDiffs } from './bit-diff.ts';
import { detailsOf } from './box-details.ts';
import { castOf } from './cast.ts';
import { inspectRow } from './inspect.ts';
import type { Inspected } from './inspected.ts';
import { kvmShow } from './kvm-show.ts';
import { layOut, type Box, type Layout } from './layout.ts';
import type { Scene, SceneBox } from './parts.ts';
import { sceneAt } from './scene.ts';
import { sentenceOf } from './sentences.ts';

const VIEWPORTS = [
  { width: 950, height: 560 },
  { width: 1020, height: 440 },
  { width: 370, height: 470 },
] as const;

const runs = new Map<GuestText, Timeline>();
function runOf(name: GuestText): Timeline {
  const made = runs.get(name) ?? record(planOf(GUEST_TEXTS[name]).program);
  runs.set(name, made);
  return made;
}

function sceneOf(timeline: Timeline, position = timeline.length): Scene {
  timeline.seek(position);
  const cast = castOf(timeline);
  return sceneAt(timeline, { cast, layout: layOut(cast, VIEWPORTS[0]), names: new Map() });
}

/** The position after the first (or next) step that fits. */
function positionOf(
  timeline: Timeline,
  kind: string,
  fits: (facts: Record<string, unknown>) => boolean = () => true,
) {
  for (let index = timeline.begin; index < timeline.length; index += 1) {
    const step = timeline.step(index);
    if (step.kind === kind && fits(step.facts)) return index + 1;
  }
  throw new Error(`no ${kind} in the run`);
}

function overlaps({ boxes }: Layout): readonly string[] {
  const all = [...boxes];
  const meet = (a: Box, b: Box): boolean =>
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
  return all.flatMap(([id, box], index) =>
    all
      .slice(index + 1)
      .filter(([, other]) => meet(box, other))
      .map(([other]) => `${id} ~ ${other}`),
  );
}

const titles = (scene: Scene, zone: SceneBox['zone']): readonly string[] =>
  scene.boxes.filter((box) => box.zone === zone).map((box) => box.title);
const boxNamed = (scene: Scene, title: string): SceneBox | undefined =>
  scene.boxes.find((box) => box.title === title && box.state !== 'absent');
const rowTexts = (box: SceneBox | undefined): readonly string[] =>
  box?.rows.map((row) =>
    `${row.index} ${row.text} ${row.flags
      .map((flag) => flag.text)
      .join('')
      .trim()}`.trim(),
  ) ?? [];

describe.each(Object.keys(GUEST_TEXTS) as GuestText[])('%s', (name) => {
  const timeline = runOf(name);
  test('runs to its end', () => {
    expect(timeline.stop).toBeUndefined();
  });
  test('has a scene and a sentence for every step, rows told apart, links between what is drawn', () => {
    for (
      let position = timeline.begin;
      position <= timeline.length;
      position += name === 'sixty tables' ? 9 : 1
    ) {
      const scene = sceneOf(timeline, position);
      expect(scene.boxes.length).toBe(scene.layout.boxes.size);
      expect(JSON.stringify([scene.boxes, scene.links])).not.toMatch(/undefined|NaN/);
      const ids = new Set(scene.boxes.map((box) => box.id));
      const rows = scene.boxes.flatMap((box) => box.rows.map((row) => row.id));
      expect(new Set(rows).size).toBe(rows.length);
      expect(new Set(scene.links.map((link) => link.id)).size).toBe(scene.links.length);
      for (const link of scene.links) expect(ids.has(link.to.box), link.id).toBe(true);
      for (const id of ids)
        expect(detailsOf(timeline.world, castOf(timeline), id).join(' ')).not.toMatch(/undefined|NaN/);
      if (position === timeline.begin) continue;
      const { what, why } = sentenceOf(timeline.step(position - 1), timeline.program.settings);
      expect(`${what} ${why}`).not.toMatch(/undefined|NaN/);
    }
  });
  test('puts no two boxes in one place, and all boxes of a zone inside it', () => {
    const scene = sceneOf(timeline);
    for (const viewport of VIEWPORTS) {
      const layout = layOut(castOf(timeline), viewport);
      expect(overlaps(layout)).toEqual([]);
      for (const box of scene.boxes) {
        const [zone, area] = [layout.zones[box.zone] as Box, layout.boxes.get(box.id) as Box];
        expect(area.x, box.id).toBeGreaterThanOrEqual(zone.x);
        expect(area.x + area.width, box.id).toBeLessThanOrEqual(zone.x + zone.width);
        expect(area.y + area.height, box.id).toBeLessThanOrEqual(zone.y + zone.height);
      }
    }
  });
  test('lights up what each read or change of a table is about', () => {
    for (let index = timeline.begin; index < timeline.length; index += 1) {
      const step = timeline.step(index);
      if (!/^(walk-read|guest-walk-(read|pdptr)|fetch-look|spte-set|guest-copy|pae-root)$/.test(step.kind))
        continue;
      if (step.reads.length + step.changes.length === 0) continue;
      const lit = sceneOf(timeline, index + 1).boxes.flatMap((box) =>
        box.rows.filter((row) => row.state !== 'quiet'),
      );
      expect(lit.length, `${step.kind} ${String(index)}`).toBeGreaterThan(0);
    }
  });
  test('lets every entry be looked into, and accepts each line that is offered', () => {
    const rows = sceneOf(timeline).boxes.flatMap((box) => box.rows.map((row) => row.id));
    const [label = '0'] = timeline.nameOf(timeline.position).split('.');
    for (const row of rows.slice(0, 40)) {
      const found = inspectRow(timeline, row, new Map());
      if (found === undefined) continue;
      expect(JSON.stringify([found.title, found.about])).not.toMatch(/undefined|NaN/);
      for (const { text } of [...(found.bits[5]?.flips ?? []), ...found.actions]) {
        const added = insertOperation(GUEST_TEXTS[name], {
          after: lineAfter(GUEST_TEXTS[name], label),
          operation: text,
        });
        const planned = planScenario(added.text);
        expect(
          planned.kind === 'ok' ? [] : planned.problems.map(({ message }) => `${text}: ${message}`),
        ).toEqual([]);
      }
    }
  });
});

describe('tables of the guest', () => {
  test.each<[GuestText, string, readonly string[]]>([
    ['2-level, 4 MiB page', 'PD', ['001 11 PWUA', '200 12 PWUA', '300 c00 4M L\u00a0PWUAD']],
    ['PAE', 'PDPT', ['000 11 P', '001 13 P', '003 15 P']],
    ['2 MiB page', 'PT', ['000 200 PWUAD']],
  ])('of %s: %s', (name, title, rows) => {
    expect(rowTexts(boxNamed(sceneOf(runOf(name)), title))).toEqual(rows);
  });
  test('are none without paging; their pages are those that the shadow maps', () => {
    expect(titles(sceneOf(runOf('nonpaging')), 'guest')).toEqual(['page', 'page', 'page']);
  });
  test('that paging begins to use later are known by their shadows', () => {
    const scene = sceneOf(runOf('paging turned on'));
    expect(rowTexts(boxNamed(scene, 'PD'))).toEqual(['001 11 PWUA', '002 absent –––––']);
    expect(boxNamed(scene, 'PT')?.rows.map((row) => row.index)).toEqual(['000', '010', '011']);
  });
  test('a large page has one box, as large as it is', () => {
    expect(
      titles(sceneOf(runOf('2-level, 4 MiB page')), 'guest').filter((title) => title === 'page 4M').length,
    ).toBe(2);
    expect(titles(sceneOf(runOf('2 MiB page')), 'guest')).toContain('page 2M');
  });
});

describe('shadow pages', () => {
  test('of one table of the guest are told apart by the part that they stand for', () => {
    const hypervisor = titles(sceneOf(runOf('2-level')), 'hypervisor');
    expect(hypervisor.filter((title) => title.startsWith('shadow PD'))).toEqual(
      ['q0', 'q1', 'q2', 'q3'].map((part) => `shadow PD ${part}`),
    );
    expect(hypervisor.filter((title) => title.startsWith('shadow PT'))).toContain('shadow PT q1');
    const box = boxNamed(sceneOf(runOf('2-level')), 'shadow PD q3');
    expect([box?.part, box?.direct]).toEqual([{ at: 3, of: 4 }, undefined]);
  });
  test('say of each entry which of the guest it stands for: two for one of 4 MiB', () => {
    const run = runOf('2-level, 4 MiB page');
    const scene = sceneOf(run, positionOf(run, 'emulate') - 1);
    expect(rowTexts(boxNamed(scene, 'shadow PD q3'))).toEqual([
      '300→000 sp 5 L\u00a0PWUA',
      '300→001 sp 6 L\u00a0PWUA',
    ]);
    expect(boxNamed(scene, 'shadow PD q3')?.rows[1]?.title).toContain('its upper 2 MiB');
  });
  test.each<[GuestText, string, string]>([
    ['2-level, 4 MiB page', 'split PT q1', 'large page c00 · 511 empty'],
    ['2 MiB page', 'split PT', 'large page 400 · 510 empty'],
    ['nonpaging', 'no-paging PD q0', 'from gfn 0 · 510 empty'],
  ])('that stand for no table say so: %s, %s', (name, title, fold) => {
    const box = sceneOf(runOf(name)).boxes.find((own) => own.title === title && own.fold === fold);
    expect(box?.direct).toBe(true);
  });
  test('of one large page under two rights say which', () => {
    expect(titles(sceneOf(runOf('two large pages of one frame')), 'hypervisor')).toEqual(
      expect.arrayContaining(['split PT q0 –U', 'split PT q0 WU']),
    );
  });
  test('of the last era have no software bits', () => {
    expect(rowTexts(boxNamed(sceneOf(runOf('2007c')), 'shadow PT'))[0]).toMatch(/ PWUAD$/);
    expect(rowTexts(boxNamed(sceneOf(runOf('2-level')), 'shadow PT q0'))[0]).toMatch(/ PWUADwu$/);
  });
  test('under PAE hang on a page of four root entries', () => {
    const scene = sceneOf(runOf('PAE'));
    expect(rowTexts(boxNamed(scene, 'pae_root'))).toEqual([
      '000 sp 1 P',
      '001 sp 2 P',
      '002 empty –',
      '003 sp 3 P',
    ]);
    const roots = scene.links.filter((link) => link.from.box === 'pae:0').map((link) => link.to.box);
    expect(roots.length).toBe(3);
    expect(titles(sceneOf(runOf('2 MiB page')), 'hypervisor')).not.toContain('pae_root');
  });
});

describe('the vCPU', () => {
  test('keeps the root entries of PAE, and says which of them the hypervisor takes', () => {
    const run = runOf('PAE');
    const position = positionOf(run, 'guest-walk-pdptr', ({ index }) => index === 1);
    const cpu = boxNamed(sceneOf(run, position), 'vCPU 0');
    expect(rowTexts(cpu).slice(0, 4)).toEqual(['CR3 gfn 10', 'mode PAE', 'PDPTE0 11 P', 'PDPTE1 13 P']);
    expect(cpu?.rows.filter((row) => row.state !== 'quiet').map((row) => row.index)).toEqual(['PDPTE1']);
  });
  test('says that paging is off, and when it begins', () => {
    expect(rowTexts(boxNamed(sceneOf(runOf('nonpaging')), 'vCPU 0'))[1]).toBe('mode paging off');
    expect(rowTexts(boxNamed(sceneOf(runOf('paging turned on')), 'vCPU 0'))[1]).toBe('mode 2-level');
  });
  test('counts writes in a row, and so does the table that they go to', () => {
    const run = runOf('fork in PAE');
    const scene = sceneOf(
      run,
      positionOf(run, 'flood-count', ({ count }) => count === 2),
    );
    expect(boxNamed(scene, 'vCPU 0')?.rows.at(-1)).toMatchObject({ text: '2 to gfn 12', state: 'changed' });
    expect(boxNamed(scene, 'PT')?.badge).toBe('write 2');
    expect(titles(sceneOf(runOf('nonpaging')), 'hardware')).toEqual(['vCPU 0', 'TLB']);
  });
});

test('a chain of several nodes says how full each is, and all of it on being asked', () => {
  const run = runOf('many writers');
  expect(boxNamed(sceneOf(run), 'rmap 4+2 of 4')?.rows[0]?.text).toBe('sp 5 [000] +5');
  expect(detailsOf(run.world, castOf(run), 'rmap:10200')).toEqual([
    'Guest frame 0x200: 6 writable entries (2 nodes: 4 of 4, 2 of 4): sp 5 [000], sp 6 [000], sp 7 [000], sp 8 [000], sp 9 [000], sp 10 [000].',
  ]);
});

test('a frame says what the dirty log has of it, where its slot is logged', () => {
  const timeline = record(planOf(GUEST_TEXTS.PAE).program);
  timeline.seek(timeline.length);
  const { world } = timeline;
  const slot = world.get('slot', 0);
  if (slot === undefined) throw new Error('the run has a slot');
  world.put('slot', 0, { ...slot, logged: true });
  world.put('dirty', gfn(0x200), 1);
  world.put('dirty', gfn(0x12), 1);
  const cast = castOf(timeline);
  const logged = { ...cast, kvm: { vcpus: [0], rows: [], many: false, wide: false, logs: true } };
  const context = { cast: logged, layout: layOut(logged, VIEWPORTS[0]), names: new Map() };
  const scene = sceneAt(timeline, context);
  const subtitles = scene.boxes.filter((box) => box.id.startsWith('frame:')).map((box) => box.subtitle);
  expect(subtitles).toEqual(['gfn 200 · dirty', 'gfn 201 · clean', 'gfn 400 · clean']);
  expect(scene.boxes.find((box) => box.id === 'gt:12')?.badge).toBe('ro · dirty');
});

describe('many tables', () => {
  const run = runOf('sixty tables');
  test('are folded but for those that the run touches most', () => {
    const { tables, kvm, leftOut } = castOf(run);
    expect([tables.length, kvm?.many, leftOut]).toEqual([62, true, 0]);
    expect(tables.filter((table) => table.folded !== true).length).toBeLessThanOrEqual(24);
  });
  test('open for the steps that touch them', () => {
    const folded = new Set(castOf(run).tables.flatMap(({ id, folded: own }) => (own === true ? [id] : [])));
    let opened = 0;
    for (let position = run.begin + 1; position < run.begin + 200; position += 1) {
      for (const box of sceneOf(run, position).boxes) {
        if (!folded.has(box.id) || box.rows.length === 0) continue;
        opened += 1;
        expect(box.rows.every((row) => row.state !== 'quiet')).toBe(true);
        expect(box.height).toBeGreaterThan(40);
      }
    }
    expect(opened).toBeGreaterThan(0);
  });
});

describe('an entry looked into', () => {
  const look = (name: GuestText, title: string, at: number, position?: number): Inspected | undefined => {
    const run = runOf(name);
    return inspectRow(run, boxNamed(sceneOf(run, position), title)?.rows[at]?.id ?? '', new Map());
  };
  const flip = (found: Inspected | undefined, bit: number): readonly string[] =>
    found?.bits.find((own) => own.bit === bit)?.flips.map(({ text }) => text) ?? [];

  test('of 4 bytes has 32 bits, and a store of 4 bytes changes it', () => {
    const found = look('2-level', 'PT', 1);
    expect([found?.title, found?.bits.length]).toEqual(['Guest PT entry 3ff, guest frame 11', 32]);
    expect(flip(found, 1)).toEqual(['v0 kernel write 0x80000ffc = 0x203065 bytes=4', 'flip 0x11ff8 bit=33']);
  });
  test('of a shadow in another quarter names the address that it really serves', () => {
    expect(look('2-level', 'shadow PD q3', 0)?.about).toBe('from 0xc0400000');
    expect(flip(look('2-level', 'shadow PT q1', 0), 1)).toEqual(['flip shadow 0x7ff000 bit=1']);
    expect(look('2-level, 4 MiB page', 'split PT q1', 0)?.about).toMatch(/0xc0201000|nothing leads/);
  });
  test('names its bit 9 as the mark of a large page in level 2, as that of a device elsewhere', () => {
    const run = runOf('2 MiB page');
    const rows = sceneOf(run).boxes.flatMap((box) => box.rows.map((row) => ({ row, title: box.title })));
    const marked = rows.find(
      ({ row, title }) => title === 'shadow PD' && row.flags[0]?.text.startsWith('L') === true,
    );
    const split = rows.find(({ title }) => title === 'split PT');
    const ninth = [marked, split].map(
      (own) => inspectRow(run, own?.row.id ?? '', new Map())?.bits.find(({ bit }) => bit === 9)?.meaning,
    );
    expect(ninth).toEqual([
      'PS_MARK: the guest maps this range with one large page, which the shadow splits',
      'IO: in a leaf that is not present: device memory',
    ]);
  });
  test('of a register or of the root page is shown, and nothing writes it directly', () => {
    expect(look('PAE', 'vCPU 0', 2)?.title).toBe('PDPTE0 of the guest, as its vCPU keeps it');
    expect(look('PAE', 'pae_root', 0)?.about).toBe('leads to sp 1');
    expect(look('PAE', 'pae_root', 0)?.authors).toEqual([]);
  });
});

describe('the address strip', () => {
  const stripAt = (name: GuestText, kind: string, level: number): readonly string[] => {
    const run = runOf(name);
    const position = positionOf(run, kind, (facts) => facts['level'] === level);
    run.seek(position);
    return (
      addressAt(run, run.step(position - 1))?.fields.map(
        ({ label, digits, lit }) => `${label} ${digits}${lit ? ' lit' : ''}`,
      ) ?? []
    );
  };
  test.each<[GuestText, string, number, readonly string[]]>([
    ['2-level', 'guest-walk-read', 2, ['PD, q0 001 lit', 'PT, q0 000', 'offset 000']],
    ['2-level', 'fetch-look', 2, ['PDPT 0', 'PD 002 lit', 'PT 000', 'offset 000']],
    ['PAE', 'guest-walk-read', 2, ['PDPT 0', 'PD 002 lit', 'PT 000', 'offset 000']],
    ['nonpaging', 'fetch-look', 2, ['PDPT 0', 'PD 001 lit', 'PT 000', 'offset 000']],
  ])('of %s at %s, level %i', (name, kind, level, fields) => {
    expect(stripAt(name, kind, level)).toEqual(fields);
  });
});

test('the bits of a step are those of the half of the word that it reads or changes', () => {
  const run = runOf('2-level');
  const position = positionOf(run, 'guest-copy');
  run.seek(position);
  const [diff] = entryDiffs(run, run.step(position - 1), kvmShow.entryIn);
  expect([diff?.name, diff?.after]).toEqual(['guest entry, PT gfn 11 [3ff]', 0x203067n]);
});

test('the translation bench reads the guest in its own format, and the shadow in PAE', () => {
  const run = runOf('2-level');
  run.seek(run.begin);
  const { settings } = run.program;
  const request = {
    vcpu: 0,
    gva: 0x7ff000n,
    user: true,
    access: 'read',
    flips: [],
    caches: 'as they are',
  } as const;
  const tried = probe(run.world, settings, request);
  const cards = entryCards([tried], settings);
  expect(cards.map(({ title }) => title)).toEqual(
    expect.arrayContaining([
      'Shadow PDPT[000]',
      'Shadow PD[003]',
      'Guest PD[001]',
      'Guest PT[3ff]',
      'Shadow PT[1ff]',
    ]),
  );
  const guest = cards.find(({ title }) => title === 'Guest PT[3ff]');
  expect([guest?.before, (guest?.named.length ?? 0) + (guest?.rest.length ?? 0)]).toEqual([0x201067n, 32]);
});

describe('sentences say what a page stands for', () => {
  test.each<[GuestText, RegExp]>([
    ['2-level', /^There is no shadow page for the PT in guest frame 0x11, lower half \(q0\) yet\.$/],
    [
      '2-level, 4 MiB page',
      /^sp 5 becomes the shadow page that splits the large page at guest frame 0x800, lower half/,
    ],
    ['nonpaging', /^sp 5 becomes the shadow page for memory without paging from guest frame 0x200 on\.$/],
  ])('%s', (name, sentence) => {
    const run = runOf(name);
    const all = Array.from({ length: run.length - run.begin }, (_, at) =>
      sentenceOf(run.step(run.begin + at), run.program.settings),
    );
    expect(all.map(({ what }) => what)).toEqual(expect.arrayContaining([expect.stringMatching(sentence)]));
  });
});
