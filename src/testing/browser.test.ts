import { delimiter } from 'node:path';
import { describe, expect, test } from 'vitest';
import { choosePath, type Surroundings } from './browser.ts';

const around = (
  over: Partial<Surroundings> & { files?: readonly string[] },
): { surroundings: Surroundings; commands: string[] } => {
  const commands: string[] = [];
  const files = over.files ?? [];
  return {
    commands,
    surroundings: {
      environment: { PATH: ['/usr/bin', '/opt/bin'].join(delimiter) },
      exists: (path) => files.includes(path),
      run: (command, args) => {
        commands.push([command, ...args].join(' '));
        return false;
      },
      playwrightPath: () => '/cache/chrome',
      isRoot: false,
      say: () => undefined,
      ...over,
    },
  };
};

describe('a browser is', () => {
  test.each([
    ['the one that is named', { environment: { MMUSCOPE_BROWSER: '/my/browser' } }, '/my/browser'],
    ['one on the path', { files: ['/opt/bin/google-chrome'] }, '/opt/bin/google-chrome'],
    ["Playwright's own, once downloaded", { files: ['/cache/chrome'] }, '/cache/chrome'],
    ['none, where nothing helps', {}, undefined],
  ])('%s', (_name, over, expected) => {
    expect(choosePath(around(over).surroundings)).toBe(expected);
  });

  test("installed by apt as root on Debian, when Playwright's download fails", () => {
    const files = ['/etc/debian_version'];
    const commands: string[] = [];
    const { surroundings } = around({
      isRoot: true,
      files,
      run: (command, args) => {
        commands.push([command, ...args].join(' '));
        if (args.includes('chromium') && command === 'apt-get') files.push('/usr/bin/chromium');
        return command === 'apt-get';
      },
    });
    expect(choosePath(surroundings)).toBe('/usr/bin/chromium');
    expect(commands).toEqual([
      'npx playwright install chromium',
      'apt-get update',
      'apt-get install -y --no-install-recommends chromium',
    ]);
  });
});
