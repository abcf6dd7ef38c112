/**
 * `npm run bench:browser`: what a person waits for. Main-thread time from a key to the end of painting, the first paint
 * and what it takes to load, the coding of links, and memory after ten thousand steps. Needs a build.
 */
import { chromium, type Browser, type CDPSession, type Page } from '@playwright/test';
import { gzipSync } from 'node:zlib';
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatLink, parseLink } from '../scenario/links.ts';
import { findBrowser } from '../testing/browser.ts';
import { catalogueText } from '../testing/scenarios.ts';
import { percentile, workOfKeys, type KeyWork, type TraceEvent } from './trace-events.ts';

const STEPS = 200;
const VIEWPORT = { width: 1440, height: 900 };
const SLOWED = 4;

/** A guest with a table in each of many places: over thirty tables. */
const THIRTY_TABLES = [
  'mmuscope 1',
  'title Thirty tables',
  'slot 0x0 64M',
  ...Array.from(
    { length: 8 },
    (_, index) =>
      `map 0x${(0x400000 + index * 0x40000000).toString(16)} -> gfn 0x${(0x100 + index).toString(16)} rw user accessed dirty`,
  ),
  'begin',
  ...Array.from(
    { length: 8 },
    (_, index) => `v0 user read 0x${(0x400000 + index * 0x40000000).toString(16)}`,
  ),
  '',
].join('\n');

/** The build behind a server that compresses as any host of static files does. */
function serve(folder: string): Promise<{ address: string; close: () => void }> {
  const types: Readonly<Record<string, string>> = {
    '.html': 'text/html',
    '.js': 'text/javascript',
    '.css': 'text/css',
    '.json': 'application/json',
    '.svg': 'image/svg+xml',
  };
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent((request.url ?? '/').split('?')[0] ?? '/'));
    const file = join(folder, path.endsWith('/') ? `${path}index.html` : path);
    try {
      const body = gzipSync(readFileSync(file));
      response.writeHead(200, {
        'Content-Type': types[extname(file)] ?? 'text/plain',
        'Content-Encoding': 'gzip',
        'Content-Length': body.length,
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      resolve({
        address: `http://127.0.0.1:${String(port)}/`,
        close: () => {
          server.close();
        },
      });
    });
  });
}

const idle = (page: Page): Promise<unknown> => page.waitForSelector('html[data-state="idle"]');

async function open(
  browser: Browser,
  url: string,
  slowed: number,
): Promise<{ page: Page; session: CDPSession }> {
  const page = await browser.newPage({ viewport: VIEWPORT });
  await page.goto(url);
  await idle(page);
  const session = await page.context().newCDPSession(page);
  await session.send('Emulation.setCPUThrottlingRate', { rate: slowed });
  return { page, session };
}

/** Gives a function that waits for the app to become idle again. The page says so by itself: nobody asks it. */
async function idleSignal(session: CDPSession): Promise<() => Promise<void>> {
  let wake = (): void => undefined;
  session.on('Runtime.bindingCalled', () => {
    wake();
  });
  await session.send('Runtime.enable');
  await session.send('Runtime.addBinding', { name: 'settled' });
  await session.send('Runtime.evaluate', {
    expression: `{ const root = document.documentElement;
      new MutationObserver(() => { if (root.dataset.state === 'idle') settled(''); })
        .observe(root, { attributes: true, attributeFilter: ['data-state'] }); }`,
  });
  return () =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error('the app did not become idle in 10 s'));
      }, 10_000);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
}

/** Steps through a run with the arrow key, from its first step on, and from there again at its end. */
async function stepTimes(browser: Browser, url: string, slowed: number): Promise<readonly KeyWork[]> {
  const { page, session } = await open(browser, url, slowed);
  const [, , total] = /Step (\d+) of (\d+)/.exec(await page.locator('.position').innerText()) ?? [];
  const length = Number(total);
  const nextIdle = await idleSignal(session);
  const events = await traced(session, async () => {
    for (let step = 0; step < STEPS; step += 1) {
      if (step > 0 && step % length === 0) {
        // A press on the button, not the key for it: only steps are to be keys in the trace.
        const back = nextIdle();
        await session.send('Runtime.evaluate', {
          expression: `document.querySelector('.transport .home').click()`,
        });
        await back;
      }
      await press(session, nextIdle);
    }
  });
  await page.close();
  return workOfKeys(events);
}

/**
 * The same for a key that changes one word of the same page and nothing else, without any of our code for steps: what
 * this machine's browser needs at least for a key and a frame.
 */
