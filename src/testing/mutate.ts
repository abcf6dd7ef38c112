/**
 * `npm run mutate [parts of ids]`: breaks the rules of the walk and of its caches one at a time, in copies of the sources, and says for
 * each whether the recorded walks, the tests of src/core/hardware, or the comparison of the caches notice. Every rule
 * must be noticed.
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { misplaced, pathOf, RULES } from './mutations/all.ts';
import type { BrokenRule } from './mutations/rule.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const VECTORS = 'src/testing/vectors';
const vectors = readdirSync(join(root, VECTORS)).map((name) => `${VECTORS}/${name}`);
/** What replay.ts ends with where a walk goes otherwise. */
const NOTICED = 10;
/** Bound of one run of walks or tests: a rule whose breaking makes them hang is noticed. */
const TIMEOUT_MS = 120_000;

type Verdict =
  | { readonly kind: 'noticed'; readonly by: string }
  | { readonly kind: 'not noticed' }
  /** The list is wrong: the text is gone, or what replaces it is no program. */
  | { readonly kind: 'unusable'; readonly why: string };

/** A copy of the sources in which rules may be broken. */
function makeCopy(directory: string): string {
  mkdirSync(directory);
  const recorded = join(root, VECTORS);
  cpSync(join(root, 'src'), join(directory, 'src'), {
    recursive: true,
    filter: (path) => path !== recorded,
  });
  for (const name of [VECTORS, 'node_modules', 'public', 'package.json', 'tsconfig.json']) {
    symlinkSync(join(root, name), join(directory, name));
  }
  // Copied, not linked: what it names beside itself are the copies. It has every machine's engine loaded.
  cpSync(join(root, 'vite.config.ts'), join(directory, 'vite.config.ts'));
  return directory;
}

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly timedOut: boolean;
}

function node(directory: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
    const output: string[] = [];
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill();
    }, TIMEOUT_MS);
    child.stdout.on('data', (data: Buffer) => output.push(data.toString()));
    child.stderr.on('data', (data: Buffer) => output.push(data.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output: output.join(''), timedOut });
    });
  });
}

/** Vectors of the same architecture first: they notice soonest. */
const inOrder = (file: string): readonly string[] => {
  const prefix = file.startsWith('arm') ? 'arm' : file.startsWith('second-stage') ? 'npt' : 'x86';
  const near = vectors.filter((path) => path.startsWith(`${VECTORS}/${prefix}`));
  return [...near, ...vectors.filter((path) => !near.includes(path))];
};

async function replay(directory: string, file: string): Promise<Verdict> {
  const ended = await node(directory, ['--import', 'tsx', 'src/testing/replay.ts', ...inOrder(file)]);
  if (ended.timedOut) return { kind: 'noticed', by: 'walks that do not end' };
  if (ended.code === NOTICED) return { kind: 'noticed', by: `walk ${ended.output.trim()}` };
  if (ended.code === 0) return { kind: 'not noticed' };
  return { kind: 'unusable', why: ended.output.trim() };
}

interface TestReport {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

const TESTS = ['src/core/hardware'];
const TESTS_OF_CACHES = [...TESTS, 'src/testing/naive/caches.prop'];

/** The tests beside the walk, without those that replay vectors. */
async function test(directory: string, files: readonly string[]): Promise<Verdict> {
  const report = join(directory, 'report.json');
  rmSync(report, { force: true });
  const args = ['run', ...files, '--bail=1', '--reporter=json', `--outputFile=${report}`];
  const ended = await node(directory, [
    'node_modules/vitest/vitest.mjs',
    ...args,
    '-t',
    '^(?!every recorded walk)',
  ]);
  if (ended.timedOut) return { kind: 'noticed', by: 'tests that do not end' };
  if (ended.code === 0) return { kind: 'not noticed' };
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as TestReport;
  const failed = testResults.flatMap(({ assertionResults }) => assertionResults);
  const first = failed.find(({ status }) => status === 'failed');
  if (first !== undefined) return { kind: 'noticed', by: `test "${first.fullName}"` };
  return { kind: 'unusable', why: testResults.map(({ message }) => message).join('\n') };
}

async function judge(directory: string, rule: BrokenRule): Promise<Verdict> {
  const path = join(directory, pathOf(rule));
  const sound = readFileSync(path, 'utf8');
  writeFileSync(
    path,
    sound.replace(rule.find, () => rule.replace),
  );
  try {
    const ofCaches = rule.by === 'caches';
    const replayed: Verdict =
      rule.unrecorded === true || ofCaches ? { kind: 'not noticed' } : await replay(directory, rule.file);
    if (replayed.kind !== 'not noticed') return replayed;
    return await test(directory, ofCaches ? TESTS_OF_CACHES : TESTS);
  } finally {
    writeFileSync(path, sound);
  }
}

function sayVerdict(rule: BrokenRule, verdict: Verdict): void {
  if (verdict.kind === 'noticed') console.log(`noticed      ${rule.id}: by ${verdict.by}`);
  else if (verdict.kind === 'not noticed') console.log(`NOT NOTICED  ${rule.id}: ${rule.rule}`);
  else console.log(`UNUSABLE     ${rule.id}: ${verdict.why}`);
}

async function judgeAll(scratch: string, rules: readonly BrokenRule[]): Promise<readonly Verdict[]> {
  const waiting = [...rules];
  const verdicts: Verdict[] = [];
  const work = async (directory: string): Promise<void> => {
    for (let rule = waiting.shift(); rule !== undefined; rule = waiting.shift()) {
      const verdict = await judge(directory, rule);
      sayVerdict(rule, verdict);
      verdicts.push(verdict);
    }
  };
  const workers = Array.from({ length: availableParallelism() }, (_, index) =>
    work(makeCopy(join(scratch, String(index)))),
  );
  await Promise.all(workers);
  return verdicts;
}

async function main(parts: readonly string[]): Promise<number> {
  const wrong = misplaced();
  wrong.forEach((line) => {
    console.log(line);
  });
  if (wrong.length > 0) return 1;
  const scratch = mkdtempSync(join(tmpdir(), 'mmuscope-mutate-'));
  try {
    const whole = makeCopy(join(scratch, 'whole'));
    const unbroken = [await replay(whole, 'walk.ts'), await test(whole, TESTS_OF_CACHES)];
    if (unbroken.some(({ kind }) => kind !== 'not noticed')) {
      console.log('the unbroken walk does not pass:', unbroken);
      return 1;
    }
    const rules = RULES.filter(({ id }) => parts.length === 0 || parts.some((part) => id.includes(part)));
    const verdicts = await judgeAll(scratch, rules);
    const noticed = verdicts.filter(({ kind }) => kind === 'noticed').length;
    console.log(`${String(noticed)} noticed, ${String(rules.length - noticed)} not noticed`);
    return noticed === rules.length ? 0 : 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

process.exitCode = await main(process.argv.slice(2));
