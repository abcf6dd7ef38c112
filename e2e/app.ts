/** What journeys share: opening the app, waiting for its own idle signal. */
import { expect, type Page } from '@playwright/test';

/** Waits until nothing loads, runs or moves. */
export async function idle(page: Page): Promise<void> {
  await expect(page.locator('html')).toHaveAttribute('data-state', 'idle');
}

/** Opens the app at a link; fails the journey on any error on the page. */
export async function openApp(page: Page, hash = ''): Promise<void> {
  page.on('pageerror', (error) => {
    throw error;
  });
  await page.goto(`./${hash}`);
  await idle(page);
}

export async function press(page: Page, key: string, times = 1): Promise<void> {
  for (let count = 0; count < times; count += 1) {
    await page.keyboard.press(key);
    await idle(page);
  }
}

/** The number next to a counter's label. */
export const counter = (page: Page, label: string) =>
  page.locator('.counters div', { has: page.getByText(label, { exact: true }) }).locator('dd');
