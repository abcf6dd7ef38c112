/** `npm run shots -- [hash]...`: screenshots of the build, to be looked at. */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from '@playwright/test';
import { findBrowser } from '../src/testing/browser.ts';
import { idle } from './app.ts';
import { serveBuild } from './serve.ts';

const SIZES = [
  [1440, 900],
  [1280, 720],
  [390, 844],
] as const;
const folder = fileURLToPath(new URL('shots/', import.meta.url));
mkdirSync(folder, { recursive: true });
const hashes = process.argv.length > 2 ? process.argv.slice(2) : [''];
const { executablePath, args } = findBrowser(console.log);
const server = await serveBuild();
const browser = await chromium.launch({ executablePath, args: [...args] });
for (const [index, hash] of hashes.entries()) {
  for (const [width, height] of SIZES) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await browser.newPage({ viewport: { width, height }, colorScheme });
      await page.goto(server.address + hash);
      await idle(page);
      const path = `${folder}${String(index)}-${String(width)}x${String(height)}-${colorScheme}.png`;
      await page.screenshot({ path });
      console.log(path.slice(folder.length), hash);
      await page.close();
    }
  }
}
await browser.close();
await server.close();
