/** The audit: from the lamp to every rule, the step that broke one, and the step at which that was found. */
import AxeBuilder from '@axe-core/playwright';
import { expect, test, type Locator, type Page } from '@playwright/test';
import { idle, openApp, press } from './app.ts';
import { RULES } from '../src/core/audit/rules.ts';

const STALE = '#/s/stale-tlb?flush=never';
const panel = (page: Page): Locator => page.getByRole('region', { name: 'Audit' });
const RULE_COUNT = Object.keys(RULES).length;

const lamp = (page: Page): Locator =>
  page.getByRole('banner').getByRole('button', { name: /^(No )?[Aa]udit/ });
const rule = (page: Page, id: string): Locator =>
  panel(page).locator('.rule', { hasText: new RegExp(`${id}(?![0-9])`) });
const position = (page: Page): Locator => page.locator('.position');

async function violationsOfAxe(page: Page): Promise<readonly string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`,
  );
}

test('the lamp turns red; the panel leads to the cause and to where it was found', async ({ page }) => {
  await openApp(page, STALE);
  await expect(lamp(page)).toHaveText('Audit holds');
  await press(page, 'End');
  await expect(lamp(page)).toContainText('Audit broken');
  await lamp(page).click();
  await expect(panel(page).getByRole('heading', { name: 'Audit', exact: true })).toBeFocused();
  await expect(lamp(page)).toHaveAttribute('aria-expanded', 'true');
  await expect(panel(page)).toContainText('2 rules are broken at this step.');

  const stale = rule(page, 'INV-6');
  await expect(stale).toContainText('Broken');
  await expect(stale).toContainText('TLB entry of vCPU 0 for K');
  await expect(stale).toContainText('C-B1, a policy that is wrong on purpose: flush=never');
  await expect(stale).toContainText('None of its own checks complains of it.');
  await expect(rule(page, 'INV-1')).toContainText('Its audit_mappings complains of it too.');
  await expect(panel(page).locator('.checks .complains')).toHaveCount(1);
  await expect(panel(page).locator('.checks .complains')).toContainText(
    'V: the shadow leads to host frame 0x10020, the guest’s tables to 0x10021.',
  );

  await stale.getByRole('button', { name: 'Broken by step 50' }).click();
  await idle(page);
  await expect(position(page)).toContainText('Step 50 of');
  await expect(page.locator('.caption .what')).toContainText('read-only');
  await expect(lamp(page)).toContainText('in flight');
  await expect(stale).toContainText('Broken, not found yet');
  await expect(panel(page).locator('.owed')).toContainText('due before vCPU 0 runs the guest again');
  await expect(panel(page).locator('.checks .complains')).toHaveCount(0);

  await stale.getByRole('button', { name: 'To be found at step 55' }).click();
  await idle(page);
  await expect(position(page)).toContainText('Step 55 of');
  await expect(lamp(page)).toHaveText('Audit broken: INV-6');
  await expect(panel(page).locator('.owed .overdue')).toContainText('Overdue since step 55');
  // All three of the kernel's own checks pass while the stale entry waits.
  await expect(panel(page).locator('.checks .passes')).toHaveCount(3);

  await panel(page).getByRole('button', { name: 'Step 72' }).click();
  await idle(page);
  await expect(page.locator('.caption .alarm')).toContainText('no correct processor');
  await expect(panel(page).getByRole('button', { name: 'Step 72' })).toHaveAttribute('aria-current', 'step');
});

test('the same by keyboard alone, and out again', async ({ page }) => {
  await openApp(page, STALE);
  await page.keyboard.press('a');
  await expect(panel(page).getByRole('heading', { name: 'Audit', exact: true })).toBeFocused();
  const first = panel(page)
    .getByRole('list', { name: /^What goes wrong/ })
    .getByRole('button')
    .first();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await expect(first).toBeFocused();
  await page.keyboard.press('Enter');
  await idle(page);
  await expect(position(page)).toContainText('Step 55 of');
  await expect(first).toBeFocused();
  const cause = rule(page, 'INV-6').getByRole('button', { name: 'Broken by step 50' });
  for (let tabs = 0; tabs < 12 && !(await cause.evaluate((e) => e === document.activeElement)); tabs += 1)
    await page.keyboard.press('Tab');
  await expect(cause).toBeFocused();
  await page.keyboard.press('Enter');
  await idle(page);
  await expect(position(page)).toContainText('Step 50 of');
  await press(page, 'ArrowRight');
  await expect(position(page)).toContainText('Step 51 of');
  await page.keyboard.press('Escape');
  await expect(panel(page)).toHaveCount(0);
  await expect(lamp(page)).toBeFocused();
});

test('a run without a fault, and a machine that is not audited, say so', async ({ page }) => {
  await openApp(page, '#/s/three-exits');
  await lamp(page).click();
  await expect(panel(page)).toContainText('No rule breaks anywhere in this run');
  await expect(panel(page).locator('.rule.holds')).toHaveCount(RULE_COUNT);
  const open = rule(page, 'INV-3').locator('summary');
  await open.click();
  await expect(rule(page, 'INV-3')).toContainText('when an exit has been handled');
  await openApp(page, '#/s/stale-right');
  await expect(lamp(page)).toHaveText('No audit here');
  await page.keyboard.press('a');
  await expect(panel(page).locator('.rule.not-applicable')).toHaveCount(RULE_COUNT);
  expect(await violationsOfAxe(page)).toEqual([]);
});

test('what goes wrong stands on the timeline with a sign and a letter of its own', async ({ page }) => {
  await openApp(page, STALE);
  await expect(page.locator('.mark.broken text')).toHaveText(['B', 'B']);
  await expect(page.locator('.mark.harm text')).toHaveText(['H', 'H']);
  await openApp(page, '#/s/stale-tlb?flush=always');
  await expect(page.locator('.mark.flush').first()).toBeAttached();
  await expect(page.locator('.mark.broken, .mark.harm')).toHaveCount(0);
});

for (const { width, height } of [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
]) {
  for (const theme of ['light', 'dark'] as const) {
    test(`axe finds nothing with the audit open, ${theme}, ${String(width)} wide`, async ({ page }) => {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme: theme });
      for (const hash of [`${STALE}&at=6.7`, `${STALE}&at=3.24`]) {
        await openApp(page, hash);
        await page.keyboard.press('a');
        await expect(panel(page)).toBeVisible();
        expect(await violationsOfAxe(page)).toEqual([]);
        await page.keyboard.press('Escape');
      }
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(wide).toBeLessThanOrEqual(0);
    });
  }
}
