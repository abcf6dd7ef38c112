/** The catalogue: what is fetched from the app's own files, and nothing else. */

/** The catalogue's own files stand beside the page. */
const address = (file: string): string => new URL(`scenarios/${file}`, document.baseURI).href;

export async function fetchText(file: string): Promise<string> {
  const response = await fetch(address(file));
  if (!response.ok) throw new Error(`${file} could not be loaded (${String(response.status)})`);
  return response.text();
}

/**
 * The text of a scenario; undefined where there is none of that name. Throws when it cannot be had. The browser's own
 * cache keeps it.
 */
export async function loadScenario(id: string): Promise<string | undefined> {
  const response = await fetch(address(`${id}.mmu`));
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error(`${id}.mmu could not be loaded (${String(response.status)})`);
  const text = await response.text();
  // A server that answers every address with the page itself has no such scenario.
  return text.trimStart().startsWith('<') ? undefined : text;
}
