/** Keeps the address bar and the app in step: opens what a link names, and names what is open. Inputs only, never state. */
import { loadScenario } from '../catalogue/catalogue.ts';
import type { ParsedLink } from '../scenario/links.ts';
import { openScenario } from '../store/document.ts';
import type { Draft } from '../store/drafts.ts';
import { beginBusy, catalogueId, set, store, type Original } from '../store/state.ts';
import { STRINGS } from './strings.ts';

export const FIRST_SCENARIO = 'three-exits';
/** The address is written when stepping pauses: writing it at every step would cost as much as a step. */
const PAUSE_MS = 300;

/** Most visits begin without a link; then its decoder can wait. */
const links = () => import('../scenario/links.ts');

/** Opens what the hash names; trouble is said, and what was open stays. */
export async function openHash(hash: string): Promise<void> {
  const done = beginBusy();
  try {
    if (hash === '' || hash === '#') {
      await openFirst({});
      return;
    }
    const { parseLink } = await links();
    const link = await parseLink(hash);
    const something = store.getState().runs.length > 0;
    if (link.kind === 'scenarios') {
      if (!something) await openFirst({});
      set({ dialog: 'scenarios' });
    } else if (link.kind === 'problems') {
      if (!something) await openFirst({});
      set({ linkTrouble: link.sentences, linkText: link.text });
    } else if (link.kind === 'none') await openFirst({});
    else await openLinked(link);
  } finally {
    done();
  }
}

async function openLinked(link: Extract<ParsedLink, { kind: 'catalogue' | 'own' }>): Promise<void> {
  const { at, check, settings, versus, beyond, varied } = link;
  const where = { at, check, settings, versus, ...(beyond && { beyond }), ...(varied && { varied }) };
  if (link.kind === 'own') return openScenario({ text: link.text, ...where });
  const original = await load(link.id);
  if (original !== undefined) return openScenario({ original, text: original.text, ...where });
  const sentence = `${STRINGS.scenarioMissing} (${link.id})`;
  if (store.getState().runs.length === 0 && link.id !== FIRST_SCENARIO)
    await openFirst({ linkTrouble: [sentence] });
  else set({ linkTrouble: [sentence] });
}

async function openFirst(said: { linkTrouble?: readonly string[] }): Promise<void> {
  const original = await load(FIRST_SCENARIO);
  if (original === undefined) set({ linkTrouble: [`${STRINGS.scenarioMissing} (${FIRST_SCENARIO})`] });
  else await openScenario({ original, text: original.text, settings: {}, ...said });
}

const drafts = () => import('../store/drafts.ts');

/** Whether this tab has kept a draft before: only then is it worth loading what reads it. */
function hadSomethingOpen(): boolean {
  try {
    return sessionStorage.length > 0;
  } catch {
    return false;
  }
}

/** The first thing that a tab does: go on with what it had open, or open its link. */
export async function openTab(): Promise<void> {
  const done = beginBusy();
  try {
    if (!hadSomethingOpen()) {
      await openHash(location.hash);
      return;
    }
    const { draftOfTab, knownChoices } = await drafts();
    const kept = draftOfTab();
    if (kept === undefined) {
      await openHash(location.hash);
      return;
    }
    const past = kept.tab.past.map((version) => ({
      text: version.text,
      settings: knownChoices(version.settings),
      versus: version.versus === undefined ? undefined : knownChoices(version.versus),
    }));
    await openDraft(kept.draft, { history: { past, future: [] } });
    const link = await (await links()).parseLink(location.hash);
    if ('varied' in link) set({ varied: link.varied });
  } finally {
    done();
  }
}

export async function openDraft(
  draft: Draft,
  with_: Pick<Parameters<typeof openScenario>[0], 'history'> = {},
): Promise<void> {
  const { adoptDraft, knownChoices } = await drafts();
  const [operation = '0', step = '0'] = draft.at.split('.');
  const original = draft.from === undefined ? undefined : await load(draft.from);
  await openScenario({
    original,
    text: draft.text,
    settings: knownChoices(draft.settings),
    versus: draft.versus === undefined ? undefined : knownChoices(draft.versus),
    at: { operation, step: Number(step) },
    ...with_,
  });
  await adoptDraft(draft.id);
}

async function load(id: string): Promise<Original | undefined> {
  try {
    const text = await loadScenario(id);
    return text === undefined ? undefined : { id, text };
  } catch {
    return undefined;
  }
}

/** The link to what is on the screen; of a text with problems, to its beginning. */
export async function currentLink(): Promise<string | undefined> {
  const [{ formatLink }, { stepCheck }] = await Promise.all([links(), import('../scenario/step-check.ts')]);
  const state = store.getState();
  const { text, settings, versus, beyond, varied, cursor, runs, problems } = state;
  const run = runs[0];
  if (text === '') return undefined;
  const id = catalogueId(state);
  const stands = run !== undefined && problems.length === 0 && run.text === text;
  const [operation = '0', step = '0'] = stands ? run.timeline.nameOf(cursor).split('.') : [];
  const check = stands ? stepCheck(run.timeline, cursor, settings) : '0000';
  return formatLink(id === undefined ? { kind: 'own', text } : { kind: 'catalogue', id }, {
    at: { operation, step: Number(step) },
    check,
    settings,
    ...(versus === undefined ? {} : { versus, beyond }),
    ...(varied === undefined ? {} : { varied }),
  });
}

/** Writes the address bar when stepping pauses. Gives a function that ends it. */
export function followAddress(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let written = location.hash;
  const write = async (): Promise<void> => {
    timer = undefined;
    if (store.getState().linkTrouble.length > 0) return;
    const link = await currentLink();
    if (link === undefined || link === location.hash) return;
    written = link;
    history.replaceState(null, '', link);
  };
  const unsubscribe = store.subscribe((state, before) => {
    if (
      state.cursor === before.cursor &&
      state.beyond === before.beyond &&
      state.varied === before.varied &&
      state.settings === before.settings &&
      state.versus === before.versus &&
      state.text === before.text &&
      state.original === before.original
    )
      return;
    clearTimeout(timer);
    timer = setTimeout(() => void write(), PAUSE_MS);
  });
  const onHash = (): void => {
    if (location.hash !== written) void openHash(location.hash);
  };
  addEventListener('hashchange', onHash);
  return () => {
    unsubscribe();
    clearTimeout(timer);
    removeEventListener('hashchange', onHash);
  };
}
