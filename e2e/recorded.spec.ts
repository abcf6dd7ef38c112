/** Recorded programs of a real kernel: found, opened, stepped beside the kernel's own trace, shared, changed. */
import AxeBuilder from '@axe-core/playwright';
import { expect, test, type Page } from '@playwright/test';
import { idle, openApp, press } from './app.ts';

const panel = (page: Page) => page.getByRole('region', { name: "Kernel's trace" });
const current = (page: Page) => panel(page).locator('li[aria-current="step"]');

test('a recorded program is found, and the trace of its kernel goes along with the model', async ({
  page,
}) => {
  await openApp(page, '#/scenarios');
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Search the scenarios').fill('copy on write real kernel');
  await expect(dialog.getByRole('status')).toHaveText('1 scenario');
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await dialog.getByRole('link', { name: /Linux 6\.12/ }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('copy on write');
  await idle(page);
  await expect(panel(page)).toContainText('Linux 6.12.117+deb12-amd64');
  await expect(panel(page)).toContainText('Step 1 of 16');
  await expect(panel(page)).toContainText('All say the same.');
  await expect(page).toHaveURL(/#\/s\/linux-6-12-shadow64-cow/);

  // The read of a read-only page: the kernel's walk of the guest's tables, line by line.
  await press(page, ']', 4);
  await expect(panel(page)).toContainText('Step 5 of 16');
  await expect(panel(page)).toContainText('v0 user read 0x402000');
  await panel(page).getByRole('button', { name: 'pte 102005 level 1' }).click();
  await idle(page);
  await expect(current(page)).toContainText('kvm_mmu_paging_element: pte 102005 level 1');
  await expect(page.locator('.caption .what')).toContainText('0x102005');
  await press(page, 'ArrowRight');
  await expect(current(page)).toContainText('kvm_mmu_set_accessed_bit: gpa 4010');
  await press(page, 'ArrowLeft');
  await expect(current(page)).toContainText('pte 102005 level 1');
  await expect(panel(page).locator('li.reached').last()).toContainText('pte 102005 level 1');
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await expect(page).toHaveURL(/c=\w{4}&at=5\.\d+$/);

  await page.reload();
  await idle(page);
  await expect(current(page)).toContainText('pte 102005 level 1');
  await expect(page.locator('.banner')).toHaveCount(0);
});

test('its lines go to its steps, and a changed text is a scenario of its own', async ({ page }) => {
  await openApp(page, '#/s/linux-6-1-shadow64-mmio');
  await expect(panel(page)).toContainText('Linux 6.1');
  await page.getByRole('button', { name: 'host add-slot slot=1' }).first().click();
  await idle(page);
  await expect(panel(page)).toContainText('Step 9 of 16');
  await page.keyboard.press('Escape');
  await panel(page).getByRole('button', { name: 'Close' }).click();
  await expect(panel(page)).toHaveCount(0);
  await page.keyboard.press('k');
  await expect(panel(page)).toBeVisible();

  await page.getByRole('button', { name: 'v0 user read 0x400008' }).click();
  await idle(page);
  await page.getByRole('button', { name: 'Delete this operation' }).click();
  await idle(page);
  await expect(page.getByText('This is no longer the recorded program')).toBeVisible();
  await expect(panel(page)).toHaveCount(0);
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([]);
  await page.getByRole('button', { name: 'Back to the recorded program' }).click();
  await idle(page);
  await expect(panel(page)).toBeVisible();
  await expect(page.getByText('This is no longer the recorded program')).toHaveCount(0);
});

test('a recording that there is not is said so', async ({ page }) => {
  await openApp(page, '#/s/linux-6-12-no-such-program');
  await expect(page.getByRole('alert')).toContainText('There is no scenario of that name');
});
