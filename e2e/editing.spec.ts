/** Changing, breaking and passing on a scenario, as people do it. */
import AxeBuilder from '@axe-core/playwright';
import { expect, test, type Page } from '@playwright/test';
import { counter, idle, openApp, press } from './app.ts';
import { RECORDINGS } from '../src/testing/recordings.ts';
import { CATALOGUE_IDS } from '../src/testing/scenarios.ts';

const stageText = async (page: Page): Promise<string> =>
  (await page.locator('svg.picture .boxes').textContent()) ?? '';
const position = (page: Page): Promise<string> => page.locator('.position').innerText();

/** Opens the left panel, where the window is too narrow for it to be open already. */
async function openLeft(page: Page): Promise<void> {
  if ((await page.locator('aside.left').count()) === 0) await page.getByLabel('Left panel').first().click();
  await idle(page);
}

async function openEditor(page: Page): Promise<void> {
  await openLeft(page);
  await page.getByRole('button', { name: 'Edit' }).click();
  await expect(page.locator('.cm-content')).toBeVisible();
  await idle(page);
}

/** Puts the cursor at the end of the first line that contains a text, and types. */
async function typeAfter(page: Page, text: string, typed: string): Promise<void> {
  await page.locator('.cm-line', { hasText: text }).first().click();
  await page.keyboard.press('End');
  await typeLines(page, typed);
}

/** Each line in one piece: key by key, a slow machine would make several steps of it for undo. */
async function typeLines(page: Page, typed: string): Promise<void> {
  for (const [index, line] of typed.split('\n').entries()) {
    if (index > 0) await page.keyboard.press('Enter');
    if (line !== '') await page.keyboard.insertText(line);
  }
  await idle(page);
}

/** Adds a line at the end of the text; the editor draws only the lines that are seen. */
async function typeAtEnd(page: Page, typed: string): Promise<void> {
  await page.locator('.cm-content').focus();
  await page.keyboard.press('Control+End');
  await typeLines(page, typed);
}

test.use({ viewport: { width: 1440, height: 900 } });

test('a student opens a link, changes the program, errs and mends it, undoes, shares; another browser opens it', async ({
  page,
  browser,
}) => {
  await openApp(page, '#/s/three-exits?at=1.22');
  await expect(page.locator('.position')).toContainText('operation 1.22');
  await press(page, 'ArrowLeft');
  await expect(page.locator('.position')).toContainText('operation 1.21');

  await openEditor(page);
  await typeAfter(page, 'v0 kernel read K', '\nv0 user raed V');
  await expect(page.getByRole('alert')).toContainText('Found "raed"');
  // The last good run stays, at its step.
  await expect(page.locator('.position')).toContainText('operation 1.21');
  await page.locator('.cm-lintRange-error').first().hover();
  await page.getByRole('button', { name: 'Write read' }).click();
  await idle(page);
  await expect(page.getByRole('alert')).toHaveCount(0);
  await expect(page.locator('.position')).toContainText('operation 1.21');

  await page.locator('.cm-content').focus();
  await page.keyboard.press('Control+z');
  await idle(page);
  await expect(page.getByRole('alert')).toContainText('Found "raed"');
  await page.keyboard.press('Control+z');
  await idle(page);
  await expect(page.locator('.cm-content')).not.toContainText('raed');
  await expect(page.getByRole('alert')).toHaveCount(0);

  await typeAtEnd(page, '\nv0 user read V');
  await page.getByRole('button', { name: 'Done' }).click();
  await press(page, 'End');
  await expect(page.locator('.position')).toContainText('operation 2.');
  await press(page, 'ArrowLeft');
  const [text, at] = [await stageText(page), await position(page)];

  await page.getByRole('button', { name: 'Share', exact: true }).click();
  const link = await page.getByLabel('Link to this step').inputValue();
  expect(link).toContain('#/x/1.');
  const other = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const fresh = await other.newPage();
  await fresh.goto(link);
  await idle(fresh);
  expect(await position(fresh)).toBe(at);
  expect(await stageText(fresh)).toBe(text);
  await expect(fresh.getByRole('alert')).toHaveCount(0);
  await other.close();
});

