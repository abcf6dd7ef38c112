/** Keeps the address bar and the app in step: opens what a link names, and names what is open. Inputs only, never state. */
import type { QueryClient } from '@tanstack/react-query';
import { scenarioQuery } from '../catalogue/catalogue.ts';
import { formatLink, parseLink } from '../scenario/links.ts';
import { beginBusy, openScenario, set, store } from '../store/store.ts';
import { STRINGS } from './strings.ts';

export const FIRST_SCENARIO = 'three-exits';
const THROTTLE_MS = 250;

/** Opens what the hash names; trouble is said, and what was open stays. */
export async function openHash(hash: string, client: QueryClient): Promise<void> {
  const done = beginBusy();
  try {
    const link = parseLink(hash);
    const trouble = link.kind === 'problems' ? link.sentences : [];
    if (trouble.length > 0 && store.getState().runs.length > 0) {
      set({ linkTrouble: trouble });
      return;
    }
    const id = link.kind === 'catalogue' ? link.id : FIRST_SCENARIO;
    const loaded = await load(id, client);
    if (loaded.text === undefined) {
      set({ linkTrouble: [`${STRINGS.scenarioMissing} (${id})`] });
      if (store.getState().runs.length === 0 && id !== FIRST_SCENARIO) {
        const first = await load(FIRST_SCENARIO, client);
        if (first.text !== undefined)
          await openScenario({
            id: FIRST_SCENARIO,
            text: first.text,
            settings: {},
            linkTrouble: [`${STRINGS.scenarioMissing} (${id})`],
          });
      }
      return;
    }
    await openScenario({
      id,
      text: loaded.text,
      linkTrouble: trouble,
      settings: link.kind === 'catalogue' ? link.settings : {},
      ...(link.kind === 'catalogue' && link.at !== undefined ? { at: link.at } : {}),
    });
  } finally {
    done();
  }
}

async function load(id: string, client: QueryClient): Promise<{ text?: string }> {
  try {
    const text = await client.query(scenarioQuery(id));
    // A server that answers every address with the page itself has no such scenario.
    return text.trimStart().startsWith('<') ? {} : { text };
  } catch {
    return {};
  }
}

/** The link to what is on the screen. */
export function currentLink(): string | undefined {
  const { id, settings, cursor, runs } = store.getState();
  const run = runs[0];
  if (run === undefined || id === '') return undefined;
  const [operation = '0', step = '0'] = run.timeline.nameOf(cursor).split('.');
  return formatLink({ id, settings, at: { operation, step: Number(step) } });
}

/** Writes the address bar, at most a few times a second. Gives a function that ends it. */
export function followAddress(client: QueryClient): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let written = location.hash;
  const write = (): void => {
    timer = undefined;
    const link = currentLink();
    if (link === undefined || link === location.hash || store.getState().linkTrouble.length > 0) return;
    written = link;
    history.replaceState(null, '', link);
  };
  const unsubscribe = store.subscribe((state, before) => {
    if (state.cursor === before.cursor && state.settings === before.settings && state.id === before.id)
      return;
    timer ??= setTimeout(write, THROTTLE_MS);
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
