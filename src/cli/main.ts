/** The same model without a browser. */
import '../core/meanings.ts';
import { loadEngines } from '../core/operations/engines.ts';
import { loadSentences } from '../scene/sentences.ts';
import { checkScenario } from '../scenario/plan.ts';
import { settingOf } from '../core/settings.ts';
import type { SettingChoices } from '../scenario/ast.ts';
import type { Place } from '../scenario/links.ts';
import { isOwnName } from '../scenario/own-choices.ts';
import type { Varied } from '../scenario/sweep.ts';
import { conformCommand } from './conform.ts';
import { compareCommand, tableCommand } from './compare.ts';
import { linkCommand } from './link.ts';
import { problemText, readScenario, runCatalogue, runCommand, type Print, type RunOptions } from './run.ts';
import { walkCommand } from './walk.ts';

const USAGE = `usage: npm run -s mmuscope -- <command>
  run <file or catalogue id> [--set key=value]... [--text [--depth operation|function|step] | --json]
  run <file or catalogue id> [--set key=value]... --compare key=value... [--json]
  run <file or catalogue id> [--set key=value]... --vary key=value,value... [--vary ...]... [--json]
  run --catalogue
  walk <vectors.jsonl[.gz]>...
  conform <folder of a recorded scenario, or of several>...
  check <file or catalogue id>
  link <file or catalogue id> [--at operation.step] [--set key=value]...
  link '#/...'`;

class UsageError extends Error {}

async function main(args: readonly string[], print: Print): Promise<number> {
  await Promise.all([loadEngines(), loadSentences()]);
  const [command, ...rest] = args;
  switch (command) {
    case 'run':
      return rest[0] === '--catalogue' ? runCatalogue(print) : runOne(rest, print);
    case 'walk':
      if (rest.length === 0) throw new UsageError('walk needs at least one file');
      return walkCommand(rest, print);
    case 'conform':
      if (rest.length === 0) throw new UsageError('conform needs at least one folder');
      return conformCommand(rest, print);
    case 'check': {
      if (rest[0] === undefined) throw new UsageError('check needs a file');
      const problems = checkScenario(readScenario(rest[0]));
      problems.forEach((problem) => {
        print(problemText(problem));
      });
      return problems.length === 0 ? 0 : 1;
    }
    case 'link':
      return linkOne(rest, print);
    case undefined:
    default:
      throw new UsageError(
        command === undefined ? 'a command is needed' : `there is no command "${command}"`,
      );
  }
}

function runOne(args: readonly string[], print: Print): number {
  let name: string | undefined;
  let settings: SettingChoices = {};
  let versus: SettingChoices | undefined;
  const varied: Varied[] = [];
  let output: RunOptions['output'] = 'summary';
  let depth: RunOptions['depth'] = 'step';
  const queue = [...args];
  for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
    if (arg === '--text') output = 'text';
    else if (arg === '--json') output = 'json';
    else if (arg === '--depth') depth = depthOf(queue.shift());
    else if (arg === '--set') settings = { ...settings, ...choiceOf(queue.shift() ?? '') };
    else if (arg === '--compare') versus = { ...versus, ...choiceOf(queue.shift() ?? '') };
    else if (arg === '--vary') varied.push(variedOf(queue.shift() ?? ''));
    else if (arg.startsWith('--')) throw new UsageError(`there is no option ${arg}`);
    else name = arg;
  }
  if (name === undefined) throw new UsageError('run needs a file or a catalogue id');
  if (versus !== undefined && varied.length > 0)
    throw new UsageError('--compare and --vary exclude each other');
  const json = output === 'json';
  if (varied.length > 0) return tableCommand(name, { settings, varied, json }, print);
  if (versus !== undefined) return compareCommand(name, { settings, versus, json }, print);
  return runCommand(name, { settings, output, depth }, print);
}

function variedOf(text: string): Varied {
  const [name = '', values = ''] = text.split('=', 2);
  if (settingOf(name) === undefined && !isOwnName(name))
    throw new UsageError(`there is no setting "${name}"`);
  if (values === '') throw new UsageError('--vary looks like flush=always,never');
  return { name, values: values.split(',') };
}

async function linkOne(args: readonly string[], print: Print): Promise<number> {
  let name: string | undefined;
  let settings: SettingChoices = {};
  let at: Place = { operation: '0', step: 0 };
  const queue = [...args];
  for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
    if (arg === '--set') settings = { ...settings, ...choiceOf(queue.shift() ?? '') };
    else if (arg === '--at') at = placeOf(queue.shift() ?? '');
    else name = arg;
  }
  if (name === undefined) throw new UsageError('link needs a file, a catalogue id or a link');
  return linkCommand(name, { settings, at }, print);
}

function placeOf(text: string): Place {
  const place = /^(g?[0-9]{1,5})\.([0-9]{1,7})$/.exec(text);
  if (place === null) throw new UsageError('--at looks like 1.5');
  return { operation: place[1] ?? '0', step: Number(place[2]) };
}

function depthOf(text: string | undefined): RunOptions['depth'] {
  if (text === 'operation' || text === 'function' || text === 'step') return text;
  throw new UsageError('--depth is operation, function or step');
}

function choiceOf(text: string): SettingChoices {
  const [name = '', value = ''] = text.split('=', 2);
  if (settingOf(name) === undefined && !isOwnName(name))
    throw new UsageError(`there is no setting "${name}"`);
  return { [name]: value };
}

// Whoever reads our output may stop early (`| head`): that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  process.exitCode = await main(process.argv.slice(2), (line) => process.stdout.write(`${line}\n`));
} catch (error) {
  process.stderr.write(
    `${error instanceof Error ? error.message : String(error)}\n${error instanceof UsageError ? `${USAGE}\n` : ''}`,
  );
  process.exitCode = 2;
}
