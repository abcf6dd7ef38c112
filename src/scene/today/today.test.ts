import { describe, expect, test } from 'vitest';
import { mmioSpte } from '../../core/kvm-shadow/spte.ts';
import { loadEngines } from '../../core/operations/engines.ts';
import { CATALOGUE_IDS, catalogueText, planOf } from '../../testing/scenarios.ts';
import { record, type Timeline } from '../../timeline/timeline.ts';
import { addressAt } from '../address.ts';
import { bandsOf } from '../bands.ts';
import { detailsOf } from '../box-details.ts';
import { inspectRow } from '../inspect.ts';
import { layOut } from '../layout.ts';
import type { Scene, SceneBox } from '../parts.ts';
import { planScenario } from '../../scenario/plan.ts';
import { sceneAt } from '../scene.ts';
import { todaysCast } from './cast.ts';
import { levelAt, namesOf, sptDialect } from './dialect.ts';
import { titleOf } from './names.ts';
import { todaysShow } from './show.ts';

await loadEngines();

const TEXT = `mmuscope 1
title Out of step
machine kvm-shadow
slot 0x0 64M
let V = 0x400000
let K = 0xffff880000013000
let D = 0xffff880000020000
map V -> gfn 0x21 rw user accessed dirty
map 0x401000 -> gfn 0x22 rw user accessed dirty
map 0x40000000 level=2 -> gfn 0x400 rw user accessed dirty
map K -> table-of V rw kernel accessed dirty
map D -> gfn 0xfee00 rw kernel accessed dirty
space B kernel=main
map V -> gfn 0x30 rw user accessed dirty
begin
v0 user read V
v0 kernel write K = 0x23067
v0 kernel write K+8 = 0x24067
v0 user write 0x40001000 = 1
v0 kernel read D
v0 kernel load-cr3 B
v0 user read V
v0 kernel load-cr3 main
v0 kernel set cr0.wp = 0
v0 user read V
`;
const timeline = record(planOf(TEXT).program);

function sceneOf(run: Timeline, position: number): Scene {
  run.seek(position);
  const cast = todaysCast(run);
  const layout = layOut(cast, { width: 950, height: 560 });
  return sceneAt(run, { cast, layout, names: new Map(), show: todaysShow });
}

/** The position after the first step of a kind, or after one that fits. */
function after(
  kind: string,
  fits: (facts: Timeline['step'] extends (i: number) => infer S ? S : never) => boolean = () => true,
): number {
  for (let index = timeline.begin; index < timeline.length; index += 1) {
    const step = timeline.step(index);
    if (step.kind === kind && fits(step)) return index + 1;
  }
  throw new Error(`no ${kind}`);
}

const box = (scene: Scene, fits: (own: SceneBox) => boolean): SceneBox => {
  const found = scene.boxes.find((own) => own.state !== 'absent' && fits(own));
  if (found === undefined) throw new Error('no such box');
  return found;
};

function checkAll(run: Timeline, every: number): void {
  for (let position = run.begin; position <= run.length; position += every) {
    const scene = sceneOf(run, position);
    expect(scene.boxes.length).toBe(scene.layout.boxes.size);
    expect(JSON.stringify([scene.boxes, scene.links, scene.note])).not.toMatch(/undefined|NaN/);
    const ids = new Set(scene.boxes.map(({ id }) => id));
    const rows = scene.boxes.flatMap((own) => own.rows.map((row) => row.id));
    expect(new Set(rows).size).toBe(rows.length);
    expect(new Set(scene.links.map((link) => link.id)).size).toBe(scene.links.length);
    for (const link of scene.links) expect(ids.has(link.to.box), link.id).toBe(true);
    for (const id of ids)
      expect(detailsOf(run.world, todaysCast(run), id).join(' ')).not.toMatch(/undefined|NaN/);
    if (position > run.begin) addressAt(run, run.step(position - 1));
  }
}

