/**
 * That the comparison with recorded kernels sees: each kind of thing that it compares, changed in a recording, is found
 * out. The recordings themselves are run by the command `conform`.
 */
import { describe, expect, test } from 'vitest';
import { recordedFile } from '../testing/recordings.ts';
import { parseRecording, type RecordingTexts } from './recording.ts';
import { ConformRun } from './run.ts';

const text = (scenario: string, name: Parameters<typeof recordedFile>[1]): string =>
  recordedFile(`6.12/${scenario}`, name);
const textsOf = (scenario: string): RecordingTexts => ({
  scenario: text(scenario, 'scenario.json'),
  observed: text(scenario, 'observed.json'),
  state: text(scenario, 'state.json'),
  trace: text(scenario, 'trace.txt'),
});

/** What differs, step by step. */
function differences(texts: RecordingTexts): readonly string[] {
  const recording = parseRecording(texts);
  if ('problems' in recording) return recording.problems;
  return new ConformRun(recording)
    .run()
    .flatMap(({ step, differences: found }) => found.map(({ what }) => `${String(step)}: ${what}`));
}

/** The text with the last place that fits replaced: later steps have more in them. */
function changed(of: string, pattern: RegExp, by: (found: string) => string): string {
  const found = [...of.matchAll(pattern)].at(-1);
  if (found === undefined) throw new Error(`nothing in the recording is like ${String(pattern)}`);
  return of.slice(0, found.index) + by(found[0]) + of.slice(found.index + found[0].length);
}

describe('a recording in which one thing is changed', () => {
  const UNSYNC = textsOf('shadow64-unsync');
  test('as it is, it agrees', () => {
    expect(differences(UNSYNC)).toEqual([]);
  });
  test.each<[string, keyof RecordingTexts, RegExp, (found: string) => string, RegExp]>([
    ['a bit of an entry', 'state', /"0x[0-9a-f]+e67"/g, (s) => s.replace('e67"', 'e65"'), /entry \d+ bits/],
    ['a role', 'state', /"word":"0x3701"/g, () => '"word":"0x3501"', /shadow pages/],
    ['unsync', 'state', /"unsync":1/g, () => '"unsync":0', /unsync$/],
    ['unsync_children', 'state', /"unsync_children":1/g, () => '"unsync_children":2', /unsync_children/],
    ['a root count', 'state', /"root_count":1/g, () => '"root_count":2', /root_count/],
    ['the flood counter', 'state', /"write_flooding_count":0/g, () => '"write_flooding_count":1', /flooding/],
    ['a parent', 'state', /"parent_ptes":\["0x[0-9a-f]+"\]/g, () => '"parent_ptes":[]', /parent_ptes/],
    ['the previous roots', 'state', /"pgd":"0xf+"/g, () => '"pgd":"0x2000"', /prev_roots/],
    ['cpu_role', 'state', /"cpu_role":"0x8100003704"/g, () => '"cpu_role":"0x8100001704"', /cpu_role/],
    ['the reverse map', 'state', /"sptes":\["0x[0-9a-f]+"\]/g, () => '"sptes":[]', /rmap/],
    ['write tracking', 'state', /"gfn":"0x1","count":1/g, () => '"gfn":"0x1","count":2', /write_track/],
    ['large pages forbidden', 'state', /"level":3,"gfn":"0x0","count":\d/g, (s) => `${s}9`, /disallow_lpage/],
    [
      'the memslot generation',
      'state',
      /"memslots_generation":"0x2"/g,
      (s) => s.replace('2', '4'),
      /generation/,
    ],
    ['a value read', 'observed', /"value":"0xda7a0002"/g, () => '"value":"0xda7a0003"', /value/],
    ['a fault of the guest', 'observed', /"error_code":"0x3"/g, () => '"error_code":"0x2"', /guest faults/],
    ["a guest's entry", 'observed', /"new":"0x103065"/g, () => '"new":"0x103045"', /guest tables/],
    ['a counter of the VM', 'observed', /"mmu_unsync":1/g, () => '"mmu_unsync":2', /mmu_unsync/],
    ['a counter of a vCPU', 'observed', /"pf_taken":1/g, () => '"pf_taken":2', /pf_taken/],
    ['an exit', 'trace', /reason invlpg/g, () => 'reason write_cr3', /event \d+ of vcpu 0/],
    ['the order of events', 'trace', /pte 4027 level 2/g, () => 'pte 4027 level 1', /event \d+ of vcpu 0/],
    ['an injected fault', 'trace', /kvm_inj_exception: #PF \(0x3\)/g, (s) => s.replace('3', '2'), /event/],
  ])('%s', (_name, file, pattern, by, expected) => {
    const found = differences({ ...UNSYNC, [file]: changed(UNSYNC[file], pattern, by) });
    expect(found).not.toEqual([]);
    expect(found.some((what) => expected.test(what))).toBe(true);
  });

  test('two frames of data exchanged in one state', () => {
    const frames = [...UNSYNC.state.matchAll(/"0x[0-9a-f]+e47"/g)].map(([entry]) => entry);
    const [first = '', second = ''] = frames;
    const swapped = changed(UNSYNC.state, new RegExp(first, 'g'), () => second);
    expect(differences({ ...UNSYNC, state: swapped }).some((what) => what.includes('frame'))).toBe(true);
  });

  test('the memory of a device access', () => {
    const texts = textsOf('shadow64-mmio');
    const state = changed(texts.state, /"mmio_cache":\{"gva":"0x400000"/g, (s) => s.replace('400', '401'));
    expect(differences({ ...texts, state }).some((what) => what.includes('mmio gva'))).toBe(true);
  });

  test('the dirty log', () => {
    const texts = textsOf('shadow64-dirtylog');
    const state = changed(texts.state, /"dirty_gfns":\["0x10000"\]/g, () => '"dirty_gfns":["0x10001"]');
    expect(differences({ ...texts, state }).some((what) => what.includes('dirty'))).toBe(true);
  });
});

describe('files that are no recording', () => {
  const GOOD = textsOf('nonpaging');
  test.each<[string, Partial<RecordingTexts>, RegExp]>([
    ['no JSON', { scenario: '{' }, /^scenario\.json: this is no JSON/],
    ['another kind of file', { state: '[]' }, /^state\.json: steps: /],
    [
      'a number that is none',
      { scenario: changed(GOOD.scenario, /"cr0": ?"0x[0-9a-f]+"/g, () => '"cr0":"on"') },
      /^scenario\.json: vcpus\.0\.cr0: a number like 0x1000/,
    ],
  ])('%s', (_name, change, expected) => {
    const parsed = parseRecording({ ...GOOD, ...change });
    expect('problems' in parsed ? parsed.problems[0] : 'no problem').toMatch(expected);
  });
});
