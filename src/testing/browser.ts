/**
 * Finds a browser for the journeys, or obtains one: one that is named, one that is installed, Playwright's own, or, as
 * root on Debian, the system's package.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from '@playwright/test';

export interface Browser {
  readonly executablePath: string;
  readonly args: readonly string[];
}

/** What the search may do; given, so that a test can try each way. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly exists: (path: string) => boolean;
  /** Gives whether the command succeeded. */
  readonly run: (command: string, args: readonly string[], seconds: number) => boolean;
  readonly playwrightPath: () => string;
  readonly isRoot: boolean;
  readonly say: (line: string) => void;
}

const NAMES = [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
  'microsoft-edge',
  'chrome.exe',
  'msedge.exe',
];
const PLACES = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  'C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe',
];
/** A browser run by root cannot make its own sandbox; the rest keeps it from calling home. */
const ROOT_ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const ADVICE =
  'No browser was found or could be obtained: install Chromium or Chrome, or name one in MMUSCOPE_BROWSER.';

/** The path of a browser, or undefined when there is none to be had. */
export function choosePath(around: Surroundings): string | undefined {
  const named = around.environment['MMUSCOPE_BROWSER'];
  if (named !== undefined && named !== '') return named;
  const installed = installedPath(around);
  if (installed !== undefined) return installed;
  if (around.exists(around.playwrightPath())) return around.playwrightPath();
  around.say(
    'no browser is installed; downloading the one that Playwright brings (a few minutes at most) ...',
  );
  if (around.run('npx', ['playwright', 'install', 'chromium'], 240) && around.exists(around.playwrightPath()))
    return around.playwrightPath();
  if (!around.isRoot || !around.exists('/etc/debian_version')) return undefined;
  around.say('the download failed; installing chromium with apt-get (a few minutes at most) ...');
  const done =
    around.run('apt-get', ['update'], 240) &&
    around.run('apt-get', ['install', '-y', '--no-install-recommends', 'chromium'], 480);
  return done ? installedPath(around) : undefined;
}

function installedPath(around: Surroundings): string | undefined {
  const folders = (around.environment['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...folders.flatMap((folder) => NAMES.map((name) => join(folder, name))), ...PLACES].find((path) =>
    around.exists(path),
  );
}

export function findBrowser(say: (line: string) => void): Browser {
  const isRoot = process.getuid?.() === 0;
  const executablePath = choosePath({
    environment: process.env,
    exists: existsSync,
    run: (command, args, seconds) =>
      spawnSync(command, args, {
        stdio: 'ignore',
        timeout: seconds * 1000,
        shell: process.platform === 'win32',
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      }).status === 0,
    playwrightPath: () => chromium.executablePath(),
    isRoot,
    say,
  });
  if (executablePath === undefined) throw new Error(ADVICE);
  return { executablePath, args: isRoot ? ROOT_ARGS : [] };
}
