/** The translation bench: a translation tried out, bits flipped, and the same done in the scenario. */
import AxeBuilder from '@axe-core/playwright';
import { expect, test, type Locator, type Page } from '@playwright/test';
import { idle, openApp, press } from './app.ts';

const bench = (page: Page): Locator => page.getByRole('region', { name: 'Translate an address' });
const outcome = (page: Page): Locator => bench(page).getByRole('status', { name: 'Outcome' });
const card = (page: Page, name: string): Locator => bench(page).getByRole('group', { name, exact: true });

async function openBench(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Translate', exact: true }).click();
  await expect(bench(page).getByRole('combobox', { name: 'Address' })).toBeFocused();
}

test.use({ viewport: { width: 1440, height: 900 } });

test('an address is typed, its translation seen, a bit flipped, and the same done in the scenario', async ({
  page,
}) => {
  await openApp(page, '#/s/three-exits');
  await press(page, 'End');
  const [at, stage] = [
    await page.locator('.position').innerText(),
    await page.locator('svg.picture .boxes').textContent(),
  ];
  await page.keyboard.press('t');
  const field = bench(page).getByRole('combobox', { name: 'Address' });
  await expect(field).toBeFocused();
  await expect(field).toHaveValue('V+0x10');
  await field.fill('Q+0x10');
  await expect(bench(page).getByRole('alert')).toContainText(
    '"Q" is no number and no name. Names here: V, K.',
  );
  await field.fill('V+0x18');
  await expect(bench(page).getByRole('alert')).toHaveCount(0);
  await expect(outcome(page)).toContainText('It reaches host address 0x10020018');

  await bench(page).getByLabel('Caches empty').check();
  await expect(outcome(page)).toContainText('4 memory references');
  const writable = card(page, 'Shadow PT[023]').getByRole('button', { name: 'bit 1, W: writable, set' });
  await writable.hover();
  await expect(bench(page).locator('.hint')).toHaveText('bit 1, W: writable, set');
  await writable.click();
  await expect(outcome(page)).toContainText('As it is');
  await expect(outcome(page)).toContainText('Page fault: user write, not allowed.');
  await expect(bench(page).locator('.code-fields')).toContainText('0x7');
  await expect(bench(page).locator('.parts')).toContainText('Here the two walks part');
  await expect(
    card(page, 'Shadow PT[023]').getByRole('button', { name: /^bit 1, W: .*clear, flipped$/ }),
  ).toBeVisible();

  // Looking has changed nothing.
  await idle(page);
  expect(await page.locator('.position').innerText()).toBe(at);
  expect(await page.locator('svg.picture .boxes').textContent()).toBe(stage);
  await bench(page).getByRole('button', { name: 'Take 1 flip back' }).click();
  await expect(outcome(page)).not.toContainText('Page fault');
  await card(page, 'Shadow PT[023]')
    .getByRole('button', { name: /^bit 1, W/ })
    .click();
  await bench(page).getByRole('button', { name: 'Do this in the scenario' }).click();
  await idle(page);
  await expect(page.locator('.position')).toContainText('operation 2.1');
  await expect(page.locator('.code .now')).toContainText('flip shadow V+0x18 level=1 bit=1');
  await expect(page.locator('.code')).toContainText('v0 user write V+0x18 = 1');

  await bench(page).getByRole('combobox', { name: 'Address' }).press('Escape');
  await expect(bench(page)).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Translate', exact: true })).toBeFocused();
});

test('the walk follows the cursor, and a register that the processor does not let change is named', async ({
  page,
}) => {
  await openApp(page, '#/s/three-exits');
  await openBench(page);
  await expect(outcome(page)).toContainText('Page fault: user write, not present.');
  await bench(page).getByRole('group', { name: 'EFER' }).getByRole('button', { name: /LMA/ }).click();
  await expect(bench(page)).toContainText('The processor refuses a change of a register');
  await page.locator('.position').click();
  await press(page, 'End');
  await expect(outcome(page)).toContainText('It reaches host address');
});

