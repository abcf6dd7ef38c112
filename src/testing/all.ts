/** `npm test`: every check, in order, with a line of progress each. All run, even after a failure; the last line counts. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface Stage {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Runs only if that stage has passed. */
  readonly after?: string;
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const vectors = readdirSync(`${root}src/testing/vectors`).map((file) => `src/testing/vectors/${file}`);
const npm = (name: string, ...args: string[]): Pick<Stage, 'command' | 'args'> => ({
  command: 'npm',
  args: ['run', '-s', name, ...(args.length === 0 ? [] : ['--', ...args])],
});

const STAGES: readonly Stage[] = [
  { name: 'grammar is generated', ...npm('gen', '--check') },
  { name: 'types', ...npm('typecheck') },
  { name: 'format', ...npm('format:check') },
  { name: 'lint', ...npm('lint') },
  { name: 'import rules', ...npm('imports') },
  { name: 'dead code', ...npm('dead') },
  { name: 'units and properties', ...npm('unit') },
  { name: 'catalogue', ...npm('mmuscope', 'run', '--catalogue') },
  { name: 'recorded walks', ...npm('mmuscope', 'walk', ...vectors) },
  { name: 'recorded kernels', ...npm('mmuscope', 'conform', 'public/kvm-traces') },
  { name: 'build', ...npm('build') },
  { name: 'size of the first load', ...npm('size'), after: 'build' },
  { name: 'browser journeys', ...npm('e2e'), after: 'build' },
];

function run(stage: Stage): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(stage.command, stage.args, {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
    });
    let output = '';
    const keep = (data: Buffer): void => {
      output += data.toString();
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => {
      resolve({ code: 1, output: `${output}${error.message}\n` });
    });
    child.on('close', (code) => {
      resolve({ code: code ?? 1, output });
    });
  });
}

const passed = new Set<string>();
for (const stage of STAGES) {
  process.stdout.write(`· ${stage.name} ...\n`);
  const start = process.hrtime.bigint();
  const skipped = stage.after !== undefined && !passed.has(stage.after);
  const { code, output } = skipped
    ? { code: 1, output: `not run: ${stage.after ?? ''} failed\n` }
    : await run(stage);
  const seconds = (Number(process.hrtime.bigint() - start) / 1e9).toFixed(1);
  if (code === 0) passed.add(stage.name);
  else process.stdout.write(output);
  const lines = output.trim().split('\n');
  process.stdout.write(
    `${code === 0 ? 'ok  ' : 'FAIL'} ${stage.name} (${seconds} s)${code === 0 ? `: ${lines.at(-1) ?? ''}` : ''}\n`,
  );
}
const failed = STAGES.length - passed.size;
process.exitCode = failed === 0 ? 0 : 1;
process.stdout.write(`${String(passed.size)} passed, ${String(failed)} failed\n`);
