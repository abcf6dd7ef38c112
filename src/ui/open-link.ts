/** Opening what a link or a draft names, and naming what is open: fetched with the first of them. */
import { isRecording } from '../catalogue/recordings.ts';
import { formatLink, parseLink, type ParsedLink } from '../scenario/links.ts';
import { stepCheck } from '../scenario/step-check.ts';
import { openScenario } from '../store/document.ts';
import { adoptDraft, draftOfTab, knownChoices, type Draft } from '../store/drafts.ts';
import { findStart } from '../store/link-start.ts';
import { catalogueId, set, store, type Original } from '../store/state.ts';
import { FIRST_SCENARIO, load, openFirst } from './first-scenario.ts';
import { STRINGS } from './strings.ts';

/** A scenario of the catalogue, or a recorded program of a real kernel. */
const loadAny = async (id: string): Promise<Original | undefined> =>
  isRecording(id) ? (await import('./open-recording.ts')).loadRecorded(id) : load(id);

export async function openLinked(link: Extract<ParsedLink, { kind: 'catalogue' | 'own' }>): Promise<void> {
  const { at, check, settings, versus, beyond, varied } = link;
  const where = {
    at,
    check,
    settings,
    versus,
    start: findStart,
    ...(beyond && { beyond }),
    ...(varied && { varied }),
  };
  if (link.kind === 'own') return openScenario({ text: link.text, ...where });
  const original = await loadAny(link.id);
  if (original !== undefined) return openScenario({ original, text: original.text, ...where });
  const sentence = `${STRINGS.scenarioMissing} (${link.id})`;
  if (store.getState().runs.length === 0 && link.id !== FIRST_SCENARIO)
    await openFirst({ linkTrouble: [sentence] });
  else set({ linkTrouble: [sentence] });
}

/** Goes on with what a tab had open before it was loaded again, with its history. */
export async function openKept(kept: NonNullable<ReturnType<typeof draftOfTab>>): Promise<void> {
  const past = kept.tab.past.map((version) => ({
    text: version.text,
    settings: knownChoices(version.settings),
    versus: version.versus === undefined ? undefined : knownChoices(version.versus),
  }));
  await openDraft(kept.draft, { history: { past, future: [] } });
  const link = await parseLink(location.hash);
  if ('varied' in link) set({ varied: link.varied });
}

export async function openDraft(
  draft: Draft,
  with_: Pick<Parameters<typeof openScenario>[0], 'history'> = {},
): Promise<void> {
  const [operation = '0', step = '0'] = draft.at.split('.');
  const original = draft.from === undefined ? undefined : await loadAny(draft.from);
  await adoptDraft(draft, () =>
    openScenario({
      original,
      text: draft.text,
      settings: knownChoices(draft.settings),
      versus: draft.versus === undefined ? undefined : knownChoices(draft.versus),
      at: { operation, step: Number(step) },
      start: findStart,
      ...with_,
    }),
  );
}

/** The link to what is on the screen; of a text with problems, to its beginning. */
export async function currentLink(): Promise<string | undefined> {
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
