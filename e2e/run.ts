/** `npm run e2e`: finds a browser, serves the build, runs the journeys. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { findBrowser } from '../src/testing/browser.ts';
import { serveBuild } from './serve.ts';

const { executablePath, args } = findBrowser((line) => {
  console.log(line);
});
const server = await serveBuild();
const config = fileURLToPath(new URL('playwright.config.ts', import.meta.url));
const cli = fileURLToPath(new URL('../node_modules/@playwright/test/cli.js', import.meta.url));
const child = spawn(process.execPath, [cli, 'test', '--config', config, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: {
    ...process.env,
    MMUSCOPE_ADDRESS: server.address,
    MMUSCOPE_BROWSER: executablePath,
    MMUSCOPE_BROWSER_ARGS: args.join(' '),
  },
});
process.exitCode = await new Promise<number>((resolve) => {
  child.on('close', (code) => {
    resolve(code ?? 1);
  });
});
await server.close();
