import AxeBuilder from '@axe-core/playwright';
import { expect, test } from '@playwright/test';
import { counter, idle, openApp, press } from './app.ts';

test('the first screen is one guest page fault, paused at its first step', async ({ page }) => {
  const foreign: string[] = [];
  page.on('request', (request) => {
    if (!request.url().startsWith(test.info().project.use.baseURL ?? '')) foreign.push(request.url());
  });
  await openApp(page);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('One guest page fault, three VM exits');
  await expect(page.locator('.position')).toContainText('Step 1 of');
  await expect(page.locator('.caption .what')).toContainText('TLB has no usable translation');
  await press(page, 'ArrowLeft', 3);
  await expect(page.locator('.position')).toContainText('Step 0 of');
  expect(foreign).toEqual([]);
});

test('with zap the fault costs three exits, with update two', async ({ page }) => {
  await openApp(page);
  await press(page, 'End');
  await expect(counter(page, 'VM exits')).toHaveText('3');
  await expect(counter(page, 'injected')).toHaveText('1');
  await expect(counter(page, 'emulated')).toHaveText('1');
  await expect(counter(page, 'pf_fixed')).toHaveText('2');
  await page.getByLabel('guest PTE write').selectOption('update');
  await idle(page);
  await press(page, 'End');
  await expect(counter(page, 'VM exits')).toHaveText('2');
  await expect(counter(page, 'pf_fixed')).toHaveText('1');
  await expect(page).toHaveURL(/gpte-write=update/);
});

test('a link opens at its step, and the address bar follows', async ({ page }) => {
  await openApp(page, '#/s/stale-tlb?at=3.22');
  await expect(page.locator('.position')).toContainText('operation 3.22');
  await press(page, 'ArrowRight');
  await expect(page).toHaveURL(/#\/s\/stale-tlb\?c=\w{4}&at=3\.23$/);
});

test('the stale TLB entry does harm under flush=never, and the lamp says which rule', async ({ page }) => {
  await openApp(page, '#/s/stale-tlb?flush=never');
  await press(page, 'End');
  await expect(page.locator('.lamp')).toContainText('INV-6');
  await expect(page.locator('aside .trouble')).toContainText('Harm');
  await expect(counter(page, 'stale hits')).toHaveText('1');
});

for (const [hash, said] of [
  ['#/s/no-such-lesson', 'There is no scenario of that name'],
  ['#/s/three-exits?at=', 'cut off or damaged'],
  ['#/s/three-exits?flush=sometimes', 'does not know'],
  ['#/s/three-exits?at=9.1', 'does not have'],
  ['#/nonsense', 'no link of mmuscope'],
] as const) {
  test(`a damaged link says so: ${hash}`, async ({ page }) => {
    await openApp(page, hash);
    await expect(page.getByRole('alert')).toContainText(said);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('One guest page fault, three VM exits');
  });
}

test('every move has a key: step, over, out, into, operation, ends, play, help', async ({ page }) => {
  await openApp(page, '#/s/fork-detector');
  const position = async (): Promise<number> =>
    Number(/Step ([0-9]+)/.exec(await page.locator('.position').innerText())?.[1]);
  await press(page, 'ArrowRight');
  expect(await position()).toBe(2);
  await press(page, 'Shift+ArrowRight');
  const over = await position();
  expect(over).toBeGreaterThan(3);
  await press(page, 'Shift+ArrowLeft');
  expect(await position()).toBeLessThan(over);
  await press(page, 'ArrowDown');
  await press(page, 'ArrowUp');
  await press(page, ']');
  await expect(page.locator('.position')).toContainText('operation 2.1');
  await press(page, '[');
  await expect(page.locator('.position')).toContainText('operation 1.1');
  await press(page, 'End');
  await press(page, 'Home');
  expect(await position()).toBe(0);
  await press(page, '?');
  await expect(page.getByRole('dialog')).toBeVisible();
  await press(page, 'Escape');
  await expect(page.getByRole('dialog')).toBeHidden();
  await page.keyboard.press(' ');
  await expect(page.getByRole('button', { name: /Pause/ })).toBeVisible();
});

test('motions are drawn on the stage, and a step back undoes what a step did', async ({ page }) => {
  await openApp(page, '#/s/stale-tlb?at=3.21');
  const stage = page.locator('svg.picture');
  const before = await stage.locator('.boxes').textContent();
  await press(page, 'ArrowRight', 2);
  await expect(stage.locator('[data-motion="write-protect"]')).toHaveCount(1);
  await press(page, 'ArrowLeft', 2);
  expect(await stage.locator('.boxes').textContent()).toBe(before);
});

test('the text twin says what the picture shows', async ({ page }) => {
  await openApp(page, '#/s/three-exits?at=1.39');
  await page.getByRole('button', { name: 'Text' }).click();
  await idle(page);
  await expect(page.locator('.twin')).toContainText('shadow PT');
  await expect(page.locator('.twin')).toContainText('10013');
});

test('the walk as a grid: filled as references happen, gone through by keys, tied to the stage', async ({
  page,
}) => {
  await openApp(page, '#/s/stale-tlb');
  await page.getByRole('button', { name: 'Walk' }).click();
  const grid = page.getByRole('grid');
  const next = page.getByRole('button', { name: 'Go to the next walk' });
  await expect(grid.or(next)).toBeVisible();
  if (await next.isVisible()) await next.click();
  await idle(page);
  await expect(grid).toBeVisible();
  const cells = grid.getByRole('gridcell', { name: /^Reference/ });
  await expect(cells).toHaveCount(4);
  const now = grid.locator('[aria-current="step"]');
  await expect(now).toHaveAttribute('aria-label', /Reference 1 of 4, shadow PML4, read/);
  await expect(page.locator('.walk-totals .read dd')).toHaveText('1');
  const position = await page.locator('.position').innerText();
  await now.focus();
  await expect(page.locator('g.row.selected')).toHaveCount(1);
  await press(page, 'ArrowDown');
  await expect(page.locator('.position')).toHaveText(position);
  await press(page, 'Enter');
  await expect(page.locator('.position')).not.toHaveText(position);
  await expect(now).toHaveAttribute('aria-label', /Reference 2 of 4/);
  await page.setViewportSize({ width: 390, height: 844 });
  await expect(grid).toBeVisible();
  await expect(page.locator('svg.picture')).toBeHidden();
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map((violation) => violation.id)).toEqual([]);
});

for (const theme of ['light', 'dark'] as const) {
  test(`axe finds nothing, ${theme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: theme });
    for (const hash of ['', '#/s/stale-tlb?at=3.23&flush=never', '#/s/three-exits?at=bad']) {
      await openApp(page, hash);
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(
        violations.map(
          (violation) =>
            `${violation.id}: ${violation.nodes.map((node) => node.html.slice(0, 120)).join(' | ')}`,
        ),
      ).toEqual([]);
    }
  });
}
