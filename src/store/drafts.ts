/**
 * Nothing that a person wrote is lost: every changed text is kept in the browser's own storage, one draft a tab, and a
 * tab that is loaded again goes on where it was, with its history. Bounded: the oldest drafts go first. Nothing is
 * sent anywhere. A browser that keeps nothing is said so.
 */
import * as v from 'valibot';
import { BOUNDS } from '../core/bounds.ts';
import { settingAccepts, settingOf } from '../core/settings.ts';
import type { SettingChoices } from '../scenario/ast.ts';
import { couldBeOwn, isOwnName } from '../scenario/own-choices.ts';
import { catalogueId, store, type AppState } from './state.ts';

const Choices = v.record(v.string(), v.string());
const Version = v.object({ text: v.string(), settings: Choices, versus: v.optional(Choices) });
const Draft = v.object({
  ...Version.entries,
  id: v.string(),
  /** The catalogue's scenario that it began as. */
  from: v.optional(v.string()),
  /** Milliseconds since 1970. */
  saved: v.number(),
  /** Where the cursor stood, as links name it: `1.22`. */
  at: v.string(),
});
const Tab = v.object({
  draft: v.string(),
  hash: v.string(),
  past: v.array(Version),
  future: v.array(Version),
});
export type Draft = v.InferOutput<typeof Draft>;
type Tab = v.InferOutput<typeof Tab>;

const PREFIX = 'mmuscope.draft.';
const TAB = 'mmuscope.tab';
/** Versions of the history that outlive a reload. */
const KEPT_VERSIONS = 40;
const WRITE_MS = 250;

/** The draft of this tab; a new one begins with each scenario that is changed. */
let own: string | undefined;

const newId = (): string => `${Date.now().toString(36)}-${Math.floor(Math.random() * 1e9).toString(36)}`;

/** All drafts, newest first. What cannot be read is left alone and not listed. */
export function listDrafts(): readonly Draft[] {
  try {
    return Object.keys(localStorage)
      .filter((key) => key.startsWith(PREFIX))
      .flatMap((key) => parsed(Draft, localStorage.getItem(key)) ?? [])
      .sort((a, b) => b.saved - a.saved);
  } catch {
    return [];
  }
}

export function deleteDraft(id: string): void {
  try {
    localStorage.removeItem(PREFIX + id);
  } catch {
    // A browser without storage has no drafts either.
  }
}

/** The title line of a draft. */
export const titleOf = (text: string): string => /^\s*title\s+(.+)$/m.exec(text)?.[1] ?? 'Untitled';

/** Only what this version knows: a draft may come from another one. */
export const knownChoices = (choices: Readonly<Record<string, string>>): SettingChoices =>
  Object.fromEntries(
    Object.entries(choices).filter(([name, value]) => {
      // Whether the text offers it is seen when it runs.
      if (isOwnName(name)) return couldBeOwn(name, value);
      const setting = settingOf(name);
      return setting !== undefined && settingAccepts(setting, value);
    }),
  );

/** What this tab had open before it was loaded again, where the address is still the same. */
export function draftOfTab(): { draft: Draft; tab: Tab } | undefined {
  try {
    const tab = parsed(Tab, sessionStorage.getItem(TAB));
    if (tab === undefined || tab.hash !== location.hash) return undefined;
    const draft = parsed(Draft, localStorage.getItem(PREFIX + tab.draft));
    if (draft === undefined) return undefined;
    return { draft, tab };
  } catch {
    return undefined;
  }
}

/** Goes on with a draft that was opened from the list, unless another tab has it open. */
export async function adoptDraft(id: string): Promise<void> {
  own = (await claim(id)) ? id : undefined;
}

const claimed = new Set<string>();

/** Another tab with the same draft (a duplicated tab, say) keeps its own copy. */
async function claim(id: string): Promise<boolean> {
  if (claimed.has(id)) return true;
  const { locks } = navigator as { locks?: LockManager };
  if (locks === undefined) return false;
  return new Promise((resolve) => {
    void locks.request(PREFIX + id, { ifAvailable: true }, (lock) => {
      if (lock !== null) claimed.add(id);
      resolve(lock !== null);
      // Held until the tab closes.
      return lock === null ? undefined : new Promise<void>(() => undefined);
    });
  });
}

/** Keeps what is open from now on. Gives a function that ends it. */
export function keepDrafts(): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const write = (): void => {
    clearTimeout(timer);
    timer = undefined;
    keep(store.getState());
  };
  const unsubscribe = store.subscribe((state, before) => {
    // Another scenario is open: its changes are another draft.
    if (state.history.past.length === 0 && before.history.past.length > 0 && state.text !== before.text)
      own = undefined;
    if (state.text !== before.text || state.settings !== before.settings || state.cursor !== before.cursor)
      timer ??= setTimeout(write, WRITE_MS);
  });
  addEventListener('pagehide', write);
  return () => {
    unsubscribe();
    clearTimeout(timer);
    removeEventListener('pagehide', write);
  };
}

function keep(state: AppState): void {
  const { text, settings, versus, history, original } = state;
  if (text === '' || catalogueId(state) !== undefined) return;
  // An opened link is kept by its address; only what was changed needs a draft.
  if (history.past.length === 0 && own === undefined) return;
  if (own === undefined) {
    own = newId();
    void claim(own);
  }
  const draft: Draft = {
    id: own,
    text,
    settings,
    ...(versus === undefined ? {} : { versus }),
    ...(original === undefined ? {} : { from: original.id }),
    saved: Date.now(),
    at: state.runs[0]?.timeline.nameOf(Math.max(0, state.cursor)) ?? '0.0',
  };
  const tab: Tab = {
    draft: own,
    hash: location.hash,
    past: history.past.slice(-KEPT_VERSIONS).map(({ versus: other, ...rest }) => ({
      ...rest,
      ...(other === undefined ? {} : { versus: other }),
    })),
    future: [],
  };
  try {
    makeRoom(draft);
    localStorage.setItem(PREFIX + draft.id, JSON.stringify(draft));
    sessionStorage.setItem(TAB, JSON.stringify(tab));
  } catch {
    if (state.keepTrouble === undefined)
      store.setState({
        keepTrouble: 'This browser keeps no drafts now. Save your text as a file, or share a link to it.',
      });
  }
}

/** The oldest drafts go when there are too many, or too much. */
function makeRoom(coming: Draft): void {
  let size = coming.text.length;
  listDrafts()
    .filter((draft) => draft.id !== coming.id)
    .forEach((draft, index) => {
      size += draft.text.length;
      if (index >= BOUNDS.drafts - 1 || size > BOUNDS.draftCharacters) deleteDraft(draft.id);
    });
}

function parsed<S extends v.GenericSchema>(schema: S, text: string | null): v.InferOutput<S> | undefined {
  if (text === null) return undefined;
  try {
    const result = v.safeParse(schema, JSON.parse(text));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}
