/**
 * `conform`: recorded scenarios of a real kernel through the model, compared after every step. Counts steps; a scenario
 * that no machine of ours can run is named, and counts as nothing.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { parseRecording, type Recording, type RecordingTexts } from '../conform/recording.ts';
import { cannotRun } from '../conform/recorded-run.ts';
import { ConformRun } from '../conform/run.ts';
import type { Print } from './run.ts';

/** Differences that are printed of one scenario. */
const DIFFERENCES_SHOWN = 5;
/** A difference may be a list of hundreds of entries. */
const LONGEST = 300;
const short = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text);

export function conformCommand(folders: readonly string[], print: Print): number {
  let passed = 0;
  let failed = 0;
  let unreadable = 0;
  for (const folder of folders.flatMap((name) => scenarioFolders(name))) {
    const recording = readFolder(folder, print);
    if (recording === undefined) {
      unreadable += 1;
      continue;
    }
    const why = cannotRun(recording.scenario);
    if (why === undefined) {
      const counts = runOne(recording, print);
      passed += counts.passed;
      failed += counts.failed;
    } else print(`${nameOf(recording)}: not run: ${why}`);
  }
  print(`${String(passed)} passed, ${String(failed)} failed`);
  return failed === 0 && unreadable === 0 && passed > 0 ? 0 : 1;
}

const nameOf = ({ scenario }: Recording): string => `${scenario.kernel} ${scenario.name}`;

function runOne(recording: Recording, print: Print): { passed: number; failed: number } {
  const results = new ConformRun(recording).run();
  let shown = 0;
  for (const { step, op, differences } of results)
    for (const { what, expected, got } of differences) {
      shown += 1;
      if (shown <= DIFFERENCES_SHOWN)
        print(
          `${nameOf(recording)}: step ${String(step)} (${op}): ${what}: expected ${short(expected)}, got ${short(got)}`,
        );
    }
  if (shown > DIFFERENCES_SHOWN)
    print(`${nameOf(recording)}: ${String(shown - DIFFERENCES_SHOWN)} more differences`);
  const passed = results.filter(({ differences }) => differences.length === 0).length;
  // Steps after one at which the model had to stop have failed too.
  return { passed, failed: recording.scenario.steps.length - passed };
}

/** A folder of one scenario, or one that holds such folders, at whatever depth. */
function scenarioFolders(folder: string): readonly string[] {
  if (fileIn(folder, 'scenario.json') !== undefined || !isFolder(folder)) return [folder];
  const inside = readdirSync(folder)
    .sort()
    .map((name) => join(folder, name))
    .filter(isFolder);
  return inside.length === 0 ? [folder] : inside.flatMap((name) => scenarioFolders(name));
}

const isFolder = (path: string): boolean => existsSync(path) && statSync(path).isDirectory();

/** The text of a file, packed or not. */
function fileIn(folder: string, name: string): string | undefined {
  for (const path of [join(folder, `${name}.gz`), join(folder, name)])
    if (existsSync(path)) {
      const bytes = readFileSync(path);
      return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
    }
  return undefined;
}

function readFolder(folder: string, print: Print): Recording | undefined {
  const files = {
    scenario: 'scenario.json',
    observed: 'observed.json',
    state: 'state.json',
    trace: 'trace.txt',
  };
  const texts: Record<string, string> = {};
  for (const [key, name] of Object.entries(files)) {
    const text = readable(folder, name);
    if (typeof text !== 'string') {
      print(`${basename(folder)}: ${text.problem}`);
      return undefined;
    }
    texts[key] = text;
  }
  const parsed = parseRecording(texts as unknown as RecordingTexts);
  if (!('problems' in parsed)) return parsed;
  for (const problem of parsed.problems) print(`${basename(folder)}: ${problem}`);
  return undefined;
}

function readable(folder: string, name: string): string | { readonly problem: string } {
  try {
    return (
      fileIn(folder, name) ?? {
        problem: `there is no ${name} or ${name}.gz in ${folder}. Name the folder of a recorded scenario.`,
      }
    );
  } catch (error) {
    return {
      problem: `${name} cannot be read: ${error instanceof Error ? error.message : 'unknown error'}.`,
    };
  }
}
