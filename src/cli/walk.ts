/** `walk <vectors.jsonl[.gz]>...`: replays recorded page walks and reports the first mismatches. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { replayVector, type Mismatch, type WalkVector } from '../core/hardware/vectors.ts';
import { Machine } from '../core/machine/machine.ts';
import { DEFAULT_SETTINGS } from '../core/settings.ts';

const SHOWN = 10;

export function readVectors(path: string): readonly WalkVector[] {
  const bytes = readFileSync(path);
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as WalkVector);
}

export interface WalkReport {
  readonly passed: number;
  readonly failed: number;
  readonly mismatches: readonly Mismatch[];
}

export function replayAll(vectors: readonly WalkVector[]): WalkReport {
  const mismatches: Mismatch[] = [];
  let failed = 0;
  for (const vector of vectors) {
    const found = replayVector(new Machine({ settings: DEFAULT_SETTINGS }), vector);
    if (found.length > 0) failed += 1;
    mismatches.push(...found);
  }
  return { passed: vectors.length - failed, failed, mismatches };
}

export function walkCommand(paths: readonly string[], print: (line: string) => void): number {
  let passed = 0;
  let failed = 0;
  let shown = 0;
  for (const path of paths) {
    const report = replayAll(readVectors(path));
    passed += report.passed;
    failed += report.failed;
    for (const { id, what, expected, got } of report.mismatches.slice(0, Math.max(0, SHOWN - shown))) {
      print(`${id}: ${what}: expected ${expected}, got ${got}`);
      shown += 1;
    }
  }
  print(`${String(passed)} passed, ${String(failed)} failed`);
  return failed === 0 ? 0 : 1;
}
