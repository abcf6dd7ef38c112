/** What comparing two runs costs: once, when they are aligned, and then with each move of the cursor. */
import { castOf } from '../scene/cast.ts';
import { kvmShow } from '../scene/kvm-show.ts';
import { layOut } from '../scene/layout.ts';
import { sceneAt } from '../scene/scene.ts';
import type { Program } from '../core/operations/operation.ts';
import { compareRuns } from '../timeline/compare.ts';
import { countersApart, countsHere } from '../timeline/costs.ts';
import { RecordingRun, type Timeline } from '../timeline/timeline.ts';

const now = (): number => Number(process.hrtime.bigint()) / 1e6;
/** Scenes are made at every so many places: they cost a hundred times what the move does. */
const SCENE_EVERY = 25;
const VIEWPORT = { width: 560, height: 520 };

function recorded(program: Program, steps: number): Timeline {
  const run = new RecordingRun(program, steps);
  while (!run.done) run.advance();
  return run.timeline();
}

/** A program under two ways to handle a write to a guest entry, gone through from place to place. */
export function compareLines(program: Program, steps: number): readonly string[] {
  const zap = { ...program, settings: { ...program.settings, 'gpte-write': 'zap' } };
  const [a, b] = [recorded(program, steps), recorded(zap, steps)];
  const start = now();
  const { axis, differences } = compareRuns(a, b);
  const once = now() - start;
  const sides = [a, b].map((timeline) => {
    const cast = castOf(timeline);
    return { timeline, cast, layout: layOut(cast, VIEWPORT) };
  });
  const [moves, scenes]: [number[], number[]] = [[], []];
  const names = new Map<string, bigint>();
  const last = axis.a.length - 1;
  for (const timeline of [a, b]) timeline.seek(timeline.begin);
  for (let place = axis.ofA[a.begin] ?? 0; place <= last; place += 1) {
    const began = now();
    a.seek(axis.a[place] ?? 0);
    b.seek(axis.b[place] ?? 0);
    countersApart(countsHere(a), countsHere(b));
    moves.push(now() - began);
    if (place % SCENE_EVERY !== 0) continue;
    for (const { timeline, cast, layout } of sides) sceneAt(timeline, { cast, layout, names, show: kvmShow });
    scenes.push(now() - began);
  }
  return [
    `compare ${String(a.length)} with ${String(b.length)} steps: aligned once in ${once.toFixed(0)} ms, ${String(differences.length)} differences, ${String(axis.coarse)} stretches not exact`,
    `  each of ${String(moves.length)} moves: both worlds and counters ${spread(moves)}; with both scenes ${spread(scenes)}`,
  ];
}

function spread(times: number[]): string {
  const sorted = times.sort((x, y) => x - y);
  const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(2);
  return `median ${at(0.5)} ms, p95 ${at(0.95)} ms, longest ${at(1)} ms`;
}