test('nothing is lost by a reload, by a wrong link, or by opening something else', async ({ page }) => {
  await openApp(page, '#/s/context-switch');
  await openEditor(page);
  await typeAtEnd(page, '\nv0 cpuid # mine');
  await expect(page).toHaveURL(/#\/x\/1\./);
  await page.reload();
  await idle(page);
  await openLeft(page);
  await expect(page.locator('.code')).toContainText('v0 cpuid # mine');
  await page.getByRole('button', { name: 'Undo (Ctrl Z)' }).click();
  await idle(page);
  await expect(page.locator('.code')).not.toContainText('mine');
  await page.getByRole('button', { name: 'Redo (Ctrl Y)' }).click();
  await idle(page);

  await page.evaluate(() => {
    location.hash = '#/x/1.0DPVZD';
  });
  await expect(page.getByRole('alert')).toContainText('cut off');
  await expect(page.locator('.code')).toContainText('v0 cpuid # mine');
  await page.getByRole('alert').getByRole('button', { name: 'Close' }).click();

  await page.getByRole('button', { name: 'Scenarios' }).click();
  await page.getByRole('link', { name: /Faults that are/ }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText("Faults that are the guest's own");
  await idle(page);
  await page.getByRole('button', { name: 'Scenarios' }).click();
  await page
    .locator('.drafts')
    .getByRole('button', { name: 'A context switch, and back for nothing', exact: true })
    .click();
  await idle(page);
  await expect(page.locator('.code')).toContainText('v0 cpuid # mine');
});

test('two tabs keep a draft each, and neither overwrites the other', async ({ context }) => {
  for (const mark of ['first', 'second']) {
    const tab = await context.newPage();
    await tab.setViewportSize({ width: 1440, height: 900 });
    await openApp(tab, '#/s/context-switch');
    await openEditor(tab);
    await typeAtEnd(tab, `\nv0 cpuid # ${mark}`);
    await expect(tab).toHaveURL(/#\/x\/1\./);
  }
  const page = await context.newPage();
  await openApp(page, '#/scenarios');
  await expect(page.locator('.drafts li')).toHaveCount(2);
});

test('doing instead of typing adds lines: an access, a flipped bit, a register; and they can be moved, disabled, deleted', async ({
  page,
}) => {
  await openApp(page, '#/s/three-exits?at=1.30');
  await page.getByText('Do something here').click();
  const form = page.locator('.doing');
  await form.getByLabel('Address').fill('K');
  await form.getByLabel('Who').selectOption('kernel');
  await form.getByRole('button', { name: 'Add after this operation' }).click();
  await idle(page);
  await expect(page.locator('.position')).toContainText('operation 2.1');
  await expect(page.locator('.code')).toContainText('v0 kernel read K');
  await form.getByLabel('Address').fill('Q');
  await form.getByRole('button', { name: 'Add after this operation' }).click();
  await expect(form.getByRole('alert')).toContainText('is no number and no name');

  await page.locator('[data-row^="w:"]').first().click();
  await page.locator('.inspector').getByRole('button', { name: /^RW/ }).click();
  await idle(page);
  await expect(page.locator('.code .now')).toContainText('flip 0x10');
  await expect(page.locator('.caption .what')).toContainText('from outside');
  await page.locator('[data-row="reg:cr3"]').click();
  await page.locator('.inspector').getByRole('button', { name: 'CR0' }).click();
  await page.locator('.inspector').getByRole('button', { name: /^WP/ }).click();
  await idle(page);
  await expect(page.locator('.code .now')).toContainText('v0 kernel set cr0.wp = 0');
  await page.locator('.inspector').getByRole('button', { name: 'Close' }).click();

  await page.getByRole('button', { name: 'Move this operation up' }).click();
  await idle(page);
  await expect(page.locator('.position')).toContainText('operation 3.1');
  await page.getByRole('button', { name: 'Disable this operation' }).click();
  await idle(page);
  await expect(page.locator('.code .off')).toContainText('# off: v0 kernel set cr0.wp = 0');
  await page.locator('.code').getByRole('button', { name: 'Enable' }).click();
  await idle(page);
  await expect(page.locator('.code .now')).toContainText('v0 kernel set cr0.wp = 0');
  await page.getByRole('button', { name: 'Delete this operation' }).click();
  await idle(page);
  await expect(page.locator('.code')).not.toContainText('cr0.wp');
  for (let undone = 0; undone < 7; undone += 1) await press(page, 'Control+z');
  await expect(page).toHaveURL(/#\/s\/three-exits\?/);
});

test('two policies side by side: aligned, differences listed, counters subtracted, in the link', async ({
  page,
}) => {
  await openApp(page, '#/s/three-exits');
  await page.getByRole('button', { name: 'Compare' }).click();
  await idle(page);
  await expect(page.locator('.pane')).toHaveCount(2);
  await expect(page.locator('.totals tr', { hasText: 'VM exits' })).toContainText('−1');
  await page.getByRole('button', { name: /^First difference/ }).click();
  await idle(page);
  await expect(page.locator('.position')).toContainText('Step 71 of 71');
  await expect(page).toHaveURL(/vs\.gpte-write=update/);
  const url = page.url();
  await page.goto('about:blank');
  await page.goto(url);
  await idle(page);
  await expect(page.locator('.pane')).toHaveCount(2);
  await page.getByRole('button', { name: 'Swap' }).click();
  await idle(page);
  await expect(page.locator('.totals tr', { hasText: 'VM exits' })).toContainText('+1');
  await page.getByRole('button', { name: 'Compare' }).click();
  await idle(page);
  await expect(page.locator('.pane')).toHaveCount(0);
});

test('one timeline moves both runs: a step of one alone lets the other wait, and the link remembers it', async ({
  page,
}) => {
  await openApp(page, '#/s/three-exits?at=1.38&vs.gpte-write=update');
  const [a, b] = [page.locator('.pane').first(), page.locator('.pane').last()];
  await press(page, 'd');
  await expect(a.locator('.pane-step')).toContainText('1.39');
  await expect(a).toHaveClass(/waiting/);
  await expect(a.locator('.pane-step')).toContainText('Waits: run B takes this step alone.');
  await expect(b.locator('.pane-step small')).toHaveText('1.40');
  await expect(page).toHaveURL(/at=1\.39.*b=1$/);
  const url = page.url();
  await page.goto('about:blank');
  await page.goto(url);
  await idle(page);
  await expect(b.locator('.pane-step small')).toHaveText('1.40');
  await press(page, 'ArrowRight', 2);
  await expect(a.locator('.pane-step small')).toHaveText('1.40');
  await expect(a).not.toHaveClass(/waiting/);
  await press(page, 'End');
  await press(page, 'Shift+D');
  await expect(page.locator('.differences [aria-current="step"]')).toContainText('22 steps only in A');
  await page.getByRole('button', { name: 'Here' }).click();
  await expect(page.locator('.totals tr', { hasText: 'VM exits' })).toContainText('0');
});

test('two engines are compared by what the guest sees and what it costs, not step by step', async ({
  page,
}) => {
  await openApp(page, '#/s/three-exits?vs.machine=native');
  await expect(page.locator('.compare-bar')).toContainText('Two different engines');
  await expect(page.locator('.differences li')).toHaveCount(1);
  await expect(page.locator('.differences li')).toHaveClass('cost');
  await press(page, 'End');
  await expect(page.locator('.pane-step small').last()).toHaveText('1.18');
});

test('a table of runs: what differs, a bound that is said, a row opened and compared, back again', async ({
  page,
}) => {
  await openApp(page, '#/s/stale-tlb?vary.cpu=svm,vmx-novpid&vary.flush=always,never');
  const rows = page.locator('.runs tbody tr');
  await expect(rows).toHaveCount(4);
  await expect(rows.nth(1)).toContainText('stale-read');
  await expect(rows.nth(1)).toContainText('INV-6');
  await expect(rows.nth(1).locator('.differs').first()).toContainText('0xda7a0020');
  await expect(rows.nth(3)).toContainText('read 0xda7a0021');
  await page.getByRole('checkbox', { name: 'on-fault' }).check();
  await expect(rows).toHaveCount(6);
  await page.getByRole('checkbox', { name: 'on-fault' }).uncheck();
  await page.getByLabel('Setting 3', { exact: true }).last().selectOption('gpte-write');
  await expect(rows).toHaveCount(8);
  await expect(page).toHaveURL(/vary\.gpte-write=|[?&]y=/);
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map((violation) => violation.id)).toEqual([]);
  await page.getByRole('button', { name: 'Compare run 3 with run 1, the base' }).click();
  await idle(page);
  await expect(page.locator('.pane')).toHaveCount(2);
  await page.goBack();
  await idle(page);
  await expect(rows).toHaveCount(8);
  await page.getByRole('button', { name: 'Open run 4' }).click();
  await idle(page);
  await expect(page.locator('header select[name="flush"]').first()).toHaveValue('never');
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goBack();
  await idle(page);
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
});

test('a link whose run now ends elsewhere says so, and shows where', async ({ page }) => {
  await openApp(page, '#/s/three-exits?c=zzzz&at=1.22');
  await expect(page.getByRole('alert')).toContainText('ends elsewhere');
  await expect(page.locator('.position')).toContainText('operation 1.22');
});

test('a cut link shows the text that arrived, and opens it when asked', async ({ page }) => {
  await openApp(page, '#/s/context-switch');
  await page.getByRole('button', { name: 'Compare' }).click();
  await idle(page);
  await openEditor(page);
  await typeAtEnd(page, '\nv0 cpuid');
  await expect(page).toHaveURL(/#\/x\/1\./);
  const hash = new URL(page.url()).hash;
  await openApp(page, hash.slice(0, 400));
  const alert = page.getByRole('alert');
  await expect(alert).toContainText('cut off');
  await alert.getByText('The text that arrived').click();
  await expect(alert.locator('pre')).toContainText('title A context switch');
  await alert.getByRole('button', { name: 'Open this text' }).click();
  await idle(page);
  await expect(page.locator('.cm-content')).toContainText('title A context switch');
});

test('a file is saved and opened again', async ({ page }) => {
  await openApp(page, '#/s/fork-detector');
  await page.getByRole('button', { name: 'Share', exact: true }).click();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Save the text as a file' }).click(),
  ]);
  expect(download.suggestedFilename()).toBe('eight-stores-into-a-page-table-four-vm-e.mmu');
  const path = await download.path();
  await openApp(page, '#/s/three-exits');
  await page.getByRole('button', { name: 'Share', exact: true }).click();
  await page.getByLabel('Open a file').setInputFiles(path);
  await idle(page);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(/Eight stores/);
  await press(page, 'End');
  await expect(counter(page, 'VM exits')).toHaveText('5');
});

test('the catalogue says what one will understand and how long it takes, and finds words', async ({
  page,
}) => {
  await openApp(page, '#/scenarios');
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('link')).toHaveCount(CATALOGUE_IDS.length + RECORDINGS.length);
  await expect(dialog).toContainText('min');
  await dialog.getByLabel('Search the scenarios').fill('device');
  await expect(dialog.getByRole('link').first()).toContainText('Reading a device');
});

test('completion, hover and folding speak the language', async ({ page }) => {
  await openApp(page, '#/s/three-exits');
  await openEditor(page);
  await typeAfter(page, 'policy gpte-write=zap', ' shipped-bugs=C');
  await expect(page.locator('.cm-tooltip-autocomplete')).toContainText('C-B2');
  await page.keyboard.press('Escape');
  await page.locator('.cm-line', { hasText: 'policy' }).getByText('policy').hover();
  await expect(page.locator('.cm-explain')).toContainText('How the hypervisor behaves');
  await page.locator('.cm-foldGutter span[title="Fold line"]').first().click();
  await expect(page.locator('.cm-foldPlaceholder')).toHaveCount(1);
});

test('the policy of the page forbids scripts from elsewhere and from strings; nothing is requested but own files', async ({
  page,
}) => {
  const foreign: string[] = [];
  const refused: string[] = [];
  page.on('request', (request) => {
    const own = request.url().startsWith(test.info().project.use.baseURL ?? '');
    if (!own && !/^(data|blob):/.test(request.url())) foreign.push(request.url());
  });
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) refused.push(message.text());
  });
  await openApp(page);
  const policy =
    (await page.locator('meta[http-equiv="Content-Security-Policy"]').getAttribute('content')) ?? '';
  const scripts = /script-src ([^;]*)/.exec(policy)?.[1];
  expect(scripts).toBe("'self'");
  await openEditor(page);
  await page.getByRole('button', { name: 'Share', exact: true }).click();
  await expect(page.locator('.qr')).toBeVisible();
  await press(page, 'Escape');
  await page.getByRole('button', { name: 'Scenarios' }).click();
  await expect(page.getByRole('link').first()).toBeVisible();
  await press(page, 'Escape');
  expect([foreign, refused]).toEqual([[], []]);
  // The policy is in force: a script from a string is refused.
  const ran = await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'document.title = "run"';
    document.head.append(script);
    return document.title;
  });
  expect(ran).not.toBe('run');
});

for (const theme of ['light', 'dark'] as const) {
  test(`axe finds nothing in editor, dialogs, inspector and comparison, ${theme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: theme });
    const check = async (): Promise<void> => {
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(
        violations.map(
          (violation) =>
            `${violation.id}: ${violation.nodes.map((node) => node.html.slice(0, 160)).join(' | ')}`,
        ),
      ).toEqual([]);
    };
    await openApp(page, '#/s/three-exits?at=1.30');
    await openEditor(page);
    await page.getByText('Do something here').click();
    await typeAfter(page, 'v0 kernel read K', 'x');
    await check();
    await page.getByRole('button', { name: 'Undo (Ctrl Z)' }).click();
    await page.locator('[data-row^="w:"]').first().click();
    await expect(page.locator('.inspector')).toBeVisible();
    await check();
    for (const name of ['Share', 'Scenarios']) {
      await page.getByRole('button', { name, exact: true }).click();
      await expect(page.getByRole('dialog')).toContainText(name === 'Share' ? 'QR code' : 'First steps');
      await check();
      await press(page, 'Escape');
    }
    await openApp(page, '#/s/three-exits?at=1.30&vs.gpte-write=update');
    await expect(page.locator('.pane')).toHaveCount(2);
    await check();
  });
}
