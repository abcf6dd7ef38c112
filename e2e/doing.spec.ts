/** Doing instead of typing where there are several vCPUs and a dirty log: each form makes a line, and the line runs. */
import AxeBuilder from '@axe-core/playwright';
import { expect, test, type Locator, type Page } from '@playwright/test';
import { idle, openApp } from './app.ts';

async function openForm(page: Page): Promise<Locator> {
  if ((await page.locator('aside.left').count()) === 0) await page.getByLabel('Left panel').first().click();
  await page.getByText('Do something here').click();
  await expect(page.locator('.doing form')).toBeVisible();
  return page.locator('.doing');
}

test('the dirty log and a write in the middle of a fetch, by forms alone; a mistake on purpose loses it', async ({
  page,
}) => {
  await openApp(page, '#/s/another-vcpu-writes?at=1.5');
  const form = await openForm(page);
  const add = async (operation: string): Promise<void> => {
    await form.getByRole('button', { name: /^Add/ }).click();
    await idle(page);
    await expect(page.locator('.position')).toContainText(`operation ${operation}.1`);
  };
  await form.getByLabel('What').selectOption('host log');
  await add('2');
  await form.getByLabel('What').selectOption('write');
  await form.getByLabel('vCPU').selectOption('1');
  await form.getByLabel('Address').fill('V');
  await expect(form.locator('output')).toHaveText('v1 user write V = 1');
  await add('3');
  await form.getByLabel('What').selectOption('host fetch-log');
  await add('4');

  // Only another vCPU may act there, and only what a vCPU can do is offered.
  await form.getByLabel('When').selectOption('kvm_vm_ioctl_get_dirty_log/before-clear');
  await expect(form).toContainText('There the slot is write-protected and flushed');
  await expect(form.getByLabel('vCPU').locator('option')).toHaveText(['1']);
  await expect(form.getByLabel('What').locator('option', { hasText: 'host' })).toHaveCount(0);
  await form.getByLabel('What').selectOption('write');
  await form.getByLabel('Value').fill('2');
  await add('4');
  await expect(page.locator('.code')).toContainText(
    'at kvm_vm_ioctl_get_dirty_log/before-clear: v1 user write V = 2',
  );
  await expect(page.locator('.lamp')).not.toContainText('broken');
  expect((await new AxeBuilder({ page }).include('.doing').analyze()).violations).toEqual([]);

  await page.getByRole('button', { name: 'More settings' }).click();
  await page.locator('select[name="break"]').selectOption('E-B4');
  await idle(page);
  await page.keyboard.press('Escape');
  await page.locator('.lamp').click();
  const audit = page.locator('.audit');
  await expect(audit).toContainText('INV-12 found broken');
  await audit.locator('.events .jump').first().click();
  await idle(page);
  await expect(page.locator('.lamp')).toHaveText('Audit broken: INV-12');
  await expect(audit).toContainText('a mistake made on purpose (break=E-B4)');
  await expect(page.locator('.caption .alarm')).toContainText('E-B4, a mistake made on purpose');
});

test('a vCPU halts and is asked to flush, by keyboard; every register is there', async ({ page }) => {
  await openApp(page, '#/s/another-vcpu-writes?at=1.5');
  const form = await openForm(page);
  await form.getByLabel('What').focus();
  await form.getByLabel('What').selectOption('halt');
  await form.getByLabel('vCPU').selectOption('1');
  await form.getByRole('button', { name: /^Add/ }).focus();
  await page.keyboard.press('Enter');
  await idle(page);
  await expect(page.locator('.code .now')).toContainText('v1 halt');
  await form.getByLabel('What').selectOption('host flush-all');
  await page.getByRole('button', { name: /^Add after/ }).click();
  await idle(page);
  await expect(page.locator('.code .now')).toContainText('host flush-all');
  await form.getByLabel('What').selectOption('set');
  await expect(form.getByLabel('Register').locator('option')).toContainText(['cr0.wp', 'efer.nxe', 'cr3']);
});

test('on a narrow screen the form fits', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await openApp(page, '#/s/another-vcpu-writes?at=1.5');
  const form = await openForm(page);
  await form.getByLabel('When').selectOption('rmap_write_protect/before-flush');
  const wide = await page.evaluate('document.documentElement.scrollWidth');
  expect(wide).toBeLessThanOrEqual(390);
});