test('on arm64 a field of a control register is flipped in the bench, bit by bit', async ({ page }) => {
  await openApp(page, '#/s/why-24?cpu=arm64');
  await press(page, 'End');
  await openBench(page);
  await bench(page).getByLabel('Caches empty').check();
  await expect(outcome(page)).toContainText('It reaches host address 0x10022000');
  const size = card(page, 'TCR_EL1').getByRole('button', { name: /^bit 4, T0SZ\[4\]/ });
  await size.hover();
  await expect(bench(page).locator('.hint')).toContainText('now 16: 48-bit addresses');
  await size.click();
  await expect(outcome(page)).toContainText('Stage 1 abort: translation fault, level 0.');
  await expect(bench(page)).toContainText('TCR_EL1.T0SZ asks for 64-bit addresses');
  await size.click();
  await card(page, 'VTCR_EL2')
    .getByRole('button', { name: /^bit 7, SL0/ })
    .click();
  await expect(bench(page)).toContainText('VTCR_EL2.SL0 = 0 starts at level 2');
  await expect(outcome(page)).toContainText('Stage 2 abort');
  await bench(page).getByRole('button', { name: 'Do this in the scenario' }).click();
  await idle(page);
  await expect(page.locator('.code')).toContainText('flip register vtcr_el2 bit=7');
});

test('a root entry that PAE keeps in a register is flipped in the bench, apart from memory', async ({
  page,
}) => {
  await openApp(page, '#/s/four-registers');
  await press(page, 'End');
  await openBench(page);
  await bench(page).getByLabel('Caches empty').check();
  const kept = bench(page).locator('.card', { hasText: 'kept in a register since CR3 was loaded' });
  await expect(outcome(page)).toContainText('It reaches');
  await kept.getByRole('button', { name: /^bit 0, P/ }).click();
  await expect(outcome(page)).toContainText('Page fault');
  await expect(bench(page).getByRole('group', { name: /^Lines/ })).toContainText(
    /flip register pdpte[0-3] bit=0/,
  );
});

for (const { width, height } of [
  { width: 1280, height: 720 },
  { width: 390, height: 844 },
]) {
  test(`the walk grid beside the bench cuts no frame number, ${String(width)} wide`, async ({ page }) => {
    await page.setViewportSize({ width, height });
    await openApp(page, '#/s/why-24?guest=5-level&host=5-level');
    await press(page, ']');
    await press(page, 'ArrowLeft');
    await page.getByRole('button', { name: 'Walk' }).click();
    await expect(page.getByRole('gridcell', { name: /^Reference/ })).toHaveCount(35);
    const names = page.locator('.cell .names');
    await expect(names).toHaveCount(35);
    const cut = await names.evaluateAll((spans) =>
      spans.filter((span) => span.scrollWidth > span.clientWidth + 1).map((span) => span.textContent),
    );
    expect(cut).toEqual([]);
    await expect(names.first()).toBeVisible();
  });
}

for (const { width, height } of [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
]) {
  for (const theme of ['light', 'dark'] as const) {
    test(`axe finds nothing in the bench, ${theme}, ${String(width)} wide`, async ({ page }) => {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme: theme });
      await openApp(page, '#/s/three-exits?at=1.1');
      await openBench(page);
      await card(page, 'Shadow PT[023]')
        .getByRole('button', { name: /^All other bits/ })
        .click();
      await card(page, 'Guest PT[023]')
        .getByRole('button', { name: /^bit 0/ })
        .click();
      const { violations } = await new AxeBuilder({ page }).include('.bench').analyze();
      expect(
        violations.map(
          (violation) =>
            `${violation.id}: ${violation.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`,
        ),
      ).toEqual([]);
      const wide = await page.evaluate(() => document.querySelector('.bench')?.scrollWidth ?? 0);
      expect(wide).toBeLessThanOrEqual(width);
    });
  }
}