async function floorTimes(browser: Browser, url: string, slowed: number): Promise<readonly KeyWork[]> {
  const { page, session } = await open(browser, url, slowed);
  const nextIdle = await idleSignal(session);
  await session.send('Runtime.evaluate', {
    expression: `{ const word = document.querySelector('.position').firstChild, root = document.documentElement;
      let count = 0;
      addEventListener('keydown', (event) => {
        event.stopImmediatePropagation();
        word.textContent = 'Step ' + (count += 1);
        root.dataset.state = 'busy';
        requestAnimationFrame(() => requestAnimationFrame(() => { root.dataset.state = 'idle'; }));
      }, true); }`,
  });
  const events = await traced(session, async () => {
    for (let step = 0; step < STEPS; step += 1) await press(session, nextIdle);
  });
  await page.close();
  return workOfKeys(events);
}

/** One press of the key for a step; settles when the app is idle again. */
async function press(session: CDPSession, nextIdle: () => Promise<void>): Promise<void> {
  const done = nextIdle();
  await session.send('Input.dispatchKeyEvent', {
    type: 'rawKeyDown',
    key: 'ArrowRight',
    code: 'ArrowRight',
    windowsVirtualKeyCode: 39,
  });
  await done;
}

/** The browser's trace of what is done meanwhile. */
async function traced(session: CDPSession, work: () => Promise<void>): Promise<readonly TraceEvent[]> {
  const events: TraceEvent[] = [];
  session.on('Tracing.dataCollected', ({ value }) => {
    events.push(...(value as unknown as TraceEvent[]));
  });
  await session.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: {
      includedCategories: ['devtools.timeline', 'disabled-by-default-devtools.timeline', 'toplevel'],
      excludedCategories: ['*'],
    },
  });
  await work();
  const complete = new Promise((resolve) => {
    session.once('Tracing.tracingComplete', resolve);
  });
  await session.send('Tracing.end');
  await complete;
  return events;
}

async function firstPaint(
  browser: Browser,
  url: string,
  slowed: number,
): Promise<{ ms: number; bytes: number; requests: number }> {
  const context = await browser.newContext({ viewport: VIEWPORT });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  await session.send('Emulation.setCPUThrottlingRate', { rate: slowed });
  let [bytes, requests] = [0, 0];
  session.on('Network.loadingFinished', ({ encodedDataLength }) => {
    bytes += encodedDataLength;
    requests += 1;
  });
  await page.goto(url);
  await idle(page);
  const ms = await page.evaluate(
    () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Infinity,
  );
  await context.close();
  return { ms, bytes, requests };
}

interface Memory {
  readonly heap: number;
  readonly nodes: number;
  readonly listeners: number;
}

async function memoryOf(session: CDPSession): Promise<Memory> {
  await session.send('HeapProfiler.collectGarbage');
  const { metrics } = await session.send('Performance.getMetrics');
  const find = (name: string): number => metrics.find((metric) => metric.name === name)?.value ?? 0;
  return { heap: find('JSHeapUsedSize'), nodes: find('Nodes'), listeners: find('JSEventListeners') };
}

/** What the page runs to step back and forth: text, because nothing here knows the DOM. */
const walk = (count: number): string => `(async () => {
  for (let at = 0; at < ${String(count)}; at += 1) {
    const key = at % 60 < 30 ? 'ArrowRight' : 'ArrowLeft';
    document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
})()`;

/** Steps back and forth inside the page: a key is handled as a key, but nothing travels to the browser and back. */
async function memoryAfter(
  browser: Browser,
  url: string,
): Promise<readonly { steps: number; memory: Memory }[]> {
  const { page, session } = await open(browser, url, 1);
  await session.send('Performance.enable');
  const found: { steps: number; memory: Memory }[] = [];
  let done = 0;
  for (const steps of [500, 5_000, 10_000]) {
    await session.send('Runtime.evaluate', { expression: walk(steps - done), awaitPromise: true });
    await idle(page);
    done = steps;
    found.push({ steps, memory: await memoryOf(session) });
  }
  await page.close();
  return found;
}

async function linkCoding(): Promise<string> {
  const text = catalogueText('stale-tlb');
  const state = { at: { operation: '3', step: 22 }, check: 'abcd', settings: {} };
  const hash = await formatLink({ kind: 'own', text }, state);
  const time = async (body: () => Promise<unknown>): Promise<number> => {
    const times: number[] = [];
    for (let round = 0; round < 200; round += 1) {
      const start = performance.now();
      await body();
      times.push(performance.now() - start);
    }
    return percentile(times, 0.5);
  };
  const write = await time(() => formatLink({ kind: 'own', text }, state));
  const read = await time(() => parseLink(hash));
  return `links: ${String(text.trimEnd().split('\n').length)} lines, ${String(text.length)} characters -> ${String(hash.length)}; write ${write.toFixed(2)} ms, read ${read.toFixed(2)} ms`;
}

