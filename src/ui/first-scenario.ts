/** The first thing that there is to see: a scenario of the catalogue. */
import { loadScenario } from '../catalogue/catalogue.ts';
import { openScenario } from '../store/document.ts';
import { set, type Original } from '../store/state.ts';
import { STRINGS } from './strings.ts';

export const FIRST_SCENARIO = 'three-exits';

export async function openFirst(said: { linkTrouble?: readonly string[] }): Promise<void> {
  const original = await load(FIRST_SCENARIO);
  if (original === undefined) set({ linkTrouble: [`${STRINGS.scenarioMissing} (${FIRST_SCENARIO})`] });
  else await openScenario({ original, text: original.text, settings: {}, ...said });
}

export async function load(id: string): Promise<Original | undefined> {
  try {
    const text = await loadScenario(id);
    return text === undefined ? undefined : { id, text };
  } catch {
    return undefined;
  }
}
