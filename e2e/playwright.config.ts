import { defineConfig } from '@playwright/test';

const address = process.env['MMUSCOPE_ADDRESS'] ?? 'http://127.0.0.1:4173/';
const executablePath = process.env['MMUSCOPE_BROWSER'];

export default defineConfig({
  testDir: '.',
  outputDir: 'results',
  workers: 2,
  fullyParallel: true,
  retries: 0,
  timeout: 90_000,
  // The bound of a wait for what will come, also on a machine with other work.
  expect: { timeout: 15_000 },
  reporter: [['list']],
  use: {
    baseURL: address,
    viewport: { width: 1440, height: 900 },
    launchOptions: {
      ...(executablePath === undefined ? {} : { executablePath }),
      args: (process.env['MMUSCOPE_BROWSER_ARGS'] ?? '').split(' ').filter((arg) => arg !== ''),
    },
  },
});
