/** Keeps the address bar and the app in step: opens what a link names, and names what is open. Inputs only, never state. */
import { beginBusy } from '../store/busy.ts';
import { set, store } from '../store/state.ts';
import { openFirst } from './first-scenario.ts';

/** The address is written when stepping pauses: writing it at every step would cost as much as a step. */
const PAUSE_MS = 300;

/** Most visits begin without a link; then what it takes to open one, and to write one, can wait. */
const links = () => import('../scenario/links.ts');
const opening = () => import('./open-link.ts');

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
    else {
      const { openLinked } = await opening();
      await openLinked(link);
    }
  } finally {
    done();
  }
}

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
    const { draftOfTab } = await import('../store/drafts.ts');
    const kept = draftOfTab();
    if (kept === undefined) {
      await openHash(location.hash);
      return;
    }
    const { openKept } = await opening();
    await openKept(kept);
  } finally {
    done();
  }
}

/** Writes the address bar when stepping pauses. Gives a function that ends it. */
export function followAddress(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let written = location.hash;
  const write = async (): Promise<void> => {
    timer = undefined;
    if (store.getState().linkTrouble.length > 0) return;
    const { currentLink } = await opening();
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
