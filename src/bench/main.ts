/** `npm run bench`: what recording costs, how large a journal is, how fast a seek and a walk are. Node, one core. */
import { replayVector } from '../core/hardware/vectors.ts';
import { Machine } from '../core/machine/machine.ts';
import { World } from '../core/machine/world.ts';
import { Recorder } from '../core/operations/recorder.ts';
import type { Program } from '../core/operations/operation.ts';
import { DEFAULT_SETTINGS } from '../core/settings.ts';
import { planScenario } from '../scenario/plan.ts';
import { RecordingRun } from '../timeline/timeline.ts';
import { readVectors } from '../cli/walk.ts';
import { compareLines } from './compare.ts';
import { walkLines } from './walks.ts';

const now = (): number => Number(process.hrtime.bigint()) / 1e6;

/** A guest that maps, writes, unmaps and maps again, over 32 pages of 4 tables: the mix of a busy kernel. */
function busyProgram(operations: number): Program {
  const pages = Array.from(
    { length: 32 },
    (_, index) => 0x400000 + (index % 4) * 0x200000 + Math.floor(index / 4) * 0x1000,
  );
  const windows = [0, 1, 2, 3].map(
    (index) =>
      `map 0x${(0xffff888000000000n + BigInt(index) * 0x1000n).toString(16)} -> table-of 0x${(0x400000 + index * 0x200000).toString(16)} rw kernel accessed dirty`,
  );
  const body = Array.from({ length: operations }, (_, index) => {
    const page = `0x${(pages[(index * 7) % pages.length] ?? 0).toString(16)}`;
    if (index % 5 === 4) return `v0 kernel set-pte ${page} -> absent\nv0 kernel invlpg ${page}`;
    return `v0 user ${index % 3 === 0 ? 'write' : 'read'} ${page}\n  on #PF\n    set-pte ${page} -> gfn 0x${(0x100 + (index % 64)).toString(16)} rw user accessed dirty\n    retry`;
  });
  const text = [
    'mmuscope 1',
    'slot 0x0 64M',
    ...pages.map((page) => `map 0x${page.toString(16)} -> absent`),
    ...windows,
    'begin',
    ...body,
  ].join('\n');
  const result = planScenario(text);
  if (result.kind === 'problems') throw new Error(JSON.stringify(result.problems[0]));
  return result.plan.program;
}

/** The same operations, as many times as it takes to reach that many steps. */
function programOf(steps: number): Program {
  const base = busyProgram(400);
  const once = new Recorder(base, { record: false }).finish().machine.steps;
  const rounds = Math.ceil(steps / once) + 1;
  return { ...base, body: Array.from({ length: rounds }, () => base.body).flat() };
}

function best(times: number, body: () => number): number {
  return Math.min(...Array.from({ length: times }, body));
}

function timeRun(program: Program, steps: number, recorded: boolean): number {
  const start = now();
  new Recorder(program, { record: recorded, stepsPerRun: steps }).finish();
  return now() - start;
}

const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.floor(share * (sorted.length - 1))] ?? 0;

function seeks(program: Program, steps: number): string {
  const run = new RecordingRun(program, steps);
  while (!run.done) run.advance();
  const timeline = run.timeline();
  const { columns, sideTables } = timeline.journal.bytes();
  let place = 12345;
  const times = Array.from({ length: 200 }, () => {
    place = (place * 1103515245 + 12345) % 2147483648;
    const start = now();
    timeline.seek(place % timeline.length);
    return now() - start;
  }).sort((a, b) => a - b);
  const bytes = (columns + sideTables) / timeline.length;
  return `${((columns + sideTables) / 1e6).toFixed(1)} MB (${bytes.toFixed(0)} bytes a step: columns ${(columns / timeline.length).toFixed(0)}, side tables ${(sideTables / timeline.length).toFixed(0)}); seek median ${percentile(times, 0.5).toFixed(2)} ms, p95 ${percentile(times, 0.95).toFixed(2)} ms; ${String(timeline.journal.changes)} changes`;
}

for (const steps of [100_000, 1_000_000]) {
  const program = programOf(steps);
  timeRun(program, Math.min(steps, 50_000), true);
  const repeats = steps > 500_000 ? 1 : 3;
  const recorded = best(repeats, () => timeRun(program, steps, true));
  const bare = best(repeats, () => timeRun(program, steps, false));
  console.log(
    `${steps.toLocaleString('en')} steps: ${recorded.toFixed(0)} ms with journal (${((steps / recorded) * 1000).toFixed(0)} steps/s), ${bare.toFixed(0)} ms without, ratio ${(recorded / bare).toFixed(2)}`,
  );
  console.log(`  journal ${seeks(program, steps)}`);
}

for (const line of compareLines(programOf(10_000), 10_000)) console.log(line);

const vectors = readVectors('src/testing/vectors/x86-4level.jsonl.gz');
const world = new World();
const walks = best(3, () => {
  const m = new Machine({ settings: DEFAULT_SETTINGS, world });
  const start = now();
  for (const vector of vectors) {
    m.beginOperation();
    replayVector(m, vector);
  }
  return now() - start;
});
console.log(
  `walks: ${((vectors.length / walks) * 1000).toFixed(0)} a second, loading their entries included`,
);
for (const line of walkLines()) console.log(line);
