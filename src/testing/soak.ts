/** `npm run soak`: the properties, with thousands of cases each. */
import { spawnSync } from 'node:child_process';

const HOUR_MS = 3_600_000;
const { status } = spawnSync('npx', ['vitest', 'run', '.prop.', '--testTimeout', String(HOUR_MS)], {
  stdio: 'inherit',
  env: { ...process.env, SOAK: '1' },
  shell: process.platform === 'win32',
});
process.exitCode = status ?? 1;