const spread = (times: readonly number[]): string =>
  `median ${percentile(times, 0.5).toFixed(1)} ms, p95 ${percentile(times, 0.95).toFixed(1)} ms, most ${Math.max(...times).toFixed(1)} ms`;

const holds = (good: boolean): string => (good ? 'holds' : 'DOES NOT HOLD');

const folder = process.argv[2] ?? fileURLToPath(new URL('../../dist/', import.meta.url));
const { executablePath, args } = findBrowser(console.log);
const server = await serve(folder);
const browser = await chromium.launch({ executablePath, args: [...args] });
const thirty = await formatLink(
  { kind: 'own', text: THIRTY_TABLES },
  { at: { operation: '0', step: 0 }, check: '0000', settings: {} },
);
const figures: Record<string, number> = {};
const onThreads = (keys: readonly KeyWork[]): readonly number[] =>
  keys.flatMap(({ toPaint, onThread }) => (toPaint === undefined ? [] : [onThread ?? toPaint]));
const floors = new Map<number, number>();
for (const slowed of [1, SLOWED]) {
  const least = onThreads(await floorTimes(browser, `${server.address}#/s/three-exits?at=0.0`, slowed));
  floors.set(slowed, percentile(least, 0.95));
  figures[`one word x${String(slowed)} p95 ms`] = percentile(least, 0.95);
  console.log(
    `a key that changes one word of the page, slowed ${String(slowed)}x: ${spread(least)} (no target: what this machine needs at least)`,
  );
}
for (const [name, hash] of [
  ['three-exits', '#/s/three-exits?at=0.0'],
  ['thirty tables', thirty],
] as const) {
  for (const slowed of [1, SLOWED]) {
    const keys = await stepTimes(browser, server.address + hash, slowed);
    const target = slowed === 1 ? 8 : 16;
    const own = onThreads(keys);
    const elapsed = keys.flatMap(({ toPaint }) => toPaint ?? []);
    const p95 = percentile(own, 0.95);
    figures[`${name} x${String(slowed)} p95 ms`] = p95;
    figures[`${name} x${String(slowed)} elapsed p95 ms`] = percentile(elapsed, 0.95);
    console.log(
      `key to paint, ${name}, slowed ${String(slowed)}x: ${String(own.length)} of ${String(keys.length)} keys painted; main-thread time ${spread(own)}; at most ${String(target)} ms ${holds(p95 <= target)}`,
    );
    console.log(`  ${(p95 / (floors.get(slowed) ?? 1)).toFixed(1)} times what one word takes here`);
    console.log(
      `  elapsed in the same tasks, other processes' turns included: ${spread(elapsed)} (no target)`,
    );
    const whole = keys.map(({ toPaint, following }) => (toPaint ?? 0) + following);
    const panels = percentile(whole, 0.95);
    figures[`${name} x${String(slowed)} with the next frame p95 ms`] = panels;
    console.log(
      `  with panels and timeline, which follow one frame later: median ${percentile(whole, 0.5).toFixed(1)} ms, p95 ${panels.toFixed(1)} ms (no target)`,
    );
  }
}
for (const slowed of [1, SLOWED]) {
  const loads = [];
  for (let round = 0; round < 5; round += 1) loads.push(await firstPaint(browser, server.address, slowed));
  const ms = percentile(
    loads.map((load) => load.ms),
    0.5,
  );
  figures[`first contentful paint x${String(slowed)} ms`] = ms;
  console.log(
    `first contentful paint, slowed ${String(slowed)}x: median ${ms.toFixed(0)} ms; ${String(loads[0]?.bytes)} bytes (gzip) in ${String(loads[0]?.requests)} requests${slowed === 1 ? '' : `; at most 700 ms ${holds(ms <= 700)}`}`,
  );
}
console.log(await linkCoding());
const memory = await memoryAfter(browser, `${server.address}#/s/three-exits?at=0.0`);
for (const { steps, memory: at } of memory)
  console.log(
    `memory after ${String(steps)} steps: ${(at.heap / 1e6).toFixed(1)} MB, ${String(at.nodes)} nodes, ${String(at.listeners)} listeners`,
  );
const [, half, whole] = memory;
const growth = (whole?.memory.heap ?? 0) / (half?.memory.heap ?? 1);
console.log(
  `memory from 5,000 to 10,000 steps: x${growth.toFixed(3)}; flat (at most x1.05) ${holds(growth <= 1.05)}`,
);
console.log(JSON.stringify(figures));
await browser.close();
server.close();
