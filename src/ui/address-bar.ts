/** Keeps the address bar and the app in step: opens what a link names, and names what is open. Inputs only, never state. */
import type { QueryClient } from '@tanstack/react-query';
import { scenarioQuery } from '../catalogue/catalogue.ts';
import { formatLink, parseLink, type ParsedLink } from '../scenario/links.ts';
import { stepCheck } from '../scenario/step-check.ts';
import { openScenario } from '../store/document.ts';
import { draftOfTab, knownChoices, type Draft } from '../store/drafts.ts';
import { beginBusy, catalogueId, set, store, type Original } from '../store/state.ts';
import { STRINGS } from './strings.ts';

export const FIRST_SCENARIO = 'three-exits';
const THROTTLE_MS = 250;

/** Opens what the hash names; trouble is said, and what was open stays. */
export async function openHash(hash: string, client: QueryClient): Promise<void> {
  const done = beginBusy();
  try {
    const link = await parseLink(hash);
    const something = store.getState().runs.length > 0;
    if (link.kind === 'scenarios') {
      set({ dialog: 'scenarios' });
      if (!something) await openFirst(client, {});
    } else if (link.kind === 'problems') {
      if (!something) await openFirst(client, {});
      set({ linkTrouble: link.sentences, linkText: link.text });
    } else if (link.kind === 'none') await openFirst(client, {});
    else await openLinked(link, client);
  } finally {
    done();
  }
}

async function openLinked(
  link: Extract<ParsedLink, { kind: 'catalogue' | 'own' }>,
  client: QueryClient,
): Promise<void> {
  const { at, check, settings, versus } = link;
  if (link.kind === 'own') return openScenario({ text: link.text, at, check, settings, versus });
  const original = await load(link.id, client);
  if (original !== undefined)
    return openScenario({ original, text: original.text, at, check, settings, versus });
  const sentence = `${STRINGS.scenarioMissing} (${link.id})`;
  if (store.getState().runs.length === 0 && link.id !== FIRST_SCENARIO)
    await openFirst(client, { linkTrouble: [sentence] });
  else set({ linkTrouble: [sentence] });
}

async function openFirst(client: QueryClient, said: { linkTrouble?: readonly string[] }): Promise<void> {
  const original = await load(FIRST_SCENARIO, client);
  if (original === undefined) set({ linkTrouble: [`${STRINGS.scenarioMissing} (${FIRST_SCENARIO})`] });
  else await openScenario({ original, text: original.text, settings: {}, ...said });
}

/** The first thing that a tab does: go on with what it had open, or open its link. */
export async function openTab(client: QueryClient): Promise<void> {
  const done = beginBusy();
  try {
    const kept = await draftOfTab();
    if (kept === undefined) {
      await openHash(location.hash, client);
      return;
    }
    const past = kept.tab.past.map((version) => ({
      text: version.text,
      settings: knownChoices(version.settings),
      versus: version.versus === undefined ? undefined : knownChoices(version.versus),
    }));
    await openDraft(kept.draft, client, { history: { past, future: [] } });
  } finally {
    done();
  }
}

export async function openDraft(
  draft: Draft,
  client: QueryClient,
  with_: Pick<Parameters<typeof openScenario>[0], 'history'> = {},
): Promise<void> {
  const [operation = '0', step = '0'] = draft.at.split('.');
  const original = draft.from === undefined ? undefined : await load(draft.from, client);
  await openScenario({
    original,
    text: draft.text,
    settings: knownChoices(draft.settings),
    versus: draft.versus === undefined ? undefined : knownChoices(draft.versus),
    at: { operation, step: Number(step) },
    ...with_,
  });
}

async function load(id: string, client: QueryClient): Promise<Original | undefined> {
  try {
    const text = await client.query(scenarioQuery(id));
    // A server that answers every address with the page itself has no such scenario.
    return text.trimStart().startsWith('<') ? undefined : { id, text };
  } catch {
    return undefined;
  }
}

/** The link to what is on the screen; of a text with problems, to its beginning. */
export async function currentLink(): Promise<string | undefined> {
  const state = store.getState();
  const { text, settings, versus, cursor, runs, problems } = state;
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
    ...(versus === undefined ? {} : { versus }),
  });
}

/** Writes the address bar, at most a few times a second. Gives a function that ends it. */
export function followAddress(client: QueryClient): () => void {
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
      state.settings === before.settings &&
      state.versus === before.versus &&
      state.text === before.text &&
      state.original === before.original
    )
      return;
    timer ??= setTimeout(() => void write(), THROTTLE_MS);
  });
  const onHash = (): void => {
    if (location.hash !== written) void openHash(location.hash, client);
  };
  addEventListener('hashchange', onHash);
  return () => {
    unsubscribe();
    clearTimeout(timer);
    removeEventListener('hashchange', onHash);
  };
}