describe('a run under a KVM of today', () => {
  test('has a scene at every step: rows told apart, links between what is drawn, details in words', () => {
    checkAll(timeline, 1);
  });

  test('shows a page that goes out of step at once, and the entries that lead to it', () => {
    const at = after('unsync-page');
    const { serial } = timeline.step(at - 1).facts;
    const scene = sceneOf(timeline, at);
    const page = box(scene, ({ subtitle }) => subtitle === `sp ${String(serial)}`);
    expect(page).toMatchObject({ look: 'unsync', state: 'touched' });
    expect(page.badge).toContain('unsync');
    expect(scene.motions).toContainEqual({ kind: 'update', box: page.id });
    const end = after('leaf-set', ({ index }) => index >= at);
    const later = sceneOf(timeline, end);
    const parents = later.boxes.filter(({ look }) => look === 'leads');
    expect(parents).toHaveLength(3);
    for (const parent of parents) {
      expect(parent.badge).toContain('1 ≠ below');
      expect(parent.rows.filter(({ text }) => text.endsWith('≠'))).toHaveLength(1);
    }
  });

  test('reads entries of a page that comes into step anew: shadow and guest entry light up together', () => {
    const at = after('sync-entry');
    const scene = sceneOf(timeline, at);
    const lit = scene.boxes.flatMap((own) =>
      own.rows.filter(({ state }) => state !== 'quiet').map((row) => `${own.zone} ${row.index}`),
    );
    expect(lit.sort()).toEqual(['guest 000', 'hypervisor 000']);
    expect(scene.motions.map(({ kind, row }) => [kind, row !== undefined])).toEqual([
      ['read', true],
      ['read', true],
    ]);
  });

  test('lights up the guest entries that KVM reads in its own walk', () => {
    const at = after('gwalk-element', ({ facts }) => facts['level'] === 1);
    const lit = sceneOf(timeline, at).boxes.filter(({ state }) => state === 'touched');
    expect(lit.map(({ title, zone }) => `${zone} ${title}`)).toEqual(['guest PT']);
  });

  test('shows write-track counts, remembered roots, devices with their generation and the VM as a whole', () => {
    const scene = sceneOf(timeline, timeline.length);
    expect(box(scene, ({ title, subtitle }) => title === 'PML4' && subtitle === 'gfn 10').badge).toBe(
      'tracked 2 · ro',
    );
    const device = scene.boxes.flatMap(({ rows }) => rows).find(({ text }) => text.startsWith('device'));
    expect(device).toMatchObject({ text: 'device g2' });
    expect(device?.title).toContain('fee00');
    expect(device?.flags.map(({ text }) => text.trim()).join('')).toBe('PW–');
    expect(scene.note?.text).toMatch(/^slots gen 2 · valid gen 0 · \d+\/\d+ pages$/);
    const switched = sceneOf(timeline, after('root-rotate') + 1);
    expect(
      box(switched, ({ id }) => id === 'vcpu:0').rows.find(({ index }) => index === 'before')?.text,
    ).toMatch(/^(sp \d+|–) – –$/);
  });

  test('takes the role of a page, its entries and the remembered roots apart', () => {
    sceneOf(timeline, timeline.length);
    const role = inspectRow(timeline, 'sp:10.3704', new Map());
    expect(role?.title).toContain('0x3704');
    expect(role?.facts?.map(({ name }) => name)).toContain('cr0_wp');
    expect(role?.bits.find(({ bit }) => bit === 13)).toMatchObject({ set: true, short: 'wp' });
    expect(inspectRow(timeline, 'roots:0', new Map())?.facts).toHaveLength(4);
    const leaf = box(sceneOf(timeline, timeline.length), ({ title }) => title.startsWith('shadow PT'))
      .rows[0];
    const entry = inspectRow(timeline, leaf?.id ?? '', new Map());
    expect(entry?.bits.find(({ bit }) => bit === 11)?.meaning).toContain('MMU-present');
  });
});

describe('what tells two shadow pages of one frame apart', () => {
  const page = (role: number) => ({ gfn: 0x10, role });
  test('is said first, and only that', () => {
    const wp = page(0x3704);
    expect(titleOf(wp, [wp])).toBe('shadow PML4');
    expect(titleOf(wp, [wp, page(0x1704)])).toBe('shadow PML4 WP');
    expect(titleOf(page(0x1704), [wp, page(0x1704)])).toBe('shadow PML4 WP off');
    expect(titleOf(page(0x3501), [page(0x3501), page(0x3701)])).toBe('shadow PT –UX');
    expect(titleOf(page(0x3781), [page(0x3781), page(0x3701)])).toBe('direct PT');
    expect(titleOf(page(0x3772), [page(0x3772), page(0x3712)])).toBe('shadow PD q3');
  });
});

test('an entry of a device has names for its mark and for its generation', () => {
  const entry = mmioSpte({ gfn: 0xfee00, access: 6, generation: 0x102 });
  const set = namesOf(entry, levelAt(1))
    .filter(({ bit }) => ((entry >> BigInt(bit)) & 1n) === 1n)
    .map(({ name }) => name);
  expect(set).toEqual(['P', 'W', 'U', 'reserved', 'generation 1', 'generation 8']);
  expect(sptDialect(true).kindOf(entry, levelAt(1))).toBe('malformed');
});

test('the window of a notifier is a band of the timeline', () => {
  const kinds = ['begin', 'notifier-start', 'leaf-drop', 'host-map', 'notifier-end', 'begin'];
  const journal = { kind: (step: number) => kinds[step] };
  expect(bandsOf({ journal, begin: 0, length: kinds.length } as never)).toMatchObject([{ first: 1, end: 5 }]);
  expect(bandsOf({ journal, begin: 0, length: 3 } as never)).toMatchObject([{ first: 1, end: 3 }]);
  expect(bandsOf(timeline)).toEqual([]);
});

describe.each(CATALOGUE_IDS)('%s under kvm-shadow', (id) => {
  const planned = planScenario(catalogueText(id), { machine: 'kvm-shadow', era: '6.12', cpu: 'svm' });
  test.runIf(planned.kind !== 'problems' && catalogueText(id).includes('machine kvm-2007'))(
    'has scenes from beginning to end',
    () => {
      if (planned.kind === 'problems') return;
      const run = record(planned.plan.program);
      checkAll(run, Math.max(1, Math.floor((run.length - run.begin) / 60)));
    },
  );
});
