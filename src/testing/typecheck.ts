/** Checks the types of everything, then of each storey with only the names that it may use. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const compiler = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
const configs = [
  'tsconfig.json',
  'src/tsconfig.pure.json',
  'src/tsconfig.node.json',
  'src/tsconfig.browser.json',
];

for (const config of configs) {
  const { status } = spawnSync(process.execPath, [compiler, '--noEmit', '-p', config], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) process.exitCode = 1;
}
console.log(`types checked under ${String(configs.length)} configurations`);
